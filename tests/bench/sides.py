"""The processes of a benchmark: the servers, each with a socket of its own in one temporary folder, and the
sides, which measure. A side does what it is told, one line at a time, so that sides take turns."""

import collections
import contextlib
import glob
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Any

import msgpack

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent

# What takes longer will not end.
ANSWER_S = 120

# A GPU's while a gpud starts there, which submits some thousand times.
INTERRUPTS_MANY = 100


class BenchError(Exception):
    """The benchmark cannot go on; the message says why."""


@dataclass(frozen=True)
class Cores:
    """Where the first thread of a server and a client run. Their other threads run where they like."""

    server: frozenset[int]
    client: frozenset[int]

    def __str__(self) -> str:
        def listed(cores: frozenset[int]) -> str:
            return ",".join(map(str, sorted(cores)))

        if self.server == self.client == ALL:
            return "server and client anywhere"
        if len(self.server) > 1:
            return f"server and client anywhere but on {listed(ALL - self.server)}, which the GPU interrupts"
        if self.server == self.client:
            return f"server and client both on core {listed(self.server)}"
        return f"server on core {listed(self.server)}, client on core {listed(self.client)}"


ALL = frozenset(os.sched_getaffinity(0))


def siblings(core: int) -> frozenset[int]:
    """The hardware threads that share a core's units with this one."""
    try:
        text = pathlib.Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text()
    except OSError:
        return frozenset({core})
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def one_core() -> Cores:
    """Both on one core: the sum of their work, and no idle core to be woken, which in a virtual machine takes
    longer than the work and varies more."""
    last = frozenset({max(ALL)})
    return Cores(last, last)


def two_cores() -> Cores:
    """A core each, not two threads of one."""
    last = max(ALL)
    others = sorted(ALL - siblings(last)) or sorted(ALL)
    return Cores(frozenset({others[-1]}), frozenset({last}))


def anywhere() -> Cores:
    return Cores(ALL, ALL)


def device_interrupts() -> collections.Counter[int]:
    """The interrupts of devices that each core has had since the start; none where that is secret."""
    counts: collections.Counter[int] = collections.Counter()
    try:
        header, *lines = pathlib.Path("/proc/interrupts").read_text().splitlines()
    except OSError:
        return counts
    cores = [int(name.removeprefix("CPU")) for name in header.split()]
    for line in lines:
        number, *words = line.split()
        if number[:-1].isdigit():  # the kernel's own have names
            counts.update(dict(zip(cores, map(int, words[: len(cores)]), strict=True)))
    return counts


def quiet(since: collections.Counter[int]) -> Cores:
    """Anywhere but on the cores that devices have interrupted much since `since`: there a request takes
    longer, on gpud's side as on the client's."""
    now = device_interrupts()
    cores = frozenset(core for core in ALL if now[core] - since[core] < INTERRUPTS_MANY) or ALL
    return Cores(cores, cores)


def place(pid: int, cores: frozenset[int]) -> None:
    """Puts the first thread of a process there and all the others everywhere."""
    for task in os.listdir(f"/proc/{pid}/task"):
        # A thread may end meanwhile.
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task), cores if int(task) == pid else ALL)


class Process:
    def __init__(self, command: list[str], **popen: Any) -> None:
        self.command = command
        self.process = subprocess.Popen(command, **popen)

    @property
    def pid(self) -> int:
        return self.process.pid

    def place(self, cores: frozenset[int]) -> None:
        place(self.pid, cores)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


class Server(Process):
    def __init__(self, name: str, path: str, command: list[str], **popen: Any) -> None:
        super().__init__(command, stdin=subprocess.DEVNULL, **popen)
        self.name = name
        self.path = path

    def wait_until_up(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise BenchError(f"{self.name} ended at once: {' '.join(self.command)}\n{self.log()}")
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
                sock.connect(self.path)
                return
            time.sleep(0.02)
        raise BenchError(f"{self.name} does not come up\n{self.log()}")

    def call(self, method: str) -> Any:
        """Of a gpud: the result of a method that takes no arguments."""
        unpacker = msgpack.Unpacker()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(ANSWER_S)
            sock.connect(self.path)
            sock.sendall(msgpack.packb([0, 0, method, []]))
            while data := sock.recv(1 << 16):
                unpacker.feed(data)
                for _, _, error, result in unpacker:
                    if error is None:
                        return result
                    raise BenchError(f"{method}: {error['message']}")
        raise BenchError(f"gpud does not answer\n{self.log()}")

    def log(self) -> str:
        log = pathlib.Path(f"{self.path}.log")
        return log.read_text(errors="replace")[-4000:] if log.exists() else ""

    def resident_kib(self) -> dict[str, int]:
        """The lines of /proc/PID/status about resident memory."""
        found = {}
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.startswith(("VmRSS", "Rss")):
                found[key] = int(value.split()[0])
        return found


class Side(Process):
    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        super().__init__(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        self.told = ""

    def start(self, *words: object) -> None:
        """Tells it what to do and does not wait."""
        assert self.process.stdin
        self.told = " ".join(map(str, words))
        try:
            self.process.stdin.write(f"{self.told}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise BenchError(f"{' '.join(self.command)} has ended") from None

    def finish(self) -> dict[str, Any]:
        """What came of it."""
        assert self.process.stdout
        # Between two answers nothing of them is buffered here.
        if not select.select([self.process.stdout], [], [], ANSWER_S)[0]:
            raise BenchError(f"{' '.join(self.command)} hangs at: {self.told}")
        line = self.process.stdout.readline()
        if not line:
            raise BenchError(f"{' '.join(self.command)} has ended at: {self.told}")
        result: dict[str, Any] = json.loads(line)
        return result

    def ask(self, *words: object) -> dict[str, Any]:
        self.start(*words)
        return self.finish()


def lavapipe() -> str | None:
    found = sorted(glob.glob("/usr/share/vulkan/icd.d/lvp_icd*.json"))
    return found[0] if found else None


class Stage:
    """All processes of a benchmark; as a context manager it ends them."""

    def __init__(self, build: pathlib.Path, helpers: pathlib.Path) -> None:
        self.build = build
        self.helpers = helpers
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="gpud-bench-"))
        self.processes: list[Process] = []
        self.env = dict(os.environ)
        # The package, and libgpud for it.
        for name, path in (("PYTHONPATH", ROOT / "python-client/src"), ("LD_LIBRARY_PATH", build.resolve())):
            self.env[name] = os.pathsep.join(filter(None, (str(path), os.environ.get(name))))
        self.n_servers = 0

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *error: object) -> None:
        for process in reversed(self.processes):
            process.stop()
        shutil.rmtree(self.directory)

    def stop(self, *processes: Process) -> None:
        for process in processes:
            process.stop()
            self.processes.remove(process)

    def _path(self, name: str) -> str:
        self.n_servers += 1
        return str(self.directory / f"{name}{self.n_servers}")

    def _server(self, name: str, path: str, command: list[str], **popen: Any) -> Server:
        # The log lies beside the socket.
        with open(f"{path}.log", "wb") as log:
            server = Server(name, path, command, stdout=log, stderr=log, **popen)
        self.processes.append(server)
        server.wait_until_up()
        return server

    def gpud(self, drivers: str | None = None) -> Server:
        """A gpud on the devices of these driver manifests, or on all that the machine has."""
        path = self._path("gpud")
        config = pathlib.Path(f"{path}.conf")
        config.write_text("[gpud]\nconnections_max = 4096\n")
        env = dict(self.env, XDG_CACHE_HOME=str(self.directory / "cache"))
        env.pop("JOURNAL_STREAM", None)
        if drivers is not None:
            env["VK_DRIVER_FILES"] = drivers
        command = [str(self.build / "gpud"), "--config", str(config), "--socket", path]
        server = self._server("gpud", path, command, env=env)
        # It listens before it opens the devices, and Mesa moves the thread that does over all cores and back.
        server.call("daemon.ping")
        return server

    def echo(self) -> Server:
        path = self._path("echo")
        return self._server("echo", path, [str(self.helpers / "echo"), path])

    def aio_echo(self) -> Server:
        path = self._path("aio")
        return self._server("asyncio echo", path, [sys.executable, str(HERE / "aio.py"), "serve", path])

    def redis(self) -> Server | None:
        """Redis with nothing on disk; None where it is not installed."""
        # Debian's redis-tools alone has the server, under the name of one that checks files; the package
        # redis-server would start a service nobody asked for.
        program = shutil.which("redis-server") or shutil.which("redis-check-rdb")
        if program is None:
            return None
        path = self._path("redis")
        command = ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no"]
        command += ["--dir", str(self.directory)]
        return self._server("Redis", path, command, executable=program)

    def _side(self, command: list[str]) -> Side:
        side = Side(command, self.env)
        self.processes.append(side)
        return side

    def raw(self, server: Server) -> Side:
        kind = {"gpud": "gpud", "Redis": "redis"}.get(server.name, "echo")
        return self._side([str(self.helpers / "raw"), kind, server.path])

    def lib(self, server: Server) -> Side:
        return self._side([str(self.helpers / "lib"), server.path])

    def aio(self, server: Server, *options: str) -> Side:
        kind = "gpud" if server.name == "gpud" else "echo"
        return self._side([sys.executable, str(HERE / "aio.py"), kind, server.path, *options])

    def torch(self) -> Side:
        return self._side([sys.executable, str(HERE / "pytorch.py")])
