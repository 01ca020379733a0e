"""Bulk copies through the arena: every byte in its place, each slot in one copy at a time, cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import gc
import itertools
import os
import random
import re
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from peer import DEVICE, LIMITS, Store

import gpud
from gpud import _arena, _buffers, _headroom
from gpud._arena import Arena
from gpud._region import Regions

pytestmark = pytest.mark.anyio

SLOT = 512 << 10
SIZE = 10 * SLOT + 12345


def store_with_small_slots() -> Store:
    store = Store()
    store.client._arena = Arena(store.client._regions, store.client._threads, SLOT, 4)
    return store


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, SLOT, SLOT + 1, 4 * SLOT, SIZE])
async def test_bytes_come_back(size: int) -> None:
    async with store_with_small_slots() as store:
        data = os.urandom(size)
        mem = await store.client.alloc(DEVICE, size + 20)
        await mem.write(data, 7)
        assert store.mems[mem.handle] == bytes(7) + data + bytes(13)
        assert await mem.read(size, 7) == data
        assert await mem.read() == bytes(7) + data + bytes(13)
        target = bytearray(size)
        await mem.read_into(target, 7)
        assert target == data
        assert len(store.shms) <= 4


DTYPES: list[Any] = ["u1", "f2", "f4", "c16", "S3", "?", [("a", "i4"), ("O", "f8")]]
# These have no format in Python's buffers.
DTYPES += ["M8[s]", "m8[ns]", [("a", "M8[s]"), ("b", "f8")]]
DTYPES += [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, [("a", ml_dtypes.bfloat16)]]


@pytest.mark.parametrize("dtype", DTYPES)
async def test_any_contiguous_array(dtype: Any) -> None:
    async with store_with_small_slots() as store:
        for shape in ((50,), (5, 7), (0, 3), (3, 100_000), ()):
            array = np.frombuffer(os.urandom(int(np.prod(shape)) * np.dtype(dtype).itemsize), dtype).reshape(
                shape
            )
            mem = await store.client.alloc(DEVICE, array.nbytes)
            await mem.write(array)
            back = np.empty(shape, dtype)
            await mem.read_into(back)
            assert back.tobytes() == array.tobytes()


async def test_buffers_that_cannot_be_used_say_why() -> None:
    async with store_with_small_slots() as store:
        mem = await store.client.alloc(DEVICE, SIZE)
        for n, dtype in itertools.product((100, 1000), ("f8", ml_dtypes.bfloat16)):
            square = np.zeros((n, n), dtype)
            for strided in (square[:, ::2], square.T):
                with pytest.raises(gpud.InvalidArgumentError, match="not C-contiguous") as caught:
                    await mem.write(strided)
                assert "ascontiguousarray" in caught.value.hint
                with pytest.raises(gpud.InvalidArgumentError, match="not C-contiguous") as caught:
                    await mem.read_into(strided)
                assert "ascontiguousarray" not in caught.value.hint
            square.flags.writeable = False
            for constant in (bytes(n * n), square):
                with pytest.raises(gpud.InvalidArgumentError, match="read-only"):
                    await mem.read_into(constant)
        with pytest.raises(TypeError):
            await mem.write("text")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "dtype", ["O", [("a", "i4"), ("b", [("c", "O")])], [("a", "M8[s]"), ("b", "O")], "T"]
)
@pytest.mark.parametrize("n", [3, 100_000])
async def test_references_to_objects_are_no_bytes(dtype: Any, n: int) -> None:
    async with store_with_small_slots() as store:
        mem = await store.client.alloc(DEVICE, SIZE)
        array = np.zeros(n, np.dtypes.StringDType() if dtype == "T" else dtype)
        for call in (mem.write, mem.read_into, mem.fill):
            with pytest.raises(gpud.InvalidArgumentError, match=r"ndarray.* references to Python objects"):
                await call(array)
        assert store.mems[mem.handle] == bytes(SIZE)


@pytest.mark.parametrize("size", [200, SIZE])
async def test_numbers_of_numpy(tmp_path: Path, size: int) -> None:
    """Small ones wrap around, and those of 64 bits are no int."""
    async with store_with_small_slots() as store:
        data = os.urandom(size)
        path = tmp_path / "file"
        offset = np.uint8(250)
        n = np.uint8(size) if size < 256 else np.int64(size)
        mem = await store.client.alloc(DEVICE, np.int64(size + 250))
        assert mem.size == size + 250
        await mem.write(data, offset)
        assert await mem.read(n, offset) == data
        assert await mem.read(offset=offset) == data
        target = bytearray(size)
        await mem.read_into(target, offset)
        assert target == data
        assert await mem.read_to_file(path, n, offset, file_offset=offset) == size
        assert path.read_bytes() == bytes(250) + data
        await mem.write(bytes(size), offset)
        assert await mem.write_from_file(path, n, offset, file_offset=offset) == size
        async with store.client.region(np.int64(size + 250)) as region:
            await mem.read_to(region, n, offset, region_offset=offset)
            await mem.write(bytes(size), offset)
            await mem.write_from(region, n, offset, region_offset=offset)
            await mem.write_from(region, offset=offset, region_offset=offset)
        await mem.copy_to(mem, n, offset, dst_offset=offset)
        await mem.fill(b"x", np.uint8(9), offset)
        assert store.mems[mem.handle] == bytes(250) + b"x" * 9 + data[9:]
        put = await store.client.put_file(path, DEVICE, n, file_offset=offset)
        assert await store.client.get_file(put.handle, path, n, np.uint8(0), file_offset=np.uint8(0)) == size
        assert path.read_bytes()[:size] == data
        with pytest.raises(gpud.OutOfRangeError, match=f"offset 251 \\+ size {size} exceeds allocation size"):
            await mem.read(n, np.uint8(251))
        with pytest.raises(TypeError, match="float"):
            await mem.read(1.5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="float"):
            await mem.read_to_file(path, 1, file_offset=1.5)  # type: ignore[arg-type]


async def test_range_is_checked_before_the_first_chunk() -> None:
    async with store_with_small_slots() as store:
        mem = await store.client.alloc(DEVICE, SIZE)
        with pytest.raises(
            gpud.OutOfRangeError, match=f"offset 1 \\+ size {SIZE} exceeds allocation size {SIZE}"
        ):
            await mem.write(b"x" * SIZE, 1)
        with pytest.raises(ValueError, match="exceeds"):
            await mem.read(SIZE, 1)
        with pytest.raises(gpud.OutOfRangeError):
            await mem.read_into(bytearray(SIZE), -1)
        assert store.mems[mem.handle] == bytes(SIZE)
        assert not store.shms


async def test_many_copies_share_the_slots() -> None:
    async with store_with_small_slots() as store:
        blobs = [os.urandom(random.Random(n).randrange(65537, 3 * SLOT)) for n in range(20)]
        mems = [await store.client.alloc(DEVICE, len(blob)) for blob in blobs]
        await asyncio.gather(*(mem.write(blob) for mem, blob in zip(mems, blobs, strict=True)))
        assert await asyncio.gather(*(mem.read() for mem in mems)) == blobs
        assert len(store.shms) == 4


async def test_slot_of_a_cancelled_write_is_taken_until_its_reply() -> None:
    async with store_with_small_slots() as store:
        mem = await store.client.alloc(DEVICE, SIZE)
        store.held = {"mem.write"}
        call = asyncio.ensure_future(mem.write(os.urandom(SIZE)))
        await until(lambda: len(store.late) == 4)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        # All four are with gpud still: the next copy has to wait for one.
        store.held = set()
        data = os.urandom(SLOT)
        after = asyncio.ensure_future(mem.write(data))
        await asyncio.sleep(0.05)
        assert not after.done()
        store.let_go()
        await after
        assert store.mems[mem.handle][:SLOT] == data
        assert len(store.client._arena._free) == 4


async def test_buffer_of_a_cancelled_read_is_never_touched_again() -> None:
    async with store_with_small_slots() as store:
        mem = await store.client.alloc(DEVICE, SIZE)
        await mem.write(b"\xff" * SIZE)
        store.held = {"mem.read"}
        for _ in range(5):
            target = bytearray(SIZE)
            call = asyncio.ensure_future(mem.read_into(target))
            await until(lambda: len(store.late) == 4)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            store.let_go()
            await until(lambda: len(store.client._arena._free) == 4)
            assert target == bytes(SIZE)
            target.clear()  # A BufferError if anybody still held it.


async def test_cancelled_at_any_moment() -> None:
    """The buffer is quiet from the end of the await on, wherever the cancellation hit."""
    async with store_with_small_slots() as store:
        mem = await store.client.alloc(DEVICE, SIZE)
        await mem.write(b"\xff" * SIZE)
        chance = random.Random(1)
        for _ in range(40):
            target = bytearray(SIZE)
            call = asyncio.ensure_future(mem.read_into(target))
            await asyncio.sleep(chance.random() * 0.006)
            call.cancel()
            await asyncio.wait([call])
            before = bytes(target)
            await asyncio.sleep(0.002)
            assert target == before
            target.clear()
        assert await mem.read() == b"\xff" * SIZE
        await until(lambda: len(store.client._arena._free) == 4)
        assert len(store.shms) == 4


async def test_one_refused_chunk_is_one_error() -> None:
    async with store_with_small_slots() as store:
        mem = await store.client.alloc(DEVICE, SIZE)
        store.held = {"mem.write"}
        call = asyncio.ensure_future(mem.write(bytes(SIZE)))
        await until(lambda: len(store.late) == 4)
        refused = store.late.pop(1)
        store.busy[refused.args["shm"]] -= 1
        store.refuse(refused, 8, "sealed")
        with pytest.raises(gpud.SealedError, match="sealed"):
            await call
        store.held = set()
        store.let_go()
        data = os.urandom(SIZE)
        await mem.write(data)
        assert store.mems[mem.handle] == data


async def test_lost_connection_in_the_middle_of_a_copy() -> None:
    async with store_with_small_slots() as store:
        mem = await store.client.alloc(DEVICE, SIZE)
        store.held = {"mem.read"}
        calls = [asyncio.ensure_future(mem.read()) for _ in range(3)]
        await until(lambda: len(store.late) == 4)
        store.hang_up()
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(error) for error in errors] == [gpud.ConnectionLostError] * 3


async def test_too_few_regions_make_it_slower_only() -> None:
    async with store_with_small_slots() as store:
        mem = await store.client.alloc(DEVICE, SIZE)
        store.held = {"shm.register"}
        data = os.urandom(SIZE)
        call = asyncio.ensure_future(mem.write(data))
        await until(lambda: len(store.late) == 4)
        first, *others = store.late
        store.late.clear()
        for request in others:
            os.close(request.fds[0])
            store.refuse(request, 12, "shms_max is 1")
        store.serve(first)
        await call
        assert store.mems[mem.handle] == data
        assert len(store.shms) == 1


async def test_no_region_at_all_is_the_daemons_error() -> None:
    async with store_with_small_slots() as store:
        mem = await store.client.alloc(DEVICE, SIZE)
        store.held = {"shm.register"}
        call = asyncio.ensure_future(mem.write(bytes(SIZE)))
        await until(lambda: len(store.late) == 4)
        for request in store.late:
            os.close(request.fds[0])
            store.refuse(request, 12, "no more regions")
        store.late.clear()
        with pytest.raises(gpud.ResourceExhaustedError, match="no more regions"):
            await call
        store.held = set()
        await mem.write(bytes(SIZE))


@pytest.mark.parametrize("kind", [RuntimeError, asyncio.CancelledError, KeyError, MemoryError])
async def test_client_stays_usable_whatever_fails_while_a_slot_is_made(
    monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    async def fail(*_: object) -> None:
        raise kind("of all things")

    async with asyncio.timeout(30), store_with_small_slots() as store:
        mem = await store.client.alloc(DEVICE, SIZE)
        with monkeypatch.context() as context:
            context.setattr(store.client._regions, "make", fail)
            with pytest.raises(Exception, match="of all things"):
                await mem.write(bytes(SIZE))
        data = os.urandom(SIZE)
        await mem.write(data)
        assert store.mems[mem.handle] == data


async def test_region_moves_bytes_without_a_copy() -> None:
    async with store_with_small_slots() as store, store.client.region(100_001) as region:
        mem = await store.client.alloc(DEVICE, 100_001)
        array = np.frombuffer(region.view, "u1")
        assert array.size == 100_001
        array[:] = np.arange(100_001) % 251
        await mem.write_from(region)
        assert store.mems[mem.handle] == array.tobytes()
        array[:] = 0
        await mem.read_to(region, 10, 100, region_offset=5)
        assert bytes(region.view[:20]) == bytes(5) + bytes(range(100, 110)) + bytes(5)
        assert len(store.shms) == 1
        await region.release()
        assert not store.shms
        assert array[5] == 100  # The memory stays as long as anybody looks at it.


async def test_region_of_a_cancelled_copy_comes_back_quiet() -> None:
    async with store_with_small_slots() as store, store.client.region(4096) as region:
        mem = await store.client.alloc(DEVICE, 4096)
        store.held = {"mem.read"}
        call = asyncio.ensure_future(mem.read_to(region))
        await until(lambda: store.late)
        call.cancel()
        await asyncio.sleep(0.01)
        call.cancel()
        await asyncio.sleep(0.01)
        assert not call.done()
        store.let_go()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_cancelled_region_is_released() -> None:
    async with store_with_small_slots() as store:
        store.held = {"shm.register"}
        call = asyncio.ensure_future(store.client.region(4096))
        await until(lambda: store.late)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        store.let_go()
        assert len(store.shms) == 1
        await until(lambda: not store.shms)


def mapped_regions() -> list[int]:
    """How large the regions are that this process has mapped."""
    lines = re.findall(r"^(\w+)-(\w+) .*gpud-region", Path("/proc/self/maps").read_text(), re.MULTILINE)
    return [int(end, 16) - int(start, 16) for start, end in lines]


async def test_region_that_others_leave_no_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel is not asked for what is not there, for which it would kill somebody."""
    asked: list[int] = []

    def check(size: int, what: str) -> None:
        asked.append(size)
        if len(asked) == 2:
            raise MemoryError(f"no host memory for {what}")

    monkeypatch.setattr(_headroom, "check", check)
    async with Store() as store:
        with pytest.raises(MemoryError, match=f"region of {1 << 30} bytes") as caught:
            await store.client.region(1 << 30)
        assert asked == [1 << 30, 64 << 20]
        # Given back now, whoever keeps the exception.
        assert caught.value
        await until(lambda: (1 << 30) not in mapped_regions())
        assert not store.shms


async def test_region_beyond_a_limit_takes_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    populated: list[int] = []
    monkeypatch.setattr(_buffers, "populate", lambda _, size: populated.append(size))
    async with Store() as store:
        limits = dataclasses.replace(LIMITS, shm_max=1 << 20, shms_max=3)
        client = store.client
        client._regions = Regions(store.connection, client._threads, limits)
        first = await client.region(1 << 19)
        for size in (1 << 20, 1 << 45, 1 << 62, 1 << 70):
            with pytest.raises(
                gpud.ResourceExhaustedError,
                match=f"size {size} and .* {1 << 19} bytes .* shm_max = {1 << 20}",
            ):
                await client.region(size)
        second = await client.region(np.int64(1 << 19))
        await first.release()
        third, fourth = await asyncio.gather(client.region(4096), client.region(4096))
        with pytest.raises(gpud.ResourceExhaustedError, match="has 3 regions, limit shms_max = 3"):
            await client.region(4096)
        for region in second, third, fourth:
            await region.release()
        # What gpud refuses counts no more.
        store.held = {"shm.register"}
        call = asyncio.ensure_future(client.region(1 << 20))
        await until(lambda: store.late)
        os.close(store.late[0].fds[0])
        store.refuse(store.late.pop(), 12, "no")
        with pytest.raises(gpud.ResourceExhaustedError, match="no"):
            await call
        store.held = set()
        await client.region(1 << 20)
        assert populated == [1 << 19, 1 << 19, 4096, 4096, 1 << 20, 1 << 20]


async def test_region_that_an_older_gpud_sets_no_limit_to() -> None:
    async with Store() as store:
        limits = dataclasses.replace(LIMITS, shm_max=0)
        store.client._regions = Regions(store.connection, store.client._threads, limits)
        for size in (1 << 45, 1 << 62, 1 << 70):
            with pytest.raises(MemoryError, match=f"region of {size} bytes"):
                await store.client.region(size)
        assert not store.shms


async def test_loop_goes_on_while_a_region_is_unmapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a thread, where the interpreter's lock is not held."""
    dropped: list[tuple[int, str]] = []
    gc.collect()
    monkeypatch.setattr(
        _buffers, "drop_pages", lambda _, size: dropped.append((size, threading.current_thread().name))
    )
    async with Store() as store:
        region = await store.client.region(40 << 20)
        view = np.frombuffer(region.view, "u1")
        await region.release()
        store.shms.clear()
        del region
        gc.collect()
        assert (40 << 20) in mapped_regions()
        assert (40 << 20, "gpud-unmap") not in dropped
        del view
        gc.collect()
        await until(lambda: (40 << 20) not in mapped_regions())
        assert (40 << 20, "gpud-unmap") in dropped


def test_region_that_is_there_to_the_end() -> None:
    program = f"from gpud import _region; _, kept = _region._map(1, {40 << 20}); kept[0] = 1"
    env = dict(os.environ, PYTHONPATH=str(Path(gpud.__file__).parents[1]))
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=20
    )
    assert (done.returncode, done.stderr) == (0, "")


@contextlib.contextmanager
def limited(kind: int, soft: int) -> Iterator[None]:
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


async def test_region_beyond_the_file_size_limit() -> None:
    async with Store() as store:
        with limited(resource.RLIMIT_FSIZE, 1 << 20):
            with pytest.raises(MemoryError, match=f"RLIMIT_FSIZE is {1 << 20}"):
                await store.client.region((1 << 20) + 1)
            async with store.client.region(1 << 20):
                pass


async def test_small_files_make_small_slots() -> None:
    with limited(resource.RLIMIT_FSIZE, (1 << 20) + 1):
        async with Store() as store:
            data = os.urandom(SIZE)
            mem = await store.client.alloc(DEVICE, SIZE)
            await mem.write(data)
            assert await mem.read() == data
            assert {len(shm) for shm in store.shms.values()} == {1 << 20}


@pytest.mark.parametrize("spare", [0, 1])
async def test_no_descriptor_for_a_region(spare: int) -> None:
    """Neither for the memfd nor for what Python keeps of it."""
    async with store_with_small_slots() as store:
        data = os.urandom(SIZE)
        mem = await store.client.alloc(DEVICE, SIZE)
        taken: list[int] = []
        gc.collect()
        with limited(resource.RLIMIT_NOFILE, 256):
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.open("/dev/null", os.O_RDONLY))
            for fd in taken[:spare]:
                os.close(fd)
            for call in (store.client.region(4096), mem.write(data)):
                with pytest.raises(OSError, match=r"region of .* RLIMIT_NOFILE is 256") as caught:
                    await call
                assert caught.value.errno == errno.EMFILE
        for fd in taken[spare:]:
            os.close(fd)
        await mem.write(data)
        assert store.mems[mem.handle] == data
        assert len(store.shms) == 4


async def test_region_of_no_size_is_refused() -> None:
    async with store_with_small_slots() as store:
        for size in (0, -1):
            with pytest.raises(gpud.InvalidArgumentError, match="less than 1 byte"):
                await store.client.region(size)


async def test_loop_is_not_held_while_bytes_are_copied() -> None:
    """The thread lets the loop run: it ticks all through a copy that takes a while."""
    async with Store() as store:
        size = 64 << 20
        mem = await store.client.alloc(DEVICE, size)
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0)
                ticks += 1

        ticker = asyncio.ensure_future(tick())
        await mem.write(bytes(size))
        ticker.cancel()
        assert ticks > 10


async def test_mem_frees_at_the_end_and_tolerates_the_end_of_all() -> None:
    async with store_with_small_slots() as store:
        async with store.client.alloc(DEVICE, 10):
            assert len(store.mems) == 1
        assert not store.mems
        async with store.client.alloc(DEVICE, 10) as mem:
            await mem.free()
        async with store.client.alloc(DEVICE, 10):
            store.hang_up()


def test_arena_fits_the_machine() -> None:
    assert 1 <= _arena.COPY_THREADS <= 14
    assert _arena.SLOTS_MAX > _arena.COPY_THREADS


async def test_pieces_cover_a_copy_once_and_meet_at_huge_pages() -> None:
    mib = 1 << 20
    async with Store() as store:
        for slot_size, slots_max in ((4 * mib, 4), (8 * mib, 16), (2 * mib, 3), (SLOT, 4)):
            arena = Arena(store.client._regions, store.client._threads, slot_size, slots_max)
            chance = random.Random(4)
            sizes = [0, 1, mib, 2 * mib, 2 * mib + 1, 64 * mib]
            for size in sizes + [chance.randrange(1 << 30) for _ in range(99)]:
                address = chance.randrange(1 << 40)
                pieces = arena._cut(size, address)
                ends = list(itertools.accumulate((n for _, n in pieces), initial=0))
                assert [start for start, _ in pieces] == ends[:-1]
                assert ends[-1] == size
                assert all(0 < n <= slot_size for _, n in pieces)
                if size <= min(slot_size, 2 * mib):
                    assert len(pieces) <= 1
                elif slot_size >= 2 * mib:
                    assert all((address + start) % (2 * mib) < 16 for start, _ in pieces[1:])
                    assert len(pieces) >= min(slots_max, size // (2 * mib))
