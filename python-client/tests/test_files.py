"""Files to allocations and back: every byte, every way in which a file can disappoint, cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from peer import DEVICE, Peer, Store, info, open_descriptors
from test_arena import SIZE, SLOT, store_with_small_slots, until

import gpud
from gpud import _files

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _descriptors_are_closed() -> Iterator[None]:
    before = open_descriptors()
    yield
    # A thread that is about to end may hold the last error, and with it what that refers to.
    deadline = time.monotonic() + 10
    while not open_descriptors() <= before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert open_descriptors() <= before


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


@contextlib.contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """What a full disk does, a short write and then an error, at a size that the test chooses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [1, 4096, SLOT, SLOT + 1, SIZE])
async def test_bytes_of_a_file_come_back(tmp_path: Path, size: int) -> None:
    async with store_with_small_slots() as store:
        data = os.urandom(size)
        (tmp_path / "in").write_bytes(data)
        mem = await store.client.put_file(tmp_path / "in", DEVICE)
        assert store.mems[mem.handle] == data
        assert await mem.read_to_file(str(tmp_path / "out")) == size
        assert (tmp_path / "out").read_bytes() == data
        assert await mem.write_from_file(os.fsencode(tmp_path / "in")) == size


async def test_parts(tmp_path: Path) -> None:
    async with store_with_small_slots() as store:
        data = os.urandom(SIZE)
        path = tmp_path / "file"
        path.write_bytes(data)
        mem = await store.client.alloc(DEVICE, SIZE)
        assert await mem.write_from_file(path, 700_000, 10, file_offset=33) == 700_000
        assert store.mems[mem.handle] == bytes(10) + data[33:700_033] + bytes(SIZE - 700_010)
        assert await mem.write_from_file(path, file_offset=SIZE - 5) == 5
        assert store.mems[mem.handle].startswith(data[-5:])
        assert await mem.write_from_file(path, file_offset=SIZE + 5) == 0
        # Around the range the file stays as it is, since it was given an offset.
        assert await mem.read_to_file(path, 600_000, 10, file_offset=1) == 600_000
        assert path.read_bytes() == data[:1] + data[33:600_033] + data[600_001:]
        # A path alone is a file made anew.
        assert await mem.read_to_file(path, 3, 10) == 3
        assert path.read_bytes() == data[33:36]
        assert await mem.read_to_file(path, 0) == 0
        assert path.read_bytes() == b""


async def test_open_files_stay_open_and_where_they_are(tmp_path: Path) -> None:
    async with store_with_small_slots() as store:
        (tmp_path / "file").write_bytes(b"0123456789")
        with open(tmp_path / "file", "r+b", buffering=0) as file:
            file.seek(4)
            mem = await store.client.put_file(file, DEVICE, 6)
            assert store.mems[mem.handle] == b"012345"
            await mem.read_to_file(file.fileno(), 3, file_offset=7)
            assert file.tell() == 4
            assert file.read() == b"456012"


async def test_get_file_by_handle(tmp_path: Path) -> None:
    async with store_with_small_slots() as store:
        mem = await store.client.alloc(DEVICE, 5)
        await mem.write(b"hello")
        assert await store.client.get_file(mem.handle, tmp_path / "out") == 5
        assert await store.client.get_file(mem.handle, tmp_path / "out", 2, 1) == 2
        assert (tmp_path / "out").read_bytes() == b"el"
        assert await store.client.get_file(mem.handle, tmp_path / "out", 1, 4, file_offset=1) == 1
        assert (tmp_path / "out").read_bytes() == b"eo"


async def test_files_that_cannot_be_opened_are_named(tmp_path: Path) -> None:
    async with store_with_small_slots() as store:
        mem = await store.client.alloc(DEVICE, 10)
        with pytest.raises(FileNotFoundError, match="nothing"):
            await mem.write_from_file(tmp_path / "nothing")
        with pytest.raises(FileNotFoundError, match="nothing"):
            await store.client.put_file(tmp_path / "nothing", DEVICE)
        with pytest.raises(FileNotFoundError, match="folder"):
            await mem.read_to_file(tmp_path / "no-folder" / "file")
        for call in (mem.write_from_file, mem.read_to_file):
            with pytest.raises(IsADirectoryError, match=tmp_path.name):
                await call(tmp_path)
            with pytest.raises(OSError, match="Bad file descriptor"):
                await call(999_999)
            with pytest.raises(TypeError, match="not NoneType"):
                await call(None)
        assert len(store.mems) == 1


async def test_what_has_no_offsets_is_refused(tmp_path: Path) -> None:
    async with store_with_small_slots() as store:
        mem = await store.client.alloc(DEVICE, 10)
        os.mkfifo(tmp_path / "fifo")
        ours, theirs = socket.socketpair()
        reader, writer = os.pipe()
        with ours, theirs:
            for file in (tmp_path / "fifo", ours, reader, "/dev/zero"):
                with pytest.raises(gpud.InvalidArgumentError, match="has no offsets"):
                    await mem.write_from_file(file)
            for file in (theirs, writer):
                with pytest.raises(gpud.InvalidArgumentError, match="has no offsets"):
                    await mem.read_to_file(file)
        os.close(reader)
        os.close(writer)
        with open(tmp_path / "log", "ab") as log, pytest.raises(gpud.InvalidArgumentError, match="appending"):
            await mem.read_to_file(log)


async def test_path_to_what_has_no_offsets_is_written_through(tmp_path: Path) -> None:
    async with store_with_small_slots() as store:
        mem = await store.client.alloc(DEVICE, 9 << 20)
        data = os.urandom(mem.size)
        await mem.write(data)
        assert await mem.read_to_file("/dev/null") == mem.size
        assert Path("/dev/null").is_char_device()
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        with pytest.raises(OSError, match="fifo") as caught:
            await mem.read_to_file(fifo)
        assert caught.value.errno == errno.ENXIO
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        writer = os.open(fifo, os.O_WRONLY)  # without one, an empty pipe would be at its end
        with open(reader, "rb") as end, open(writer, "wb"):
            # Full, with nobody who reads: to cancel it takes no reader.
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(mem.read_to_file(fifo), 0.3)
            assert data.startswith(end.read())
            os.set_blocking(reader, True)
            reading = asyncio.to_thread(end.read, mem.size - 1)
            came, n = await asyncio.gather(reading, mem.read_to_file(fifo, offset=1))
        assert n == mem.size - 1
        assert came == data[1:]
        assert names(tmp_path) == ["fifo"]


async def test_ranges_are_checked_first(tmp_path: Path) -> None:
    async with store_with_small_slots() as store:
        mem = await store.client.alloc(DEVICE, 100)
        path = tmp_path / "file"
        path.write_bytes(bytes(101))
        with pytest.raises(gpud.OutOfRangeError, match="offset 0 \\+ size 101 exceeds allocation size 100"):
            await mem.write_from_file(path)
        with pytest.raises(gpud.OutOfRangeError, match="ends after 51 bytes behind file_offset 50"):
            await mem.write_from_file(path, size=52, file_offset=50)
        with pytest.raises(gpud.OutOfRangeError, match="exceeds allocation size 100"):
            await mem.read_to_file(path, 101)
        for call in (mem.write_from_file(path, file_offset=-1), mem.read_to_file(path, file_offset=-1)):
            with pytest.raises(gpud.OutOfRangeError, match="negative"):
                await call
        with pytest.raises(gpud.OutOfRangeError, match="negative"):
            await mem.write_from_file(path, size=-1)
        assert path.stat().st_size == 101
        (tmp_path / "empty").touch()
        with pytest.raises(gpud.InvalidArgumentError, match="no bytes"):
            await store.client.put_file(tmp_path / "empty", DEVICE)
        assert await mem.write_from_file(tmp_path / "empty") == 0
        assert not store.shms


async def test_file_that_shrinks_meanwhile(tmp_path: Path) -> None:
    async with store_with_small_slots() as store:
        path = tmp_path / "file"
        path.write_bytes(bytes(SIZE))
        store.held = {"mem.write"}
        call = asyncio.ensure_future(store.client.put_file(path, DEVICE))
        await until(lambda: len(store.late) == 4)
        os.truncate(path, SLOT)
        store.held = set()
        store.let_go()
        with pytest.raises(gpud.OutOfRangeError, match=f"ends after {SLOT} bytes"):
            await call
        await until(lambda: not store.mems)


async def test_full_disk(tmp_path: Path) -> None:
    async with store_with_small_slots() as store:
        mem = await store.client.alloc(DEVICE, SIZE)
        with file_size_limit(SLOT + 1000), pytest.raises(OSError, match="full") as caught:
            await mem.read_to_file(tmp_path / "full")
        assert caught.value.errno == errno.EFBIG
        assert names(tmp_path) == []
        assert await mem.read_to_file(tmp_path / "full") == SIZE


@pytest.mark.parametrize("reason", [errno.EOPNOTSUPP, errno.EINTR])
async def test_file_system_that_cannot_find_room(
    tmp_path: Path, reason: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: int) -> int:
        ctypes.set_errno(reason)
        return -1

    monkeypatch.setattr(_files, "_fallocate", fail)
    async with store_with_small_slots() as store:
        mem = await store.client.alloc(DEVICE, SIZE)
        await mem.write(os.urandom(SIZE))
        assert await mem.read_to_file(tmp_path / "file") == SIZE
        assert (tmp_path / "file").read_bytes() == store.mems[mem.handle]
        with file_size_limit(SLOT), pytest.raises(OSError, match="too large"):
            await mem.read_to_file(tmp_path / "file")


async def test_limits_of_the_process_are_named(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(SLOT))
    before = signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        async with store_with_small_slots() as store:
            mem = await store.client.alloc(DEVICE, SIZE)
            with file_size_limit(SLOT):
                for call in (
                    mem.read_to_file(path),
                    mem.read_to_file(path, file_offset=0),
                    mem.read_to_file(path, 1, file_offset=SLOT),
                ):
                    with pytest.raises(
                        OSError, match=f"File too large, RLIMIT_FSIZE is {SLOT}: .*file'"
                    ) as caught:
                        await call
                    assert caught.value.errno == errno.EFBIG
                assert await mem.read_to_file(path, 1, file_offset=SLOT - 1) == 1
    finally:
        signal.signal(signal.SIGXFSZ, before)
    assert path.stat().st_size == SLOT


async def test_no_descriptor_for_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(SLOT))
    async with store_with_small_slots() as store:
        mem = await store.client.put_file(path, DEVICE)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            for call in (mem.read_to_file(path), mem.write_from_file(path), mem.write_from_file(0)):
                with pytest.raises(OSError, match="Too many open files, RLIMIT_NOFILE is 3: ") as caught:
                    await call
                assert caught.value.errno == errno.EMFILE
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert await mem.write_from_file(path) == SLOT


async def test_refusal_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    async with store_with_small_slots() as store:
        mem = await store.client.alloc(DEVICE, SIZE)
        (tmp_path / "file").write_bytes(b"old")
        store.held = {"mem.read"}
        call = asyncio.ensure_future(mem.read_to_file(tmp_path / "file"))
        await until(lambda: len(store.late) == 4)
        for request in store.late:
            store.refuse(request, 2, "no such allocation")
        with pytest.raises(gpud.NotFoundError):
            await call
        assert (tmp_path / "file").read_bytes() == b"old"
        assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("call", ["fsync", "close", "replace"])
async def test_error_at_the_end_leaves_the_file_as_it_was(
    tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quota of a file system that is elsewhere shows when the file is closed."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    real = getattr(os, call)

    def fail(what: int | bytes, *to: bytes) -> None:
        name = os.readlink(f"/proc/self/fd/{what}") if isinstance(what, int) else os.fsdecode(what)
        is_ours = ".file.gpud-" in name
        if call == "close" or not is_ours:
            real(what, *to)
        if is_ours:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")

    async with store_with_small_slots() as store:
        mem = await store.client.alloc(DEVICE, SIZE)
        monkeypatch.setattr(_files.os, call, fail)
        with pytest.raises(OSError, match="quota") as caught:
            await mem.read_to_file(path)
        monkeypatch.undo()
        assert (caught.value.errno, caught.value.filename) == (errno.EDQUOT, str(path))
        assert path.read_bytes() == b"old"
        assert names(tmp_path) == ["file"]


async def test_replaced_file_keeps_its_place_in_the_world(tmp_path: Path) -> None:
    async with store_with_small_slots() as store:
        mem = await store.client.alloc(DEVICE, 10)
        await mem.write(b"0123456789")
        (tmp_path / "far").mkdir()
        (tmp_path / "near").mkdir()
        (tmp_path / "far" / "file").write_bytes(b"old")
        (tmp_path / "far" / "file").chmod(0o751)
        if os.getuid() == 0:
            os.chown(tmp_path / "far" / "file", 1234, 4321)
        owner = (tmp_path / "far" / "file").stat().st_uid, (tmp_path / "far" / "file").stat().st_gid
        (tmp_path / "near" / "link").symlink_to("../far/file")
        with open(tmp_path / "far" / "file", "rb") as reader:
            await mem.read_to_file(tmp_path / "near" / "link")
            assert reader.read() == b"old"
        assert names(tmp_path / "near") == ["link"]
        assert names(tmp_path / "far") == ["file"]
        assert (tmp_path / "near" / "link").is_symlink()
        assert (tmp_path / "far" / "file").read_bytes() == b"0123456789"
        status = (tmp_path / "far" / "file").stat()
        assert (status.st_mode & 0o777, (status.st_uid, status.st_gid)) == (0o751, owner)
        # A link to nothing yet, a name as long as may be, and the umask.
        (tmp_path / "near" / "dangling").symlink_to(tmp_path / "far" / "new")
        mask = os.umask(0o026)
        try:
            for path in (tmp_path / "near" / "dangling", tmp_path / ("x" * 255)):
                assert await mem.read_to_file(path) == 10
                assert path.stat().st_mode & 0o777 == 0o640
        finally:
            os.umask(mask)
        assert names(tmp_path / "far") == ["file", "new"]
        for path in (tmp_path / "", f"{tmp_path}/none/", ""):
            with pytest.raises(OSError):  # noqa: PT011
                await mem.read_to_file(path)
        assert names(tmp_path) == ["far", "near", "x" * 255]


@pytest.mark.parametrize("writes", [True, False])
async def test_cancelled_file_copies(tmp_path: Path, writes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that is with the file ends before the await does; then nobody touches file and slots."""
    path = tmp_path / "file"
    path.write_bytes(b"\xff" * SIZE)
    entered, go, left = threading.Event(), threading.Event(), []

    def slow(work: Any) -> Any:
        def run(*args: Any) -> int:
            entered.set()
            go.wait(10)
            n: int = work(*args)
            left.append(n)
            return n

        return run

    async with store_with_small_slots() as store:
        mem = await store.client.alloc(DEVICE, SIZE)
        monkeypatch.setattr(_files.os, "preadv", slow(os.preadv))
        monkeypatch.setattr(_files.os, "pwritev", slow(os.pwritev))
        copy = mem.write_from_file(path) if writes else mem.read_to_file(path)
        call = asyncio.ensure_future(copy)
        await until(entered.is_set)
        call.cancel()
        await asyncio.sleep(0.02)
        assert not call.done()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await call
        n_left = len(left)
        assert n_left >= 1
        assert path.read_bytes() == b"\xff" * SIZE
        assert names(tmp_path) == ["file"]
        await until(lambda: len(store.client._arena._free) == len(store.shms))
        monkeypatch.undo()
        assert len(left) == n_left
        data = os.urandom(SIZE)
        path.write_bytes(data)
        await mem.write_from_file(path)
        assert store.mems[mem.handle] == data


async def test_cancelled_put_file_leaves_nothing_allocated(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(SIZE))
    async with store_with_small_slots() as store:
        for held in ("mem.alloc", "mem.write"):
            store.held = {held}
            call = asyncio.ensure_future(store.client.put_file(path, DEVICE))
            await until(lambda: store.late)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            store.held = set()
            store.let_go()
            await until(lambda: not store.mems)


async def test_put_file_publishes_last(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(100))
    async with Peer() as peer:
        call = asyncio.ensure_future(
            peer.client.put_file(path, DEVICE, name="w", mode=0o644, lifetime="persistent", seal=True)
        )
        request = await peer.request("mem.open")
        assert request.args == {"device": DEVICE, "name": "w"}
        peer.refuse(request, 2, "no such allocation")
        request = await peer.request("mem.alloc")
        assert request.args == {"device": DEVICE, "size": 100}
        peer.reply(request, info("a-handle", 100))
        request = await peer.request("shm.register")
        peer.reply(request, {"shm": "a-region", "imported": True})
        os.close(request.fds[0])
        peer.reply(await peer.request("mem.write"))
        request = await peer.request("mem.publish")
        assert request.args == {
            "mem": "a-handle",
            "name": "w",
            "mode": 0o644,
            "lifetime": "persistent",
            "seal": True,
        }
        peer.reply(request, info("a-handle", 100, name="w"))
        assert (await call).name == "w"


@pytest.mark.parametrize(("replace", "undo"), [(None, "mem.free"), (True, "mem.close")])
async def test_cancelled_while_it_is_being_published(tmp_path: Path, replace: bool | None, undo: str) -> None:
    """What was not there before goes again. What has been replaced cannot come back: the new one stays."""
    (tmp_path / "file").write_bytes(os.urandom(SIZE))
    async with store_with_small_slots() as store:
        store.held = {"mem.open", "mem.publish"}
        call = asyncio.ensure_future(
            store.client.put_file(tmp_path / "file", DEVICE, name="w", lifetime="persistent", replace=replace)
        )
        if not replace:
            await until(lambda: store.late)
            store.refuse(store.late.pop(), 2, "no such allocation")
        await until(lambda: store.late)
        (request,) = store.late
        assert request.method == "mem.publish"
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        store.held = {"mem.open", "mem.free", "mem.close"}
        store.late.clear()
        store.reply(request, info(request.args["mem"], SIZE))
        await until(lambda: len(store.late) == 2)
        assert [request.method for request in store.late] == ["mem.close", undo]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mode": 644}, "`mode` is 0o1204, limit 0o777"),
        ({"ttl_s": 60}, "`ttl_s` is 60, but only a persistent"),
        ({"ttl_s": 0, "lifetime": "persistent"}, "`ttl_s` is 0, at least 1"),
        ({"replace": True}, "no `name`"),
    ],
)
async def test_what_would_be_refused_in_the_end_is_refused_first(
    tmp_path: Path, wrong: dict[str, Any], message: str
) -> None:
    (tmp_path / "file").write_bytes(b"bytes")
    async with Peer() as peer:
        with pytest.raises(gpud.InvalidArgumentError, match=message):
            await peer.client.put_file(tmp_path / "file", DEVICE, **wrong)
        assert peer.requests.empty()


async def test_closed_client(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(SIZE))
    async with Store() as store:
        mem = await store.client.alloc(DEVICE, SIZE)
        store.held = {"mem.write"}
        call = asyncio.ensure_future(mem.write_from_file(path))
        await until(lambda: store.late)
        await store.client.close()
        with pytest.raises(gpud.ConnectionLostError):
            await call
        for late in (mem.write_from_file(path), mem.read_to_file(path), mem.write(bytes(SIZE)), mem.read()):
            with pytest.raises(gpud.ConnectionLostError):
                await late
