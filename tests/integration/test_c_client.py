"""Stories of a C program and the real gpud; client-stories.c tells them, one process each."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
from collections.abc import Callable

import pytest
from harness import IS_ASAN, ROOT, Daemon
from rpc import until

SOURCE = ROOT / "tests/integration/client-stories.c"
PROGRAM = ROOT / "build" / ("asan" if IS_ASAN else "") / "tests/integration/client-stories"

# A gpud of its own for those that die, stand still or are full; a file system for the one that is full.
STORIES = [
    name
    for name in re.findall(r"STORY\((\w+)\),", SOURCE.read_text())
    if name not in ("death", "full_disk", "silence", "one_too_many")
]


@pytest.fixture(scope="module")
def program() -> pathlib.Path:
    if shutil.which("make") and shutil.which("gcc"):
        mode = "asan" if IS_ASAN else "release"
        command = ["make", "-s", f"MODE={mode}", str(PROGRAM.relative_to(ROOT))]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return PROGRAM


def tell(program: pathlib.Path, story: str, daemon: Daemon, directory: pathlib.Path | None = None) -> None:
    env = dict(os.environ, GPUD_SOCKET=daemon.socket, GPUD_PID=str(daemon.pid))
    if directory is not None:
        env["STORY_DIRECTORY"] = str(directory)
    done = subprocess.run([program, story], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("story", STORIES)
def test_story(program: pathlib.Path, daemon: Daemon, story: str, tmp_path: pathlib.Path) -> None:
    tell(program, story, daemon, tmp_path)


def test_full_disk(program: pathlib.Path, daemon: Daemon, small_disk: pathlib.Path) -> None:
    tell(program, "full_disk", daemon, small_disk)


@pytest.mark.parametrize("story", ["ranges", "region", "files"])
def test_story_with_staging(program: pathlib.Path, spawn: Callable[..., Daemon], story: str) -> None:
    tell(program, story, spawn(gpu={"force_staging": "yes"}))


def test_gpud_dies(program: pathlib.Path, spawn: Callable[..., Daemon]) -> None:
    daemon = spawn()
    tell(program, "death", daemon)
    # A driver may take a while to let go of a process that was killed.
    assert daemon.process is not None
    assert daemon.process.wait(60) == -signal.SIGKILL


def test_gpud_stands_still(program: pathlib.Path, spawn: Callable[..., Daemon]) -> None:
    tell(program, "silence", spawn())


def test_a_connection_too_many(program: pathlib.Path, spawn: Callable[..., Daemon]) -> None:
    daemon = spawn(gpud={"connections_max": 2})
    with daemon.enter() as one:
        with daemon.enter():
            tell(program, "one_too_many", daemon)
        # There is room for whoever comes next.
        assert until(lambda: one.call("daemon.status")["sessions"] == 1)


@pytest.mark.skipif(IS_ASAN, reason="what is installed is looked at once")
@pytest.mark.skipif(shutil.which("pkg-config") is None, reason="no pkg-config here")
def test_static_link_is_told_of_threads(tmp_path: pathlib.Path) -> None:
    made = (ROOT / "client/libgpud.pc.in").read_text().replace("@MSGPACK@", "")
    (tmp_path / "libgpud.pc").write_text(made.replace("Requires.private:", ""))
    words = ["pkg-config", "--static", "--libs", "libgpud"]
    env = dict(os.environ, PKG_CONFIG_PATH=str(tmp_path))
    assert "-pthread" in subprocess.run(words, env=env, check=True, capture_output=True, text=True).stdout
