"""The real gpud in a child process: a socket and a configuration of its own, a log that is read afterwards,
and the books that must balance when it ends."""

import contextlib
import glob
import os
import pathlib
import shutil
import signal
import subprocess
import time
from typing import Any

from rpc import Client, Closed, RpcError, registered, until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.path.abspath(os.environ.get("GPUD_BINARY", ROOT / "build/gpud"))

# With AddressSanitizer everything takes several times as long.
IS_ASAN = "asan" in BINARY

# Set on a machine with a real GPU: the driver manifests to use in place of lavapipe's.
DRIVER_FILES = os.environ.get("GPUD_TEST_DRIVER_FILES")

# Lines that no log may have: the validation layer's and the sanitizers'.
FAULTS = ("validation:", "Sanitizer", "runtime error:", "Assertion")


def lavapipe_manifest() -> str:
    found = sorted(glob.glob("/usr/share/vulkan/icd.d/lvp_icd*.json"))
    assert found, "lavapipe is not installed: make deps"
    return found[0]


def driver_files() -> str:
    return DRIVER_FILES or lavapipe_manifest()


def has_validation_layer() -> bool:
    return any(
        glob.glob(f"{place}/vulkan/explicit_layer.d/VkLayer_khronos_validation.json")
        for place in ("/usr/share", "/usr/local/share", "/etc")
    )


class Daemon:
    def __init__(
        self,
        directory: pathlib.Path,
        gpud: dict[str, object] | None = None,
        gpu: dict[str, object] | None = None,
        env: dict[str, str] | None = None,
        validation: bool = True,
    ) -> None:
        """`gpud` and `gpu` are keys of the configuration's two sections."""
        self.binary = BINARY
        self.directory = directory
        self.socket = str(directory / "gpud.sock")
        self.config = directory / "gpud.conf"
        self.log_path = directory / "gpud.log"
        gpu = dict(gpu or {})
        self.validates = validation and has_validation_layer()
        if self.validates:
            gpu["validation"] = "yes"
        if not DRIVER_FILES:
            # What a test fills is memory of this machine, of which newer lavapipes offer all there is.
            gpu.setdefault("memory_max", "2G")
        with open(self.config, "w") as file:
            for section, keys in (("gpud", gpud or {}), ("gpu", gpu)):
                file.write(f"[{section}]\n")
                file.writelines(f"{key} = {value}\n" for key, value in keys.items())
        self.env = dict(os.environ, VK_DRIVER_FILES=driver_files(), XDG_CACHE_HOME=str(directory / "cache"))
        self.env.pop("JOURNAL_STREAM", None)
        self.env.setdefault(
            "LSAN_OPTIONS", f"suppressions={ROOT}/tests/integration/lsan.supp:print_suppressions=0"
        )
        self.env.update(env or {})
        self.process: subprocess.Popen[bytes] | None = None
        self.fds_idle = 0

    def open_to_all(self) -> None:
        """Lets every user reach the folder, with its program in it, and write there."""
        for folder in self.directory.parents[:2]:
            folder.chmod(folder.stat().st_mode | 0o055)
        self.directory.chmod(0o777)
        self.binary = shutil.copy(BINARY, self.directory / "gpud")

    def command(self) -> list[str]:
        return [self.binary, "--config", str(self.config), "--socket", self.socket]

    def start(self) -> "Daemon":
        """Starts it and waits until it answers."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), env=self.env, stderr=log, stdin=subprocess.DEVNULL
            )
        assert until(self._answers, 60), f"gpud does not answer:\n{self.log()}"
        if self.validates:
            # A layer that was not found would find nothing.
            assert "VkLayer_khronos_validation" in pathlib.Path(f"/proc/{self.pid}/maps").read_text()
        with self.enter() as client:
            self._warm_up(client)
            self._keep_a_block(client)
            self.fds_idle = self._count_idle_fds(client)
        return self

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"gpud ended with {self.process.returncode}:\n{self.log()}"
        try:
            with self.connect() as client:
                return client.call("daemon.ping") == {}
        except OSError:
            return False

    def connect(self, timeout: float = 300 if IS_ASAN else 120) -> Client:
        return Client(self.socket, timeout)

    def enter(self) -> Client:
        """A connection that is served, as soon as those before it have ended for gpud too."""

        def try_to() -> Client | None:
            with contextlib.ExitStack() as stack, contextlib.suppress(RpcError, Closed, OSError):
                client = stack.enter_context(self.connect())
                client.call("daemon.ping")
                stack.pop_all()
                return client
            return None

        client: Client | None = until(try_to)
        assert client is not None
        return client

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def resident_bytes(self) -> int:
        with open(f"/proc/{self.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    @staticmethod
    def _warm_up(client: Client) -> None:
        """Drivers open what they need when it is first needed: have every kind of work done once."""
        with registered(client, 1 << 20) as (_, shm):
            for device in client.call("device.list")["devices"]:
                mem = client.alloc(1 << 20, device=device["device"], exportable=True)
                for method in ("mem.write", "mem.read"):
                    client.call(method, mem=mem, shm=shm, size=1 << 20)
                client.call("mem.copy", src=mem, dst=mem, dst_offset=1, size=4096)
                client.call("mem.fill", mem=mem, pattern=b"x")
                client.free(mem)

    @staticmethod
    def _keep_a_block(client: Client) -> None:
        """gpud keeps an empty block for a user who had small allocations, and it may cost a descriptor: with
        one kept on each device, counts can be compared."""
        for device in client.call("device.list")["devices"]:
            client.free(client.alloc(1, device=device["device"]))

    @staticmethod
    def _count_idle_fds(client: Client) -> int:
        """Once what the warming up had is closed, a worker's part of it included: when the count stays."""
        counts = [-1]

        def has_settled() -> bool:
            status = client.call("daemon.status")
            is_alone = status["sessions"] == 1 and status["mems"] == status["shms"] == 0
            counts.append(status["fds"] if is_alone else -1)
            return counts[-1] >= 0 and counts[-5:] == 5 * counts[-1:]

        assert until(has_settled), f"descriptors of an idle gpud: {counts}"
        return counts[-1]

    def _describe_fds(self) -> list[str]:
        """What each is, to tell whose one too many is; those that are closed meanwhile are left out."""
        found = []
        for fd in pathlib.Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found.append(str(fd.readlink()))
        return sorted(found)

    def assert_idle(self) -> None:
        """All that clients had is back: allocations, regions, bytes, descriptors."""
        with self.enter() as client:
            self._keep_a_block(client)

            left: dict[str, Any] = {}

            def is_idle() -> bool:
                left.clear()
                status = client.call("daemon.status")
                left.update((key, status[key]) for key in ("mems", "shms") if status[key] != 0)
                if status["sessions"] != 1:
                    left["sessions"] = status["sessions"]
                if status["fds"] != self.fds_idle:
                    left["fds"] = (status["fds"], "at the start", self.fds_idle, self._describe_fds())
                for device in client.call("device.list")["devices"]:
                    used = client.call("device.memory", device=device["device"])["used"]
                    if used != 0:
                        left[device["device"]] = used
                return not left

            assert until(is_idle), left

    def assert_log_clean(self) -> None:
        faults = [line for line in self.log().splitlines() if any(word in line for word in FAULTS)]
        assert faults == []

    def kill(self) -> None:
        """For a test that went wrong."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """Asks it to end and checks that it does so well."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(60)
        self.kill()
        assert self.process.returncode == 0, (
            f"gpud ended with {self.process.returncode}:\n{self.log()[-4000:]}"
        )
        self.assert_log_clean()


def stopwatch() -> Any:
    """A function that says how many seconds went by since this call."""
    began = time.monotonic()
    return lambda: time.monotonic() - began
