"""What the README shows works as it stands there."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from harness import IS_ASAN, ROOT, Daemon

BUILD = ROOT / "build"


def block(language: str, word: str) -> str:
    """The first code block of the README in that language that has the word in it."""
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return next(found for found in blocks if word in found)


def run(*command: str, daemon: Daemon, cwd: pathlib.Path = ROOT, **env: str) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=dict(os.environ, GPUD_SOCKET=daemon.socket, **env),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def msgpack_libs() -> list[str]:
    """Debian 13 has the library, and its module, by other names than Debian 12."""
    found = [
        subprocess.run(["pkg-config", "--libs", name], capture_output=True, text=True)
        for name in ("msgpack-c", "msgpack")
    ]
    return next(done.stdout.split() for done in found if done.returncode == 0)


def test_python(daemon: Daemon) -> None:
    run(sys.executable, "-c", block("python", "gpud.connect"), daemon=daemon, PYTHONPATH="python-client/src")


@pytest.mark.skipif(IS_ASAN, reason="the library in build/ is tested once")
@pytest.mark.skipif(shutil.which("gcc") is None, reason="no compiler here")
def test_c(daemon: Daemon, tmp_path: pathlib.Path) -> None:
    (tmp_path / "first.c").write_text(block("c", "gpud_connect"))
    shared = [f"-L{BUILD}", "-lgpud"]
    static = [f"{BUILD}/libgpud.a", *msgpack_libs()]
    for library, arguments in (("shared", shared), ("static", static)):
        program = str(tmp_path / library)
        source = str(tmp_path / "first.c")
        run("gcc", "-Wall", "-Werror", f"-I{ROOT}/client", "-o", program, source, *arguments, daemon=daemon)
        assert run(program, daemon=daemon, LD_LIBRARY_PATH=str(BUILD)) == "hello\n"


@pytest.mark.skipif(not (BUILD / "gpuctl").exists(), reason="no gpuctl here")
def test_gpuctl(daemon: Daemon) -> None:
    run("sh", "-e", "-c", block("sh", "gpuctl put"), daemon=daemon)
