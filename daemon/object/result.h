#pragma once

/* The one place where a result of the GPU layer turns into one that a client may see. */

/* For 0, REQUEST_LATER and fatal errors the same; for GPU_E_ conditions a GPUD_E_ code. */
int result_from_gpu(int r);
