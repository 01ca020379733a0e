"""SIGHUP has gpud read its configuration again, SIGUSR1 tell how it is."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable

import pytest
from harness import BINARY, Daemon
from rpc import Closed, Region, RpcError, until
from users import as_user, needs_root

Spawn = Callable[..., Daemon]


def rewrite(daemon: Daemon, **gpud: object) -> None:
    """Replaces the keys of the first section, and keeps those of the second."""
    rest = daemon.config.read_text().partition("[gpu]")[2]
    lines = "".join(f"{key} = {value}\n" for key, value in gpud.items())
    daemon.config.write_text(f"[gpud]\n{lines}[gpu]{rest}")


def reload(daemon: Daemon) -> str:
    """What gpud says of it."""
    before = len(daemon.log())
    os.kill(daemon.pid, signal.SIGHUP)
    assert until(lambda: re.search(r"read again|is refused", daemon.log()[before:]))
    return daemon.log()[before:]


def test_what_may_change_changes(spawn: Spawn) -> None:
    daemon = spawn(gpud={"connections_max": 10, "shm_max": "1M"})
    with daemon.connect() as client, Region(1 << 20) as small, Region(2 << 20) as large:
        client.register(small)
        assert client.refusal("shm.register", [large.fd], size=large.size).name == "RESOURCE_EXHAUSTED"
        rewrite(daemon, connections_max=1, connections_reserved=0, shm_max="3M", log_level="debug")
        said = reload(daemon)
        for key in ("connections_max", "connections_reserved", "shm_max", "log_level"):
            assert f"[gpud] {key} changes" in said
        assert "cannot change" not in said
        with daemon.connect() as other, pytest.raises(RpcError, match="limit connections_max = 1"):
            other.wait(None)
        client.register(large)
        # Less than there is already: what there is stays, and there is no room for more.
        rewrite(daemon, shm_max="1M", log_level="debug")
        reload(daemon)
        assert client.call("session.hello")["limits"]["shm_max"] == 1 << 20
        refusal = client.refusal("shm.register", [small.fd], size=small.size)
        assert refusal.name == "RESOURCE_EXHAUSTED" and "shm_max = 1048576" in refusal.message
        with daemon.connect() as other:
            assert other.call("daemon.ping") == {}
        assert "debug: session" in daemon.log()
        assert "changes" not in reload(daemon)


@needs_root
def test_administrators_change_for_those_who_are_connected(spawn: Spawn) -> None:
    """The list is written anew: who is on it is one at once, and who is not any more is none."""
    uid = 1005
    daemon = spawn()
    with as_user(daemon, uid, []) as connect:
        client = connect()
        assert client.call("session.hello")["is_admin"] is False
        for admins in (str(uid), "daemon", f"daemon, {uid}", ""):
            rewrite(daemon, admins=admins)
            assert "[gpud] admins changes" in reload(daemon)
            assert client.call("session.hello")["is_admin"] is (str(uid) in admins)


def test_what_cannot_change_is_said(spawn: Spawn) -> None:
    daemon = spawn()
    with daemon.connect() as client:
        mem = client.alloc(1)
        rewrite(daemon, socket_mode="0600", connections_max=77)
        text = daemon.config.read_text()
        daemon.config.write_text(text + "block_max = 1M\ndevices = vulkan:0\n")
        said = reload(daemon)
        for key in ("[gpud] socket_mode", "[gpu] block_max", "[gpu] devices"):
            assert said.count(f"warning: {key} cannot change while gpud runs") == 1
        assert said.count("cannot change") == 3
        assert "[gpud] connections_max changes" in said
        assert os.stat(daemon.socket).st_mode & 0o777 == 0o660
        assert client.read(mem, 1) == b"\0"


@pytest.mark.parametrize("broken", ["a fault", "no file", "a folder"])
def test_a_broken_file_changes_nothing(spawn: Spawn, broken: str) -> None:
    daemon = spawn(gpud={"connections_max": 50})
    if broken == "a fault":
        rewrite(daemon, connections_max=1, shm_max="lots")
    else:
        daemon.config.unlink()
    if broken == "a folder":
        daemon.config.mkdir()
    said = reload(daemon)
    assert f"{daemon.config} is refused: gpud goes on as it is configured" in said
    assert "changes" not in said
    if broken == "a fault":
        assert re.search(rf"error: {daemon.config}:3: \[gpud\] shm_max = lots: expected a size", said)
    with daemon.connect() as client, daemon.connect() as other:
        assert client.call("daemon.ping") == other.call("daemon.ping") == {}


def test_without_a_file_there_is_nothing_to_read(tmp_path: pathlib.Path) -> None:
    daemon = Daemon(tmp_path, validation=False)
    with open(daemon.log_path, "wb") as log:
        daemon.process = subprocess.Popen([BINARY, "--socket", daemon.socket], env=daemon.env, stderr=log)
    try:
        assert until(daemon._answers, 60)
        os.kill(daemon.pid, signal.SIGHUP)
        assert until(lambda: "gpud was started without --config" in daemon.log())
        daemon.stop()
    finally:
        daemon.kill()


def test_many_at_once(spawn: Spawn) -> None:
    """The last counts, and none is lost among those before."""
    daemon = spawn(gpud={"connections_max": 4096})
    for n in range(30):
        rewrite(daemon, connections_max=3 + n % 2)
        os.kill(daemon.pid, signal.SIGHUP)
    rewrite(daemon, connections_max=2)
    os.kill(daemon.pid, signal.SIGHUP)
    with daemon.enter(), daemon.enter():

        def is_full() -> bool:
            with daemon.connect() as third:
                try:
                    third.call("daemon.ping")
                except (RpcError, Closed, OSError):
                    return "limit connections_max = 2" in daemon.log()
            return False

        assert until(is_full)


def test_systemd_is_told(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(60)
        daemon = Daemon(tmp_path, env={"NOTIFY_SOCKET": path})
        try:
            daemon.start()
            assert "READY=1" in notify.recv(4096).decode().split("\n")
            for is_broken in (False, True):
                if is_broken:
                    daemon.config.write_text("nonsense")
                before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
                os.kill(daemon.pid, signal.SIGHUP)
                told = notify.recv(4096).decode().split("\n")
                assert "RELOADING=1" in told
                times = [int(line.partition("=")[2]) for line in told if line.startswith("MONOTONIC_USEC=")]
                assert len(times) == 1 and times[0] >= before_us
                assert "READY=1" in notify.recv(4096).decode().split("\n")
            daemon.stop()
        finally:
            daemon.kill()


def test_state_is_told(spawn: Spawn) -> None:
    """At every level: whoever sends the signal wants to know."""
    daemon = spawn(gpud={"log_level": "error"})
    with daemon.connect() as client:
        client.alloc(12345, lifetime="session")
        client.alloc(54321)
        os.kill(daemon.pid, signal.SIGUSR1)
        assert until(lambda: "available" in daemon.log())
        told = re.findall(r"gpud: info: (.*)", daemon.log())
        assert told[0].startswith("1 sessions, 2 allocations, 0 regions, 0 requests in flight; ")
        assert re.match(r"vulkan:0: 66666 bytes in 2 allocations, \d+ reserved, \d+ available$", told[1])


def test_the_unit_reloads_by_the_signal() -> None:
    unit = (pathlib.Path(__file__).parents[2] / "systemd/gpud.service").read_text()
    assert "kill -HUP ${MAINPID}" in unit
