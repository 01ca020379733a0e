"""The rows of a machine with a real GPU: bytes over the link and on the device, beside PyTorch; and what
others feel while one allocates or moves much."""

import array
import pathlib
import statistics
from dataclasses import dataclass
from typing import Any

from compare import Measure, Row, absolute, row_of, skipped, take_turns
from cpu import put
from sides import Cores, Server, Side, Stage

MIB = 1 << 20
GIB = 1 << 30
SMALL = 4096
HUGE = 64 * GIB
BULK_GIB = 50
# What it takes to spin as PyTorch does.
LONG_SPIN_US = 1500
# Copies of ordinary memory in a turn. After a pause a virtual machine may have to get its pages again.
N_BYTES = 7


@dataclass
class Samples:
    """What a watching side wrote: when each call began and how long it took, in microseconds."""

    times: list[tuple[float, float]]

    @classmethod
    def read(cls, path: pathlib.Path) -> "Samples":
        numbers = array.array("d")
        numbers.frombytes(path.read_bytes())
        return cls(list(zip(numbers[::2], numbers[1::2], strict=True)))

    def during(self, began: float, ended: float) -> list[float]:
        """How long those took that were on their way in that time."""
        return sorted(us for start, us in self.times if start < ended and start + us > began)


def percentile(times: list[float], part: float) -> float:
    return times[int(part * (len(times) - 1))]


class Gpu:
    def __init__(
        self, stage: Stage, gpud: Server, torch: Side | None, torch_devices: int, cores: Cores, rounds: int
    ) -> None:
        self.stage = stage
        self.rounds = rounds
        self.torch = torch
        self.torch_devices = torch_devices
        self.gpud = gpud
        self.echo = stage.echo()
        self.lib = stage.lib(gpud)
        self.watcher = stage.lib(gpud)
        self.raw_echo = stage.raw(self.echo)
        self.cores = cores
        self.devices: list[dict[str, Any]] = self.lib.ask("devices")["devices"]

    def rows(self) -> list[Row]:
        self.lib.ask("region", GIB)
        self.lib.ask("mem", 0, 0, GIB)
        self.lib.ask("mem", 1, 0, GIB)
        self.lib.ask("verify")
        self.watcher.ask("region", MIB)
        self.watcher.ask("mem", 0, 0, MIB)
        put(self.cores, [self.gpud, self.echo], [self.lib, self.raw_echo])
        rows = self.link_rows() + self.small_rows() + self.move_rows()
        self.lib.ask("drop")
        rows += self.python_rows()
        rows += self.alloc_rows()
        rows += self.fairness_rows()
        self.watcher.ask("drop")
        return rows + self.across_rows()

    def rate(self, what: str, size: int, n: int = 2) -> Measure:
        return lambda: size / self.lib.ask("copy", what, size, n)["median_us"] / 1e3

    def torch_rate(self, what: str, size: int, n: int = 2) -> dict[str, Measure]:
        torch = self.torch
        if torch is None:
            return {}
        return {"PyTorch": lambda: size / torch.ask(what, n)["median_us"] / 1e3}

    def beside_torch(self, name: str, goal: str, rounds: dict[str, Any]) -> Row:
        if self.torch is None:
            return skipped(name, goal, "PyTorch is not here")
        return row_of(name, goal, "GB/s", rounds, "PyTorch")

    def spin(self, spin_us: int, measure: Measure) -> Measure:
        """The same with a client that polls so long for a reply before it sleeps."""

        def measured() -> float:
            self.lib.ask("spin", spin_us)
            value = measure()
            self.lib.ask("spin", "default")
            return value

        return measured

    def link_rows(self) -> list[Row]:
        rows = []
        if self.torch:
            self.torch.ask("size", GIB)
        for what, name, least in (("put", "region to device", 49), ("get", "device to region", 50)):
            rounds = take_turns(
                self.rounds, {"ours": self.rate(what, GIB), **self.torch_rate(f"pinned_{what}", GIB)}
            )
            rows.append(absolute(f"1 GiB {name}", f">= {least} GB/s", "GB/s", rounds["ours"]))
            rows.append(self.beside_torch(f"1 GiB {name}, PyTorch pinned", ">= 0.9 x", rounds))
        return rows

    def move_rows(self) -> list[Row]:
        # PyTorch spins too, and a processor that sleeps for as long as this takes is at times woken late.
        move = self.rate("move", GIB, 5)
        rounds = take_turns(
            self.rounds,
            {
                "ours": self.spin(LONG_SPIN_US, move),
                "sleeping": self.spin(0, move),
                **self.torch_rate("move", GIB, 5),
            },
        )
        return [
            absolute("1 GiB device to device", ">= 1700 GB/s", "GB/s", rounds["ours"]),
            self.beside_torch("1 GiB device to device, PyTorch", ">= 0.8 x", rounds),
        ]

    def small_rows(self) -> list[Row]:
        def trip() -> float:
            us: float = self.raw_echo.ask("trip", 2000)["median_us"]
            return us

        def small(*words: object) -> dict[str, Measure]:
            def ours() -> float:
                us: float = self.lib.ask("copy", *words)["median_us"]
                return us

            return {"ours": ours, "libuv echo": trip, "sleeping": self.spin(0, ours)}

        write = take_turns(self.rounds, small("write", SMALL, 2000))
        mib = take_turns(
            self.rounds, {**small("put", MIB, 500), "ping": lambda: self.lib.ask("ping", 2000)["median_us"]}
        )
        return [
            row_of("write of 4 KiB over a libuv echo", "<= 25 us", "us", write, "libuv echo", "difference"),
            row_of(
                "1 MiB from a region over a libuv echo", "<= 45 us", "us", mib, "libuv echo", "difference"
            ),
        ]

    def python_rows(self) -> list[Row]:
        names = ("Python bytes of 1 GiB to the device", "Python bytes of 1 GiB back")
        aio = self.stage.aio(self.gpud)
        aio.ask("bytes", GIB)
        rows = []
        for name, goal, what, peer in (
            (names[0], ">= 3 x", "write", "pageable_put"),
            (names[1], ">= 1.6 x", "read", "pageable_get"),
        ):
            rounds = take_turns(
                self.rounds,
                {
                    "ours": lambda what=what: GIB / aio.ask(what, N_BYTES)["median_us"] / 1e3,
                    **self.torch_rate(peer, GIB, N_BYTES),
                },
            )
            row = self.beside_torch(f"{name}, PyTorch pageable", goal, rounds)
            row.rounds = rounds
            rows.append(row)
        self.stage.stop(aio)
        return rows

    def watch(self, what: str, ms: float) -> pathlib.Path:
        path = self.stage.directory / f"watch-{what}"
        self.watcher.start("watch", what, int(ms), path)
        return path

    def alloc_rows(self) -> list[Row]:
        name = f"{HUGE // GIB} GiB allocation, zeroed"
        if self.devices[0]["memory_available"] < HUGE + 2 * GIB:
            return [skipped(name, "<= 150 ms", "the device has not so much memory")]
        self.lib.ask("hold", 0, GIB)
        alone, beside_ping, beside_write = [], [], []
        idle_p99, ping_p99, write_longest, free_longest = [], [], [], []
        for _ in range(max(self.rounds // 2, 2)):
            held = self.lib.ask("hold", 0, HUGE)
            alone.append(held["alloc_us"] / 1e3)
            idle_p99.append(
                self.watcher.ask("watch", "ping", 300, self.stage.directory / "watch-idle")["p99_us"]
            )
            # So long that it ends after the allocation and the release, slow as they may be this time.
            ms = 3 * (held["alloc_us"] + held["free_us"]) / 1e3 + 300
            for what in ("ping", "write"):
                path = self.watch(what, ms)
                held = self.lib.ask("hold", 0, HUGE)
                self.watcher.finish()
                samples = Samples.read(path)
                had = held["began_us"] + held["alloc_us"]
                times = samples.during(held["began_us"], had)
                freeing = samples.during(had, had + held["free_us"])
                if what == "ping":
                    beside_ping.append(held["alloc_us"] / 1e3)
                    ping_p99.append(percentile(times, 0.99))
                else:
                    beside_write.append(held["alloc_us"] / 1e3)
                    write_longest.append(times[-1] / 1e3)
                    free_longest.append(freeing[-1] / 1e3)
        over = [(p - i) / 1e3 for p, i in zip(ping_p99, idle_p99, strict=True)]
        longest = absolute(
            "  4 KiB writes meanwhile, longest",
            "<= 5 ms",
            "ms",
            [max(write_longest)],
            while_freeing=max(free_longest),
        )
        longest.rounds["each round"] = write_longest
        return [
            absolute(name, "<= 150 ms", "ms", alone, beside_pings=beside_ping, beside_writes=beside_write),
            absolute(
                "  pings meanwhile, p99 over idle",
                "<= 1 ms",
                "ms",
                over,
                idle_p99_us=idle_p99,
                p99_us=ping_p99,
            ),
            longest,
        ]

    def fairness_rows(self) -> list[Row]:
        self.lib.ask("region", GIB)
        self.lib.ask("mem", 0, 0, 2 * GIB)
        bulk = ("bulk", GIB, BULK_GIB, 2)
        self.lib.ask("bulk", GIB, 4, 2)
        alone, beside, p99s, longest = [], [], [], []
        for _ in range(max(self.rounds // 2, 2)):
            moved = self.lib.ask(*bulk)
            alone.append(moved["gb_per_s"])
            path = self.watch("write", (moved["ended_us"] - moved["began_us"]) / 1e3 * 1.5 + 300)
            moved = self.lib.ask(*bulk)
            self.watcher.finish()
            beside.append(moved["gb_per_s"])
            times = Samples.read(path).during(moved["began_us"], moved["ended_us"])
            p99s.append(percentile(times, 0.99) / 1e3)
            longest.append(times[-1] / 1e3)
        self.lib.ask("drop")
        loss = [100 * (1 - b / a) for a, b in zip(alone, beside, strict=True)]
        lost = absolute("  the bulk copy loses", "<= 5 %", "%", loss)
        lost.rounds.update({"alone, GB/s": alone, "beside, GB/s": beside})
        name = f"4 KiB writes while {BULK_GIB} GiB move, p99"
        return [absolute(name, "<= 2 ms", "ms", p99s, longest_ms=max(longest)), lost]

    def across_rows(self) -> list[Row]:
        name, goal = "8 GiB from one device to another", ">= 35 GB/s"
        if len(self.devices) < 2:
            return [skipped(name, goal, "there is one GPU here")]
        size = 8 * GIB
        self.lib.ask("region", 64 * MIB)
        self.lib.ask("mem", 0, 0, size)
        self.lib.ask("mem", 1, 1, size)
        self.lib.ask("verify")
        peer = {}
        if self.torch and self.torch_devices >= 2:
            self.torch.ask("size", size)
            peer = self.torch_rate("across", size)
        rounds = take_turns(max(self.rounds // 2, 2), {"ours": self.rate("move", size), **peer})
        self.lib.ask("drop")
        row = absolute(name, goal, "GB/s", rounds["ours"])
        row.rounds = rounds
        row.notes = {peer: statistics.median(rounds[peer]) for peer in peer}
        return [row]
