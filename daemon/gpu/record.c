/* Commands over spans; loop thread, gate open. What a compute shader does better will be chosen here. */

#include "daemon/gpu/record.h"

#include <assert.h>

#include "daemon/gpu/device-internal.h"

/* Where a span lies at one point, and how far it goes on there in one buffer. */
typedef struct Place {
        VkBuffer buffer;
        uint64_t offset;
        uint64_t room;
} Place;

static Place place_in(const GpuSegment *pieces, uint64_t piece_size, uint64_t offset) {
        return (Place){
                .buffer = pieces[offset / piece_size].buffer,
                .offset = offset % piece_size,
                .room = piece_size - offset % piece_size,
        };
}

static Place span_get_place(GpuSpan span, const GpuDevice *device, uint64_t position) {
        uint64_t offset = span.offset + position;

        if (span.memory && span.memory->is_small) {
                const GpuBacking *backing = span.memory->block->memory.backing;

                return place_in(backing->segments, backing->segment_size,
                                pool_get_offset(span.memory) + offset);
        }
        if (span.memory) {
                const GpuBacking *backing = span.memory->backing;

                return place_in(backing->segments, backing->segment_size, offset);
        }
        if (span.region)
                return place_in(region_get_pieces(span.region, device), span.region->piece, offset);
        return (Place){.buffer = span.buffer, .offset = offset, .room = UINT64_MAX};
}

static GpuSpan span_at(GpuSpan span, uint64_t position) {
        span.offset += position;
        return span;
}

void record_copy(GpuQueue *queue, GpuSpan src, GpuSpan dst, uint64_t size) {
        for (uint64_t done = 0, n; done < size; done += n) {
                Place from = span_get_place(src, queue->device, done);
                Place to = span_get_place(dst, queue->device, done);

                n = MIN(size - done, MIN(from.room, to.room));
                vkCmdCopyBuffer(queue->open->commands, from.buffer, to.buffer, 1,
                                &(VkBufferCopy){.srcOffset = from.offset, .dstOffset = to.offset, .size = n});
        }
}

void record_move(GpuQueue *queue, GpuSpan src, GpuSpan dst, uint64_t size) {
        GpuSpan scratch = {.buffer = queue->device->scratch.buffer};

        assert(size <= queue->device->scratch.size);
        queue_barrier(queue);
        record_copy(queue, src, scratch, size);
        queue_barrier(queue);
        record_copy(queue, scratch, dst, size);
}

void record_fill_word(GpuQueue *queue, GpuSpan dst, uint64_t size, uint32_t word) {
        for (uint64_t done = 0, n; done < size; done += n) {
                Place to = span_get_place(dst, queue->device, done);

                n = MIN(size - done, to.room);
                vkCmdFillBuffer(queue->open->commands, to.buffer, to.offset, n, word);
        }
}

void record_fill_run(GpuQueue *queue, GpuSpan src, uint64_t run, GpuSpan dst, uint64_t size) {
        record_copy(queue, src, dst, MIN(run, size));
        for (uint64_t done = run; done < size; done *= 2) {
                queue_barrier(queue);
                record_copy(queue, dst, span_at(dst, done), MIN(done, size - done));
        }
}
