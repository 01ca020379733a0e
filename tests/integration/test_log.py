"""The log: how lines look, and that nobody waits for who reads them."""

import contextlib
import os
import pathlib
import pty
import re
import signal
import socket
import subprocess
import termios
from collections.abc import Callable, Iterator

import pytest
from harness import Daemon
from rpc import Closed, RpcError, until
from users import needs_root

# As gpud writes them where it is no journal that reads.
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}[+-]\d{4} gpud: (error|warning|info|debug): ")


@contextlib.contextmanager
def running(daemon: Daemon, prepare: str = "", **options: object) -> Iterator[Daemon]:
    """A gpud that is started by a line of shell, with `stderr` as the caller says."""
    command = ["/bin/sh", "-c", f'{prepare} exec "$0" "$@"', *daemon.command()]
    daemon.process = subprocess.Popen(command, env=daemon.env, **options)  # type: ignore[call-overload]
    try:
        assert until(daemon._answers, 60)
        yield daemon
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(60) == 0
    finally:
        daemon.kill()


def make_it_log(daemon: Daemon, n_lines: int) -> None:
    """One line each: with log_level = debug, a session that begins is one, and one that ends."""
    for _ in range(n_lines):
        with daemon.connect(20) as client:
            client.call("daemon.ping")


def test_lines_have_time_and_level(tmp_path: pathlib.Path) -> None:
    daemon = Daemon(tmp_path, validation=False)
    with open(daemon.log_path, "wb") as log, running(daemon, stderr=log):
        pass
    lines = daemon.log().splitlines()
    assert lines
    assert all(LINE.match(line) for line in lines), lines


def test_levels_for_the_journal_only(tmp_path: pathlib.Path) -> None:
    """JOURNAL_STREAM is inherited by who has another stderr, so it must name what stderr is."""
    daemon = Daemon(tmp_path, validation=False)
    with open(daemon.log_path, "wb") as log:
        status = os.fstat(log.fileno())
        daemon.env["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
        with running(daemon, stderr=log):
            pass
    lines = daemon.log().splitlines()
    assert lines
    assert all(re.match(r"<\d>", line) for line in lines), lines
    daemon.env["JOURNAL_STREAM"] = "1:2"
    with open(daemon.log_path, "wb") as log, running(daemon, stderr=log):
        pass
    assert all(LINE.match(line) for line in daemon.log().splitlines())


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_descriptors(tmp_path: pathlib.Path, closed: str) -> None:
    """No socket gets such a number, to have lines of the log written to it or to be closed by a library."""
    daemon = Daemon(tmp_path, gpud={"connections_max": 1}, validation=False)
    with open(daemon.log_path, "wb") as log, running(daemon, f"exec {closed};", stderr=log):
        for number in range(3):
            name = os.readlink(f"/proc/{daemon.pid}/fd/{number}")
            assert name == "/dev/null" or not name.startswith(("socket:", "anon_inode:")), name
        with daemon.enter() as first:
            for _ in range(1000):
                with daemon.connect() as other, pytest.raises((RpcError, Closed)):
                    other.wait(None)
            assert first.call("daemon.ping") == {}


def blocked_in(pid: int) -> str:
    return pathlib.Path(f"/proc/{pid}/wchan").read_text()


def test_who_freed_what_can_be_told(spawn: Callable[..., Daemon]) -> None:
    daemon = spawn(gpud={"log_level": "debug"})
    with daemon.connect() as client:
        session = client.call("session.hello")["session"]
        freed = client.alloc(100, name="weights")
        forced = client.alloc(4 << 20, exportable=True)
        lost = client.alloc(300)
        client.free(freed)
        client.call("mem.free", mem=forced, force=True)
    by = rf"by session {session} of uid {os.getuid()}, process {os.getpid()} \("
    for mem, what, events in (
        (freed, r"100 bytes of vulkan:0, uid \d+, name weights", ("is allocated", "is freed")),
        (forced, r"4194304 bytes of vulkan:0, uid \d+, name none", ("is allocated", "is freed by force")),
        (lost, r"300 bytes of vulkan:0, uid \d+, name none", ("is allocated",)),
    ):
        for event in events:
            assert re.search(rf"debug: allocation {mem} \({what}\): {event} {by}", daemon.log())
        assert until(lambda mem=mem: re.search(rf"allocation {mem} .*: is gone", daemon.log()))
    assert re.search(rf"debug: session {session} of uid .*: ends", daemon.log())


def fill(fd: int) -> None:
    """Leaves no room in a pipe or socket."""
    os.set_blocking(fd, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(fd, b"x" * 4096)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(fd, b"x")
    os.set_blocking(fd, True)


def drain(fd: int) -> bytes:
    os.set_blocking(fd, False)
    data = b""
    with contextlib.suppress(BlockingIOError):
        while part := os.read(fd, 1 << 16):
            data += part
    return data


def tells_of_dropped(daemon: Daemon, reader: int) -> bool:
    """Whether lines that come when there is room again say how many did not."""
    said = b""

    def has_told() -> bool:
        nonlocal said
        said += drain(reader)
        make_it_log(daemon, 1)
        return re.search(rb"warning: \d+ lines were dropped", said) is not None

    return until(has_told) is True


@pytest.mark.parametrize(
    "kind", ["pipe", "socket", pytest.param("a pipe that it may not open", marks=needs_root)]
)
def test_a_reader_that_stalls_holds_nobody_up(tmp_path: pathlib.Path, kind: str) -> None:
    if kind == "socket":
        ours, theirs = socket.socketpair()
        reader, writer = ours.detach(), theirs.detach()
    else:
        reader, writer = os.pipe()
    daemon = Daemon(tmp_path, gpud={"log_level": "debug"}, validation=False)
    user = None
    if kind.endswith("open"):
        # Owned by root with mode 0600, as every pipe is by who made it.
        user = 65533
        daemon.open_to_all()
    with running(daemon, stderr=writer, user=user, group=user, extra_groups=[] if user else None):
        drain(reader)
        fill(writer)
        make_it_log(daemon, 50)
        assert tells_of_dropped(daemon, reader)
        os.close(writer)
        make_it_log(daemon, 1)
    os.close(reader)


def test_a_reader_that_goes_holds_nobody_up(tmp_path: pathlib.Path) -> None:
    reader, writer = os.pipe()
    daemon = Daemon(tmp_path, gpud={"log_level": "debug"}, validation=False)
    with running(daemon, stderr=writer):
        os.close(writer)
        os.close(reader)
        make_it_log(daemon, 5)


def test_a_terminal_that_is_stopped_holds_nobody_up(tmp_path: pathlib.Path) -> None:
    """And what the terminal does for others stays as it was: they did not ask for O_NONBLOCK."""
    ours, terminal = pty.openpty()
    daemon = Daemon(tmp_path, gpud={"log_level": "debug"}, validation=False)
    with running(daemon, stderr=terminal):
        assert os.get_blocking(terminal)
        termios.tcflow(terminal, termios.TCOOFF)
        make_it_log(daemon, 5)
        termios.tcflow(terminal, termios.TCOON)
        assert tells_of_dropped(daemon, ours)
    os.close(ours)
    os.close(terminal)


def test_what_ends_the_start_is_said_all_the_same(tmp_path: pathlib.Path) -> None:
    """To a reader that is slow: the pipe is full when gpud complains, and read a little later."""
    reader, writer = os.pipe()
    fill(writer)
    daemon = Daemon(tmp_path)
    pathlib.Path(daemon.socket).write_text("in the way")
    process = subprocess.Popen(daemon.command(), env=daemon.env, stderr=writer)
    os.close(writer)
    assert until(lambda: blocked_in(process.pid) not in ("", "0"))
    said = b""
    while part := os.read(reader, 1 << 16):
        said += part
    assert b"is no socket" in said.strip(b"x")
    assert process.wait(60) == 1
    os.close(reader)
