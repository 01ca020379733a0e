/* Commands over spans, by shader where that is better; loop thread, gate open. */

#include "daemon/gpu/record.h"

#include <assert.h>

#include "daemon/gpu/device-internal.h"

#define SHADER_MIN 1024 /* bytes; for fewer, one command will do */

/* Where a span lies at one point, and how far it goes on there in one buffer. */
typedef struct Place {
        const GpuSegment *segment;
        uint64_t offset;
        uint64_t room;
} Place;

static Place place_in(const GpuSegment *pieces, uint64_t piece_size, uint64_t offset) {
        return (Place){
                .segment = &pieces[offset / piece_size],
                .offset = offset % piece_size,
                .room = piece_size - offset % piece_size,
        };
}

static VkDeviceAddress place_get_address(const Place *place) {
        return place->segment->address + place->offset;
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
        return (Place){.segment = span.segment, .offset = offset, .room = span.segment->size - offset};
}

static GpuSpan span_at(GpuSpan span, uint64_t position) {
        span.offset += position;
        return span;
}

static void copy_by_command(const GpuQueue *queue, const Place *from, const Place *to, uint64_t position,
                            uint64_t size) {
        VkBufferCopy copy = {
                .srcOffset = from->offset + position,
                .dstOffset = to->offset + position,
                .size = size,
        };

        if (size > 0)
                vkCmdCopyBuffer(queue->open->commands, from->segment->buffer, to->segment->buffer, 1, &copy);
}

/*
 * Copies whole units by shader, from a unit of the destination on, and what is before and behind them by
 * command.
 */
static void copy_by_shader(const GpuQueue *queue, const Place *from, const Place *to, uint64_t size) {
        VkDeviceAddress src = place_get_address(from), dst = place_get_address(to);
        uint64_t unit = shader_get_unit(src, dst), head = -dst % unit;
        uint64_t middle = (size - head) / unit * unit;

        assert(queue == queue->device->compute);
        shader_copy(&queue->device->shader, queue->open->commands, src + head, dst + head, middle);
        copy_by_command(queue, from, to, 0, head);
        copy_by_command(queue, from, to, head + middle, size - head - middle);
}

static bool is_for_shader(const GpuQueue *queue, const Place *from, const Place *to, uint64_t size) {
        return queue->device->shader.is_used && from->segment->address && to->segment->address &&
               size >= SHADER_MIN;
}

void record_copy(GpuQueue *queue, GpuSpan src, GpuSpan dst, uint64_t size) {
        for (uint64_t done = 0, n; done < size; done += n) {
                Place from = span_get_place(src, queue->device, done);
                Place to = span_get_place(dst, queue->device, done);

                n = MIN(size - done, MIN(from.room, to.room));
                if (is_for_shader(queue, &from, &to, n))
                        copy_by_shader(queue, &from, &to, n);
                else
                        copy_by_command(queue, &from, &to, 0, n);
        }
}

void record_move(GpuQueue *queue, GpuSpan src, GpuSpan dst, uint64_t size) {
        uint64_t distance = MAX(src.offset, dst.offset) - MIN(src.offset, dst.offset);
        GpuSpan scratch = {.segment = &queue->device->scratch};

        queue_barrier(queue);
        if (size <= distance) {
                record_copy(queue, src, dst, size);
                return;
        }
        assert(size <= scratch.segment->size);
        record_copy(queue, src, scratch, size);
        queue_barrier(queue);
        record_copy(queue, scratch, dst, size);
}

void record_fill_word(GpuQueue *queue, GpuSpan dst, uint64_t size, uint32_t word) {
        for (uint64_t done = 0, n; done < size; done += n) {
                Place to = span_get_place(dst, queue->device, done);

                n = MIN(size - done, to.room);
                vkCmdFillBuffer(queue->open->commands, to.segment->buffer, to.offset, n, word);
        }
}

void record_fill_unit(GpuQueue *queue, GpuSpan dst, uint64_t size, const unsigned char *unit) {
        for (uint64_t done = 0, n; done < size; done += n) {
                Place to = span_get_place(dst, queue->device, done);

                n = MIN(size - done, to.room);
                shader_fill(&queue->device->shader, queue->open->commands, place_get_address(&to), n, unit);
        }
}

void record_fill_run(GpuQueue *queue, GpuSpan src, uint64_t run, GpuSpan dst, uint64_t size) {
        record_copy(queue, src, dst, MIN(run, size));
        for (uint64_t done = run; done < size; done *= 2) {
                queue_barrier(queue);
                record_copy(queue, dst, span_at(dst, done), MIN(done, size - done));
        }
}
