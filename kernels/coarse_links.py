"""Links to electrodes on the coarse grids of the preconditioner, as each of those grids has them by itself.

Links carried down from the fine grid by P^T would make every coarse node near a needle as good as metal, and the needle
as thick as a voxel of the coarsest grid: the coarse grids then hold the tissue's potential to the electrodes much
better than the needles do, and correct little of it. With links from the near field at each grid's own voxels
(coupling.py) a needle has its own conductance on all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray

from .coupling import couple
from .directions import contact_ohm_m, voxel_factors
from .electrodes import Electrode
from .grid import Grid
from .layout import Layout
from .links import Couplings
from .problem import FieldProblem
from .sizes import fill


class CoarseLinks(NamedTuple):
    """Links of one coarse grid, as network.Network has those of its own. ohm_m: in series with each, or None."""

    node: Int[Array, " links"]
    g_m: Float[Array, " links"]
    cell: Int[Array, "links 8"]
    weight: Float[Array, "links 8"]
    ohm_m: Float[Array, "links 8"] | None = None


Levels = Sequence[tuple[Layout, tuple[int, int, int]]]


def grids_below(grid: Grid, levels: Levels) -> list[Grid]:
    """The coarse grids of a hierarchy, finest first, without the first grid itself."""
    out = []
    for _, factors in levels[:-1]:
        grid = coarser_grid(grid, factors)
        out.append(grid)
    return out


def couplings_below(problem: FieldProblem, grids: Sequence[Grid]) -> list[Couplings]:
    """Links of a problem's electrodes on coarse grids."""
    contacts, factors = any(problem.contact_ohm_m2 or ()), voxel_factors(problem)
    if factors is None:
        return [links_of(grid, problem.electrodes, contacts) for grid in grids]
    out = []
    for grid in grids:
        x, y, z = (round(h / of) for h, of in zip(grid.spacing_m, problem.grid.spacing_m, strict=True))
        out.append(couple(grid, problem.electrodes, factors[:, ::x, ::y, ::z], contacts, fills=False))
    return out


def coarser_grid(grid: Grid, factors: tuple[int, int, int]) -> Grid:
    nx, ny, nz = (-(-n // f) for n, f in zip(grid.shape, factors, strict=True))
    hx, hy, hz = (h * f for h, f in zip(grid.spacing_m, factors, strict=True))
    return Grid((nx, ny, nz), (hx, hy, hz))


@functools.lru_cache(maxsize=32)
def links_of(grid: Grid, electrodes: tuple[Electrode, ...], contacts: bool) -> Couplings:
    """Kept for the next pulse through the same electrodes, and for the coarser grids that a solve begins on."""
    return couple(grid, electrodes, None, contacts, fills=False)


def coarse_links(
    problem: FieldProblem, levels: Levels, couplings: Sequence[Couplings], length: int, *, resistive: bool
) -> tuple[CoarseLinks, ...]:
    """`couplings_below` as arrays of one length, in the layouts of their levels, the first of which is the problem's.

    Args:
        resistive: whether to have `ohm_m`.
    """
    out = []
    for (lay, _), c in zip(levels[1:], couplings, strict=True):
        nodes = c.metal.shape

        def padded(flat: NDArray[np.int32], of: tuple[int, ...] = nodes, to: Layout = lay) -> NDArray[np.int32]:
            return np.ravel_multi_index(np.unravel_index(flat, of), to.nodes).astype(np.int32)

        arrays: dict[str, Any] = {
            "node": fill(padded(c.link_node), length),
            "g_m": fill(c.link_g_m.astype(np.float32), length),
            "cell": fill(padded(c.link_cell), length),
            "weight": fill(c.link_weight, length),
            "ohm_m": fill(contact_ohm_m(problem, c).astype(np.float32), length) if resistive else None,
        }
        out.append(CoarseLinks(**arrays))
    return tuple(out)
