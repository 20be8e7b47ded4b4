"""porefield as a program that solves when told.

python -m benchmarks.peers.porefield_worker FAMILY VALUE VOXELS TOLERANCE [moved]

FAMILY is one of problems.py. Warm: it has compiled, and knows the electrodes' couplings, before it says that it is
ready. `moved`: it finds the couplings anew each time, as a needle that has moved would ask, and tells the seconds of
that beside. Says its own triad.
"""

from __future__ import annotations

import sys

import jax

from porefield.kernels.caches import forget_couplings
from porefield.kernels.field import solve_field
from porefield.kernels.nested import nested_grids
from porefield.kernels.solution import Solution

from ..measure import counted, machine, of_step, triad_bytes_per_s
from ..problems import problem_of
from .protocol import Record, clock, programs_folder, resident_bytes, serve


def main(family: str, value: str, voxels: str, tolerance: str, electrodes: str = "still") -> None:
    jax.config.update("jax_compilation_cache_dir", str(programs_folder()))
    base = resident_bytes()
    problem = problem_of(family, float(value), int(voxels))

    def solved() -> Solution:
        return solve_field(problem, tolerance=float(tolerance))

    def solve() -> Record:
        if electrodes != "moved":
            with counted() as compiled:
                found = record(solved())
            return found | {"compilations": compiled[0]}
        forget_couplings()
        began = clock()
        nested_grids(problem, coarse=True)
        coupled = clock()
        found = record(solved())
        return found | {"electrode_seconds": coupled - began, "seconds": clock() - coupled}

    solved()
    told: Record = {"peer": "porefield", "method": "newton", "triad_bytes_per_s": triad_bytes_per_s()}
    serve(solve, told | {"machine": machine(), "step": of_step(problem), "base_bytes": base})


def record(solution: Solution) -> Record:
    return {
        "residual": solution.relative_residual,
        "converged": solution.converged,
        "steps": solution.newton_steps,
        "iterations": solution.cg_iterations,
        "current_a": solution.currents_a[0],
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
