#pragma once

/*
 * The gate of a device. Drivers hold one lock per device while they allocate, free or import; a submit
 * meanwhile would block the loop just as long. So slow calls run on a worker one at a time, and while one
 * runs the loop calls nothing of that device but what reads a counter. Between two of them, submits go first.
 * Embedded in GpuDevice.
 */

#include <stdbool.h>

#include "daemon/gpu/host.h"
#include "daemon/util/list.h"

typedef struct GpuCall GpuCall;
typedef struct GpuDevice GpuDevice;
typedef struct GpuGate GpuGate;

/* A slow driver call; keep each one short. */
struct GpuCall {
        GpuTask task;
        GpuDevice *device;
        void (*run)(GpuCall *call);  /* on a worker; may use what the caller leaves alone until done() */
        void (*done)(GpuCall *call); /* on the loop thread, the gate open again; may free the call */
        bool is_waiting;
};

struct GpuGate {
        List waiting; /* GpuCall.task.link */
        bool is_closed;
};

void gate_init(GpuGate *gate);

/* Queues a slow call. Requires: it is neither waiting nor running. */
void gate_submit(GpuDevice *device, GpuCall *call, void (*run)(GpuCall *call), void (*done)(GpuCall *call));

/* Takes back a call that has not begun. Returns false if it is not waiting. */
bool gate_cancel(GpuCall *call);

/* Lets the next call begin if none runs. */
void gate_flush(GpuDevice *device);
