"""Who may listen at a path, and who may remove what is there."""

import contextlib
import os
import pathlib
import socket
import subprocess
from collections.abc import Callable

import pytest
from harness import Daemon
from rpc import Client, until

Spawn = Callable[..., Daemon]


def complaint(daemon: Daemon) -> str:
    """What a gpud says that must not start."""
    done = subprocess.run(daemon.command(), env=daemon.env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def make_stale(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as nobody:
        nobody.bind(path)


def test_the_holder_is_named(spawn: Spawn) -> None:
    daemon = spawn()
    said = complaint(daemon)
    assert daemon.socket in said and f"process {daemon.pid}," in said


def test_a_socket_file_that_was_removed_lets_no_other_in(spawn: Spawn) -> None:
    """The first still has everybody's bytes; it has to be ended first, and its pid says which it is."""
    daemon = spawn()
    with daemon.connect() as client:
        os.unlink(daemon.socket)
        said = complaint(daemon)
        assert daemon.socket in said and f"process {daemon.pid}," in said
        assert client.call("daemon.ping") == {}
        # For the fixture, which looks at the books.
        os.symlink(f"/proc/self/fd/{client.socket.fileno()}", daemon.socket)
    os.unlink(daemon.socket)
    daemon.stop()
    assert os.listdir(daemon.directory).count("gpud.sock.lock") == 0


def test_only_its_own_socket_file_is_removed(spawn: Spawn) -> None:
    """Even where two run, since the lock file was removed as well: the second stays when the first ends."""
    first = spawn()
    os.unlink(first.socket)
    os.unlink(f"{first.socket}.lock")
    second = Daemon(first.directory)
    try:
        second.start()
        first.stop()
        with second.connect() as client:
            assert client.call("daemon.ping") == {}
        assert f"process {second.pid}," in complaint(second)
        second.stop()
        assert not os.path.exists(second.socket)
        assert not os.path.exists(f"{second.socket}.lock")
    finally:
        second.kill()


def test_one_of_many_starts_over_a_stale_socket(tmp_path: pathlib.Path) -> None:
    daemon = Daemon(tmp_path, validation=False)
    for _ in range(3):
        make_stale(daemon.socket)
        processes = [
            subprocess.Popen(daemon.command(), env=daemon.env, stderr=subprocess.PIPE) for _ in range(8)
        ]
        try:
            assert until(lambda processes=processes: sum(p.poll() is None for p in processes) == 1, 60)
            with contextlib.suppress(FileNotFoundError), Client(daemon.socket) as client:
                pid = client.call("daemon.status")["pid"]
            assert [p.pid for p in processes if p.poll() is None] == [pid]
        finally:
            for process in processes:
                process.terminate()
            said = [process.communicate()[1].decode() for process in processes]
        assert sum(f"process {pid}," in text or "another gpud holds" in text for text in said) == 7, said
        assert sorted(process.returncode for process in processes) == [0] + 7 * [1]
        assert not os.path.exists(daemon.socket)


def test_a_lock_file_that_was_left_is_taken(spawn: Spawn) -> None:
    daemon = spawn()
    daemon.kill()
    assert os.path.exists(f"{daemon.socket}.lock")
    daemon.start()
    daemon.stop()
    assert not os.path.exists(f"{daemon.socket}.lock")


@pytest.mark.parametrize("what", ["a folder", "a link"])
def test_what_cannot_be_locked_is_named(tmp_path: pathlib.Path, what: str) -> None:
    daemon = Daemon(tmp_path)
    lock = pathlib.Path(f"{daemon.socket}.lock")
    if what == "a folder":
        lock.mkdir()
    else:
        lock.symlink_to(tmp_path / "elsewhere")
    said = complaint(daemon)
    assert f"cannot lock {lock}: " in said
    assert not (tmp_path / "elsewhere").exists()
