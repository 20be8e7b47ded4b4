"""The fixed problem solved when told, by whichever porefield is found first: compare.py runs this file by its path.

Asks nothing of porefield but what every commit since the first release of the solver has.
"""

from __future__ import annotations

import sys

import jax

from benchmarks.peers.protocol import Record, programs_folder, serve
from porefield.kernels.cases.finite_elements import NEEDLES_IN_A_BLOCK
from porefield.kernels.field import solve_field


def main(voxels: str) -> None:
    jax.config.update("jax_compilation_cache_dir", str(programs_folder()))
    block = NEEDLES_IN_A_BLOCK["C3 1.8 mm, 20 mm apart, tumour between"].block
    problem = block.problem(1e-3 * block.box_mm / int(voxels))

    def solve() -> Record:
        solution = solve_field(problem)
        return {
            "residual": solution.relative_residual,
            "steps": solution.newton_steps,
            "iterations": solution.cg_iterations,
        }

    solve()
    serve(solve, {"from": solve_field.__code__.co_filename})


if __name__ == "__main__":
    main(*sys.argv[1:])
