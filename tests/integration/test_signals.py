"""Signals that do not end gpud."""

import os
import signal
from collections.abc import Callable

import pytest
from harness import Daemon
from rpc import until

Spawn = Callable[..., Daemon]

# By default each of these ends a process; SIGRTMAX stands for the real-time ones.
HARMLESS = [
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGPIPE,
    signal.SIGALRM,
    signal.SIGVTALRM,
    signal.SIGPROF,
    signal.SIGIO,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGPWR,
    signal.SIGXCPU,
    signal.SIGXFSZ,
    signal.SIGRTMIN,
    signal.SIGRTMAX,
]


def pending(pid: int) -> int:
    """Signals that wait to be taken by the process, as a mask."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1], 16) for line in file if line.startswith("ShdPnd"))


def test_harmless_signals_cost_nobody_his_bytes(spawn: Spawn) -> None:
    daemon = spawn()
    assert daemon.process is not None
    with daemon.connect() as client:
        mem = client.alloc(4096)
        client.write(mem, b"precious")
        for number in HARMLESS:
            os.kill(daemon.pid, number)
            assert until(lambda: pending(daemon.pid) == 0)
            assert client.read(mem, 8) == b"precious", number
        assert daemon.process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTSTP, signal.SIGSTOP])
def test_job_control_stays(spawn: Spawn, number: signal.Signals) -> None:
    daemon = spawn()

    def state() -> str:
        with open(f"/proc/{daemon.pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0]

    # A group without a terminal's session leader is an orphan, and the kernel stops none of those by SIGTSTP.
    if number == signal.SIGSTOP:
        os.kill(daemon.pid, number)
        assert until(lambda: state() == "T")
    else:
        with open(f"/proc/{daemon.pid}/status") as file:
            ignored = next(int(line.split()[1], 16) for line in file if line.startswith("SigIgn"))
        assert not ignored & 1 << number - 1
    os.kill(daemon.pid, signal.SIGCONT)
    with daemon.connect() as client:
        assert client.call("daemon.ping") == {}
