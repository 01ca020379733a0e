"""PyTorch, one side of a comparison (sides.py). First it says what it is; then it does what the lines on its
standard input say, and times each copy to its end:

    size N             tensors of so many bytes, in place of those before
    pinned_put N, pinned_get N        pinned memory to the device and back, N times
    pageable_put N, pageable_get N    ordinary memory likewise, no new memory for each
    move N             device to device
    across N           one device to another
"""

import json
import os
import sys
import time
from typing import Any

# As gpud numbers devices.
os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]


class Side:
    def __init__(self) -> None:
        self.n_devices = torch.cuda.device_count() if torch and torch.cuda.is_available() else 0
        self.tensors: dict[str, Any] = {}
        self.n_bytes = 0

    def describe(self) -> dict[str, Any]:
        if self.n_devices == 0:
            return {"devices": 0}
        return {
            "devices": self.n_devices,
            "version": torch.__version__,
            "name": torch.cuda.get_device_name(0),
        }

    def size(self, n_bytes: int) -> dict[str, Any]:
        self.tensors.clear()
        torch.cuda.empty_cache()
        self.n_bytes = n_bytes
        return {}

    def tensor(self, name: str) -> Any:
        """A tensor made when it is first needed, every page of it touched."""
        if name not in self.tensors:
            options: dict[str, Any] = {"device": "cpu"}
            if name == "pinned":
                options["pin_memory"] = True
            elif name != "pageable":
                options["device"] = {"device": "cuda:0", "second": "cuda:0", "other": "cuda:1"}[name]
            self.tensors[name] = torch.empty(self.n_bytes, dtype=torch.uint8, **options).fill_(1)
        return self.tensors[name]

    def copy(self, source: str, target: str, n: int) -> dict[str, Any]:
        a, b = self.tensor(source), self.tensor(target)
        devices = [t.device for t in (a, b) if t.is_cuda]

        def sync() -> None:
            for device in devices:
                torch.cuda.synchronize(device)

        def once() -> float:
            sync()
            began = time.perf_counter()
            b.copy_(a, non_blocking=True)
            sync()
            return (time.perf_counter() - began) * 1e6

        once()
        times = sorted(once() for _ in range(n))
        return {"n": n, "min_us": times[0], "median_us": times[(n - 1) // 2], "max_us": times[-1]}


COPIES = {
    "pinned_put": ("pinned", "device"),
    "pinned_get": ("device", "pinned"),
    "pageable_put": ("pageable", "device"),
    "pageable_get": ("device", "pageable"),
    "move": ("device", "second"),
    "across": ("device", "other"),
}


def say(result: dict[str, Any]) -> None:
    print(json.dumps(result), flush=True)


def main() -> None:
    side = Side()
    say(side.describe())
    for line in iter(sys.stdin.readline, ""):
        name, n = line.split()
        say(side.size(int(n)) if name == "size" else side.copy(*COPIES[name], int(n)))


main()
