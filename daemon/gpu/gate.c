/* The gate of a device: see gate.h. Loop thread, but for run_call(). */

#include "daemon/gpu/gate.h"

#include "daemon/gpu/device-internal.h"

static void run_call(GpuTask *task) {
        GpuCall *call = container_of(task, GpuCall, task);

        call->run(call);
}

static void call_done(GpuTask *task) {
        GpuCall *call = container_of(task, GpuCall, task);

        call->device->gate.is_closed = false;
        call->done(call);
}

void gate_init(GpuGate *gate) {
        *gate = (GpuGate){};
        list_init(&gate->waiting);
}

void gate_submit(GpuDevice *device, GpuCall *call, void (*run)(GpuCall *call), void (*done)(GpuCall *call)) {
        call->task.run = run_call;
        call->task.done = call_done;
        call->device = device;
        call->run = run;
        call->done = done;
        list_link(&device->gate.waiting, &call->task.link);
}

void gate_flush(GpuDevice *device) {
        GpuHost *host = &device->instance->host;
        List *link;

        if (device->gate.is_closed)
                return;
        link = list_pop(&device->gate.waiting);
        if (!link)
                return;
        device->gate.is_closed = true;
        host->execute(host->userdata, container_of(link, GpuTask, link));
}
