"""Real bytes into device memory and back, at every edge, against a bytearray that should hold the same. All
of it twice: with regions that the device reads directly where the driver can, and with staging forced."""

import os
import random
from collections.abc import Callable
from typing import Any

import pytest
from harness import IS_ASAN, Daemon
from rpc import Client, registered

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30


@pytest.fixture(scope="module", params=["imported", "staged"])
def daemon_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"gpu": {"force_staging": "yes" if request.param == "staged" else "no"}}


def pattern_bytes(pattern: bytes, size: int) -> bytes:
    return (pattern * (size // len(pattern) + 1))[:size]


def test_staging_is_what_was_asked_for(daemon: Daemon, client: Client, daemon_options: Any) -> None:
    is_staged = daemon_options["gpu"]["force_staging"] == "yes"
    can_import = client.call("device.info", device="vulkan:0")["host_import"]
    with registered(client, 64 * KIB) as (region, _):
        result = client.call("shm.register", [region.fd], size=region.size)
        assert result["imported"] == (can_import and not is_staged)
        client.call("shm.release", shm=result["shm"])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 63, 64, 65, 4095, 4096, 4097, 65535, 65536])
def test_inline(client: Client, size: int) -> None:
    mem = client.alloc(size)
    assert client.read(mem, size) == bytes(size)
    data = os.urandom(size)
    assert client.call("mem.write", mem=mem, data=data) == {}
    assert client.read(mem, size) == data
    assert client.read(mem, size - 1, 1) == data[1:]
    assert client.call("mem.read", mem=mem, offset=size, size=0)["data"] == b""
    assert client.call("mem.write", mem=mem, offset=size, data=b"") == {}
    client.free(mem)


@pytest.mark.parametrize("size", [65537, MIB - 1, 16 * MIB, 16 * MIB + 1, 33 * MIB + 7, 100 * MIB + 3])
def test_through_a_region(client: Client, size: int) -> None:
    mem = client.alloc(size)
    with registered(client, size + 4099) as (region, shm):
        data = random.Random(size).randbytes(size)
        region.map[13 : 13 + size] = data
        assert client.call("mem.write", mem=mem, shm=shm, shm_offset=13, size=size) == {}
        region.map[:] = b"\xee" * region.size
        assert client.call("mem.read", mem=mem, shm=shm, shm_offset=4099, size=size) == {"data": None}
        assert region.map[4099:] == data
        # Nothing before it was touched.
        assert region.map[:4099] == b"\xee" * 4099
        # A part, at odd offsets on both sides.
        n = min(size - 7, 70001)
        client.call("mem.read", mem=mem, offset=7, shm=shm, shm_offset=1, size=n)
        assert region.map[1 : 1 + n] == data[7 : 7 + n]
    client.free(mem)


def test_ranges_that_do_not_fit(client: Client) -> None:
    top = (1 << 64) - 1
    mem = client.alloc(8192)
    other = client.alloc(100)
    client.write(mem, b"\x5a" * 8192)
    with registered(client, 4096) as (region, shm):
        region.map[:] = b"\xa5" * 4096
        calls: list[tuple[str, dict[str, Any]]] = []
        for offset, size in [
            (8192, 1),
            (0, 8193),
            (8191, 2),
            (top, 1),
            (1, top),
            (top, top),
            (1 << 63, 1 << 63),
        ]:
            calls.append(("mem.fill", {"mem": mem, "offset": offset, "size": size, "pattern": b"x"}))
            calls.append(("mem.copy", {"src": mem, "dst": mem, "src_offset": offset, "size": size}))
            calls.append(("mem.copy", {"src": mem, "dst": mem, "dst_offset": offset, "size": size}))
            calls.append(("mem.read", {"mem": mem, "offset": offset, "size": size, "shm": shm}))
            calls.append(("mem.write", {"mem": mem, "offset": offset, "size": size, "shm": shm}))
        for offset, size in [(4096, 1), (0, 4097), (4095, 2), (top, 1), (1, top)]:
            calls.append(("mem.read", {"mem": mem, "shm": shm, "shm_offset": offset, "size": size}))
            calls.append(("mem.write", {"mem": mem, "shm": shm, "shm_offset": offset, "size": size}))
        calls.append(("mem.copy", {"src": mem, "dst": other, "size": 101}))
        calls.append(("mem.copy", {"src": other, "dst": mem, "size": 101}))
        calls.append(("mem.read", {"mem": mem, "offset": 8193, "size": 0}))
        calls.append(("mem.fill", {"mem": mem, "offset": 8193, "pattern": b"x"}))
        calls.append(("mem.write", {"mem": mem, "offset": 8192, "data": b"x"}))
        for method, arguments in calls:
            error = client.refusal(method, **arguments)
            assert error.name == "OUT_OF_RANGE", (method, arguments, error)
            assert any(str(n) in error.message for n in (8192, 4096, 100)), error.message
        assert region.map[:] == b"\xa5" * 4096
    assert client.read(mem, 8192) == b"\x5a" * 8192
    client.free(mem, other)


def test_arguments_that_do_not_go_together(client: Client) -> None:
    mem = client.alloc(256 * KIB)
    with registered(client, 4096) as (_, shm):
        for method, arguments in [
            ("mem.write", {"mem": mem}),
            ("mem.write", {"mem": mem, "data": b"x", "shm": shm, "size": 1}),
            ("mem.write", {"mem": mem, "shm": shm}),
            ("mem.write", {"mem": mem, "data": b"xy", "size": 1}),
            ("mem.read", {"mem": mem, "size": 65537}),
            ("mem.fill", {"mem": mem, "pattern": b""}),
            ("mem.fill", {"mem": mem, "pattern": b"abc"}),
            ("mem.fill", {"mem": mem, "pattern": b"12345"}),
            ("mem.open", {}),
            ("mem.open", {"name": "alone"}),
            ("mem.alloc", {"device": "vulkan:0", "size": 0}),
            ("mem.alloc", {"device": "vulkan:0", "size": 1, "mode": 0o1000}),
            ("mem.alloc", {"device": "vulkan:0", "size": 1, "name": ""}),
        ]:
            error = client.refusal(method, **arguments)
            assert error.name == "INVALID_ARGUMENT", (method, arguments, error)
    client.free(mem)


@pytest.mark.parametrize("size", [1, 5, 4096, MIB + 3])
@pytest.mark.parametrize("n_pattern", [1, 2, 4, 8, 16])
def test_fill(client: Client, size: int, n_pattern: int) -> None:
    """At any offset and size; the pattern starts at the offset and its last repetition may be cut."""
    pattern = bytes(range(0x41, 0x41 + n_pattern))
    mem = client.alloc(size)
    for offset, n in [(0, size), (1, size - 1), (3, size - 4), (0, 1), (size - 1, 1), (size // 2, size // 3)]:
        if offset < 0 or n < 0 or offset + n > size:
            continue
        client.call("mem.fill", mem=mem, pattern=b"\0")
        assert client.call("mem.fill", mem=mem, offset=offset, size=n, pattern=pattern) == {}
        expected = bytes(offset) + pattern_bytes(pattern, n) + bytes(size - offset - n)
        assert client.read(mem, size) == expected
    client.call("mem.fill", mem=mem, offset=min(2, size), pattern=pattern)
    assert client.read(mem, size)[2:] == pattern_bytes(pattern, size)[: max(size - 2, 0)]
    client.free(mem)


def test_copy_between_allocations(client: Client) -> None:
    for size in (1, 100, 64 * KIB, MIB + 1, 5 * MIB):
        data = random.Random(size).randbytes(size)
        src, dst = client.alloc(size), client.alloc(size + 10)
        client.write(src, data)
        client.call("mem.copy", src=src, dst=dst, size=size, dst_offset=7)
        assert client.read(dst, size + 10) == bytes(7) + data + bytes(3)
        n = size // 2
        client.call("mem.copy", src=src, dst=dst, size=n, src_offset=size - n, dst_offset=1)
        assert client.read(dst, n, 1) == data[size - n :]
        assert client.read(src, size) == data
        client.free(src, dst)


@pytest.mark.parametrize("shift", [1, 3, 4, 64, 4096, 70000, -1, -4, -4097, 0])
def test_overlap_is_memmove(client: Client, shift: int) -> None:
    size = 300 * KIB
    data = random.Random(shift).randbytes(size)
    mem = client.alloc(size)
    client.write(mem, data)
    src, dst = (0, shift) if shift >= 0 else (-shift, 0)
    n = size - abs(shift)
    client.call("mem.copy", src=mem, dst=mem, src_offset=src, dst_offset=dst, size=n)
    model = bytearray(data)
    model[dst : dst + n] = data[src : src + n]
    assert client.read(mem, size) == model
    client.free(mem)


def test_large_overlap(client: Client) -> None:
    size = 70 * MIB
    with registered(client, size) as (region, shm):
        data = random.Random(70).randbytes(size)
        region.map[:] = data
        mem = client.alloc(size)
        for src, dst in ((0, 5), (MIB + 1, 0)):
            n = size - max(src, dst)
            region.map[:] = data
            client.call("mem.write", mem=mem, shm=shm, size=size)
            client.call("mem.copy", src=mem, dst=mem, src_offset=src, dst_offset=dst, size=n)
            client.call("mem.read", mem=mem, shm=shm, size=size)
            assert region.map[dst : dst + n] == data[src : src + n]
        client.free(mem)


def test_order_of_arrival(client: Client) -> None:
    """Conflicting work sent without waiting takes effect in the order sent."""
    size = 4 * MIB
    a, b = client.alloc(size), client.alloc(size)
    with registered(client, 2 * size) as (region, shm):
        for i in range(10):
            first, second = bytes([2 * i + 1]), bytes([2 * i + 2])
            region.map[:size] = first * size
            wanted = [
                client.submit("mem.write", {"mem": a, "shm": shm, "size": size}),
                client.submit("mem.copy", {"src": a, "dst": b, "size": size}),
                client.submit("mem.fill", {"mem": a, "pattern": second, "offset": size // 2}),
                client.submit("mem.copy", {"src": a, "dst": b, "size": 99, "src_offset": size - 99}),
                client.submit("mem.read", {"mem": b, "shm": shm, "shm_offset": size, "size": size}),
            ]
            for msgid in wanted:
                client.wait(msgid)
            assert region.map[size : size + 99] == second * 99
            assert region.map[size + 99 :] == first * (size - 99)
    client.free(a, b)


KINDS = ["alloc", "free", "write", "write", "inline", "read", "fill", "fill", "copy", "copy", "move"]


class Model:
    """Allocations and what they must hold."""

    def __init__(self, client: Client, seed: int) -> None:
        self.client = client
        self.dice = random.Random(seed)
        self.mems: dict[str, bytearray] = {}

    def size(self) -> int:
        return self.dice.choice([1, 3, 64, 1000, 4096, 65536, 200_000, 3 * MIB]) + self.dice.randrange(64)

    def pick(self) -> tuple[str, bytearray]:
        return self.dice.choice(list(self.mems.items()))

    def part(self, n: int, most: int = 1 << 62) -> tuple[int, int]:
        offset = self.dice.randrange(n + 1)
        return offset, self.dice.randrange(min(n - offset, most) + 1)

    def step(self, region: Any, shm: str) -> None:
        kind = self.dice.choice(KINDS)
        if kind == "alloc" or len(self.mems) < 2:
            size = self.size()
            self.mems[self.client.alloc(size)] = bytearray(size)
            return
        mem, model = self.pick()
        offset, n = self.part(len(model))
        if kind == "free":
            self.client.free(mem)
            del self.mems[mem]
        elif kind == "write":
            at = self.dice.randrange(region.size - n + 1)
            data = self.dice.randbytes(n)
            region.map[at : at + n] = data
            self.client.call("mem.write", mem=mem, offset=offset, shm=shm, shm_offset=at, size=n)
            model[offset : offset + n] = data
        elif kind == "inline":
            data = self.dice.randbytes(min(n, 65536))
            self.client.call("mem.write", mem=mem, offset=offset, data=data)
            model[offset : offset + len(data)] = data
        elif kind == "read":
            at = self.dice.randrange(region.size - n + 1)
            self.client.call("mem.read", mem=mem, offset=offset, shm=shm, shm_offset=at, size=n)
            assert region.map[at : at + n] == model[offset : offset + n]
        elif kind == "fill":
            pattern = self.dice.randbytes(self.dice.choice([1, 2, 4, 8, 16]))
            self.client.call("mem.fill", mem=mem, offset=offset, size=n, pattern=pattern)
            model[offset : offset + n] = pattern_bytes(pattern, n)
        else:
            to, to_model = (mem, model) if kind == "move" else self.pick()
            to_offset = self.dice.randrange(len(to_model) + 1)
            n = min(n, len(to_model) - to_offset)
            self.client.call("mem.copy", src=mem, dst=to, src_offset=offset, dst_offset=to_offset, size=n)
            to_model[to_offset : to_offset + n] = bytes(model[offset : offset + n])

    def check(self) -> None:
        for mem, model in self.mems.items():
            assert self.client.read(mem, len(model)) == model


@pytest.mark.parametrize("seed", range(4))
def test_random_work_against_a_model(client: Client, seed: int) -> None:
    model = Model(client, seed)
    with registered(client, 4 * MIB) as (region, shm):
        for i in range(60 if IS_ASAN else 250):
            model.step(region, shm)
            if i % 50 == 49:
                model.check()
        model.check()
    client.free(*model.mems)


def test_fresh_memory_is_zero(daemon: Daemon, client: Client) -> None:
    """Whatever was there before, and whoever had it: an allocation reads as zero, to its last byte."""
    sizes = [1, 37, 4096, 65537, MIB + 5, 40 * MIB + 1]
    dice = random.Random(0)
    for round_ in range(4):
        mems = []
        with daemon.connect() as other:
            who = other if round_ % 2 else client
            for size in sizes * 3:
                mem = who.alloc(size)
                assert not any(who.read(mem, min(size, 65536)))
                assert not any(who.read(mem, min(size, 4096), size - min(size, 4096)))
                who.call("mem.fill", mem=mem, pattern=b"\xff")
                mems.append(mem)
            dice.shuffle(mems)
            if who is client:
                client.free(*mems)


def test_whole_large_allocation_is_zero(client: Client) -> None:
    size = 64 * MIB + 3
    with registered(client, size) as (region, shm):
        for pattern in (b"\xff", b"\xaa"):
            mem = client.alloc(size)
            region.map[:] = b"\x11" * size
            client.call("mem.read", mem=mem, shm=shm, size=size)
            assert region.map[:].count(0) == size
            client.call("mem.fill", mem=mem, pattern=pattern)
            client.free(mem)


def test_reuse_in_a_block_does_not_leak(client: Client) -> None:
    """Small allocations out of one block: a freed range is handed out clean."""
    mems = [client.alloc(1000 + i % 7) for i in range(300)]
    for mem in mems:
        client.call("mem.fill", mem=mem, pattern=b"\x77")
    client.free(*mems[::2])
    fresh = [client.alloc(990 + i % 17) for i in range(200)]
    for i, mem in enumerate(fresh):
        assert client.read(mem, 990 + i % 17) == bytes(990 + i % 17)
    for i, mem in enumerate(mems):
        if i % 2:
            assert client.read(mem, 1000 + i % 7) == b"\x77" * (1000 + i % 7)
    client.free(*mems[1::2], *fresh)


def test_neighbours_are_left_alone(client: Client) -> None:
    mems = [client.alloc(77) for _ in range(50)]
    for i, mem in enumerate(mems):
        client.call("mem.fill", mem=mem, pattern=bytes([i + 1]))
    for i in range(1, 50, 3):
        client.call("mem.copy", src=mems[i - 1], dst=mems[i], size=13, src_offset=1, dst_offset=5)
        client.call("mem.write", mem=mems[i], offset=76, data=b"\xfe")
    for i, mem in enumerate(mems):
        data = client.read(mem, 77)
        if i % 3 == 1:
            assert data == bytes([i + 1]) * 5 + bytes([i]) * 13 + bytes([i + 1]) * 58 + b"\xfe"
        else:
            assert data == bytes([i + 1]) * 77
    client.free(*mems)


def test_exportable_and_segmented(spawn: Callable[..., Daemon], daemon_options: Any) -> None:
    """An allocation of several segments behaves like one of one."""
    daemon = spawn(gpu=daemon_options["gpu"] | {"segment_max": "1M", "block_max": "256K"})
    size = 5 * MIB + 321
    with daemon.connect() as client, registered(client, size) as (region, shm):
        data = random.Random(5).randbytes(size)
        region.map[:] = data
        mems = [client.alloc(size), client.alloc(size, exportable=True)]
        for mem in mems:
            assert client.read(mem, 3 * MIB) == bytes(3 * MIB)
            client.call("mem.write", mem=mem, shm=shm, size=size)
            assert client.read(mem, 70000, MIB - 35000) == data[MIB - 35000 : MIB + 35000]
            model = bytearray(data)
            client.call("mem.fill", mem=mem, offset=MIB - 3, size=2 * MIB + 5, pattern=b"0123456789abcdef")
            model[MIB - 3 : 3 * MIB + 2] = pattern_bytes(b"0123456789abcdef", 2 * MIB + 5)
            client.call("mem.copy", src=mem, dst=mem, src_offset=11, dst_offset=MIB + 1, size=4 * MIB)
            model[MIB + 1 : 5 * MIB + 1] = bytes(model[11 : 4 * MIB + 11])
            assert client.read(mem, size) == model
        client.call("mem.copy", src=mems[0], dst=mems[1], src_offset=1, dst_offset=0, size=size - 1)
        assert client.read(mems[1], 1000, 4 * MIB - 500) == model[4 * MIB - 499 : 4 * MIB + 501]
        client.free(*mems)


def test_whole_heap_and_beyond(client: Client) -> None:
    """As much as is said to be available can be had in one piece, within what a driver keeps for itself."""
    memory = client.call("device.memory", device="vulkan:0")
    for size in (memory["total"] + 1, 1 << 50, (1 << 63) + 1, (1 << 64) - 1):
        error = client.refusal("mem.alloc", device="vulkan:0", size=size)
        assert error.name == "OUT_OF_MEMORY", (size, error)
        assert str(size) in error.message
    assert client.call("device.memory", device="vulkan:0")["used"] == 0
    size = memory["available"] * 9 // 10
    mem = client.alloc(size)
    client.write(mem, b"the end", size - 7)
    assert client.read(mem, 10, size - 10) == b"\0\0\0the end"
    assert client.refusal("mem.alloc", device="vulkan:0", size=size).name == "OUT_OF_MEMORY"
    client.free(mem)
    client.free(client.alloc(size))


def test_offsets_beyond_32_bits(client: Client) -> None:
    size = (4 << 30) + 65 * MIB
    if client.call("device.memory", device="vulkan:0")["available"] < size + GIB:
        pytest.skip("the device has less than 5 GiB")
    mem = client.alloc(size)
    edge = 1 << 32
    client.call("mem.fill", mem=mem, offset=edge - 5, size=11, pattern=b"ab")
    assert client.read(mem, 15, edge - 7) == b"\0\0abababababa\0\0"
    client.call("mem.copy", src=mem, dst=mem, src_offset=edge - 5, dst_offset=3, size=11)
    assert client.read(mem, 14) == b"\0\0\0abababababa"
    with registered(client, 64 * MIB) as (region, shm):
        region.map[:] = random.Random(3).randbytes(64 * MIB)
        data = bytes(region.map[:])
        client.call("mem.write", mem=mem, offset=edge - 1001, shm=shm, size=64 * MIB)
        region.map[:] = bytes(64 * MIB)
        client.call("mem.read", mem=mem, offset=edge - 1001, shm=shm, size=64 * MIB)
        assert region.map[:] == data
    client.free(mem)
