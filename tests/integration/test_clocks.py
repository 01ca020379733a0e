"""The wall clock is set while gpud runs: leases, ages and the uptime do not notice."""

import mmap
import os
import pathlib
import struct
import subprocess
import time
from collections.abc import Iterator

import pytest
from harness import IS_ASAN, Daemon
from rpc import Client, until

# Loaded into gpud: shifts its wall clock by as many seconds as a file says, while it runs.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static const volatile int64_t *shift;
static int (*real_gettime)(clockid_t id, struct timespec *now);

__attribute__((constructor)) static void load(void) {
        int fd = open(getenv("GPUD_TEST_SHIFT"), O_RDONLY | O_CLOEXEC);

        real_gettime = dlsym(RTLD_NEXT, "clock_gettime");
        shift = mmap(NULL, sizeof(*shift), PROT_READ, MAP_SHARED, fd, 0);
}

int clock_gettime(clockid_t id, struct timespec *now) {
        int r = real_gettime(id, now);

        if (r == 0 && id == CLOCK_REALTIME)
                now->tv_sec += *shift;
        return r;
}
"""

HOUR_S = 3600
CLOCK_BOOTTIME = 7
LEASED = {"device": "vulkan:0", "size": 1, "lifetime": "persistent"}


class Wall:
    """gpud's wall clock."""

    def __init__(self, path: pathlib.Path) -> None:
        path.write_bytes(bytes(mmap.PAGESIZE))
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self.set(0)

    def set(self, shift_s: int) -> None:
        self._shift_s = shift_s
        struct.pack_into("=q", self._map, 0, shift_s)

    def is_now(self, shown_ns: int, seconds_off: float = 0) -> bool:
        """Whether a time that gpud shows is now by its wall clock, or that many seconds from now."""
        return abs(shown_ns / 1e9 - self._shift_s - seconds_off - time.time()) < 30


@pytest.fixture
def wall(tmp_path: pathlib.Path) -> Wall:
    return Wall(tmp_path / "shift")


@pytest.fixture
def daemon(tmp_path: pathlib.Path, wall: Wall) -> Iterator[Daemon]:
    source, library = tmp_path / "shim.c", tmp_path / "shim.so"
    source.write_text(SHIM)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    env = {"LD_PRELOAD": str(library), "GPUD_TEST_SHIFT": str(tmp_path / "shift")}
    if IS_ASAN:
        env["ASAN_OPTIONS"] = "verify_asan_link_order=0"
    daemon = Daemon(tmp_path, env=env)
    try:
        yield daemon.start()
        daemon.assert_idle()
        daemon.stop()
    finally:
        daemon.kill()


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with daemon.connect() as client:
        yield client


@pytest.mark.parametrize("step_s", [100 * HOUR_S, -100 * HOUR_S])
def test_a_lease_ends_neither_early_nor_late(client: Client, wall: Wall, step_s: int) -> None:
    keeper = client.call("mem.alloc", ttl_s=HOUR_S, **LEASED)["mem"]
    brief = client.call("mem.alloc", ttl_s=2, name="brief", **LEASED)["mem"]
    began = time.monotonic()
    with_lease = [keeper, brief]
    wall.set(step_s)
    for mem in with_lease:
        client.call("mem.close", mem=mem)
    assert client.call("mem.info", mem=brief)["expires_ns"] is not None
    assert until(lambda: len(client.list_mems()) == 1, 10)
    assert 1.9 < time.monotonic() - began < 6
    info = client.call("mem.info", mem=keeper)
    assert wall.is_now(info["expires_ns"], HOUR_S)
    # One that is made now, and one that is renewed, runs by the same clock.
    renewed = client.call("mem.renew", mem=keeper, ttl_s=2 * HOUR_S)
    assert wall.is_now(renewed["expires_ns"], 2 * HOUR_S)
    client.free(keeper)


def test_ages_go_by_time_that_went_by(client: Client, wall: Wall) -> None:
    """What gpud shows is the wall clock's, as it is now: so a reader's "so long ago" is right."""
    mem = client.alloc(1)
    for step_s in (0, 100 * HOUR_S, -100 * HOUR_S):
        wall.set(step_s)
        status = client.call("daemon.status")
        assert status["uptime_s"] < 60
        assert wall.is_now(status["started_ns"])
        assert wall.is_now(client.call("mem.info", mem=mem)["created_ns"])
        assert wall.is_now(client.list_sessions()[0]["connected_ns"])
    client.free(mem)


def test_what_is_shown_does_not_jitter(client: Client) -> None:
    mem = client.call("mem.alloc", ttl_s=HOUR_S, **LEASED)["mem"]
    assert len({client.call("mem.info", mem=mem)["expires_ns"] for _ in range(1000)}) == 1
    client.free(mem)


def test_the_longest_lease(client: Client, wall: Wall) -> None:
    """Wherever the wall clock is, the time that is shown fits into its 64 bits."""
    mem = client.call("mem.alloc", ttl_s=(1 << 64) - 1, **LEASED)["mem"]
    for step_s in (0, 100 * HOUR_S, -100 * HOUR_S):
        wall.set(step_s)
        assert client.call("mem.info", mem=mem)["expires_ns"] > 1 << 63
    client.free(mem)


def test_a_suspended_machine_delays_no_lease(daemon: Daemon, client: Client) -> None:
    """The timer of leases is one that goes on meanwhile, and it is set for when the first one ends."""
    mem = client.call("mem.alloc", ttl_s=HOUR_S, **LEASED)["mem"]
    timers = []
    for name in os.listdir(f"/proc/{daemon.pid}/fdinfo"):
        lines = pathlib.Path(f"/proc/{daemon.pid}/fdinfo/{name}").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        if "clockid" in fields:
            timers.append((int(fields["clockid"]), fields["it_value"]))
    assert [clock for clock, _ in timers] == [CLOCK_BOOTTIME]
    assert HOUR_S - 60 < int(timers[0][1].strip(" (").split(",")[0]) <= HOUR_S
    client.free(mem)
