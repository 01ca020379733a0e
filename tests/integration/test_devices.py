"""An operator's first question: what GPUs are there, and what is left on them?"""

import json
import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from harness import DRIVER_FILES, Daemon, lavapipe_manifest
from rpc import Client


def test_list_and_info_agree(client: Client) -> None:
    devices = client.call("device.list")["devices"]
    assert devices
    for i, device in enumerate(devices):
        assert device["device"] == f"vulkan:{i}"
        for name in (device["device"], device["uuid"], device["pci"]):
            if name is not None:
                assert client.call("device.info", device=name)["uuid"] == device["uuid"]
        assert device["memory_total"] >= device["memory_available"] > 0
        assert device["type"] in ("other", "integrated", "discrete", "virtual", "cpu")
        assert device["health"] == "ok"
        assert device["name"]
        assert device["vendor"]
        assert device["max_threads_per_block"] > 0


def test_memory_follows_allocations(client: Client) -> None:
    before = client.call("device.memory", device="vulkan:0")
    assert before["used"] == 0
    assert before["available"] <= before["total"]
    sizes = [1, 4096, 1 << 20, (64 << 20) + 1]
    mems = [client.alloc(size) for size in sizes]
    after = client.call("device.memory", device="vulkan:0")
    assert after["used"] >= sum(sizes)
    assert after["reserved"] >= after["used"]
    assert after["available"] <= before["available"] - sum(sizes)
    client.free(*mems)
    assert client.call("device.memory", device="vulkan:0")["used"] == 0


def test_telemetry(client: Client) -> None:
    telemetry = client.call("device.telemetry", device="vulkan:0")
    assert telemetry["memory_total"] > 0
    assert telemetry["timestamp_ns"] > 1_600_000_000 * 10**9
    temperature = telemetry["temperature_c"]
    assert temperature is None or 0 < temperature < 130


def test_sync_waits_for_everybody(daemon: Daemon, client: Client) -> None:
    """The reply to a sync comes after those of all work that another client had submitted."""
    with daemon.connect() as other:
        mem = other.alloc(64 << 20)
        fills = [other.submit("mem.fill", {"mem": mem, "pattern": bytes([i])}) for i in range(8)]
        # Another request of theirs that is answered says that the fills before it have been taken.
        other.call("daemon.ping")
        assert client.call("device.sync", device="vulkan:0") == {}
        assert other.call("daemon.status")["inflight"] <= 1
        for fill in fills:
            assert other.wait(fill) == {}
        assert other.read(mem, 4) == b"\7" * 4
        other.free(mem)


@pytest.fixture
def two_drivers(tmp_path: pathlib.Path) -> str:
    """lavapipe twice: the loader takes a copied driver for another one."""
    first = lavapipe_manifest()
    manifest = json.loads(pathlib.Path(first).read_text())
    library = manifest["ICD"]["library_path"]
    if "/" not in library:
        candidates = list(pathlib.Path("/usr/lib").glob(f"*/{library}"))
        assert candidates
        library = str(candidates[0])
    copy = tmp_path / "libvulkan_lvp_copy.so"
    shutil.copyfile(library, copy)
    manifest["ICD"]["library_path"] = str(copy)
    second = tmp_path / "copy.json"
    second.write_text(json.dumps(manifest))
    return f"{first}:{second}"


@pytest.mark.skipif(DRIVER_FILES is not None, reason="on a machine with GPUs of its own")
class TestTwoDevices:
    def test_stable_order_and_allocations_on_both(
        self, spawn: Callable[..., Daemon], two_drivers: str
    ) -> None:
        daemon = spawn(env={"VK_DRIVER_FILES": two_drivers})
        with daemon.connect() as client:
            devices = client.call("device.list")["devices"]
            assert [d["device"] for d in devices] == ["vulkan:0", "vulkan:1"]
            for _ in range(3):
                assert client.call("device.list")["devices"] == devices
            data = os.urandom(1 << 20)
            mems = [client.alloc(len(data), device=f"vulkan:{i}", name="same name") for i in range(2)]
            for i, mem in enumerate(mems):
                assert client.call("mem.info", mem=mem)["device"] == f"vulkan:{i}"
                assert client.call("device.memory", device=f"vulkan:{i}")["used"] == len(data)
                assert [m["mem"] for m in client.list_mems(device=f"vulkan:{i}")] == [mem]
            client.write(mems[0], data)
            client.call("mem.copy", src=mems[0], dst=mems[1], size=len(data) - 3, src_offset=3, dst_offset=1)
            assert client.read(mems[1], len(data)) == b"\0" + data[3:] + b"\0\0"
            client.call("mem.copy", src=mems[1], dst=mems[0], size=0)
            for i in range(2):
                assert client.call("device.sync", device=f"vulkan:{i}") == {}
            client.free(*mems)

    def test_one_of_them_picked(self, spawn: Callable[..., Daemon], two_drivers: str) -> None:
        daemon = spawn(env={"VK_DRIVER_FILES": two_drivers}, gpu={"devices": "vulkan:1"})
        with daemon.connect() as client:
            devices = client.call("device.list")["devices"]
            assert [d["device"] for d in devices] == ["vulkan:1"]
            client.free(client.alloc(64, device="vulkan:1"))
            assert client.refusal("mem.alloc", device="vulkan:0", size=64).name == "NOT_FOUND"

    def test_large_copy_between_them(self, spawn: Callable[..., Daemon], two_drivers: str) -> None:
        daemon = spawn(env={"VK_DRIVER_FILES": two_drivers})
        size = (96 << 20) + 5
        with daemon.connect() as client:
            src = client.alloc(size)
            dst = client.alloc(size, device="vulkan:1")
            pattern = bytes(range(16))
            client.call("mem.fill", mem=src, pattern=pattern)
            client.call("mem.copy", src=src, dst=dst, size=size)
            for offset in (0, (48 << 20) - 7, size - 64):
                expected = (pattern * 6)[offset % 16 :][:64]
                assert client.read(dst, 64, offset) == expected
            client.free(src, dst)


def test_memory_max(spawn: Callable[..., Daemon]) -> None:
    """A device has no more than is configured, however much its driver names."""
    limit = 100 << 20
    with spawn(gpu={"memory_max": "100M"}).connect() as client:
        assert client.call("device.info", device="vulkan:0")["memory_total"] == limit
        memory = client.call("device.memory", device="vulkan:0")
        assert (memory["total"], memory["available"]) == (limit, limit)
        mem = client.alloc(limit)
        error = client.refusal("mem.alloc", device="vulkan:0", size=1 << 20)
        assert (error.name, str(limit) in error.message) == ("OUT_OF_MEMORY", True)
        client.free(mem)


def test_memory_info_of_every_device(client: Client) -> None:
    keys: set[Any] = {"total", "used", "available", "reserved", "driver_budget", "driver_used"}
    for device in client.call("device.list")["devices"]:
        assert set(client.call("device.memory", device=device["device"])) >= keys
