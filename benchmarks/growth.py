"""How time, iterations and memory grow: with voxels, contrast, steepness, needles, tilt and threads.

python -m benchmarks.growth [--family voxels contrast ...] [--value 64 96 ...] [--rounds 3] [--large]

Each point is solved in a process of its own, warm, on one thread, so that its peak of memory is its own. Figures go to
docs/performance.json. --large adds 256^3 voxels (6 GB).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from .figures import keep
from .measure import passes
from .peers.protocol import Served

TOLERANCE = 1e-6
VALUES: dict[str, tuple[float, ...]] = {
    "voxels": (32, 48, 64, 96, 128, 160, 192),
    "contrast": (1.5, 4, 12, 32),
    "width": (6000, 2000, 500, 100),
    "needles": (2, 4, 8),
    "tilt": (0, 15, 30, 45),
    "threads": (1, 2),
}
AT_VOXELS, THREADS_AT = 64, 128
"""Voxels along a side of the other families, and for threads."""


def start_porefield(
    family: str, value: float, voxels: int, *, tolerance: float = TOLERANCE, electrodes: str = "still", threads: int = 1
) -> Served:
    """porefield in a process of its own, ready to solve."""
    arguments = [family, str(value), str(voxels), str(tolerance), electrodes]
    return Served([sys.executable, "-m", "benchmarks.peers.porefield_worker", *arguments], threads)


def point(family: str, value: float, rounds: int) -> dict[str, Any]:
    """One point of a family."""
    voxels, threads = AT_VOXELS, 1
    if family == "voxels":
        voxels = round(value)
    if family == "threads":
        voxels, threads = THREADS_AT, round(value)
    with start_porefield("voxels" if family == "threads" else family, value, voxels, threads=threads) as ours:
        solves = [ours.solve() for _ in range(rounds)]
        told = ours.told
    seconds, last = min(s["seconds"] for s in solves), solves[-1]
    return {
        "voxels": voxels,
        "seconds": round(seconds, 4),
        "all_seconds": [round(s["seconds"], 4) for s in solves],
        "wall_seconds": round(min(s["wall_seconds"] for s in solves), 4),
        "passes": round(passes(seconds, voxels**3, told["triad_bytes_per_s"])),
        "triad_bytes_per_s": round(told["triad_bytes_per_s"]),
        "newton_steps": last["steps"],
        "cg_iterations": last["iterations"],
        "residual": last["residual"],
        "converged": last["converged"],
        "compilations": last["compilations"],
        "process_bytes_per_voxel": round((last["peak_bytes"] - told["base_bytes"]) / voxels**3),
        **told["step"],
        "machine": told["machine"],
    }


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Slope of log value over log size, least squares."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--family", nargs="+", choices=VALUES, default=list(VALUES))
    parser.add_argument("--value", nargs="+", type=float)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", action="store_true")
    wanted = parser.parse_args()
    for family in wanted.family:
        values = wanted.value or VALUES[family]
        if family == "voxels" and wanted.large:
            values = (*values, 256)
        for value in values:
            found = point(family, value, wanted.rounds)
            keep("growth", family, {f"{value:g}": found})
            print(json.dumps({family: value, **found}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
