"""The rows of any machine: small requests, allocations and the memory they take, on the software device."""

import shutil
import statistics
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from compare import Row, absolute, mean_row_of, row_of, skipped, take_turns
from sides import Cores, Process, Server, Side, Stage, anywhere

MIB = 1 << 20
DEPTH = 64
ALLOC_SIZE = 64 << 10
LIVE_SIZE = 256
N_IDLE = 1000
N_TURNS = 5


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    rounds: int
    trips: int
    pipelined: int
    pairs: int
    live: int

    @classmethod
    def of(cls, quick: bool, rounds: int | None) -> "Effort":
        if quick:
            return cls(rounds or 3, 500, 20_000, 6_000, 100_000)
        return cls(rounds or 9, 2_000, 100_000, 25_000, 1_000_000)


def put(cores: Cores, servers: list[Server], sides: list[Side]) -> None:
    for server in servers:
        server.place(cores.server)
    for side in sides:
        side.place(cores.client)


class SmallRequests:
    """gpud and its peers, each with its client, to be asked in turns."""

    def __init__(self, stage: Stage, drivers: str | None, effort: Effort) -> None:
        self.stage = stage
        self.drivers = drivers
        self.effort = effort
        self.gpud = stage.gpud(drivers)
        self.echo = stage.echo()
        self.aio_echo = stage.aio_echo()
        self.redis = stage.redis()
        self.lib = stage.lib(self.gpud)
        self.raw = stage.raw(self.gpud)
        self.raw_echo = stage.raw(self.echo)
        self.aio = stage.aio(self.gpud)
        self.aio_peer = stage.aio(self.aio_echo)
        self.aio_uv = stage.aio(self.echo)
        self.raw_redis = stage.raw(self.redis) if self.redis else None
        # Threads that come into being now are not confined to a core.
        self.raw.ask("pair", DEPTH, 1000, ALLOC_SIZE)
        sides = [self.lib, self.raw, self.raw_echo, self.aio, self.aio_peer, self.aio_uv, self.raw_redis]
        servers = [self.gpud, self.echo, self.aio_echo, self.redis]
        self.processes: list[Process] = [process for process in (*sides, *servers) if process]

    def put(self, cores: Cores) -> None:
        for process in self.processes:
            process.place(cores.server if isinstance(process, Server) else cores.client)

    def rows(self, cores: Cores) -> list[Row]:
        self.cores = cores
        self.put(cores)
        rows = [self.ping_c(), self.ping_python()]
        if self.raw_redis is None:
            why = "Redis is not installed"
            return [
                *rows,
                skipped("pipelined pings, depth 64", ">= 1.0 x", why),
                skipped("alloc + free of 64 KiB, depth 64", ">= 0.5 x", why),
            ]
        return [*rows, self.ping_pipelined(self.raw_redis), self.alloc_pipelined(self.raw_redis)]

    def ping_c(self) -> Row:
        """Each round has new processes: where their memory lies makes a tenth, for as long as they live."""
        trips = [self.ping_c_once() for _ in range(self.effort.rounds)]
        rounds = {name: [trip[name] for trip in trips] for name in trips[0]}
        return mean_row_of("daemon.ping, C client", "<= 1.15 x", "us", rounds, "libuv echo")

    def ping_c_once(self) -> dict[str, float]:
        n = self.effort.trips
        gpud, echo = self.stage.gpud(self.drivers), self.stage.echo()
        lib, raw, raw_echo = self.stage.lib(gpud), self.stage.raw(gpud), self.stage.raw(echo)
        put(self.cores, [gpud, echo], [lib, raw, raw_echo])
        turns = take_turns(
            N_TURNS,
            {
                "ours": lambda: lib.ask("ping", n)["median_us"],
                "libuv echo": lambda: raw_echo.ask("trip", n)["median_us"],
                "gpud, plain client": lambda: raw.ask("trip", n)["median_us"],
            },
        )
        self.stage.stop(lib, raw, raw_echo, gpud, echo)
        return {name: statistics.median(values) for name, values in turns.items()}

    def ping_python(self) -> Row:
        n = self.effort.trips
        rounds = take_turns(
            self.effort.rounds,
            {
                "ours": lambda: self.aio.ask("ping", n)["median_us"],
                "asyncio echo": lambda: self.aio_peer.ask("ping", n)["median_us"],
                "asyncio client of the libuv echo": lambda: self.aio_uv.ask("ping", n)["median_us"],
            },
        )
        return row_of("daemon.ping, Python asyncio", "<= 1.35 x", "us", rounds, "asyncio echo")

    def ping_pipelined(self, redis: Side) -> Row:
        n = self.effort.pipelined
        rounds = take_turns(
            self.effort.rounds,
            {
                "ours": lambda: self.raw.ask("pipe", DEPTH, n)["per_s"],
                "Redis PING": lambda: redis.ask("pipe", DEPTH, n)["per_s"],
                "libuv echo": lambda: self.raw_echo.ask("pipe", DEPTH, n)["per_s"],
                "libgpud": lambda: self.lib.ask("pipe", DEPTH, n)["per_s"],
                **self.redis_benchmark("ping_mbulk", n),
            },
        )
        return row_of(f"pipelined pings, depth {DEPTH}", ">= 1.0 x", "/s", rounds, "Redis PING")

    def alloc_pipelined(self, redis: Side) -> Row:
        n = self.effort.pairs
        rounds = take_turns(
            self.effort.rounds,
            {
                "ours": lambda: self.raw.ask("pair", DEPTH, n, ALLOC_SIZE)["per_s"],
                "Redis SET": lambda: redis.ask("set", DEPTH, self.effort.pipelined)["per_s"],
                "libgpud": lambda: self.lib.ask("pair", DEPTH, n, ALLOC_SIZE)["per_s"],
                **self.redis_benchmark("set", self.effort.pipelined),
            },
        )
        return row_of(f"alloc + free of 64 KiB, depth {DEPTH}", ">= 0.5 x", "/s", rounds, "Redis SET")

    def redis_benchmark(self, test: str, n: int) -> dict[str, Any]:
        program = shutil.which("redis-benchmark")
        if program is None or self.redis is None:
            return {}
        command = [
            program,
            "-s",
            self.redis.path,
            "-P",
            str(DEPTH),
            "-c",
            "1",
            "-n",
            str(n),
            "-t",
            test,
            "--csv",
        ]
        if len(self.cores.client) == 1:
            command = ["taskset", "-c", str(*self.cores.client), *command]

        def measure() -> float:
            text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            # "test","rps",... and below it the line of the one test.
            return float(text.splitlines()[1].split(",")[1].strip('"'))

        return {"redis-benchmark": measure}


def live_row(stage: Stage, drivers: str | None, effort: Effort, cores: Cores) -> Row:
    """Two gpuds, one of which holds many allocations and one few, churn in turns."""
    name = f"alloc + free at {effort.live:,} live against 1,000"
    few, many = stage.gpud(drivers), stage.gpud(drivers)
    few_side, many_side = stage.raw(few), stage.raw(many)
    try:
        few_side.ask("grow", 1000, LIVE_SIZE)
        many_side.ask("grow", effort.live, LIVE_SIZE)
        put(cores, [few, many], [few_side, many_side])
        n = effort.pairs
        rounds = take_turns(
            effort.rounds,
            {
                "ours": lambda: many_side.ask("churn", DEPTH, n, LIVE_SIZE)["us_each"],
                "1,000 live": lambda: few_side.ask("churn", DEPTH, n, LIVE_SIZE)["us_each"],
                "fresh pairs": lambda: many_side.ask("pair", DEPTH, n, LIVE_SIZE)["us_each"],
                "fresh pairs at 1,000": lambda: few_side.ask("pair", DEPTH, n, LIVE_SIZE)["us_each"],
            },
        )
    finally:
        stage.stop(few_side, many_side, few, many)
    return row_of(name, "<= 1.3 x", "us", rounds, "1,000 live")


def memcpy_row(stage: Stage, drivers: str | None, effort: Effort) -> Row:
    size = 256 * MIB
    gpud = stage.gpud(drivers)
    lib = stage.lib(gpud)
    try:
        lib.ask("region", size)
        lib.ask("mem", 0, 0, size)
        lib.ask("verify")
        put(anywhere(), [gpud], [lib])
        rounds = take_turns(
            effort.rounds,
            {
                "ours": lambda: size / lib.ask("copy", "put", size, 1)["median_us"] / 1e3,
                "memcpy": lambda: size / lib.ask("copy", "memcpy", size, 1)["median_us"] / 1e3,
                "device to region": lambda: size / lib.ask("copy", "get", size, 1)["median_us"] / 1e3,
            },
        )
    finally:
        stage.stop(lib, gpud)
    return row_of("256 MiB region to device", ">= 0.9 x", "GB/s", rounds, "memcpy")


def private_kib(gpud: Server) -> int:
    """Resident memory of gpud's own: the software device's memory is shared memory, and not counted."""
    resident = gpud.resident_kib()
    return resident["VmRSS"] - resident.get("RssShmem", 0)


def memory_rows(stage: Stage, drivers: str | None, effort: Effort) -> list[Row]:
    gpud = stage.gpud(drivers)
    warm, conns, live = stage.raw(gpud), stage.raw(gpud), stage.raw(gpud)
    try:
        warm.ask("pair", DEPTH, 1000, LIVE_SIZE)
        before = private_kib(gpud)
        conns.ask("idle", N_IDLE)
        time.sleep(0.2)
        per_conn = (private_kib(gpud) - before) / N_IDLE
        live.ask("grow", 1000, LIVE_SIZE)
        before = private_kib(gpud)
        live.ask("grow", 1000 + effort.live, LIVE_SIZE)
        per_live = (private_kib(gpud) - before) * 1024 / effort.live
    finally:
        stage.stop(live, conns, warm, gpud)
    return [
        absolute("resident memory per idle connection", "<= 16 KiB", "KiB", [per_conn]),
        absolute("resident memory per live allocation", "<= 400 bytes", "bytes", [per_live]),
    ]


def rows(stage: Stage, drivers: str | None, effort: Effort, cores: Cores, other: Cores) -> list[Row]:
    """Small requests on `cores`, which count, and on `other`, which become notes."""
    small = SmallRequests(stage, drivers, effort)
    found = small.rows(cores)
    if other != cores:
        for row, second in zip(found, small.rows(other), strict=True):
            if second.value is not None:
                row.notes[str(other)] = {"value": second.value, **second.notes}
                row.rounds.update({f"{name}, {other}": values for name, values in second.rounds.items()})
    stage.stop(*small.processes)
    found.append(live_row(stage, drivers, effort, cores))
    found.append(memcpy_row(stage, drivers, effort))
    return found + memory_rows(stage, drivers, effort)
