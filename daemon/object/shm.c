/* Regions: the memfd is checked and mapped here, imported by the GPU layer. */

#include "daemon/object/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "daemon/object/registry.h"
#include "daemon/util/error.h"
#include "daemon/util/macros.h"

/* Without them a client could shrink the file under the mapping, and the daemon's next access be its last. */
#define SEALS_NEEDED (F_SEAL_SHRINK | F_SEAL_GROW)

#define UNMAP_BYTES (UINT64_C(4) << 20) /* take 0.3 ms */

/*
 * Runs on a worker: it takes 80 ms per GiB, and if the client is gone, the pages go too, which takes 100
 * more. While munmap() takes pages out, no other thread, the loop's neither, can map or unmap anything;
 * madvise() lets them in.
 */
static void shm_unmap(GpuTask *task) {
        Shm *shm = container_of(task, Shm, unmap);
        unsigned char *map = shm->map;

        for (uint64_t i = 0; i < shm->size; i += UNMAP_BYTES)
                madvise(map + i, MIN(UNMAP_BYTES, shm->size - i), MADV_DONTNEED);
        munmap(map, shm->size);
}

static void shm_on_unmapped(GpuTask *task) {
        Shm *shm = container_of(task, Shm, unmap);

        if (shm->released)
                shm->released(shm->userdata);
        free(shm);
}

static void shm_on_gone(GpuRegion *region) {
        Shm *shm = container_of(region, Shm, region);
        const GpuHost *host = shm->host;

        shm->unmap = (GpuTask){.run = shm_unmap, .done = shm_on_unmapped};
        host->execute(host->userdata, &shm->unmap);
}

static void shm_on_ready(GpuRegion *region, bool imported) {
        Shm *shm = container_of(region, Shm, region);
        void (*ready)(Shm *, int, bool, void *) = shm->ready;

        shm->is_ready = true;
        shm->ready = NULL;
        ready(shm, 0, imported, shm->userdata);
}

/* Whether `fd` is a memfd that cannot shrink and has `size` bytes. */
static int check_memfd(int fd, uint64_t size, ProtoFault *fault) {
        struct stat status;
        int seals = fcntl(fd, F_GET_SEALS);

        if (seals < 0)
                return proto_fault(fault, GPUD_E_INVALID_ARGUMENT, "the file descriptor is not a memfd");
        if ((seals & SEALS_NEEDED) != SEALS_NEEDED)
                return proto_fault(fault, GPUD_E_INVALID_ARGUMENT,
                                   "the memfd is not sealed with F_SEAL_SHRINK and F_SEAL_GROW");
        if (fstat(fd, &status) < 0)
                return error_origin(-errno);
        if (size == 0)
                return proto_fault(fault, GPUD_E_INVALID_ARGUMENT, "`size` is 0, at least 1");
        if ((uint64_t)status.st_size < size)
                return proto_fault(fault, GPUD_E_OUT_OF_RANGE,
                                   "size %" PRIu64 " exceeds the memfd's %jd bytes", size,
                                   (intmax_t)status.st_size);
        return 0;
}

/* Whether `size` bytes of `fd` may become one more region of the session. */
static int check_region(const Session *session, int fd, uint64_t size, ProtoFault *fault) {
        uint64_t shm_max = session->registry->options.shm_max;
        int r;

        if (session->n_shms >= GPUD_SHMS_MAX)
                return proto_fault(fault, GPUD_E_RESOURCE_EXHAUSTED,
                                   "the session has %zu regions, limit shms_max = %d", session->n_shms,
                                   GPUD_SHMS_MAX);
        r = check_memfd(fd, size, fault);
        if (r)
                return r;
        /* The driver pins what it imports: a region costs host memory in full, touched or not. */
        if (session->shm_bytes > shm_max || size > shm_max - session->shm_bytes)
                return proto_fault(fault, GPUD_E_RESOURCE_EXHAUSTED,
                                   "size %" PRIu64 " and the session's %" PRIu64
                                   " bytes of regions exceed shm_max = %" PRIu64,
                                   size, session->shm_bytes, shm_max);
        return 0;
}

static int shm_map(Shm *shm, int fd, ProtoFault *fault) {
        void *map = mmap(NULL, shm->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        if (map == MAP_FAILED)
                return proto_fault(fault,
                                   errno == EPERM || errno == EACCES ? GPUD_E_INVALID_ARGUMENT
                                                                     : GPUD_E_RESOURCE_EXHAUSTED,
                                   "the memfd cannot be mapped for reading and writing: %s", strerror(errno));
        shm->map = map;
        return 0;
}

/* For a region that is half made. Nobody has touched its pages yet: to unmap them takes no time. */
static void shm_abandonp(Shm **shm) {
        if (*shm && (*shm)->map)
                munmap((*shm)->map, (*shm)->size);
        free(*shm);
}

int shm_new(Session *session, int fd, uint64_t size,
            void (*ready)(Shm *shm, int r, bool imported, void *userdata), void *userdata,
            ProtoFault *fault) {
        _cleanup_(shm_abandonp) Shm *shm = NULL;
        int r;

        r = check_region(session, fd, size, fault);
        if (r)
                return r;
        shm = calloc(1, sizeof(*shm));
        if (!shm)
                return error_origin(-ENOMEM);
        uuid_new_random(&shm->id);
        shm->session = session;
        shm->host = session->registry->host;
        shm->size = size;
        shm->ready = ready;
        shm->userdata = userdata;
        r = shm_map(shm, fd, fault);
        if (r)
                return r;
        r = gpu_region_init(&shm->region, session->registry->gpu, shm->map, size, shm_on_ready);
        if (r)
                return r;
        list_link(&session->shms, &shm->session_link);
        session->n_shms++;
        session->shm_bytes += size;
        session->registry->n_shms++;
        shm = NULL; /* is the session's now */
        return 0;
}

void shm_free(Shm *shm) {
        list_unlink(&shm->session_link);
        shm->session->n_shms--;
        shm->session->shm_bytes -= shm->size;
        shm->session->registry->n_shms--;
        if (shm->ready)
                shm->ready(shm, GPUD_E_CONNECTION_LOST, false, shm->userdata);
        gpu_region_deinit(&shm->region, shm_on_gone);
}

void shm_release(Shm *shm, void (*released)(void *userdata), void *userdata) {
        shm->released = released;
        shm->userdata = userdata;
        shm_free(shm);
}

Shm *shm_find(Session *session, const struct gpud_uuid *id) {
        list_for_each (link, &session->shms) {
                Shm *shm = container_of(link, Shm, session_link);

                if (shm->is_ready && memcmp(&shm->id, id, sizeof(*id)) == 0)
                        return shm;
        }
        return NULL;
}
