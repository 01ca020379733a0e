#pragma once

/*
 * The pattern of a fill: which part of it commands and the shader repeat by themselves, and which the host
 * lays out in a slot of the staging ring.
 */

#include <stdint.h>

#include "daemon/gpu/op.h"

/*
 * Returns the bytes of pattern that a fill command or the shader repeats, from a multiple of them on; 0:
 * neither can.
 */
uint32_t fill_get_unit(const GpuOp *op);

/*
 * Returns the bytes of pattern that `size` bytes of the fill, from `position` on, need in a slot; 0: they are
 * whole units.
 */
uint64_t fill_get_run(const GpuOp *op, uint64_t position, uint64_t size);

/* Writes the pattern as it runs from `position` on. */
void fill_write_run(const GpuOp *op, uint64_t position, unsigned char *run, uint64_t size);
