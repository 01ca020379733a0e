"""Who is let in, and what the others are told."""

import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import msgpack
import pytest
from harness import Daemon
from rpc import until
from users import needs_root

Spawn = Callable[..., Daemon]

# Connects as another user and prints what comes first: the reply to a ping, or why it is refused.
STRANGER = """
import os, socket, sys
uid, gid, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
os.setgroups([int(group) for group in sys.argv[4:]])
os.setgid(gid)
os.setuid(uid)
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(60)
connection.connect(path)
try:
    connection.sendall(b"\\x94\\x00\\x01\\xabdaemon.ping\\x90")
except OSError:
    pass
sys.stdout.buffer.write(connection.recv(65536))
"""


def ask(daemon: Daemon, uid: int, gid: int, *groups: int) -> str | None:
    """The error that a client of that user gets; None if it is served."""
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, str(uid), str(gid), daemon.socket, *map(str, groups)],
        capture_output=True,
        timeout=120,
        check=True,
    )
    kind, msgid, error, result = msgpack.unpackb(done.stdout)
    assert kind == 1
    if error is None:
        assert (msgid, result) == (1, {})
        return None
    assert (msgid, result) == (None, None)
    return f"{error['name']}: {error['message']}"


@pytest.fixture
def in_namespace(tmp_path: pathlib.Path) -> Iterator[Daemon]:
    """A gpud in a user namespace that has root's ids and no others, as one in a rootless container."""
    unshare = [shutil.which("unshare") or "unshare", "--user", "--map-root-user"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
        pytest.skip("no user namespaces here")
    daemon = Daemon(tmp_path, gpud={"socket_mode": "0666"}, validation=False)
    daemon.open_to_all()
    with open(daemon.log_path, "wb") as log:
        daemon.process = subprocess.Popen([*unshare, *daemon.command()], env=daemon.env, stderr=log)
    try:
        assert until(daemon._answers, 60)
        yield daemon
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(60) == 0
    finally:
        daemon.kill()


@needs_root
def test_users_that_look_alike_are_not_let_in(in_namespace: Daemon) -> None:
    """They would be one owner: each could read what the other has."""
    for uid, gid in ((1001, 1001), (1002, 1002), (65534, 65534), (0, 1001), (1001, 0)):
        said = ask(in_namespace, uid, gid)
        assert said is not None, (uid, gid)
        assert said.startswith("PERMISSION_DENIED: gpud runs in a user namespace"), said
    assert ask(in_namespace, 0, 0) is None


@needs_root
def test_groups_that_look_alike_count_for_nothing(in_namespace: Daemon) -> None:
    assert ask(in_namespace, 0, 0, 1001, 1002) is None


@needs_root
def test_nobody_is_somebody_outside_of_namespaces(spawn: Spawn) -> None:
    """In a namespace that has all ids, the overflow id is an id as any."""
    with open("/proc/self/uid_map") as file:
        if int(file.read().split()[2]) < (1 << 32) - 1:
            pytest.skip("this is a user namespace itself")
    daemon = spawn(gpud={"socket_mode": "0666"})
    daemon.open_to_all()
    assert ask(daemon, 65534, 65534) is None


@needs_root
def test_administrators_are_not_locked_out(spawn: Spawn) -> None:
    daemon = spawn(
        gpud={"connections_max": 2, "connections_reserved": 1, "socket_mode": "0666", "admins": 1003}
    )
    daemon.open_to_all()

    clients = [daemon.enter() for _ in range(2)]
    assert until(lambda: clients[0].call("daemon.status")["sessions"] == 2)
    full = "RESOURCE_EXHAUSTED: gpud has 2 connections, limit connections_max = 2"
    assert ask(daemon, 1001, 1001) == full
    assert ask(daemon, 1003, 1003) is None
    assert until(lambda: clients[0].call("daemon.status")["sessions"] == 2)
    with daemon.connect() as root:
        assert root.call("daemon.ping") == {}
        assert ask(daemon, 0, 0) == full.replace("has 2", "has 3")
    for client in clients:
        client.close()


def test_few_connections_have_none_reserved(spawn: Spawn) -> None:
    daemon = spawn(gpud={"connections_max": 1})
    with daemon.enter():
        assert ask(daemon, 0, 0) == "RESOURCE_EXHAUSTED: gpud has 1 connections, limit connections_max = 1"


def limit_descriptors(daemon: Daemon, n: int) -> None:
    _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (n, hard))


def take_all_descriptors(daemon: Daemon) -> None:
    """Leaves gpud those that it has up to the first gap, once what others had is given back."""
    seen: list[set[int]] = []

    def have_settled() -> bool:
        seen.append({int(name) for name in os.listdir(f"/proc/{daemon.pid}/fd")})
        return len(seen) > 20 and all(fds == seen[-1] for fds in seen[-20:])

    assert until(have_settled)
    open_now = seen[-1]
    limit_descriptors(daemon, next(n for n in range(1 << 16) if n not in open_now))


def test_no_descriptor_left_is_told(spawn: Spawn) -> None:
    daemon = spawn()
    before = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)[0]
    clients = [daemon.connect() for _ in range(5)]
    for client in clients:
        client.call("daemon.ping")
    take_all_descriptors(daemon)
    for _ in range(3):
        said = ask(daemon, 0, 0)
        assert said is not None and said.startswith("RESOURCE_EXHAUSTED: gpud has 5 connections"), said
        assert "RLIMIT_NOFILE = " in said
    assert clients[0].call("daemon.ping") == {}
    limit_descriptors(daemon, before)
    assert ask(daemon, 0, 0) is None
    for client in clients:
        client.close()


def test_accepting_goes_on_by_itself(spawn: Spawn) -> None:
    """Where not even the spare descriptor can be used, and then nobody's connection ends."""
    daemon = spawn()
    with daemon.connect() as client:
        client.call("daemon.ping")
        before = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)[0]
        limit_descriptors(daemon, 3)
        with daemon.connect(10) as waiting:
            ping = waiting.submit("daemon.ping")
            assert until(lambda: "cannot accept connections" in daemon.log())
            assert client.call("daemon.ping") == {}
            limit_descriptors(daemon, before)
            assert waiting.wait(ping) == {}
