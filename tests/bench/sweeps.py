"""How gpud scales: with connections, with live allocations, with the size of copies. Each sweep is a list of
points, and `make bench-plots` draws them."""

import statistics
from typing import Any

from compare import take_turns
from cpu import DEPTH, LIVE_SIZE, Effort, private_kib, put
from sides import Cores, Server, Side, Stage, anywhere

CONNECTIONS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
LIVE = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
COPY_MIN = 4 << 10
COPY_MAX = 8 << 30
ROUNDS = 3

Point = dict[str, Any]


def connections(stage: Stage, drivers: str | None, effort: Effort, cores: Cores) -> list[Point]:
    """Pings over so many connections, one in flight on each."""
    servers = {"gpud": stage.gpud(drivers), "libuv echo": stage.echo()}
    redis = stage.redis()
    if redis is not None:
        servers["Redis"] = redis
    sides = {name: stage.raw(server) for name, server in servers.items()}
    put(cores, list(servers.values()), list(sides.values()))
    points = []
    for n in CONNECTIONS:
        point: Point = {"connections": n}
        results: dict[str, list[Point]] = {name: [] for name in sides}
        for _ in range(ROUNDS):
            for name, side in sides.items():
                results[name].append(side.ask("many", n, max(effort.pipelined // 5, 2 * n)))
        for name, found in results.items():
            point[name] = {
                key: statistics.median(result[key] for result in found)
                for key in ("per_s", "median_us", "p99_us")
            }
        points.append(point)
    stage.stop(*sides.values(), *servers.values())
    return points


def live(stage: Stage, drivers: str | None, effort: Effort, cores: Cores) -> list[Point]:
    """A pair of free and alloc, with so many live: of random ones of them, and of one that comes and goes."""
    gpud = stage.gpud(drivers)
    side = stage.raw(gpud)
    side.ask("pair", DEPTH, 1000, LIVE_SIZE)
    put(cores, [gpud], [side])
    before = private_kib(gpud)
    points = []
    for n in LIVE:
        if n > effort.live:
            break
        side.ask("grow", n, LIVE_SIZE)
        rounds = take_turns(
            ROUNDS,
            {
                "churn_us": lambda: side.ask("churn", DEPTH, effort.pairs, LIVE_SIZE)["us_each"],
                "pair_us": lambda: side.ask("pair", DEPTH, effort.pairs, LIVE_SIZE)["us_each"],
            },
        )
        point: Point = {"live": n, **{key: statistics.median(values) for key, values in rounds.items()}}
        point["resident_kib"] = private_kib(gpud) - before
        points.append(point)
    stage.stop(side, gpud)
    return points


def copies(stage: Stage, gpud: Server, torch: Side | None) -> list[Point]:
    """GB/s by size, as far as the device's memory goes."""
    lib = stage.lib(gpud)
    device = lib.ask("devices")["devices"][0]
    put(anywhere(), [gpud], [lib])
    # The software device's memory is the machine's, where a region and a copy of it must go too.
    room = device["memory_available"] * 0.95
    if device["is_cpu"]:
        room = min(room, 1 << 30)
    sizes = []
    size = COPY_MIN
    while size <= min(COPY_MAX, room):
        sizes.append(size)
        size *= 4
    if sizes[-1] * 2 <= min(COPY_MAX, room):
        sizes.append(sizes[-1] * 2)
    lib.ask("region", sizes[-1])
    points = []
    for size in sizes:
        n = max(1, min(100, (1 << 30) // size))
        has_second = 2 * size <= room
        lib.ask("mem", 0, 0, size)
        if has_second:
            lib.ask("mem", 1, 0, size)
        whats = ["put", "get", *(["move"] if has_second else []), "memcpy", "write", "read"]
        measures = {
            what: lambda what=what, size=size, n=n: size / lib.ask("copy", what, size, n)["median_us"] / 1e3
            for what in whats
        }
        if torch is not None:
            torch.ask("size", size)
            for what in ("pinned_put", "pinned_get", *(["move"] if has_second else [])):
                measures[f"torch_{what}"] = lambda what=what, size=size, n=n: (
                    size / torch.ask(what, n)["median_us"] / 1e3
                )
        rounds = take_turns(ROUNDS if size < 1 << 30 else 1, measures)
        points.append({"size": size, **{key: statistics.median(values) for key, values in rounds.items()}})
        # The next are larger, and the two of this size would lie in their way.
        if has_second:
            lib.ask("mem", 1, 0, COPY_MIN)
        lib.ask("mem", 0, 0, COPY_MIN)
    stage.stop(lib)
    return points
