"""How long what a Python client has lives: references, what is freed, published, cancelled or forked away."""

import asyncio
import grp
import os
import pathlib
import random
import signal
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import gpud
import pytest
from harness import ROOT, Daemon

MIB = 1 << 20
DEVICE = "vulkan:0"

Story = Callable[[gpud.Client], Awaitable[None]]


@pytest.fixture(scope="module")
def daemon_options() -> dict[str, Any]:
    """Other users come, too."""
    return {"gpud": {"socket_mode": "0666"}}


@pytest.fixture
def open_daemon(daemon: Daemon) -> Iterator[Daemon]:
    """One that other users reach."""
    if os.getuid() != 0:
        pytest.skip("only root can be another user")
    place = pathlib.Path(daemon.socket).parent
    modes = {folder: folder.stat().st_mode for folder in (place, *place.parents)}
    for folder in modes:
        folder.chmod(modes[folder] | 0o011)
    yield daemon
    for folder, mode in modes.items():
        folder.chmod(mode)


def run_as(uid: int, daemon: Daemon, story: str) -> str:
    """Plays a story, the body of a coroutine with `client`, as a process of another user. Returns what it
    printed."""
    program = textwrap.dedent("""
        import asyncio, os, gpud
        async def main():
            os.setgroups([]); os.setgid({uid}); os.setuid({uid})
            async with gpud.connect({socket!r}) as client:
        {story}
        asyncio.run(main())
    """).format(uid=uid, socket=daemon.socket, story=textwrap.indent(textwrap.dedent(story), " " * 8))
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=dict(os.environ, PYTHONPATH=str(ROOT / "python-client/src"), PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def fork(story: Callable[[], Any]) -> int:
    """A child that plays a story and ends."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            story()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


async def refs(client: gpud.Client, mem: str) -> int:
    return (await client.mem_info(mem=mem)).refs


async def nothing_left(client: gpud.Client) -> None:
    async with asyncio.timeout(20):
        while (await client.status()).mems:
            await asyncio.sleep(0.01)


def test_who_one_is(run: Callable[[Story], None]) -> None:
    async def story(client: gpud.Client) -> None:
        assert (client.uid, client.gid) == (os.getuid(), os.getgid())
        assert client.is_admin == (os.getuid() == 0)
        assert client.limits.shm_max > 0

    run(story)


def test_two_opens_are_two_references(run: Callable[[Story], None]) -> None:
    async def story(client: gpud.Client) -> None:
        mine = await client.alloc(DEVICE, 4096)
        await mine.write(b"precious")
        async with client.open(mine.handle) as again:
            assert await refs(client, mine.handle) == 2
            assert await again.read(8) == b"precious"
        assert await mine.read(8) == b"precious"
        assert await refs(client, mine.handle) == 1
        third = await client.open(mine.handle)
        await mine.close()
        await mine.close()
        assert await third.read(8) == b"precious"
        async with third:
            await third.close()
        await nothing_left(client)

    run(story)


def test_closed_or_freed_is_told(run: Callable[[Story], None], tmp_path: pathlib.Path) -> None:
    async def story(client: gpud.Client) -> None:
        for end in ("closed", "freed"):
            mem = await client.alloc(DEVICE, MIB)
            other = await client.alloc(DEVICE, MIB)
            await (mem.close() if end == "closed" else mem.free())
            assert f", {end}>" in repr(mem)
            for use in (
                mem.read(),
                mem.read(8),
                mem.write(bytes(MIB)),
                mem.fill(),
                mem.copy_to(other),
                other.copy_to(mem),
                mem.refresh(),
                mem.free(),
                mem.publish("name"),
                mem.write_from_file(tmp_path / "gone"),
                mem.read_to_file(tmp_path / "gone"),
            ):
                with pytest.raises(gpud.NotFoundError, match=f"this Mem was {end}: {mem.handle}"):
                    await use
            await other.close()

    run(story)


def test_persistent_stays_until_it_is_freed(run: Callable[[Story], None], daemon: Daemon) -> None:
    async def story(client: gpud.Client) -> None:
        async with gpud.connect(daemon.socket) as other:
            async with other.alloc(DEVICE, 10, name="kept", lifetime="persistent") as mem:
                await mem.write(b"0123456789")
            async with other.alloc(DEVICE, 10, name="kept later") as mem:
                await mem.persist()
        for name in ("kept", "kept later"):
            async with client.open(device=DEVICE, name=name) as mem:
                pass
            assert await refs(client, mem.handle) == 1
            await (await client.open(mem.handle)).free()
        await nothing_left(client)

    run(story)


def test_reader_frees_nobody_elses_bytes(open_daemon: Daemon) -> None:
    """Root and the owner himself may free it, but neither does by leaving a block."""
    kept = "await client.alloc('vulkan:0', 4096, name='w', lifetime='persistent', mode=0o644)"
    run_as(1000, open_daemon, kept)
    read = """
        async with client.open(device="vulkan:0", name="w", uid=1000) as mem:
            await mem.read(8)
        print(client.uid, client.is_admin, [mem.name for mem in await client.mems()])
    """
    assert run_as(1000, open_daemon, read) == "1000 False ['w']\n"
    assert run_as(0, open_daemon, read) == "0 True ['w']\n"
    refused = """
        mem = await client.open(device="vulkan:0", name="w", uid=1000)
        try:
            await mem.free()
        except PermissionError as error:
            print(type(error).__name__)
    """
    assert run_as(1001, open_daemon, refused) == "PermissionDeniedError\n"
    taken = """
        mem = await client.open(device="vulkan:0", name="w", uid=1000)
        await (await client.open(mem.handle)).chmod(0o600)
        print(len(await client.mems()))
        await mem.free()
    """
    assert run_as(0, open_daemon, taken) == "1\n"


def test_freed_name_is_free(run: Callable[[Story], None], daemon: Daemon) -> None:
    async def story(owner: gpud.Client) -> None:
        async with gpud.connect(daemon.socket) as reader, gpud.connect(daemon.socket) as late:
            first = await owner.alloc(DEVICE, 4096, name="w", lifetime="persistent")
            await first.write(b"v1")
            reading = await reader.open(device=DEVICE, name="w")
            await first.free()
            with pytest.raises(gpud.NotFoundError):
                await late.open(device=DEVICE, name="w")
            with pytest.raises(gpud.NotFoundError):
                await late.open(first.handle)
            second = await owner.alloc(DEVICE, 4096, name="w", lifetime="persistent")
            await second.write(b"v2")
            assert await reading.read(2) == b"v1"
            assert await (await late.open(device=DEVICE, name="w")).read(2) == b"v2"
            assert (await reading.refresh()).given_up
            await reading.close()
            # Force takes what others hold as well; to close it is no error.
            held = await reader.open(second.handle)
            await second.free(force=True)
            with pytest.raises(gpud.NotFoundError):
                await held.read(2)
            await held.close()
            await nothing_left(owner)

    run(story)


def test_publish(run: Callable[[Story], None], daemon: Daemon) -> None:
    async def story(client: gpud.Client) -> None:
        async with gpud.connect(daemon.socket) as reader:
            old = await client.alloc(DEVICE, 16)
            await old.publish("w", mode=0o640, ttl_s=1000)
            assert (old.name, old.info.mode, old.info.lifetime, old.info.sealed) == (
                "w",
                0o640,
                "persistent",
                False,
            )
            reading = await reader.open(device=DEVICE, name="w")
            new = await client.alloc(DEVICE, 16)
            await new.write(b"new")
            with pytest.raises(gpud.AlreadyExistsError):
                await new.publish("w", seal=True)
            assert (await new.refresh()).sealed is False
            await new.publish("w", seal=True, replace=True)
            assert new.info.sealed
            assert await (await reader.open(device=DEVICE, name="w")).read(3) == b"new"
            assert await reading.read(3) == bytes(3)
            assert await old.read(3) == bytes(3)
            await new.free()

    run(story)


def test_cancelled_opens_leave_no_reference(run: Callable[[Story], None]) -> None:
    async def story(client: gpud.Client) -> None:
        chance = random.Random(5)
        mem = await client.alloc(DEVICE, 4096, name="w")
        for n in range(200):
            call = asyncio.ensure_future(
                client.open(mem.handle) if n % 2 else client.open(device=DEVICE, name="w")
            )
            if n % 3:
                await asyncio.sleep(chance.random() * 0.001)
            else:
                # In the very turn in which the reply comes, or one of those about it.
                for _ in range(chance.randrange(6)):
                    await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait([call])
            if not call.cancelled():
                await call.result().close()
        async with asyncio.timeout(20):
            while await refs(client, mem.handle) != 1:
                await asyncio.sleep(0.01)

    run(story)


def test_cancelled_allocations_leave_nothing(run: Callable[[Story], None]) -> None:
    async def story(client: gpud.Client) -> None:
        chance = random.Random(3)
        for n in range(200):
            call = asyncio.ensure_future(
                client.alloc(DEVICE, 4096, lifetime="persistent" if n % 2 else "session")
            )
            await asyncio.sleep(chance.random() * 0.001)
            call.cancel()
            await asyncio.wait([call])
            if not call.cancelled():
                await call.result().free()
        await nothing_left(client)

    run(story)


@pytest.mark.parametrize("ends", ["close", "death"])
def test_session_ends_though_a_forked_child_lives(
    run: Callable[[Story], None], daemon: Daemon, ends: str
) -> None:
    async def story(client: gpud.Client) -> None:
        if ends == "close":
            other = await gpud.connect(daemon.socket)
            await other.alloc(DEVICE, 4096)
            child = fork(signal.pause)
            await other.close()
            await nothing_left(client)
        else:
            ours, theirs = os.pipe()

            async def lead() -> None:
                other = await gpud.connect(daemon.socket)
                await other.alloc(DEVICE, 4096)
                os.write(theirs, b"%d\n" % fork(signal.pause))
                signal.pause()

            leader = fork(lambda: asyncio.run(lead()))
            child = int(await asyncio.to_thread(os.read, ours, 100))
            os.close(ours)
            os.close(theirs)
            assert (await client.status()).mems == 1
            os.kill(leader, signal.SIGKILL)
            os.waitpid(leader, 0)
            await nothing_left(client)
        os.kill(child, signal.SIGKILL)
        if ends == "close":
            os.waitpid(child, 0)

    run(story)


def test_forked_child_leaves_the_client_alone(run: Callable[[Story], None], daemon: Daemon) -> None:
    async def story(client: gpud.Client) -> None:
        mem = await client.alloc(DEVICE, MIB, name="w")
        await mem.write(bytes(MIB))  # with its slots and threads
        region = await client.region(4096)

        async def use() -> None:
            assert not client.is_open
            for use in client.ping(), mem.read(), mem.read(8), mem.write(bytes(MIB)), client.region(4096):
                with pytest.raises(gpud.ConnectionLostError, match=f"process {os.getppid()}"):
                    await use
            async with client, mem, region:
                pass
            await mem.close()
            await client.close()
            async with gpud.connect(daemon.socket) as own, own.open(device=DEVICE, name="w") as same:
                assert await same.read() == bytes(MIB)

        assert os.waitpid(fork(lambda: asyncio.run(use())), 0)[1] == 0
        await client.ping()
        assert await mem.read() == bytes(MIB)
        assert await refs(client, mem.handle) == 1
        await region.release()

    run(story)


def test_socket_that_is_closed_to_one_names_the_group(open_daemon: Daemon) -> None:
    socket = pathlib.Path(open_daemon.socket)
    mode = socket.stat()
    try:
        os.chown(socket, -1, 24)
        for bits, hint in ((0o660, f"you must be in the group {grp.getgrgid(24).gr_name}"), (0o600, "owner")):
            socket.chmod(bits)
            with pytest.raises(AssertionError) as told:
                run_as(1000, open_daemon, "pass")
            text = str(told.value)
            assert (
                f"gpud.PermissionDeniedError: cannot connect to gpud at {socket}: Permission denied" in text
            )
            assert f"hint: {hint}" in text or f"hint: it is open to its {hint}" in text
    finally:
        os.chown(socket, -1, mode.st_gid)
        socket.chmod(mode.st_mode)


def test_refused_connection_says_why(spawn: Callable[..., Daemon]) -> None:
    daemon = spawn(gpud={"connections_max": 3})

    async def story() -> None:
        clients = [await gpud.connect(daemon.socket) for _ in range(3)]
        with pytest.raises(gpud.ResourceExhaustedError, match="connections_max = 3"):
            await gpud.connect(daemon.socket)
        first, *others = clients
        for client in others:
            await client.close()
        async with first, asyncio.timeout(20):
            while (await first.status()).sessions > 1:
                await asyncio.sleep(0.01)

    asyncio.run(story())
