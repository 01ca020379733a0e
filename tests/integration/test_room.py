"""Clients that may not have what they ask for: memory, descriptors, threads, long files. An error says so and
names the limit; nobody is killed, and what is smaller works."""

import contextlib
import os
import pathlib
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from harness import ROOT, Daemon

MIB = 1 << 20
GPUCTL = ROOT / "build/gpuctl"

# Runs `story(client)`, whose lines are put in between, and what it prints is the outcome.
PROGRAM = """
import asyncio, gpud, os, resource, threading
async def main():
    async with gpud.connect() as client:
        {}
asyncio.run(main())
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


def environment(daemon: Daemon) -> dict[str, str]:
    paths = {"PYTHONPATH": str(ROOT / "python-client/src"), "LD_LIBRARY_PATH": str(ROOT / "build")}
    return dict(os.environ, GPUD_SOCKET=daemon.socket, **paths)


@pytest.fixture
def run(daemon: Daemon) -> Run:
    """Runs a command, or the lines of a story in Python, as a client of the daemon."""

    def run(*command: object, begin: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
        if len(command) == 1:
            command = (sys.executable, "-c", PROGRAM.format(str(command[0]).strip()))
        return subprocess.run(
            [str(word) for word in command],
            env=environment(daemon),
            preexec_fn=begin,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


class Group:
    """A control group whose memory is limited."""

    def __init__(self, folder: pathlib.Path, limit_file: str) -> None:
        self.folder = folder
        self.limit_file = limit_file

    def limit(self, size: int) -> None:
        (self.folder / self.limit_file).write_text(str(size))

    def enter(self) -> None:
        (self.folder / "cgroup.procs").write_text("0")


@pytest.fixture
def group() -> Iterator[Group]:
    for top, limit_file in (
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        ("/sys/fs/cgroup", "memory.max"),
    ):
        folder = pathlib.Path(top, f"gpud-test-{os.getpid()}")
        with contextlib.suppress(OSError):
            folder.mkdir()
            try:
                group = Group(folder, limit_file)
                group.limit(256 * MIB)
            except OSError:
                folder.rmdir()
                continue
            yield group
            folder.rmdir()
            return
    pytest.skip("no control group with a limit to its memory can be made here")


def test_region_beyond_a_memory_group(run: Run, group: Group) -> None:
    done = run(
        """
        try:
            await client.region(300 << 20)
        except MemoryError as error:
            print(error)
        async with client.region(100 << 20) as region:
            print(region.size)
        async with client.alloc("vulkan:0", 300 << 20) as mem:
            try:
                await mem.read()
            except MemoryError as error:
                print(error)
            await mem.write(b"x" * (64 << 20))
            print(len(await mem.read(64 << 20)))
        """,
        begin=group.enter,
    )
    assert done.returncode == 0, done
    region, size, read, n = done.stdout.splitlines()
    for line in (region, read):
        assert f"{group.limit_file} = {256 * MIB} of control group /{group.folder.name} leaves" in line
    assert region.startswith(f"no host memory for a region of {300 * MIB} bytes: ")
    assert (int(size), int(n)) == (100 * MIB, 64 * MIB)


def test_region_beyond_what_a_session_may_have(run: Run) -> None:
    done = run(
        """
        for size in (client.limits.shm_max + 1, 1 << 45, 1 << 62):
            try:
                await client.region(size)
            except gpud.ResourceExhaustedError as error:
                print(error)
        with open("/proc/self/status") as status:
            print(status.read().split("VmHWM:")[1].split()[0])
        """
    )
    assert done.returncode == 0, done
    *errors, peak_kib = done.stdout.splitlines()
    assert len(errors) == 3
    assert all("exceed shm_max = " in line for line in errors)
    assert int(peak_kib) < 200 << 10


def limit(kind: int, soft: int) -> Callable[[], None]:
    """For the beginning of a process."""
    return lambda: resource.setrlimit(kind, (soft, soft))


@pytest.mark.parametrize("room", [512 << 10, MIB, 3 * MIB])
def test_put_where_files_are_short(run: Run, tmp_path: pathlib.Path, room: int) -> None:
    """The region that bytes go through is a file as well; a short one will do."""
    data = os.urandom(9 * MIB + 5)
    (tmp_path / "in").write_bytes(data)
    begin = limit(resource.RLIMIT_FSIZE, room)
    put = run(GPUCTL, "put", tmp_path / "in", "--name=short", begin=begin)
    assert (put.returncode, put.stderr) == (0, "")
    get = run(GPUCTL, "get", "short", tmp_path / "out", begin=begin)
    assert get.returncode == 1
    assert f"limit RLIMIT_FSIZE = {room}" in get.stderr
    assert run(GPUCTL, "get", "short", tmp_path / "out").returncode == 0
    assert (tmp_path / "out").read_bytes() == data
    assert run(GPUCTL, "rm", "short").returncode == 0


def test_put_where_files_are_too_short(run: Run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "in").write_bytes(bytes(9 * MIB))
    put = run(GPUCTL, "put", tmp_path / "in", begin=limit(resource.RLIMIT_FSIZE, 100 << 10))
    assert put.returncode == 1
    assert f"limit RLIMIT_FSIZE = {100 << 10}" in put.stderr
    done = run(
        """
        mem = await client.alloc("vulkan:0", 1 << 20)
        try:
            await client.region(1 << 20)
        except MemoryError as error:
            print(error)
        await mem.write(bytes(1 << 20))
        """,
        begin=limit(resource.RLIMIT_FSIZE, 100 << 10),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"RLIMIT_FSIZE is {100 << 10}" in done.stdout


def test_put_in_a_memory_group(run: Run, group: Group, tmp_path: pathlib.Path) -> None:
    """A group that has room for a small region alone."""
    (tmp_path / "in").write_bytes(bytes(9 * MIB))
    group.limit(8 * MIB)
    put = run(GPUCTL, "put", tmp_path / "in", "--name=small", begin=group.enter)
    assert (put.returncode, put.stderr) == (0, "")
    assert run(GPUCTL, "rm", "small").returncode == 0


def test_copies_without_a_thread(run: Run, tmp_path: pathlib.Path) -> None:
    """They are slower and do not hang."""
    (tmp_path / "file").write_bytes(bytes(range(256)) * 40_000)
    done = run(
        f"""
        source, target = open("{tmp_path}/file", "rb"), open("{tmp_path}/out", "wb")
        data = source.read()
        # Root may have as many as it likes.
        if os.getuid() == 0:
            os.setresuid(65534, 65534, 65534)
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        async with client.alloc("vulkan:0", len(data)) as mem:
            await mem.write(data)
            assert await mem.read() == data
            await mem.fill()
            assert await mem.write_from_file(source) == len(data)
            assert await mem.read_to_file(target) == len(data)
        async with client.region(1 << 20):
            print(threading.active_count())
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "file").read_bytes()
