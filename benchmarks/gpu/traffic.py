"""How many bytes a solve has to move through a device's memory, counted from the code: the roofline.

Every pass of `kernels/newton.py`, `network.py` and `multigrid.py` between two points where its result must be in
memory (`optimization_barrier`, a scatter, a reduction) reads each of its arrays once and writes its result once.
Neighbours in a stencil are taken to come from the cache, halos cost nothing, and links to electrodes are left out; a
line search is taken to need one evaluation. So a time from it is a least time for the passes as they stand, unless
arrays stay in the cache from one pass to the next, as those of small grids do.
"""

from __future__ import annotations

from collections.abc import Sequence

from porefield.kernels.grid import Grid
from porefield.kernels.layout import level_layouts
from porefield.kernels.multigrid import COARSEST_STEPS, SMOOTHING_STEPS
from porefield.kernels.nested import MOST_GRIDS, SMALLEST_NESTED

SINGLE, DOUBLE = 4, 8
"""Bytes."""

PCG = SINGLE * (2 + 3 + 2 + 3 + 3 + 2)
"""r.z; z + beta p; p.Ap; x + a p; r - a Ap; the norm of r times root."""
MATRIX = SINGLE * (3 + 6 + 10)
"""v = x / root; t from v, three drops, curvature; rows from v, three edges, t, three drops and root."""
SMOOTHING_STEP = SINGLE * 6
"""x, r, three edges; the new x."""
TRANSFERS = SINGLE * (7 + 2.625 + 2.625 + 4)
"""Defect times root; restriction and prolongation in three stages; the corrected x."""
V_CYCLE = SINGLE * 5 + SMOOTHING_STEP * SMOOTHING_STEPS + TRANSFERS
"""The smoothing steps before the correction start from zero, and are one pass."""
COARSEST = SINGLE * COARSEST_STEPS * (3 + 6 + 3)
EVALUATE = 40 + 28 + 16 + 33 + 56 + 16 + 36 + 20 + 36
"""Halos of phi and the open edges; q; q made positive; laws; sigma and slope; halo of sigma; rows; times free; what is
kept in single precision. Double precision."""
LINEARISE = 64 + 88 + (8 + 24) + (36 + 36) + 28 + 8 + 36 + 8 + 35
"""Drops; the preconditioner's conductivity; halos of both conductivities; both networks' edges; the preconditioner's
diagonal, root's halo and scaled edges; curvature; conductivities and free nodes of the next level."""
LINE_SEARCH = 20 + EVALUATE + 20
"""phi + t d; its state; two reductions."""
NEWTON_STEP = LINEARISE + LINE_SEARCH + (12 + 12 + 20)
"""And the scaled right-hand side, the direction, the new potential."""

KERNELS_OF_A_LEVEL = 1 + SMOOTHING_STEPS + 1 + 4 + 5
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
        total += nodes[0] * (EVALUATE + NEWTON_STEP * steps) + iteration_bytes(nodes) * iterations
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
