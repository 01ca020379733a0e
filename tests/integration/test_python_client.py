"""The Python package against the real gpud, on asyncio's loop and on uvloop's."""

import asyncio
import gc
import os
import pathlib
import random
import re
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import gpud
import pytest
from conftest import loop_factory
from harness import IS_ASAN, Daemon

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
DEVICE = "vulkan:0"

Story = Callable[[gpud.Client], Awaitable[None]]


def numbered(size: int, seed: int = 0) -> bytes:
    """Bytes that differ from place to place at every scale that a copy could mix up."""
    block = random.Random(seed).randbytes(min(size, MIB))
    data = bytearray(block * (size // len(block) + 1) if block else b"")[:size]
    for place in range(0, size - 8, MIB):
        data[place : place + 8] = (place + seed).to_bytes(8, "little")
    return bytes(data)


def test_what_is_there(run: Callable[[Story], None], daemon: Daemon) -> None:
    async def story(client: gpud.Client) -> None:
        await client.ping()
        devices = await client.devices()
        assert [d.device for d in devices][:1] == [DEVICE]
        assert await client.device_info(device=DEVICE) == devices[0]
        memory = await client.device_memory(device=DEVICE)
        assert memory.used + memory.available <= memory.total
        await client.device_telemetry(device=DEVICE)
        status = await client.status()
        assert status.pid == daemon.pid
        (mine,) = [s for s in await client.sessions() if s.session == client.session]
        assert (mine.client, mine.pid, mine.uid) == ("story", os.getpid(), os.getuid())

    run(story)


def test_package_has_all_that_the_daemon_describes(run: Callable[[Story], None]) -> None:
    async def story(client: gpud.Client) -> None:
        schema = await client.describe()
        assert schema.protocol == gpud.PROTOCOL
        for method in schema.methods:
            assert callable(getattr(client, method.name.replace(".", "_")))
        assert {e.code: e.name for e in schema.errors} == {
            code: kind.name for code, kind in gpud._schema.ERRORS.items()
        }
        for limit in schema.limits:
            assert getattr(gpud.limits, limit.name.upper()) == limit.value
        assert client.limits.inline_max == gpud.limits.INLINE_MAX

    run(story)


@pytest.mark.parametrize("size", [1, 4096, 65536, 65537, 8 * MIB, 8 * MIB + 1, 60 * MIB + 3])
def test_bytes_come_back(run: Callable[[Story], None], size: int) -> None:
    async def story(client: gpud.Client) -> None:
        data = numbered(size)
        async with client.alloc(DEVICE, size + 20) as mem:
            await mem.write(data, 7)
            assert await mem.read() == bytes(7) + data + bytes(13)
            target = bytearray(size)
            await mem.read_into(target, 7)
            assert target == data
            await mem.write(memoryview(data)[: size // 2], 7 + size - size // 2)
            assert await mem.read(size, 7) == data[: size - size // 2] + data[: size // 2]

    run(story)


@pytest.mark.skipif(IS_ASAN, reason="slow under AddressSanitizer, and nothing else than 60 MiB there")
def test_a_gibibyte_in_one_call(run: Callable[[Story], None]) -> None:
    async def story(client: gpud.Client) -> None:
        data = numbered(GIB + 5, 1)
        async with client.alloc(DEVICE, GIB + 5) as mem:
            await mem.write(data)
            assert await mem.read() == data

    run(story)


def test_numpy(run: Callable[[Story], None]) -> None:
    np = pytest.importorskip("numpy")

    async def story(client: gpud.Client) -> None:
        array = np.arange(3_000_000, dtype=np.float32).reshape(1000, 3000)
        async with client.alloc(DEVICE, array.nbytes) as mem:
            await mem.write(array)
            back = np.empty_like(array)
            await mem.read_into(back)
            assert (back == array).all()
            assert (np.frombuffer(await mem.read(), np.float32) == array.ravel()).all()
            with pytest.raises(ValueError, match="not C-contiguous"):
                await mem.write(array.T)

    run(story)


@pytest.mark.parametrize("size", [1, 4097, 33 * MIB + 1])
def test_region(run: Callable[[Story], None], size: int) -> None:
    async def story(client: gpud.Client) -> None:
        data = numbered(size)
        async with client.alloc(DEVICE, size) as mem, client.region(size + 100) as region:
            region.view[50 : 50 + size] = data
            await mem.write_from(region, size, region_offset=50)
            assert await mem.read() == data
            region.view[:] = bytes(size + 100)
            await mem.read_to(region, region_offset=99)
            assert region.view[99 : 99 + size] == data
            assert bytes(region.view[:99]) == bytes(99)
            with pytest.raises(gpud.OutOfRangeError):
                await mem.write_from(region)  # 100 bytes too many
            with pytest.raises(gpud.OutOfRangeError):
                await mem.read_to(region, size, region_offset=101)

    run(story)


def test_an_allocation_is_an_object(run: Callable[[Story], None], daemon: Daemon) -> None:
    async def story(client: gpud.Client) -> None:
        mem = await client.alloc(DEVICE, 1000, name="weights", meta=b"layer 0", mode=0o640)
        assert (mem.size, mem.device, mem.name, mem.info.mode) == (1000, DEVICE, "weights", 0o640)
        assert await mem.meta() == b"layer 0"
        assert await mem.meta(b"layer 1") == b"layer 1"
        await mem.fill(b"ab")
        await mem.fill(b"\xff", 3, 10)
        assert await mem.read(14) == b"ababababab\xff\xff\xffb"
        copy = await client.alloc(DEVICE, 20)
        await mem.copy_to(copy, 5, 9, dst_offset=1)
        assert await copy.read() == b"\0b\xff\xff\xffb" + bytes(14)
        await client.sync(DEVICE)
        await mem.rename("gradients")
        assert (mem.name, (await mem.refresh()).name) == ("gradients", "gradients")
        await mem.chmod(0o600)
        await mem.persist()
        assert (mem.info.lifetime, mem.info.mode) == ("persistent", 0o600)
        async with gpud.connect(daemon.socket) as other:
            by_name = await other.open(device=DEVICE, name="gradients")
            by_handle = await other.open(mem.handle)
            assert by_name.handle == by_handle.handle == mem.handle
            assert await by_name.read(4) == b"abab"
            assert [m.mem for m in await other.mems(name_prefix="grad")] == [mem.handle]
        await mem.seal()
        with pytest.raises(PermissionError, match="sealed"):
            await mem.write(b"x")
        await mem.free()
        await copy.free()

    run(story)


def test_refusals_are_exceptions(run: Callable[[Story], None]) -> None:
    async def story(client: gpud.Client) -> None:
        mem = await client.alloc(DEVICE, 100, name="taken")
        with pytest.raises(gpud.AlreadyExistsError):
            await client.alloc(DEVICE, 100, name="taken")
        with pytest.raises(gpud.NotFoundError):
            await client.open("00000000-0000-4000-8000-000000000000")
        with pytest.raises(LookupError):
            await client.alloc("vulkan:99", 1)
        with pytest.raises(gpud.InvalidArgumentError):
            await client.alloc(DEVICE, 0)
        with pytest.raises(MemoryError):
            await client.alloc(DEVICE, 1 << 60)
        with pytest.raises(gpud.OutOfRangeError, match="exceeds allocation size 100"):
            await mem.fill(b"x", offset=90, size=11)
        with pytest.raises(ValueError, match="exceeds"):
            await mem.write(bytes(101))
        with pytest.raises(gpud.InvalidArgumentError, match="ofset"):
            await client.call("mem.fill", mem=mem.handle, pattern=b"x", ofset=1)
        with pytest.raises(gpud.UnknownMethodError):
            await client.call("mem.explode")
        for size, told in ((-1, "-1"), ("big", '"big"'), ([1, 2], "an array of 2")):
            with pytest.raises(
                gpud.InvalidArgumentError, match=f"`size` is not a non-negative integer: {told}"
            ):
                await client.mem_alloc(device=DEVICE, size=size)  # type: ignore[arg-type]
        with pytest.raises(gpud.InvalidArgumentError, match='not one of session, persistent: "for ever"'):
            await client.alloc(DEVICE, 1, lifetime="for ever")  # type: ignore[arg-type]
        with pytest.raises(gpud.NotFoundError, match=r"no device `vulkan:99`: there (is|are) vulkan:0"):
            await client.alloc("vulkan:99", 1)
        assert await mem.read() == bytes(100)
        await mem.free()
        with pytest.raises(gpud.NotFoundError):
            await mem.read()

    run(story)


def test_regions_that_are_not_there_or_anothers(run: Callable[[Story], None], daemon: Daemon) -> None:
    async def story(client: gpud.Client) -> None:
        mem = await client.alloc(DEVICE, 4096)
        region = await client.region(4096)
        async with gpud.connect(daemon.socket) as other:
            foreign = await other.region(4096)
            for copy in mem.write_from(foreign), mem.read_to(foreign):
                with pytest.raises(gpud.InvalidArgumentError, match=f"{foreign.shm} is another client's"):
                    await copy
        await region.release()
        for copy in mem.write_from(region), mem.read_to(region):
            with pytest.raises(gpud.NotFoundError, match=f"this Region was released: {region.shm}"):
                await copy

    run(story)


def test_hundreds_of_calls_at_once(run: Callable[[Story], None]) -> None:
    async def story(client: gpud.Client) -> None:
        async def one(n: int) -> None:
            size = 1 + n * 997 % 200_000
            data = numbered(size, n)
            async with client.alloc(DEVICE, size) as mem:
                await mem.write(data)
                assert await mem.read() == data

        await asyncio.gather(*(one(n) for n in range(500)))

    run(story)


def test_list_longer_than_a_page(run: Callable[[Story], None]) -> None:
    async def story(client: gpud.Client) -> None:
        mems = await asyncio.gather(*(client.alloc(DEVICE, 64) for _ in range(2500)))
        listed = await client.mems(session=client.session)
        assert {mem.mem for mem in listed} == {mem.handle for mem in mems}
        assert len(listed) == 2500

    run(story)


def test_cancelled_copies_corrupt_nothing(run: Callable[[Story], None]) -> None:
    async def story(client: gpud.Client) -> None:
        size = 40 * MIB + 1
        chance = random.Random(2)
        ones = b"\xff" * size
        mem = await client.alloc(DEVICE, size)
        await mem.write(ones)
        for n in range(10 if IS_ASAN else 40):
            target = bytearray(size)
            copy = asyncio.ensure_future(mem.read_into(target) if n % 2 else mem.write(ones))
            await asyncio.sleep(chance.random() * 0.03)
            copy.cancel()
            await asyncio.wait([copy])
            before = bytes(target)
            await client.ping()
            assert target == before
            target.clear()
        assert await mem.read() == ones
        await mem.free()

    run(story)


def test_cancelled_regions_are_given_back(run: Callable[[Story], None]) -> None:
    async def story(client: gpud.Client) -> None:
        chance = random.Random(3)
        for _ in range(100):
            call = asyncio.ensure_future(client.region(64 * KIB))
            await asyncio.sleep(chance.random() * 0.001)
            call.cancel()
            await asyncio.wait([call])
            if not call.cancelled():
                await call.result().release()
        async with asyncio.timeout(20):
            while (await client.status()).shms:
                await asyncio.sleep(0.01)

    run(story)


def test_files(run: Callable[[Story], None], tmp_path: pathlib.Path) -> None:
    async def story(client: gpud.Client) -> None:
        data = numbered(70 * MIB + 77, 5)  # more than an arena on a small machine
        path, copy = tmp_path / "file", tmp_path / "copy"
        path.write_bytes(data)
        mem = await client.put_file(path, DEVICE, name="file")
        assert (mem.size, mem.name) == (len(data), "file")
        assert await mem.read_to_file(copy) == len(data)
        assert copy.read_bytes() == data
        assert await mem.write_from_file(path, 10 * MIB, 3, file_offset=50 * MIB + 1) == 10 * MIB
        assert await client.get_file(mem.handle, copy, 10 * MIB + 6) == 10 * MIB + 6
        part = data[50 * MIB + 1 : 60 * MIB + 1]
        assert copy.read_bytes() == data[:3] + part + data[3 + len(part) : 6 + len(part)]
        with pytest.raises(FileNotFoundError, match="gone"):
            await client.put_file(tmp_path / "gone", DEVICE)
        with pytest.raises(gpud.AlreadyExistsError):
            await client.put_file(path, DEVICE, name="file")
        await mem.free()
        with pytest.raises(gpud.NotFoundError):
            await mem.read_to_file(copy)
        assert copy.stat().st_size == 10 * MIB + 6
        for n in range(10):
            call = asyncio.ensure_future(client.put_file(path, DEVICE, lifetime="persistent"))
            await asyncio.sleep(0.005 * n)
            call.cancel()
            await asyncio.wait([call])
            if not call.cancelled():
                await call.result().free()
        async with asyncio.timeout(20):
            while (await client.status()).mems:
                await asyncio.sleep(0.01)

    run(story)


def test_files_that_disappoint(run: Callable[[Story], None], tmp_path: pathlib.Path) -> None:
    directory = tmp_path

    async def story(client: gpud.Client) -> None:
        mem = await client.alloc(DEVICE, 12 * MIB)
        await mem.fill(b"full")
        # A hole is zeros, and what lies around the range stays out of it.
        with open(directory / "sparse", "w+b") as sparse:
            sparse.seek(20 * MIB)
            sparse.write(b"end")
        assert (
            await mem.write_from_file(directory / "sparse", 10 * MIB, 1, file_offset=10 * MIB + 1) == 10 * MIB
        )
        expected = b"f" + bytes(10 * MIB - 1) + b"e" + (b"full" * MIB)[1 : 2 * MIB]
        assert await mem.read() == expected
        for wrong in (directory, directory / "none" / "file"):
            with pytest.raises(OSError, match=re.escape(str(wrong))):
                await mem.write_from_file(wrong)
        os.mkfifo(directory / "fifo")
        with pytest.raises(gpud.InvalidArgumentError, match="no offsets"):
            await mem.write_from_file(directory / "fifo")
        with open(directory / "writer", "wb") as writer:
            writer.truncate(5)
            with pytest.raises(OSError, match="Bad file descriptor"):
                await mem.write_from_file(writer)
        await mem.free()

    run(story)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_clients_come_and_go_without_a_trace(daemon: Daemon, tmp_path: pathlib.Path, loop: str) -> None:
    """Regions and descriptors are back when close() has returned, before any garbage collection."""
    data = numbered(20 * MIB, 6)
    path = tmp_path / "file"
    path.write_bytes(data)

    async def visit() -> None:
        async with gpud.connect(daemon.socket) as client:
            mem = await client.alloc(DEVICE, len(data))
            await mem.write(data)
            assert await mem.read() == data
            await mem.write_from_file(path)
            async with client.region(MIB) as region:
                await mem.write_from(region)
            with pytest.raises(gpud.OutOfRangeError):
                await mem.write(data, 1)
            late = asyncio.ensure_future(mem.write(data))
            await asyncio.sleep(0)
            late.cancel()
            await asyncio.wait([late])
            await mem.free()

    def held() -> tuple[int, int]:
        with open("/proc/self/statm") as statm:
            return len(os.listdir("/proc/self/fd")), int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def story() -> None:
        for _ in range(3):
            await visit()
        gc.collect()
        fds, resident = held()
        gc.disable()
        try:
            for _ in range(10 if IS_ASAN else 40):
                await visit()
                assert held()[0] == fds
        finally:
            gc.enable()
        # What little a cancelled task leaves in cycles.
        gc.collect()
        # Only one arena or one copy's bytes for each visit would be 200 MiB at least; malloc may keep some.
        assert held()[1] - resident < 64 * MIB
        async with asyncio.timeout(20):
            while any(thread.name.startswith("gpud") for thread in threading.enumerate()):
                await asyncio.sleep(0.01)

    with asyncio.Runner(loop_factory=loop_factory(loop)) as runner:
        runner.run(story())


def test_gpud_dies_in_the_middle_of_a_copy(spawn: Callable[..., Daemon]) -> None:
    daemon = spawn()

    async def story() -> None:
        async with gpud.connect(daemon.socket) as client:
            mem = await client.alloc(DEVICE, 64 * MIB)
            copies: list[asyncio.Future[Any]] = [asyncio.ensure_future(mem.read()) for _ in range(4)]
            await asyncio.wait(copies, timeout=0.02)
            daemon.kill()
            for ended in await asyncio.gather(*copies, return_exceptions=True):
                assert isinstance(ended, bytes | gpud.ConnectionLostError)
            with pytest.raises(ConnectionError):
                await client.ping()
        with pytest.raises(gpud.ConnectionLostError, match="cannot connect"):
            await gpud.connect(daemon.socket)

    asyncio.run(story())


def test_many_clients_connect_at_once(daemon: Daemon) -> None:
    async def story() -> None:
        clients = await asyncio.gather(*(gpud.connect(daemon.socket) for _ in range(300)))
        await asyncio.gather(*(client.ping() for client in clients))
        assert len({client.session for client in clients}) == 300
        for client in clients:
            await client.close()

    asyncio.run(story())
