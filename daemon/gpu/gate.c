/* Slow calls, one at a time: see gate.h. Loop thread, but for run_call(). */

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
        call->is_waiting = true;
        list_link(&device->gate.waiting, &call->task.link);
}

bool gate_cancel(GpuCall *call) {
        if (!call->is_waiting)
                return false;
        call->is_waiting = false;
        list_unlink(&call->task.link);
        return true;
}

void gate_flush(GpuDevice *device) {
        GpuHost *host = &device->instance->host;
        GpuCall *call;
        List *link;

        if (device->gate.is_closed)
                return;
        link = list_pop(&device->gate.waiting);
        if (!link)
                return;
        call = container_of(link, GpuCall, task.link);
        call->is_waiting = false;
        device->gate.is_closed = true;
        host->execute(host->userdata, &call->task);
}
