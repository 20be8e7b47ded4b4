"""Where the seconds of a solve go, by JAX's own profiler: parts of the Newton step on the finest grid, and the rest.

python -m benchmarks.breakdown [--voxels 128]

Needs Linux (taskset). Figures go to docs/performance.json. Only kernels of the CPU are told apart.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import jax

from porefield.kernels import caches, multigrid, newton
from porefield.kernels.field import solve_field
from porefield.kernels.problem import FieldProblem

from .figures import keep
from .measure import passes, triad_bytes_per_s, use_cores
from .peers.protocol import ROOT
from .problems import two_needles

TOLERANCE = 1e-6
PARTS = {
    "v_cycle": "V-cycles",
    "apply_scaled": "products with the Newton matrix",
    "pcg": "the rest of PCG: vectors and dot products",
    "linearise": "the Newton matrix and the network near it",
    "build_levels": "coarse networks of the V-cycle",
    "evaluate": "fields, conductivities and residuals",
    "carry": "what is kept for the next step",
}
"""Functions of newton.py, the inner ones first; what they do."""
OTHERS = "the rest of the steps"
STEP = "ThunkExecutor::Execute (wait for completion)"
"""The profiler's name for an execution of a compiled step."""
TRACES = 5
"""Of which the quickest counts."""
COARSER = "steps on coarser nested grids, and the state that the finest begins with"
REST = "the rest: networks and audit on the host, and short steps that the profiler misses"


def name_scopes() -> None:
    """Have the compiler name what each kernel is part of; before anything is compiled."""
    for module, name in [(newton, name) for name in PARTS] + [(multigrid, "v_cycle")]:
        setattr(module, name, scoped(module, name))


def scoped(module: ModuleType, name: str) -> Callable[..., Any]:
    plain = getattr(module, name)

    def inside(*arguments: Any, **named: Any) -> Any:
        with jax.named_scope(name):
            return plain(*arguments, **named)

    return inside


def traced(voxels: int) -> tuple[list[dict[str, Any]], float]:
    """The profiler's events of one warm solve, and its seconds when the profiler does not look on."""
    problem = two_needles(voxels)
    spent = []
    for _ in range(4):
        began = time.perf_counter()
        solve_field(problem, tolerance=TOLERANCE)
        spent.append(time.perf_counter() - began)
    # the profiler takes memory of its own, for which some solves have to ask the system anew: the quickest counts
    return min((trace(problem) for _ in range(TRACES)), key=steps_seconds), min(spent[1:])


def trace(problem: FieldProblem) -> list[dict[str, Any]]:
    options: Any = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, profiler_options=options):
            solve_field(problem, tolerance=TOLERANCE)
        (file,) = Path(folder).rglob("*.trace.json.gz")
        with gzip.open(file) as text:
            events = json.load(text)["traceEvents"]
    return [event for event in events if event.get("ph") == "X"]


def steps_seconds(events: list[dict[str, Any]]) -> float:
    return 1e-6 * sum(event["dur"] for event in events if event["name"] == STEP)


def part_of_kernels(program: Any) -> dict[str, str]:
    """For each kernel of a compiled step, the innermost of PARTS that it belongs to."""
    found = {}
    for line in program.as_text().splitlines():
        kernel = re.match(r'\s*(?:ROOT )?%([\w.\-]+) = .*op_name="([^"]*)"', line)
        if kernel and not kernel[1].startswith(("while", "cond")):
            path = kernel[2].split("/")
            found[kernel[1]] = next((what for name, what in PARTS.items() if name in path), OTHERS)
    return found


def breakdown(voxels: int) -> dict[str, float]:
    """Seconds by part. The finest grid's steps are the last executions; kernels of the coarser ones bear the same
    names, so that times tell them apart."""
    events, whole = traced(voxels)
    finest = max(caches.compiled.values(), key=lambda step: step.memory_analysis().temp_size_in_bytes)
    part = part_of_kernels(finest)
    steps = sorted((e["ts"], e["ts"] + e["dur"]) for e in events if e["name"] == STEP)
    longest = max(end - start for start, end in steps)
    fine = [(start, end) for start, end in steps if end - start > 0.2 * longest]
    spent: Counter[str] = Counter()
    for event in events:
        if event["name"] in part and any(start <= event["ts"] <= end for start, end in fine):
            spent[part[event["name"]]] += event["dur"]
    coarse = sum(end - start for start, end in steps) - sum(end - start for start, end in fine)
    out = {what: 1e-6 * spent[what] for what in (*PARTS.values(), OTHERS)}
    out[COARSER] = 1e-6 * coarse
    return out | {REST: max(whole - sum(out.values()), 0.0)}


def measured(voxels: int) -> dict[str, Any]:
    """In this process, on one core."""
    use_cores(1)
    name_scopes()
    found, triad = breakdown(voxels), triad_bytes_per_s()
    return {what: {"seconds": round(s, 4), "passes": round(passes(s, voxels**3, triad))} for what, s in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.breakdown", description=__doc__)
    parser.add_argument("--voxels", type=int, default=128)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.here:
        print(json.dumps(measured(wanted.voxels)), flush=True)  # noqa: T201
        return
    # a process of its own, whose threads are as many as its cores from the start
    command = ["taskset", "-c", "0", sys.executable, "-m", "benchmarks.breakdown", "--here", "--voxels"]
    told = subprocess.run([*command, str(wanted.voxels)], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = json.loads(told.splitlines()[-1])
    keep("breakdown", str(wanted.voxels), found)
    print(json.dumps(found, indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
