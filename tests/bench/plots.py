"""Draws the sweeps of a bench.json: `plots.py FILE` makes bench-connections.png and so on beside it."""

import json
import pathlib
import sys
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

Series = dict[str, list[tuple[float, float]]]


def draw(path: pathlib.Path, title: str, panels: list[tuple[str, str, Series]], x_label: str) -> None:
    figure, axes = plt.subplots(1, len(panels), figsize=(6.2 * len(panels), 4.4), squeeze=False)
    for axis, (panel, y_label, series) in zip(axes[0], panels, strict=True):
        for name, points in series.items():
            axis.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name)
        axis.set_xscale("log", base=2 if x_label == "bytes" else 10)
        axis.set_ylim(bottom=0)
        axis.set_title(panel, fontsize=10)
        axis.set_xlabel(x_label)
        axis.set_ylabel(y_label)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.suptitle(title, fontsize=11)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
    print(path)


def series_of(points: list[dict[str, Any]], x: str, keys: dict[str, str]) -> Series:
    """One line for each key that any point has."""
    found = {name: [(p[x], p[key]) for p in points if key in p] for key, name in keys.items()}
    return {name: line for name, line in found.items() if line}


def connections(points: list[dict[str, Any]]) -> list[tuple[str, str, Series]]:
    servers = [key for key in points[0] if key != "connections"]

    def lines(key: str, scale: float) -> Series:
        return {s: [(p["connections"], p[s][key] * scale) for p in points] for s in servers}

    return [
        ("pings, one in flight on each", "thousands a second", lines("per_s", 1e-3)),
        ("99th percentile", "us", lines("p99_us", 1)),
    ]


def live(points: list[dict[str, Any]]) -> list[tuple[str, str, Series]]:
    costs = {"churn_us": "random ones", "pair_us": "one that comes and goes"}
    for point in points:
        point["resident_mib"] = point["resident_kib"] / 1024
    memory = {"resident_mib": "gpud"}
    return [
        ("free and alloc, 64 in flight, or all that live", "us a pair", series_of(points, "live", costs)),
        ("resident memory, the device's not counted", "MiB", series_of(points, "live", memory)),
    ]


def copies(points: list[dict[str, Any]]) -> list[tuple[str, str, Series]]:
    link = {
        "put": "region to device",
        "get": "device to region",
        "write": "gpud_write",
        "read": "gpud_read",
        "memcpy": "memcpy, one thread",
        "torch_pinned_put": "PyTorch, pinned to device",
        "torch_pinned_get": "PyTorch, device to pinned",
    }
    move = {"move": "gpud", "torch_move": "PyTorch"}
    return [
        ("to the device and back", "GB/s", series_of(points, "size", link)),
        ("device to device", "GB/s copied", series_of(points, "size", move)),
    ]


def main(path: pathlib.Path) -> int:
    report = json.loads(path.read_text())
    sweeps = report["sweeps"]
    if not sweeps:
        print(f"{path} has no sweeps", file=sys.stderr)
        return 1
    machine = report["environment"]
    where = f"{machine['gpud']}, {machine['cores']} x {machine['processor']}"
    device = machine.get("devices", [{"name": ""}])[0]["name"]
    for name, panels, x_label, what in (
        ("connections", connections, "connections", f"Connections: {where}"),
        ("live", live, "live allocations", f"Live allocations: {where}"),
        ("copies", copies, "bytes", f"Copies on the software device: {where}"),
        ("copies_gpu", copies, "bytes", f"Copies: {device}"),
    ):
        if name in sweeps:
            draw(path.with_name(f"bench-{name.replace('_', '-')}.png"), what, panels(sweeps[name]), x_label)
    return 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
