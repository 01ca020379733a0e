#pragma once

/*
 * A GPU layer of host memory, for tests that make allocations fail: the real drivers would fail in places of
 * their own. Work completes in fake_gpu_turn().
 */

#include "daemon/gpu/host.h"

/* Runs what was submitted since the last time, callbacks included. */
void fake_gpu_turn(void);

/* Allocations that are not given back. */
size_t fake_gpu_count(void);

/* Calls of gpu_instance_trim(), and for whom the last was. */
extern unsigned fake_gpu_n_trims;
extern uint32_t fake_gpu_trimmed;

/* Runs tasks at once in execute(), as if the worker were quick, and their done() in fake_gpu_turn(). */
extern const GpuHost fake_gpu_host;
