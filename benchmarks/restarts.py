"""What a solve costs beside one from scratch: after a change of voltage, after a needle moved, in a fresh process.

python -m benchmarks.restarts [--voxels 64 128] [--rounds 3] [--fresh 96]

One thread where solves are compared, all of them for fresh processes. Figures go to docs/performance.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from statistics import median
from typing import Any

import jax

from porefield.kernels.caches import forget_couplings
from porefield.kernels.continuation import Continuation
from porefield.kernels.field import solve_field
from porefield.kernels.problem import FieldProblem
from porefield.service.environment import compilation_cache_dir, configure_numerics

from .figures import keep
from .peers.protocol import ROOT, Record, Served, clock, serve
from .problems import at_voltage, moved, two_needles

TOLERANCE = 1e-6
SOONER = (0.9, 0.95, 1.0)
"""Shares of the voltage that a sweep has been at; next comes LATER."""
LATER = 1.05
SHIFT_MM = 1.0


def serve_restarts(voxels: int) -> None:
    """Each time told, the same solves from scratch and from what is known; the needles' couplings are found anew where
    one moved, and known otherwise but where it is said."""
    base = two_needles(voxels)
    volts = base.potentials_v[0] or 0.0
    known = [at_voltage(base, share * volts) for share in SOONER]
    solved = [solve_field(problem, tolerance=TOLERANCE) for problem in known]

    def neighbours(count: int) -> Continuation:
        near = Continuation()
        for problem, solution in list(zip(known, solved, strict=True))[-count:]:
            near.add(problem, solution)
        return near

    later, shifted = at_voltage(base, LATER * volts), moved(base, SHIFT_MM)

    def solve() -> Record:
        return {
            "voltage": {
                # this one first: it leaves the couplings to those that know them
                "from scratch, needles' couplings too": timed(later, None, anew=True),
                "from scratch": timed(later, None),
                "one solution known": timed(later, neighbours(1)),
                "three solutions known": timed(later, neighbours(3)),
            },
            "shift": {
                "from scratch": timed(shifted, None, anew=True),
                "one solution known": timed(shifted, neighbours(1), anew=True),
            },
        }

    solve()
    serve(solve, {"voxels": voxels})


def timed(problem: FieldProblem, near: Continuation | None, *, anew: bool = False) -> Record:
    """A solve, from a start or from scratch; `anew`: the needles' couplings are found in it."""
    if anew:
        forget_couplings()
    began = clock()
    start = None if near is None else near.start(problem)
    solution = solve_field(problem, tolerance=TOLERANCE, start=start)
    assert solution.converged
    return {
        "seconds": clock() - began,
        "newton_steps": solution.newton_steps,
        "cg_iterations": solution.cg_iterations,
    }


def restarts(voxels: int, rounds: int) -> None:
    """Medians over rounds in one process."""
    with Served([sys.executable, "-m", "benchmarks.restarts", "--serve", str(voxels)]) as ours:
        found = [ours.solve() for _ in range(rounds)]
    for change in ("voltage", "shift"):
        for start, last in found[-1][change].items():
            spent = median(one[change][start]["seconds"] for one in found)
            ratio = median(one[change]["from scratch"]["seconds"] / one[change][start]["seconds"] for one in found)
            record = last | {"seconds": round(spent, 4), "times_faster": round(ratio, 2)}
            keep("restarts", str(voxels), {f"{change}, {start}": record})
            say({"voxels": voxels, "change": change, "start": start, **record})


def fresh(voxels: int) -> None:
    """Wall seconds of a whole process, from its start to the first solution: with nothing compiled on the disk, and
    then with what that one has left there."""
    with tempfile.TemporaryDirectory() as cache:
        for name in ("nothing on the disk", "compiled on the disk"):
            settings = {**os.environ, "POREFIELD_CACHE_DIR": cache}
            settings.pop("JAX_COMPILATION_CACHE_DIR", None)
            began = time.perf_counter()
            command = [sys.executable, "-m", "benchmarks.restarts", "--first", str(voxels)]
            told = json.loads(subprocess.run(command, env=settings, cwd=ROOT, check=True, capture_output=True).stdout)
            record = {"seconds": round(time.perf_counter() - began, 2), **told}
            keep("fresh", str(voxels), {name: record})
            say({"voxels": voxels, "fresh": name, **record})


def first(voxels: int) -> None:
    """One solve, and what part of the seconds it was."""
    configure_numerics()
    jax.config.update("jax_compilation_cache_dir", str(compilation_cache_dir()))  # jax was imported before
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    began = time.perf_counter()
    solution = solve_field(two_needles(voxels), tolerance=TOLERANCE)
    say({"solve_seconds": round(time.perf_counter() - began, 2), "converged": solution.converged})


def say(record: dict[str, Any]) -> None:
    print(json.dumps(record), flush=True)  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.restarts", description=__doc__)
    parser.add_argument("--voxels", nargs="*", type=int, default=[64, 128])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fresh", nargs="*", type=int, default=[96])
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.serve:
        serve_restarts(wanted.serve)
    elif wanted.first:
        first(wanted.first)
    else:
        for voxels in wanted.voxels:
            restarts(voxels, wanted.rounds)
        for voxels in wanted.fresh:
            fresh(voxels)


if __name__ == "__main__":
    main()
