"""Small problems that the kernel tests share; one shape, so that Newton steps compile once."""

import numpy as np
from numpy.typing import NDArray

from porefield.kernels.conductivity import ConductivityLaw
from porefield.kernels.electrodes import Needle
from porefield.kernels.grid import Grid
from porefield.kernels.problem import FieldProblem
from porefield.kernels.solution import Solution, SolveStatus

RAMP = ConductivityLaw.ramp(0.08, 0.32, 35_000, 70_000)
TUMOUR = ConductivityLaw.ramp(0.2, 0.7, 40_000, 80_000)


def two_needles(
    shape=(20, 20, 20),
    spacing_m=1e-3,
    laws=(RAMP, TUMOUR),
    potentials_v=(800.0, 0.0),
    centre_mm=(10.2, 9.7, 10.4),
    third=False,
) -> FieldProblem:
    """Two needles of 1.2 mm, 8 mm apart and slightly oblique, a block of other tissue off centre; nothing symmetric."""
    grid = Grid(shape, (spacing_m, spacing_m, spacing_m))
    tissue = np.zeros(shape, np.uint8)
    tissue[9:15, 6:12, 8:16] = 1
    x, y, z = (c * 1e-3 for c in centre_mm)
    tilted = np.asarray([0.1, 0.05, 1.0])
    tilted /= np.linalg.norm(tilted)
    direction = (float(tilted[0]), float(tilted[1]), float(tilted[2]))
    needles = [
        Needle((x - 4e-3, y, z + 4e-3), direction, 0.6e-3, 8e-3),
        Needle((x + 4e-3, y + 1e-3, z + 3e-3), (0.0, 0.0, 1.0), 0.6e-3, 8e-3, shaft_m=3e-3),
    ]
    if third:
        needles.append(Needle((x, y - 4e-3, z + 4e-3), (0.0, 0.0, 1.0), 0.5e-3, 7e-3))
    return FieldProblem(grid, tissue, laws, tuple(needles), potentials_v)


def solution_of(problem: FieldProblem, potential_v: NDArray[np.float64]) -> Solution:
    """A solution that only carries a potential; electrodes at 0 V."""
    empty, at_0_v = np.zeros(problem.grid.shape, np.float32), (0.0,) * len(problem.electrodes)
    return Solution(potential_v, empty, empty, at_0_v, at_0_v, SolveStatus.CONVERGED, 0, 1, 0, 0, 0, (), (), "none")
