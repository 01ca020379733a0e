"""gpud beside what people would use instead, both in the same run: `make bench`.

Prints a table and writes build/bench.json: every ratio, the rounds it comes from, the sweeps, the machine.
The sides of a row take turns, a round each, A B A B, and a row shows the round whose value is the median, so
what disturbs the machine for a while disturbs both. The C client's ping has new processes in each round, and
its row shows the mean. Each side warms up before what counts.

Where they run. Small requests are measured with server and client on one core, gpud's and the peers' alike:
that is what the code costs, and it varies little. On a core each, waking the idle one takes longer than the
work in most virtual machines and hides the difference; those numbers are in the notes below the table and in
bench.json. --cores turns the two round. Bulk copies run on cores of their own. On a GPU machine the scheduler
places everything, but nothing where the GPU's interrupts go: a request takes 30 us longer there, and which
rounds those are would be chance (gpud.8, NOTES). --gpu-cores any leaves it to chance.

Who sleeps. libgpud polls for GPUD_SPIN_US before a blocking call sleeps; the client of the bare echo sleeps
at once; PyTorch polls to the end, and beside its copy inside the device so does libgpud. `sleeping` in the
notes is ours with a client that sleeps at once.

The peers, of the same bytes: a bare echo on libuv with a bare blocking client, an echo of asyncio's own
protocols at both ends (buffered ones, which are the faster), Redis on a Unix socket and with nothing on disk,
one thread's memcpy, PyTorch. The pipelined rows send a batch of 64 requests in one write and wait for the 64
replies, by one and the same C client (raw.c) to gpud and to Redis; redis-benchmark -P 64 does just that too
and stands in the notes, as does libgpud with its callbacks. A pair of alloc and free is two requests, against
one SET of redis-benchmark's (its key, 3 bytes). At 1,000,000 live allocations those freed are random ones.

    make bench                              all that this machine can run: a minute or two
    make bench BENCH=--quick                the same with less of everything: for a first look
    make bench BENCH="--cpu --no-sweeps"    only the table of any machine
    python3 tests/bench/bench.py --gpu --build build --helpers build/tests/bench --json FILE
                                            only the table of a GPU; wants no compiler, and of Python packages
                                            msgpack and PyTorch
    make bench-plots                        build/bench-*.png of the sweeps in build/bench.json

Profiles. `make bench-build && python3 tests/bench/bench.py --profile pipe` keeps gpud at one thing for some
seconds under `perf record` and prints where the time went; build/bench.perf stays for `perf report` and `perf
annotate`. What there is: ping, pipe, pair, churn, put, get, write. For call graphs build with
CFLAGS=-fno-omit-frame-pointer and add --callers. Where perf may not run, callgrind counts instructions:

    valgrind --tool=callgrind build/gpud --socket /tmp/gpud & sleep 5
    echo "pipe 64 100000" | build/tests/bench/raw gpud /tmp/gpud; kill %1; wait; callgrind_annotate
"""

import argparse
import hashlib
import json
import os
import pathlib
import platform
import resource
import signal
import subprocess
import sys
import time
from typing import Any

import cpu
import profile_gpud
import sweeps
from compare import Row
from gpu import Gpu
from sides import (
    ALL,
    ROOT,
    BenchError,
    Cores,
    Server,
    Side,
    Stage,
    anywhere,
    device_interrupts,
    lavapipe,
    one_core,
    quiet,
    two_cores,
)

LONG_US = 1000  # a turn of the loop that took too long
CORES = {"one": one_core, "two": two_cores, "any": anywhere}


def first_line(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout.partition("\n")[0]
    except OSError:
        return ""


def processor() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def environment(build: pathlib.Path) -> dict[str, Any]:
    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "gpud": first_line(str(build / "gpud"), "--version"),
        "gpud_sha256": hashlib.sha256((build / "gpud").read_bytes()).hexdigest(),
        # The tree's: a gpud that was brought along may be of another.
        "commit": first_line("git", "describe", "--always", "--dirty"),
        "processor": processor(),
        "cores": len(ALL),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30), 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "redis": first_line("redis-benchmark", "--version"),
        "load_before": os.getloadavg(),
    }


def number(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    text = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" if value < 100 else f"{value:.0f}"
    return f"{text} {unit}".strip()


def print_table(title: str, rows: list[Row]) -> None:
    lines = [("", "ours", "peer", "value", "goal", "")]
    for row in rows:
        if row.skipped:
            continue
        sign = "+" if row.goal.endswith("us") and row.value is not None and row.value >= 0 else ""
        peer = f"{number(row.peer, row.unit)} ({row.peer_name})" if row.peer is not None else ""
        value = (
            f"{sign}{row.value:.2f} x" if row.value_unit == "x" else sign + number(row.value, row.value_unit)
        )
        lines.append(
            (row.name, number(row.ours, row.unit), peer, value, row.goal, "met" if row.met else "NOT met")
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    print(f"\n{title}")
    for line in lines:
        cells = [
            line[0].ljust(widths[0]),
            *(c.rjust(w) for c, w in zip(line[1:-1], widths[1:-1], strict=True)),
        ]
        print("  ".join([*cells, line[-1]]).rstrip())
    for row in rows:
        if row.skipped:
            print(f"{row.name}: not measured, {row.skipped}")


def print_notes(rows: list[Row]) -> None:
    def text(value: Any) -> str:
        if isinstance(value, dict):
            return ", ".join(f"{key} {text(each)}" for key, each in value.items())
        if isinstance(value, list):
            return " ".join(text(each) for each in value)
        return number(value, "") if isinstance(value, (int, float)) else str(value)

    print("\nBeside that, in the unit of the row; `value` is the row's value there")
    for row in rows:
        for key, value in row.notes.items():
            print(f"  {row.name.strip()}: {key}: {text(value)}")


def print_turns(status: dict[str, Any]) -> None:
    """The turns that the scheduler cut in two are among them."""
    turns = sum(stall["count"] for stall in status["stalls"])
    long = sum(stall["count"] for stall in status["stalls"] if (stall["limit_us"] or LONG_US + 1) > LONG_US)
    limit, longest = LONG_US / 1e3, status["stall_max_us"] / 1e3
    print(f"\nOf {turns:,} turns of gpud's loop {long:,} took more than {limit:g} ms")
    print(f"The longest took {longest:.2f} ms")


def torch_side(stage: Stage) -> tuple[Side | None, dict[str, Any]]:
    """PyTorch, if it is here and sees a device."""
    torch = stage.torch()
    described = torch.finish()
    if described["devices"] == 0:
        stage.stop(torch)
        return None, described
    return torch, described


class Bench:
    def __init__(self, options: argparse.Namespace, stage: Stage) -> None:
        self.options = options
        self.stage = stage
        self.cores: Cores = CORES[options.cores]()
        self.other: Cores = CORES["one" if options.cores == "two" else "two"]()
        self.effort = cpu.Effort.of(options.quick, options.rounds)
        self.report: dict[str, Any] = {"environment": environment(options.build), "sweeps": {}}
        self.sweeps: dict[str, list[sweeps.Point]] = self.report["sweeps"]

    def real_gpu(self) -> Server | None:
        """A gpud on the machine's own drivers, if those have a device that is no software."""
        try:
            gpud = self.stage.gpud()
        except BenchError as error:
            print(f"no GPU: {str(error).splitlines()[-1]}")
            return None
        lib = self.stage.lib(gpud)
        devices = lib.ask("devices")["devices"]
        self.stage.stop(lib)
        if devices[0]["is_cpu"]:
            self.stage.stop(gpud)
            return None
        self.report["environment"]["devices"] = devices
        return gpud

    def run_cpu(self) -> list[Row]:
        drivers = lavapipe()
        if drivers is None:
            print("The table of any machine: not measured, lavapipe is not installed")
            return []
        rows = cpu.rows(self.stage, drivers, self.effort, self.cores, self.other)
        print_table(f"Any machine: small requests with {self.cores}", rows)
        self.report["rows"] = [row.to_json() for row in rows]
        if self.options.sweeps:
            self.sweeps["connections"] = sweeps.connections(self.stage, drivers, self.effort, self.cores)
            self.sweeps["live"] = sweeps.live(self.stage, drivers, self.effort, self.cores)
            gpud = self.stage.gpud(drivers)
            self.sweeps["copies"] = sweeps.copies(self.stage, gpud, None)
            self.stage.stop(gpud)
        return rows

    def run_gpu(self) -> list[Row]:
        since = device_interrupts()
        gpud = self.real_gpu()
        if gpud is None:
            print("\nThe table of a GPU: not measured, there is no GPU here")
            return []
        torch, described = torch_side(self.stage)
        self.report["environment"]["pytorch"] = described
        if torch is None:
            print("PyTorch is not here or sees no device: the rows beside it are not measured")
        cores = quiet(since) if self.options.gpu_cores == "quiet" else CORES[self.options.gpu_cores]()
        gpu = Gpu(self.stage, gpud, torch, described["devices"], cores, self.options.rounds or 5)
        rows = gpu.rows()
        print_table(f"{gpu.devices[0]['name']}: {cores}", rows)
        self.report["gpu_rows"] = [row.to_json() for row in rows]
        self.report["gpu_status"] = gpud.call("daemon.status")
        print_turns(self.report["gpu_status"])
        if self.options.sweeps:
            self.sweeps["copies_gpu"] = sweeps.copies(self.stage, gpud, torch)
        return rows

    def run(self) -> None:
        machine = self.report["environment"]
        gpud = f"{machine['gpud']} (sha256 {machine['gpud_sha256'][:12]}), tree {machine['commit']}"
        print(f"{gpud}, {machine['cores']} x {machine['processor']}")
        rows = []
        if self.options.table != "gpu":
            rows += self.run_cpu()
        if self.options.table != "cpu":
            rows += self.run_gpu()
        if rows:
            print_notes(rows)
        machine["load_after"] = os.getloadavg()
        machine["cores_of_small_requests"] = str(self.cores)
        self.options.json.parent.mkdir(parents=True, exist_ok=True)
        self.options.json.write_text(json.dumps(self.report, indent=1) + "\n")
        n_met, n_rows = sum(row.met is True for row in rows), sum(row.met is not None for row in rows)
        print(f"\n{n_met} of {n_rows} goals met; {self.options.json}")


def options_of(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure gpud beside its peers.",
        epilog="See the head of this file for what is compared and how.",
    )
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build", help="folder of gpud")
    parser.add_argument("--helpers", type=pathlib.Path, help="folder of echo, lib and raw; BUILD/tests/bench")
    parser.add_argument("--json", type=pathlib.Path, default=ROOT / "build/bench.json", help="what to write")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--rounds", type=int, help="how often the sides take turns")
    parser.add_argument(
        "--cores", choices=CORES, default="one", help="for small requests: one for both, two, any"
    )
    parser.add_argument(
        "--gpu-cores",
        choices=(*CORES, "quiet"),
        default="quiet",
        help="the same for the table of a GPU, or any but those that it interrupts",
    )
    parser.add_argument(
        "--gpu", dest="table", action="store_const", const="gpu", help="only the table of a GPU"
    )
    parser.add_argument(
        "--cpu", dest="table", action="store_const", const="cpu", help="only that of any machine"
    )
    parser.add_argument("--no-sweeps", dest="sweeps", action="store_false", help="only tables")
    parser.add_argument("--profile", choices=profile_gpud.WORK, help="profile gpud at one thing instead")
    parser.add_argument("--seconds", type=float, default=5, help="for --profile")
    parser.add_argument("--callers", action="store_true", help="for --profile: with call graphs")
    options = parser.parse_args(arguments)
    options.build = options.build.absolute()
    options.helpers = (options.helpers or options.build / "tests/bench").absolute()
    return options


def main() -> int:
    options = options_of(sys.argv[1:])
    # However it ends, so do the processes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A thousand connections, at either end.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with Stage(options.build, options.helpers) as stage:
            if options.profile:
                profile_gpud.profile(stage, options.profile, options.seconds, options.callers)
            else:
                Bench(options, stage).run()
    except (BenchError, FileNotFoundError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
