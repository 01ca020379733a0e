"""Where gpud's time goes while a client keeps it at one thing: perf, for some seconds."""

import shutil
import subprocess
import time

from cpu import ALLOC_SIZE, DEPTH, LIVE_SIZE, MIB
from sides import ROOT, BenchError, Stage, lavapipe, one_core

# What the client says to begin with, and then over and over.
WORK: dict[str, tuple[str, list[str], str]] = {
    "ping": ("raw", [], "trip 5000"),
    "pipe": ("raw", [], f"pipe {DEPTH} 200000"),
    "pair": ("raw", [], f"pair {DEPTH} 50000 {ALLOC_SIZE}"),
    "churn": ("raw", [f"grow 1000000 {LIVE_SIZE}"], f"churn {DEPTH} 50000 {LIVE_SIZE}"),
    "put": ("lib", [f"region {256 * MIB}", f"mem 0 0 {256 * MIB}"], f"copy put {256 * MIB} 4"),
    "get": ("lib", [f"region {256 * MIB}", f"mem 0 0 {256 * MIB}"], f"copy get {256 * MIB} 4"),
    "write": ("lib", [f"region {MIB}", f"mem 0 0 {MIB}"], "copy write 4096 2000"),
}


def profile(stage: Stage, work: str, seconds: float, has_callers: bool) -> None:
    perf = shutil.which("perf")
    if perf is None:
        raise BenchError("perf is not here (linux-perf); the head of bench.py says how callgrind is used")
    kind, before, command = WORK[work]
    gpud = stage.gpud(lavapipe())
    side = stage.raw(gpud) if kind == "raw" else stage.lib(gpud)
    for line in before:
        side.ask(line)
    side.ask(command)
    if kind == "raw":
        cores = one_core()
        gpud.place(cores.server)
        side.place(cores.client)
    data = str(ROOT / "build/bench.perf")
    record = [perf, "record", "--quiet", "-F", "4999", "-o", data, "-p", str(gpud.pid)]
    # perf ends with the process that it is given.
    recording = subprocess.Popen([*record, *(["-g"] if has_callers else []), "--", "sleep", str(seconds)])
    deadline = time.monotonic() + seconds
    result = {}
    while time.monotonic() < deadline:
        result = side.ask(command)
    recording.wait()
    report = [perf, "report", "-i", data, "--stdio", "--no-children", "--percent-limit", "0.7"]
    text = subprocess.run(report, capture_output=True, text=True).stdout
    print("\n".join(line for line in text.splitlines() if line.strip() and not line.startswith("#")))
    print(f"\n{command}: {result}\n{data} has the samples")
