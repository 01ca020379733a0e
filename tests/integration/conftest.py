"""Fixtures: `daemon`, a gpud shared by the tests of a module, `client`, a connection to it, `run` for stories
told in Python's asyncio, and `spawn` for a test that needs a gpud of its own. After each test the shared one
must hold nothing any more."""

import asyncio
import pathlib
import resource
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

pytest.register_assert_rewrite("gpuctl", "harness", "rpc", "schema")

from gpuctl import Gpuctl  # noqa: E402
from harness import ROOT, Daemon  # noqa: E402
from rpc import Client  # noqa: E402

# The package as it lies in the tree.
sys.path.insert(0, str(ROOT / "python-client/src"))

import gpud  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def many_descriptors() -> None:
    """For thousands of connections, at this end and at that of the gpuds that are started here."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))


@pytest.fixture(scope="module")
def daemon_options() -> dict[str, Any]:
    """What a module wants of its gpud; override it there."""
    return {}


@pytest.fixture(scope="module")
def shared_daemon(
    tmp_path_factory: pytest.TempPathFactory, daemon_options: dict[str, Any]
) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("gpud"), **daemon_options)
    try:
        yield daemon.start()
        daemon.stop()
    finally:
        daemon.kill()


@pytest.fixture
def daemon(shared_daemon: Daemon) -> Iterator[Daemon]:
    yield shared_daemon
    shared_daemon.assert_idle()


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with daemon.connect() as client:
        yield client


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if name == "asyncio":
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = pytest.importorskip("uvloop").new_event_loop
    return factory


@pytest.fixture(params=["asyncio", "uvloop"])
def run(
    request: pytest.FixtureRequest, daemon: Daemon
) -> Callable[[Callable[[gpud.Client], Awaitable[None]]], None]:
    """Plays a story with a client of its own."""

    def run(story: Callable[[gpud.Client], Awaitable[None]]) -> None:
        async def play() -> None:
            async with gpud.connect(daemon.socket, client="story") as client:
                await asyncio.wait_for(story(client), 300)

        with asyncio.Runner(loop_factory=loop_factory(request.param)) as runner:
            runner.run(play())

    return run


@pytest.fixture
def gpuctl(daemon: Daemon) -> Gpuctl:
    return Gpuctl(daemon.socket)


@pytest.fixture
def spawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Daemon]]:
    """`spawn(**options)` starts a gpud; those that run at the end are stopped and their books checked."""
    daemons: list[Daemon] = []

    def start(**options: Any) -> Daemon:
        daemon = Daemon(tmp_path_factory.mktemp("gpud"), **options)
        daemons.append(daemon)
        return daemon.start()

    try:
        yield start
        for daemon in daemons:
            if daemon.process is not None and daemon.process.poll() is None:
                daemon.assert_idle()
                daemon.stop()
            daemon.assert_log_clean()
    finally:
        for daemon in daemons:
            daemon.kill()


@pytest.fixture
def small_disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder on a file system of 8 MiB."""
    if shutil.which("mount") is None:
        pytest.skip("there is no mount")
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "gpud-test", str(tmp_path)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"cannot mount a file system: {done.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)
