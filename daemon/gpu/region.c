/*
 * Importing host memory, piece by piece through the gates of all devices at once. Loop thread, but for calls.
 */

#include "daemon/gpu/region.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/gpu/device-internal.h"
#include "daemon/gpu/region-internal.h"
#include "daemon/util/error.h"
#include "daemon/util/log.h"

#define POPULATE_BYTES (UINT64_C(1) << 20) /* 0.2 ms */

static GpuImport *import_of(GpuCall *call) {
        return container_of(call, GpuImport, call);
}

static GpuImport *region_get_import(const GpuRegion *region, const GpuDevice *device) {
        return &region->imports[device->index];
}

bool region_is_imported(const GpuRegion *region, const GpuDevice *device) {
        const GpuImport *import = region_get_import(region, device);

        return import->n_pieces > 0 && import->n_there == import->n_pieces;
}

const GpuSegment *region_get_pieces(const GpuRegion *region, const GpuDevice *device) {
        return region_get_import(region, device)->pieces;
}

static void *import_get_next(const GpuImport *import) {
        return import->region->map + import->n_there * import->region->piece;
}

/* Returns the memory types that fit the next piece of host memory; 0: the driver will not have it. */
static uint32_t import_get_types(const GpuImport *import, const GpuDevice *device) {
        VkMemoryHostPointerPropertiesEXT properties = {
                .sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT,
        };

        if (GPU_TRY(device->get_host_pointer_properties(
                    device->vk, VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT,
                    import_get_next(import), &properties)))
                return 0;
        return properties.memoryTypeBits;
}

/*
 * Makes the pages of the next piece that are not there yet, in steps, so that others come in between. The
 * driver would have them made all at once, up to 10 ms for a piece, and until then nobody else in the process
 * could map anything, the loop neither. A kernel before 5.14 does not know how; then the driver does it.
 */
static void import_populate(const GpuImport *import, uint64_t size) {
        unsigned char *map = import_get_next(import);

        for (uint64_t i = 0; i < size; i += POPULATE_BYTES)
                madvise(map + i, MIN(POPULATE_BYTES, size - i), MADV_POPULATE_WRITE);
}

static void import_run(GpuCall *call) {
        GpuImport *import = import_of(call);
        const GpuDevice *device = call->device;
        VkExternalMemoryBufferCreateInfo buffer = {
                .sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
                .handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT,
        };
        VkImportMemoryHostPointerInfoEXT memory = {
                .sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
                .handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT,
                .pHostPointer = import_get_next(import),
        };
        GpuSegmentSource source = {
                .buffer_next = &buffer,
                .memory_next = &memory,
                .types = import_get_types(import, device),
                .preferred = VK_MEMORY_PROPERTY_HOST_COHERENT_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT,
        };
        GpuSegment *piece = &import->pieces[import->n_there];
        int r;

        if (!device->is_cpu)
                import_populate(import, piece->size);
        r = segment_init(piece, device, piece->size, &source);
        if (r)
                piece->size = 0;
}

static void release_run(GpuCall *call) {
        GpuImport *import = import_of(call);

        segment_deinit(&import->pieces[import->n_there - 1], call->device);
}

static void import_end(GpuImport *import);
static void import_release(GpuImport *import, GpuDevice *device);

static void release_done(GpuCall *call) {
        GpuImport *import = import_of(call);

        import->n_there--;
        import_release(import, call->device);
}

static void import_release(GpuImport *import, GpuDevice *device) {
        import->n_pieces = 0;
        if (import->n_there > 0)
                gate_submit(device, &import->call, release_run, release_done);
        else
                import_end(import);
}

static void import_done(GpuCall *call) {
        GpuImport *import = import_of(call);
        bool is_failed = import->pieces[import->n_there].size == 0;

        if (!is_failed)
                import->n_there++;
        if (is_failed && !import->region->is_dying)
                log_info("%s does not import host memory: bytes will be staged", call->device->info.id);
        if (is_failed || import->region->is_dying)
                import_release(import, call->device);
        else if (import->n_there < import->n_pieces)
                gate_submit(call->device, call, import_run, import_done);
        else
                import_end(import);
}

static void region_gone(GpuRegion *region) {
        for (size_t i = 0; i < region->instance->n_devices; i++)
                free(region->imports[i].pieces);
        free(region->imports);
        region->imports = NULL;
        region->instance->n_regions--;
        region->gone(region);
}

/* Gives back the imports. Requires: dying, not used and not busy. */
static void region_release(GpuRegion *region) {
        GpuInstance *instance = region->instance;

        region->is_releasing = true;
        region->n_busy = (uint32_t)instance->n_devices;
        for (size_t i = 0; i < instance->n_devices; i++)
                import_release(&region->imports[i], instance->devices[i]);
}

void region_settle(GpuRegion *region) {
        bool is_imported = true;

        for (size_t i = 0; i < region->instance->n_devices; i++)
                is_imported = is_imported && region_is_imported(region, region->instance->devices[i]);
        region->is_pending = false;
        region->ready(region, is_imported);
}

/* Notes that one of those at work on the region is done. */
static void region_put(GpuRegion *region) {
        if (--region->n_busy > 0)
                return;
        if (!region->is_dying)
                region_settle(region);
        else if (region->is_releasing)
                region_gone(region);
        else if (region->n_ops == 0)
                region_release(region);
}

/* Notes that a device is done with importing, or with giving back. */
static void import_end(GpuImport *import) {
        region_put(import->region);
}

/* Lays out the pieces of one device. Returns 0 or -ENOMEM. */
static int import_init(GpuImport *import, GpuRegion *region, const GpuDevice *device) {
        uint64_t n_pieces = (region->size + region->piece - 1) / region->piece;

        import->region = region;
        if (!device->imports || (uintptr_t)region->map % device->import_alignment != 0 ||
            ALIGN_UP(region->size, (uint64_t)sysconf(_SC_PAGESIZE)) % device->import_alignment != 0)
                return 0;
        import->pieces = calloc(n_pieces, sizeof(*import->pieces));
        if (!import->pieces)
                return error_origin(-ENOMEM);
        import->n_pieces = (uint32_t)n_pieces;
        for (uint64_t i = 0; i < n_pieces; i++)
                import->pieces[i].size = ALIGN_UP(MIN(region->piece, region->size - i * region->piece),
                                                  device->import_alignment);
        return 0;
}

static void region_free_importsp(GpuRegion **region) {
        if (*region)
                region_free_imports(*region);
}

int gpu_region_init(GpuRegion *region, GpuInstance *instance, void *map, uint64_t size,
                    void (*ready)(GpuRegion *region, bool imported)) {
        _cleanup_(region_free_importsp) GpuRegion *guard = region;
        int r;

        assert(size > 0);
        *region = (GpuRegion){
                .instance = instance,
                .map = map,
                .size = size,
                .piece = GPU_CHUNK,
                .is_pending = true,
                .ready = ready,
        };
        list_init(&region->link);
        for (size_t i = 0; i < instance->n_devices; i++) {
                while (region->piece * instance->devices[i]->pieces_max < size)
                        region->piece *= 2;
        }
        region->imports = calloc(instance->n_devices, sizeof(*region->imports));
        if (!region->imports)
                return error_origin(-ENOMEM);
        for (size_t i = 0; i < instance->n_devices; i++) {
                r = import_init(&region->imports[i], region, instance->devices[i]);
                if (r)
                        return r;
        }

        (void)STEAL(guard);
        instance->n_regions++;
        for (size_t i = 0; i < instance->n_devices; i++) {
                if (!region->imports[i].n_pieces)
                        continue;
                region->n_busy++;
                gate_submit(instance->devices[i], &region->imports[i].call, import_run, import_done);
        }
        if (region->n_busy == 0)
                list_link(&instance->settled, &region->link);
        return 0;
}

void gpu_region_deinit(GpuRegion *region, void (*gone)(GpuRegion *region)) {
        assert(!region->is_dying);
        region->is_dying = true;
        region->gone = gone;
        list_unlink(&region->link);
        region->n_busy++; /* by this loop: the region may go when it is over */
        for (size_t i = 0; i < region->instance->n_devices; i++) {
                if (gate_cancel(&region->imports[i].call))
                        import_release(&region->imports[i], region->instance->devices[i]);
        }
        region_put(region);
}

void region_ref(GpuRegion *region) {
        region->n_ops++;
}

void region_unref(GpuRegion *region) {
        if (--region->n_ops == 0 && region->is_dying && region->n_busy == 0)
                region_release(region);
}

void region_free_imports(GpuRegion *region) {
        if (!region->imports)
                return;
        for (size_t i = 0; i < region->instance->n_devices; i++) {
                GpuImport *import = &region->imports[i];

                while (import->n_there > 0)
                        segment_deinit(&import->pieces[--import->n_there], region->instance->devices[i]);
                free(import->pieces);
        }
        free(region->imports);
        region->imports = NULL;
}
