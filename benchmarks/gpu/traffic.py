"""How many bytes a solve has to move through a device's memory, counted from the code: the roofline.

Every pass of `kernels/newton.py`, `network.py` and `multigrid.py` between two points where its result must be in
memory (`optimization_barrier`, a scatter, a reduction) reads each of its arrays once and writes its result once.
Neighbours in a stencil are taken to come from the cache, halos cost nothing, and links to electrodes are left out. No
fusion can do with less, so a time from it is a least time; a line search is taken to need one evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence

from porefield.kernels.grid import Grid
from porefield.kernels.layout import level_layouts
from porefield.kernels.multigrid import COARSEST_STEPS, SMOOTHING_STEPS
from porefield.kernels.nested import MOST_GRIDS, SMALLEST_NESTED

SINGLE, DOUBLE = 4, 8
"""Bytes."""

PCG = SINGLE * (2 + 3 + 2 + 3 + 3 + 1)
"""r.z; z + beta p; p.Ap; x + a p; r - a Ap; r.r."""
MATRIX = SINGLE * (5 + 3 + 9 + 3)
"""b from p and three drops; curvature b; rows from t, p, three edges, three drops; times free."""
SMOOTHING_STEP = SINGLE * 8
"""x, r, inverse, diagonal, three edges; the new x."""
TRANSFERS = SINGLE * (7 + 3 + 2.625 + 4)
"""Defect; restriction in three stages and its mask; prolongation in three stages; the corrected x."""
V_CYCLE = SINGLE * 3 + SMOOTHING_STEP * (2 * SMOOTHING_STEPS - 1) + TRANSFERS
"""The first step of smoothing starts from zero."""
COARSEST = SINGLE * COARSEST_STEPS * (3 + 7 + 4)
EVALUATE = (8 + 12 + 8 + 24) + 16 + (8 + 1 + 8) + (8 + 24 + 8) + (8 + 4 + 8)
"""q and drops from phi and open edges; q made positive; sigma; rows; times free. Double precision."""
LINEARISE = DOUBLE + (4 + 28 + 16 + 36 + 20) + 52 + 24
"""Slope; edges, diagonal, drops and curvature in single precision; the finest level's arrays; sigma and leaks of the
next."""
LINE_SEARCH = 24 + EVALUATE + 24
"""phi + t d; its residual; two reductions."""
NEWTON_STEP = EVALUATE + LINEARISE + LINE_SEARCH + (12 + 12 + 24)
"""And the right-hand side, the direction in double precision, the new potential."""

KERNELS_OF_A_LEVEL = 3 + 2 * SMOOTHING_STEPS + 3 + 3
KERNELS_OF_COARSEST = 3 * COARSEST_STEPS
KERNELS_OF_PCG = 12 + 6
KERNELS_OF_A_STEP = 60
"""Passes counted as above, scatters and reductions included."""


def nested_shapes(voxels: int) -> list[tuple[int, int, int]]:
    """Of a cube's nested grids, coarsest first."""
    shapes = [voxels]
    while len(shapes) < MOST_GRIDS and shapes[-1] >= 2 * SMALLEST_NESTED:
        shapes.append(-(-shapes[-1] // 2))
    return [(n, n, n) for n in reversed(shapes)]


def nodes_of_levels(shape: tuple[int, int, int]) -> list[int]:
    """Of a grid's multigrid levels, finest first."""
    return [layout.n for layout, _ in level_layouts(Grid(shape, (1.0, 1.0, 1.0)).shape)]


def iteration_bytes(nodes: Sequence[int]) -> float:
    """Of a PCG iteration."""
    return nodes[0] * (PCG + MATRIX) + sum(nodes[:-1]) * V_CYCLE + nodes[-1] * COARSEST


def solve_bytes(voxels: int, newton_steps: Sequence[int], cg_iterations: Sequence[int]) -> float:
    """Of a solve on a cube; counts of its nested grids, coarsest first, as a Solution has them."""
    total = 0.0
    for shape, steps, iterations in zip(nested_shapes(voxels), with_rest(newton_steps), cg_iterations, strict=True):
        nodes = nodes_of_levels(shape)
        total += nodes[0] * NEWTON_STEP * steps + iteration_bytes(nodes) * iterations
    return total


def solve_kernels(voxels: int, newton_steps: Sequence[int], cg_iterations: Sequence[int]) -> int:
    """How many kernels such a solve starts; as many for a batch."""
    total = 0
    for shape, steps, iterations in zip(nested_shapes(voxels), with_rest(newton_steps), cg_iterations, strict=True):
        levels = len(nodes_of_levels(shape))
        each = KERNELS_OF_PCG + (levels - 1) * KERNELS_OF_A_LEVEL + KERNELS_OF_COARSEST
        total += KERNELS_OF_A_STEP * steps + each * iterations
    return total


def with_rest(newton_steps: Sequence[int]) -> list[int]:
    """Steps with the linear one that the coarsest grid begins with, which a Solution leaves out."""
    return [newton_steps[0] + 1, *newton_steps[1:]]
