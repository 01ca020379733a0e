#pragma once

/* The one place where a result of the GPU layer turns into one that a client may see. */

/* Returns 0, REQUEST_LATER and fatal errors as they are; for a GPU_E_ condition its GPUD_E_ code. */
int result_from_gpu(int r);
