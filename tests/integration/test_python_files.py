"""Half-made things are seen by nobody: files on their way to allocations and back that end in the middle."""

import asyncio
import contextlib
import errno
import os
import pathlib
import random
import subprocess
import sys
from collections.abc import Awaitable, Callable

import gpud
import pytest
from harness import IS_ASAN, ROOT, Daemon
from rpc import Client, until

MIB = 1 << 20
SIZE = 40 * MIB + 5
DEVICE = "vulkan:0"

Story = Callable[[gpud.Client], Awaitable[None]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("model") / "model"
    path.write_bytes(os.urandom(SIZE))
    return path


def start(daemon: Daemon, call: str) -> subprocess.Popen[bytes]:
    """A process that makes one call with a client."""
    program = f"""
import asyncio, gpud
async def main():
    async with gpud.connect() as client:
        await {call}
asyncio.run(main())
"""
    env = dict(os.environ, GPUD_SOCKET=daemon.socket, PYTHONPATH=str(ROOT / "python-client/src"))
    return subprocess.Popen([sys.executable, "-B", "-c", program], env=env)


async def nothing_left(client: gpud.Client) -> None:
    async with asyncio.timeout(20):
        while (await client.status()).mems:
            await asyncio.sleep(0.01)


def test_name_is_seen_when_all_bytes_are_there(run: Callable[[Story], None], model: pathlib.Path) -> None:
    async def story(client: gpud.Client) -> None:
        put = asyncio.ensure_future(
            client.put_file(model, DEVICE, name="model", mode=0o640, lifetime="persistent", seal=True)
        )
        while not put.done():
            with contextlib.suppress(gpud.NotFoundError):
                async with client.open(device=DEVICE, name="model") as seen:
                    # In the message, so that it waits for no bytes that are to come.
                    assert await seen.read(5, SIZE - 5) == model.read_bytes()[-5:]
                    assert seen.info.sealed
            assert {mem.mode for mem in await client.mems() if mem.name is None} <= {0o600}
        mem = await put
        assert (mem.name, mem.info.mode, mem.info.lifetime, mem.info.sealed) == (
            "model",
            0o640,
            "persistent",
            True,
        )
        await mem.free()

    run(story)


def test_killed_put_leaves_nothing(daemon: Daemon, client: Client, model: pathlib.Path) -> None:
    chance = random.Random(7)
    data = model.read_bytes()
    for _ in range(6):
        with start(
            daemon, f"client.put_file({str(model)!r}, {DEVICE!r}, name='model', lifetime='persistent')"
        ) as leader:
            assert until(lambda: client.call("daemon.status")["mems"] > 0)
            with contextlib.suppress(subprocess.TimeoutExpired):
                leader.wait(chance.random() * 0.03)
            leader.kill()
        # In the end, there is the whole or nothing of it.
        assert until(lambda: client.call("daemon.status")["sessions"] == 1)
        for mem in client.call("mem.list")["mems"]:
            assert (mem["name"], mem["lifetime"]) == ("model", "persistent")
            for offset in range(0, SIZE - 5, MIB):
                read = client.call("mem.read", mem=mem["mem"], offset=offset, size=5)["data"]
                assert read == data[offset : offset + 5]
            client.free(mem["mem"])
    assert client.call("daemon.status")["mems"] == 0


def test_versions(run: Callable[[Story], None], tmp_path: pathlib.Path) -> None:
    async def story(client: gpud.Client) -> None:
        path = tmp_path / "version"
        path.write_bytes(b"one")
        one = await client.put_file(path, DEVICE, name="model", lifetime="persistent")
        path.write_bytes(b"two")
        with pytest.raises(gpud.AlreadyExistsError, match='already has an allocation named "model"') as taken:
            await client.put_file(path, DEVICE, name="model")
        assert taken.value.errno == errno.EEXIST
        two = await client.put_file(path, DEVICE, name="model", lifetime="persistent", replace=True)
        assert [await mem.read() for mem in (one, two)] == [b"one", b"two"]
        async with client.open(device=DEVICE, name="model") as opened:
            assert await opened.read() == b"two"
        await two.free()
        await one.close()
        await nothing_left(client)

    run(story)


def test_cancelled_puts_leave_nothing(run: Callable[[Story], None], model: pathlib.Path) -> None:
    async def story(client: gpud.Client) -> None:
        chance = random.Random(8)
        for n in range(10 if IS_ASAN else 30):
            put = asyncio.ensure_future(
                client.put_file(
                    model, DEVICE, 1 + n % 3 * 1000, name="model", lifetime="persistent" if n % 2 else None
                )
            )
            await asyncio.sleep(chance.random() * 0.006)
            put.cancel()
            await asyncio.wait([put])
            if not put.cancelled():
                await put.result().free()
            await nothing_left(client)

    run(story)


def test_cancelled_gets_leave_the_old_file(run: Callable[[Story], None], tmp_path: pathlib.Path) -> None:
    async def story(client: gpud.Client) -> None:
        chance = random.Random(9)
        mem = await client.alloc(DEVICE, SIZE)
        await mem.fill(b"new!")
        path = tmp_path / "file"
        for _ in range(5 if IS_ASAN else 15):
            path.write_bytes(b"old")
            get = asyncio.ensure_future(mem.read_to_file(path))
            await asyncio.sleep(chance.random() * 0.06)
            get.cancel()
            await asyncio.wait([get])
            assert os.listdir(tmp_path) == ["file"]
            if path.read_bytes() != b"old":
                assert path.read_bytes() == (b"new!" * (SIZE // 4 + 1))[:SIZE]
        await mem.close()

    run(story)


def test_killed_get_leaves_the_old_file(daemon: Daemon, client: Client, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    mem = client.alloc(256 * MIB)
    with start(daemon, f"client.get_file({mem!r}, {str(path)!r})") as reader:
        assert until(lambda: len(os.listdir(tmp_path)) == 2)
        reader.kill()
    assert path.read_bytes() == b"old"
    assert all(name == "file" or name.startswith(".file.gpud-") for name in os.listdir(tmp_path))
    client.free(mem)


def test_full_disk_leaves_the_old_file(run: Callable[[Story], None], small_disk: pathlib.Path) -> None:
    async def story(client: gpud.Client) -> None:
        path = small_disk / "file"
        path.write_bytes(b"old")
        mem = await client.alloc(DEVICE, 12 * MIB)
        with pytest.raises(OSError, match="No space left") as caught:
            await mem.read_to_file(path)
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
        assert path.read_bytes() == b"old"
        assert os.listdir(small_disk) == ["file"]
        assert await mem.read_to_file(path, 7 * MIB) == 7 * MIB
        assert path.read_bytes() == bytes(7 * MIB)
        await mem.close()

    run(story)


def test_get_of_what_one_may_not_read_touches_nothing(
    run: Callable[[Story], None], tmp_path: pathlib.Path
) -> None:
    async def story(client: gpud.Client) -> None:
        mem = await client.alloc(DEVICE, SIZE)
        await mem.close()
        for path in (tmp_path / "new", tmp_path / "old"):
            with pytest.raises(gpud.NotFoundError):
                await client.get_file(mem.handle, path)
        assert os.listdir(tmp_path) == []

    run(story)
