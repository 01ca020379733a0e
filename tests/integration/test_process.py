"""gpud as a process: how it starts, what it says when it cannot, and how it ends."""

import contextlib
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable

import pytest
from harness import BINARY, DRIVER_FILES, FAULTS, IS_ASAN, Daemon
from rpc import Client, Closed, Region, until
from users import needs_root

Spawn = Callable[..., Daemon]
DEVICE = "vulkan:0"

# How systemd starts a service with a socket as descriptor 3.
ACTIVATE = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" --config "$1"'


def run_to_end(daemon: Daemon, *arguments: str) -> tuple[int, str]:
    """Runs a gpud that is not to come up; its exit status and what it said."""
    done = subprocess.run(
        [*daemon.command(), *arguments],
        env=daemon.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it(spawn: Spawn, number: signal.Signals) -> None:
    daemon = spawn()
    assert daemon.process is not None
    with daemon.connect() as client:
        client.alloc(1 << 20, lifetime="persistent", name="left behind")
        client.alloc(1 << 20)
        daemon.process.send_signal(number)
        assert daemon.process.wait(60) == 0
        with pytest.raises((Closed, ConnectionError)):
            client.call("daemon.ping")
    assert not os.path.exists(daemon.socket)


def test_more_signals_change_nothing(spawn: Spawn) -> None:
    """Nor do they kill it while it gives its devices back."""
    daemon = spawn()
    assert daemon.process is not None
    while daemon.process.poll() is None:
        daemon.process.send_signal(signal.SIGTERM)
        time.sleep(0.001)
    daemon.stop()


def test_what_was_asked_before_the_signal_is_answered(spawn: Spawn) -> None:
    daemon = spawn()
    assert daemon.process is not None
    size = 256 << 20
    with daemon.connect() as client, Region(size) as region:
        shm = client.register(region)
        mem = client.alloc(size)
        copies = [client.submit("mem.write", {"mem": mem, "shm": shm, "size": size}) for _ in range(4)]
        # One that is answered says that those before it have been taken.
        client.call("daemon.ping")
        daemon.process.send_signal(signal.SIGTERM)
        for copy in copies:
            assert client.wait(copy) == {}
        assert daemon.process.wait(60) == 0


def test_a_client_that_does_not_read_holds_nothing_up(spawn: Spawn) -> None:
    """Replies that nobody takes get a few seconds at the end, not for ever."""
    daemon = spawn()
    with daemon.connect() as lazy:
        mem = lazy.alloc(65536)
        lazy.socket.settimeout(1)
        with contextlib.suppress(TimeoutError):
            for _ in range(200):
                lazy.submit("mem.read", {"mem": mem, "size": 65536})
        daemon.stop()


def test_end_when_a_call_of_its_own_is_due(spawn: Spawn) -> None:
    """Some milliseconds after 2 GiB were released gpud calls the driver by itself: not at its end."""
    daemon = spawn()
    with daemon.connect() as client:
        for size in [512 << 20] * 4 + [1 << 20]:
            # Driver calls go one after the other: when the small one is there, the large ones are gone.
            client.free(client.alloc(size, exportable=True))
        time.sleep(0.001)
        # Stopped until the call is due and the signal has come.
        os.kill(daemon.pid, signal.SIGSTOP)
        os.kill(daemon.pid, signal.SIGTERM)
        time.sleep(0.02)
        os.kill(daemon.pid, signal.SIGCONT)
        daemon.stop()


def test_new_connections_are_refused_while_it_drains(spawn: Spawn) -> None:
    daemon = spawn()
    assert daemon.process is not None
    size = 512 << 20
    with daemon.connect() as client, Region(size) as region:
        shm = client.register(region)
        mem = client.alloc(size)
        for _ in range(4):
            client.submit("mem.write", {"mem": mem, "shm": shm, "size": size})
        client.call("daemon.ping")
        daemon.process.send_signal(signal.SIGTERM)

        def is_refused() -> bool:
            try:
                with Client(daemon.socket, 5) as late:
                    late.call("daemon.ping")
                return False
            except (OSError, Closed):
                return True

        assert until(is_refused)
        assert daemon.process.wait(60) == 0


def test_stale_socket_is_replaced(spawn: Spawn) -> None:
    daemon = spawn()
    daemon.kill()
    assert os.path.exists(daemon.socket)
    daemon.start()
    with daemon.connect() as client:
        assert client.call("daemon.ping") == {}


def test_live_socket_is_refused(spawn: Spawn) -> None:
    daemon = spawn()
    status, said = run_to_end(daemon)
    assert status == 1
    assert daemon.socket in said
    assert said.strip().count("\n") < 3, said
    with daemon.connect() as client:
        assert client.call("daemon.ping") == {}


def test_file_in_the_way_is_kept(tmp_path: pathlib.Path) -> None:
    daemon = Daemon(tmp_path)
    pathlib.Path(daemon.socket).write_text("precious")
    status, said = run_to_end(daemon)
    assert status == 1
    assert daemon.socket in said
    assert pathlib.Path(daemon.socket).read_text() == "precious"


def test_socket_that_cannot_be(tmp_path: pathlib.Path) -> None:
    for path in (str(tmp_path / "missing" / "gpud.sock"), str(tmp_path / ("x" * 200))):
        daemon = Daemon(tmp_path)
        daemon.socket = path
        status, said = run_to_end(daemon)
        assert status == 1
        assert path in said


def test_no_device(tmp_path: pathlib.Path) -> None:
    daemon = Daemon(tmp_path, env={"VK_DRIVER_FILES": str(tmp_path / "none.json")})
    status, said = run_to_end(daemon)
    assert status == 1
    assert "Vulkan" in said or "device" in said
    assert not os.path.exists(daemon.socket)


def test_device_that_is_not_there(tmp_path: pathlib.Path) -> None:
    status, said = run_to_end(Daemon(tmp_path, gpu={"devices": "vulkan:0, vulkan:77"}))
    assert status == 1
    assert "vulkan:77" in said


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[gpud]\nsokcet = /tmp/x\n", "sokcet"),
        ("[gpud]\n[gpu]\nvalidation = perhaps\n", "perhaps"),
        ("[gpud]\nlog_level = loud\n", "loud"),
        ("[gpud]\nsocket_mode = 99\n", "99"),
        ("[gpud]\nsocket_group = no such group\n", "no such group"),
        ("[gpud]\nadmins = nobody-of-this-name\n", "nobody-of-this-name"),
        ("[gpu]\nstaging_bytes = 12Q\n", "12Q"),
        ("[gpu]\nstaging_bytes = -1\n", "-1"),
        ("[gpu]\nsegment_max = 99999999999999999999\n", "99999999999999999999"),
        ("[gpu]\nstaging_bytes =\n", "staging_bytes"),
        ("[gpu]\nstaging_bytes = 4K\n", "1M to 16G"),
        ("[gpud]\nconnections_max = 10000G\n", "1 to 1M"),
        ("[other]\nkey = 1\n", "[other] key = 1: there is no such section"),
        ("[gpud]\nlog-level = info\n", "did you mean log_level in [gpud]?"),
        ("[gpu]\nstaging_bytes = 1\n", "1M to 16G"),
        ("[gpu]\nstaging_bytes = 100G\n", "1M to 16G"),
        ("[gpu]\nblock_max = 3\n", "64K to 16G"),
        ("[gpud]\nconnections_max = 10000000\n", "1 to 1M"),
        ("[gpu]\nvalidation = maybe\n", "expected yes or no"),
        ("no section = 1\n", "no section"),
        ("[gpud]\nnonsense\n", "2"),
    ],
)
def test_bad_config_is_named(tmp_path: pathlib.Path, text: str, named: str) -> None:
    daemon = Daemon(tmp_path)
    daemon.config.write_text(text)
    status, said = run_to_end(daemon)
    assert status == 1
    assert named in said, said
    assert said.startswith(f"{daemon.config}:{text.count(chr(10))}: ")
    assert said.count("\n") == 1, said
    assert not os.path.exists(daemon.socket)
    assert run_to_end(daemon, "--check-config") == (1, said)


def test_every_fault_is_named_at_once(tmp_path: pathlib.Path) -> None:
    daemon = Daemon(tmp_path)
    lines = {
        "sokcet = /tmp/x": "[gpud] sokcet = /tmp/x: there is no such key; did you mean socket in [gpud]?",
        "connections_max = 10": None,
        "  connections_max = 0 ; none": "[gpud] connections_max = 0: expected a number from 1 to 1M",
        "# log_level = loud": None,
        "log_level=loud": "[gpud] log_level = loud: expected error, warning, info or debug",
        "[gpu]": None,
        f"devices = {'vulkan:0, ' * 18}": None,
        f"devices = {'vulkan:0, ' * 100}": "the line has 1011 bytes, limit N; "
        "words of a list may stand in several lines",
        "validation = maybe": "[gpu] validation = maybe: expected yes or no",
        "connections_max = 10 ": "[gpu] connections_max = 10: there is no such key; "
        "did you mean connections_max in [gpud]?",
        "quite = different": "[gpu] quite = different: there is no such key",
        # What is no line of the kind at all comes last, and only the first of them.
        "nonsense": 'expected "key = value" or "[section]"',
        "more nonsense": None,
    }
    daemon.config.write_text("[gpud]\n" + "\n".join(lines))
    status, said = run_to_end(daemon)
    assert status == 1
    # inih's limit, whatever it was built with.
    assert re.sub(r"limit \d+;", "limit N;", said).splitlines() == [
        f"{daemon.config}:{number}: {fault}" for number, fault in enumerate(lines.values(), 2) if fault
    ]
    assert run_to_end(daemon, "--check-config") == (1, said)


def test_config_that_is_right(tmp_path: pathlib.Path) -> None:
    """Only looked at: no device is opened, and nobody is in the way."""
    daemon = Daemon(tmp_path, gpud={"admins": "root"}, env={"VK_DRIVER_FILES": str(tmp_path / "none.json")})
    pathlib.Path(daemon.socket).write_text("precious")
    assert run_to_end(daemon, "--check-config") == (0, f"{daemon.config}: ok\n")


def test_config_that_cannot_be_read(tmp_path: pathlib.Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.config.unlink()
    said = f"cannot read {daemon.config}: No such file or directory\n"
    assert run_to_end(daemon) == run_to_end(daemon, "--check-config") == (1, said)
    daemon.config.mkdir()
    said = f"cannot read {daemon.config}: Is a directory\n"
    assert run_to_end(daemon) == run_to_end(daemon, "--check-config") == (1, said)


def test_start_that_fails_half_way(tmp_path: pathlib.Path) -> None:
    """With one descriptor more each time it fails at another place, and gives back what it has."""
    # The leak checker needs descriptors itself.
    env = {"VK_DRIVER_FILES": str(tmp_path / "none.json"), "ASAN_OPTIONS": "detect_leaks=0"}
    daemon = Daemon(tmp_path, env=env)
    said = ""
    for n_fds in range(8, 100):  # with fewer, libuv aborts

        def leave_few(n_fds: int = n_fds) -> None:
            """gpud refuses to start with a limit that is as low as that, so others have what it lacks."""
            resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
            null = os.open("/dev/null", os.O_RDONLY)
            while os.dup(null) < 99:
                pass
            os.set_inheritable(null, True)
            for fd in range(n_fds, 100):
                os.set_inheritable(fd, True)

        done = subprocess.run(
            daemon.command(),
            env=daemon.env,
            capture_output=True,
            text=True,
            timeout=60,
            close_fds=False,
            preexec_fn=leave_few,
        )
        said = done.stderr
        assert done.returncode == 1, said
        assert said
        assert "still open" not in said
        assert not any(fault in said for fault in FAULTS), said
        assert not os.path.exists(daemon.socket)
        if "Vulkan" in said:
            break
    assert "Vulkan" in said


def test_descriptors_that_are_too_few_are_told_at_the_start(spawn: Spawn, tmp_path: pathlib.Path) -> None:
    few = Daemon(tmp_path)
    done = subprocess.run(
        few.command(),
        env=few.env,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)),
    )
    assert done.returncode == 1
    assert "only 40 file descriptors are allowed (RLIMIT_NOFILE)" in done.stderr
    warning = "file descriptors are allowed (RLIMIT_NOFILE), too few for connections_max = "
    assert warning in spawn(gpud={"connections_max": 1 << 20}).log()
    assert warning not in spawn(gpud={"connections_max": 10}).log()


def test_file_size_limit_ends_the_log_alone(spawn: Spawn) -> None:
    """RLIMIT_FSIZE: where the log would be longer than allowed it ends, and no SIGXFSZ ends gpud."""
    daemon = spawn(gpud={"log_level": "debug"}, validation=False)
    limit = os.path.getsize(daemon.log_path) + 1000
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (limit, limit))
    for _ in range(100):
        with daemon.connect() as client:
            assert client.call("daemon.ping") == {}
    assert os.path.getsize(daemon.log_path) == limit
    daemon.stop()


@pytest.mark.skipif(DRIVER_FILES is not None, reason="a GPU's memory is no file")
def test_file_size_limit_is_told_at_the_start(tmp_path: pathlib.Path) -> None:
    """A software device's memory is a file, and gpud would end by SIGBUS where that cannot grow."""
    daemon = Daemon(tmp_path, validation=False)
    done = subprocess.run(
        daemon.command(),
        env=daemon.env,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30)),
    )
    assert done.returncode == 1
    assert f"no more than {1 << 30} bytes (RLIMIT_FSIZE)" in done.stderr
    assert "no Vulkan device can be opened" in done.stderr


@needs_root
@pytest.mark.parametrize("n", [1, 2, 3, 5, 7, 8, 10, 12, 200])
def test_with_few_threads_it_starts_or_says_why_not(tmp_path: pathlib.Path, n: int) -> None:
    """RLIMIT_NPROC, which binds no root. A driver that cannot start all its threads may wait for ever."""
    daemon = Daemon(tmp_path, validation=False)
    daemon.open_to_all()
    user = 61000 + n  # one that has no process yet
    with open(daemon.log_path, "wb") as log:
        process = daemon.process = subprocess.Popen(
            daemon.command(),
            env=daemon.env,
            stderr=log,
            user=user,
            group=user,
            extra_groups=[],
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (n, n)),
        )
    try:
        assert until(lambda: process.poll() is not None or os.path.exists(daemon.socket), 60)
        if process.poll() is not None:
            assert process.returncode == 1
            assert n < 200
            assert "raise the limit of processes (RLIMIT_NPROC, pids.max)" in daemon.log()
            return
        with daemon.enter() as client:
            mem = client.alloc(32 << 20)
            client.call("mem.fill", mem=mem, pattern=b"x")
            assert client.read(mem, 8) == b"xxxxxxxx"
        daemon.stop()
    finally:
        daemon.kill()


@pytest.mark.skipif(IS_ASAN, reason="AddressSanitizer reserves more than any limit")
def test_a_buffer_that_there_is_no_memory_for_is_named(tmp_path: pathlib.Path) -> None:
    daemon = Daemon(tmp_path, gpu={"staging_bytes": "16G"}, validation=False)
    done = subprocess.run(
        daemon.command(),
        env=daemon.env,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30)),
    )
    assert done.returncode == 1
    assert "there is no memory for staging_bytes = 17179869184" in done.stderr


def test_socket_mode(spawn: Spawn) -> None:
    daemon = spawn(gpud={"socket_mode": "0600"})
    assert os.stat(daemon.socket).st_mode & 0o777 == 0o600


def test_command_line(tmp_path: pathlib.Path) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout + done.stderr

    status, said = run("--version")
    assert (status, said.startswith("gpud ")) == (0, True)
    status, said = run("--help")
    assert status == 0
    assert "--socket" in said
    for wrong in (["--sokcet", "x"], ["argument"], ["--config"], ["--check-config"]):
        status, said = run(*wrong)
        assert status == 2, (wrong, said)
        assert said


def listening_socket(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(64)
    return listener


def test_socket_passed_by_systemd(tmp_path: pathlib.Path) -> None:
    """LISTEN_FDS: connections made before gpud runs are served by it, and the socket outlives it."""
    daemon = Daemon(tmp_path)
    with listening_socket(daemon.socket) as listener, Client(daemon.socket) as early:
        ping = early.submit("daemon.ping")

        def pass_listener() -> None:
            os.dup2(listener.fileno(), 3)

        for _ in range(2):
            with open(daemon.log_path, "ab") as log:
                daemon.process = subprocess.Popen(
                    ["/bin/sh", "-c", ACTIVATE, BINARY, str(daemon.config)],
                    env=daemon.env,
                    stderr=log,
                    preexec_fn=pass_listener,
                    close_fds=False,
                )
            try:
                if ping:
                    assert early.wait(ping) == {}
                    ping = 0
                with daemon.connect() as client:
                    assert client.call("daemon.ping") == {}
            finally:
                daemon.stop()
            assert os.path.exists(daemon.socket)


def test_passed_socket_of_a_wrong_kind(tmp_path: pathlib.Path) -> None:
    daemon = Daemon(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wrong:
        done = subprocess.run(
            [
                "/bin/sh",
                "-c",
                'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" --config "$1"',
                BINARY,
                str(daemon.config),
            ],
            env=daemon.env,
            capture_output=True,
            text=True,
            preexec_fn=lambda: os.dup2(wrong.fileno(), 3),
            close_fds=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert "socket" in done.stderr


def test_tells_systemd_when_it_is_ready_and_when_it_stops(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(60)
        daemon = Daemon(tmp_path, env={"NOTIFY_SOCKET": path})
        try:
            daemon.start()
            assert "READY=1" in notify.recv(4096).decode().split("\n")
            daemon.stop()
            assert "STOPPING=1" in notify.recv(4096).decode().split("\n")
        finally:
            daemon.kill()
