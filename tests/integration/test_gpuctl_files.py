"""What gpuctl does with files: put and get are whole, or were not; and what bars the way to gpud."""

import os
import pathlib
import pty
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from gpuctl import GPUCTL, Gpuctl
from harness import IS_ASAN, Daemon
from rpc import Client, until
from users import needs_root

OLD = b"my only copy"


@pytest.fixture
def kept(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A file alone in its folder; whatever the test did to it failed."""
    path = tmp_path / "folder" / "kept"
    path.parent.mkdir()
    path.write_bytes(OLD)
    yield path
    assert path.read_bytes() == OLD
    assert [entry.name for entry in path.parent.iterdir()] == ["kept"]


def alloc(client: Client, size: int, **args: Any) -> str:
    return str(client.call("mem.alloc", device="vulkan:0", size=size, **args)["mem"])


# ---- get ----


def test_get_replaces_a_file(gpuctl: Gpuctl, client: Client, tmp_path: pathlib.Path) -> None:
    mem = alloc(client, 5 << 20)
    client.call("mem.write", mem=mem, offset=5, data=b"in the middle")
    target = tmp_path / "target"
    target.write_bytes(b"longer" * (1 << 20))
    target.chmod(0o604)
    inode = target.stat().st_ino
    gpuctl.text("get", mem, str(target))
    assert target.read_bytes()[:18] == b"\0\0\0\0\0in the middle"
    assert target.stat().st_size == 5 << 20
    assert target.stat().st_mode & 0o7777 == 0o604
    assert target.stat().st_ino != inode
    assert [entry.name for entry in tmp_path.iterdir()] == ["target"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_get(spawn: Callable[..., Daemon], kept: pathlib.Path, number: int) -> None:
    daemon = spawn()
    with daemon.connect() as client:
        mem = alloc(client, 512 << 20)
        process = subprocess.Popen([GPUCTL, "get", mem, str(kept)], env=Gpuctl(daemon.socket).env)
        assert until(lambda: len(list(kept.parent.iterdir())) == 2)
        os.kill(daemon.pid, signal.SIGSTOP)
        process.send_signal(number)
        code = process.wait(60)
        os.kill(daemon.pid, signal.SIGCONT)
        assert code == -number


def test_killed_get(spawn: Callable[..., Daemon], tmp_path: pathlib.Path) -> None:
    """The old file is what it was; what is left beside it says what it is."""
    daemon = spawn()
    target = tmp_path / "target"
    target.write_bytes(OLD)
    with daemon.connect() as client:
        mem = alloc(client, 512 << 20)
        process = subprocess.Popen([GPUCTL, "get", mem, str(target)], env=Gpuctl(daemon.socket).env)
        assert until(lambda: len(list(tmp_path.iterdir())) == 2)
        os.kill(daemon.pid, signal.SIGSTOP)
        process.kill()
        process.wait()
        os.kill(daemon.pid, signal.SIGCONT)
    assert target.read_bytes() == OLD
    assert len(list(tmp_path.glob(".target.gpud-????????"))) == 1


def test_get_onto_a_full_disk(gpuctl: Gpuctl, client: Client, small_disk: pathlib.Path) -> None:
    target = small_disk / "target"
    target.write_bytes(OLD)
    mem = alloc(client, 10 << 20)
    assert "No space left on device" in gpuctl.fails(1, "get", mem, str(target))
    assert target.read_bytes() == OLD
    assert [entry.name for entry in small_disk.iterdir()] == ["target"]


# A file system over a network may have room for the bytes until it is asked to keep them.
LATE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

int FUNCTION(int fd) {
        int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, NAME);
        int flags = fcntl(fd, F_GETFL);
        struct stat status;

        if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || (flags & O_ACCMODE) != O_WRONLY)
                return real(fd);
        real(fd);
        errno = EDQUOT;
        return -1;
}
"""


@pytest.mark.skipif(IS_ASAN, reason="the sanitizer wants to be first")
@pytest.mark.skipif(shutil.which("gcc") is None, reason="no compiler here")
@pytest.mark.parametrize("function", ["close", "fsync"])
def test_get_hears_of_it_late(
    gpuctl: Gpuctl, client: Client, kept: pathlib.Path, tmp_path: pathlib.Path, function: str
) -> None:
    (tmp_path / "late.c").write_text(LATE)
    names = [f"-DFUNCTION={function}", f'-DNAME="{function}"']
    library = str(tmp_path / "late.so")
    command = ["gcc", "-shared", "-fPIC", *names, "-o", library, str(tmp_path / "late.c"), "-ldl"]
    subprocess.run(command, check=True)
    mem = alloc(client, 1 << 20)
    _, error = gpuctl.run("get", mem, str(kept), code=1, env={"LD_PRELOAD": library})
    assert "Disk quota exceeded" in error
    with open(tmp_path / "output", "wb") as output:
        command = [GPUCTL, "get", mem, "-"]
        done = subprocess.run(command, env=gpuctl.env | {"LD_PRELOAD": library}, stdout=output)
    assert done.returncode == (1 if function == "close" else 0)


def test_get_past_the_limit_of_files(gpuctl: Gpuctl, client: Client, kept: pathlib.Path) -> None:
    """Not SIGXFSZ, which would leave what is half written."""
    mem = alloc(client, 3 << 20)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    command = [GPUCTL, "get", mem, str(kept)]
    done = subprocess.run(command, env=gpuctl.env, preexec_fn=limit, capture_output=True, text=True)
    assert done.returncode == 1
    assert "RLIMIT_FSIZE" in done.stderr


@pytest.fixture
def stranger(daemon: Daemon) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Runs gpuctl as another user, in a folder of its own that comes first."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        program = folder / "gpuctl"
        shutil.copy(GPUCTL, program)
        (folder / "files").mkdir()
        (folder / "files").chmod(0o777)

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            # The folders above the socket are root's alone.
            return subprocess.run(
                [program, *words],
                cwd=daemon.directory,
                env=dict(os.environ, GPUD_SOCKET="gpud.sock"),
                user=1001,
                group=1001,
                extra_groups=[],
                capture_output=True,
                text=True,
            )

        run.files = folder / "files"  # type: ignore[attr-defined]
        yield run


@needs_root
def test_get_without_the_right_to(daemon: Daemon, client: Client, stranger: Any) -> None:
    os.chmod(daemon.socket, 0o666)
    os.chmod(daemon.directory, 0o711)
    secret = alloc(client, 4096, mode=0o602)
    public = alloc(client, 4096, mode=0o644)
    old = stranger.files / "kept"
    old.write_bytes(OLD)
    os.chown(old, 1001, 1001)
    done = stranger("get", secret, str(old))
    assert done.returncode == 3, done.stderr
    assert stranger("get", secret, str(stranger.files / "new")).returncode == 3
    # What the user may not write stays, though the folder would let another take its place.
    old.chmod(0o444)
    done = stranger("get", public, str(old))
    assert done.returncode == 1
    assert "kept: Permission denied" in done.stderr
    assert old.read_bytes() == OLD
    assert [entry.name for entry in stranger.files.iterdir()] == ["kept"]
    old.chmod(0o640)
    assert stranger("get", public, str(old)).returncode == 0
    assert (old.stat().st_mode & 0o7777, old.stat().st_uid) == (0o640, 1001)


def test_get_is_written_through(gpuctl: Gpuctl, client: Client, tmp_path: pathlib.Path) -> None:
    mem = alloc(client, 9)
    client.call("mem.write", mem=mem, data=b"some text")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    process = subprocess.Popen([GPUCTL, "get", mem, str(fifo)], env=gpuctl.env)
    assert fifo.read_bytes() == b"some text"
    assert process.wait(60) == 0
    # Not a new file beside the one that is open.
    with open(tmp_path / "output", "w+b") as output:
        subprocess.run([GPUCTL, "get", mem, "/dev/stdout"], env=gpuctl.env, stdout=output, check=True)
        output.seek(0)
        assert output.read() == b"some text"
    gpuctl.text("get", mem, "/dev/null")


@pytest.mark.parametrize("file", ["-", "/dev/stdout"])
def test_get_spares_the_terminal(gpuctl: Gpuctl, client: Client, file: str) -> None:
    mem = alloc(client, 9)
    master, slave = pty.openpty()
    command = [GPUCTL, "get", mem, file]
    done = subprocess.run(command, env=gpuctl.env, stdout=slave, stderr=subprocess.PIPE, text=True)
    os.close(slave)
    os.close(master)
    assert done.returncode == 2
    assert "is a terminal" in done.stderr and "> FILE" in done.stderr


# ---- put ----


def test_put_starts_where_the_input_stands(gpuctl: Gpuctl, client: Client, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"HEADERpayloadTRAILER")
    with open(path, "rb", buffering=0) as file:

        def put(*options: str) -> str:
            command = [GPUCTL, "put", "-", *options]
            done = subprocess.run(command, env=gpuctl.env, stdin=file, capture_output=True, text=True)
            return done.stdout.strip() if done.returncode == 0 else done.stderr

        file.seek(6)
        handles = [put("--size=7")]
        assert file.tell() == 13
        handles.append(put())
        assert file.tell() == 20
        assert "empty" in put()
        file.seek(6)
        assert "- ends after 14 bytes, --size is 15" in put("--size=15")
        file.seek(100)
        assert "empty" in put()
    got = [client.call("mem.read", mem=handle, size=7)["data"] for handle in handles]
    assert got == [b"payload", b"TRAILER"]
    for handle in handles:
        client.free(handle)


def test_put_shows_nothing_before_it_is_whole(gpuctl: Gpuctl, client: Client) -> None:
    """And leaves nothing when it is killed, or the input ends early."""
    for is_killed in (True, False):
        command = [GPUCTL, "put", "-", "--size=9M", "--name=slow"]
        process = subprocess.Popen(
            command, env=gpuctl.env, stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin
        process.stdin.write(os.urandom(5 << 20))
        assert until(lambda: client.call("daemon.status")["mems"] == 1)
        (mem,) = client.call("mem.list")["mems"]
        assert (mem["name"], mem["lifetime"], mem["mode"]) == (None, "session", 0o600)
        assert '"slow"' in gpuctl.fails(1, "get", "slow", "/dev/null")
        if is_killed:
            process.kill()
        process.communicate()
        assert process.returncode == (-signal.SIGKILL if is_killed else 2)
        assert until(lambda: client.call("daemon.status")["mems"] == 0)


def test_put_takes_a_name_over(gpuctl: Gpuctl, client: Client, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    first = gpuctl.text("put", str(path), "--name=w", "--mode=0644").strip()
    client.call("mem.open", mem=first)
    path.write_bytes(b"two")
    assert "`replace` takes it over" in gpuctl.fails(1, "put", str(path), "--name=w")
    second = gpuctl.json("put", str(path), "--name=w", "--replace", "--seal", "--ttl-s=600")
    assert second["sealed"] and second["expires_ns"] and second["lifetime"] == "persistent"
    assert client.call("mem.read", mem=first, size=3)["data"] == b"one"
    assert client.call("mem.info", mem=first)["given_up"]
    assert gpuctl.run("get", "w", "-")[0] == b"two"
    client.call("mem.close", mem=first)
    client.call("mem.free", mem=second["mem"])


# ---- the way to gpud ----


def test_a_stopped_gpud_holds_nobody(spawn: Callable[..., Daemon], tmp_path: pathlib.Path) -> None:
    daemon = spawn()
    gpuctl = Gpuctl(daemon.socket)
    path = tmp_path / "file"
    path.write_bytes(bytes(9 << 20))
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        said = "gpud said nothing for 300 ms"
        assert said in gpuctl.fails(1, "daemon", "ping", "--timeout=0.3")
        assert said in gpuctl.fails(1, "--timeout", "0.3", "put", str(path), "--device=vulkan:0")
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    gpuctl.text("daemon", "ping", "--timeout=0")
    assert "seconds" in gpuctl.fails(2, "daemon", "ping", "--timeout=soon")
    assert "seconds" in gpuctl.fails(2, "daemon", "ping", "--timeout=-1")
    assert "seconds" in gpuctl.fails(2, "daemon", "ping", "--timeout")


def test_a_connection_too_many(spawn: Callable[..., Daemon]) -> None:
    daemon = spawn(gpud={"connections_max": 2})
    with daemon.enter() as one:
        with daemon.enter():
            assert "connections_max = 2" in Gpuctl(daemon.socket).fails(1, "status")
        # There is room for whoever comes next.
        assert until(lambda: one.call("daemon.status")["sessions"] == 1)


@needs_root
def test_a_socket_for_others(daemon: Daemon, stranger: Any) -> None:
    os.chmod(daemon.directory, 0o711)
    os.chown(daemon.socket, 0, 4)
    os.chmod(daemon.socket, 0o660)
    done = stranger("status")
    assert done.returncode == 3
    assert done.stderr == "gpuctl: gpud.sock: Permission denied; you must be in the group adm\n"


def test_an_empty_variable_is_no_socket(gpuctl: Gpuctl) -> None:
    assert "the path of the socket is empty" in gpuctl.fails(2, "--socket=", "status")
