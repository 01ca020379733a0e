/* Results of the GPU layer, as clients see them. */

#include "daemon/object/result.h"

#include "daemon/gpu/result.h"
#include "daemon/util/error.h"
#include "proto/types.h"

int result_from_gpu(int r) {
        switch (r) {
        case REQUEST_LATER:
                return REQUEST_LATER;
        case GPU_E_NO_MEMORY:
                return GPUD_E_OUT_OF_MEMORY;
        case GPU_E_NO_HOST_MEMORY:
                return GPUD_E_RESOURCE_EXHAUSTED;
        case GPU_E_LOST:
                return GPUD_E_DEVICE_LOST;
        default:
                return error_fold(r);
        }
}
