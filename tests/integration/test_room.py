"""Clients that may not have what they ask for: memory, descriptors, threads, long files. An error says so and
names the limit; nobody is killed, and what is smaller works."""

import contextlib
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from harness import ROOT, Daemon

MIB = 1 << 20

# Runs `story(client)`, whose lines are put in between, and what it prints is the outcome.
PROGRAM = """
import asyncio, gpud
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
