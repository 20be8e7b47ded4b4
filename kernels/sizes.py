"""The lengths that the arrays of a network are padded to, so that a moved needle does not mean another compilation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .conductivity import law_kinds
from .electrodes import Electrode, Needle
from .grid import Grid

if TYPE_CHECKING:
    from .nested import NestedGrid

TABLE_ROWS = 16
"""Law tables come in multiples of this, so that another number of tissues rarely means another compilation."""
LINK_REACH, LINK_SPREAD = 2.5, 1.15
"""Voxels from a needle's metal to its farthest links, and by how much links are more than nodes that near in the mean,
wherever the needle lies."""
PART_REACH, PART_SPREAD = 3.3, 1.1
"""The same of the voxels with a fill."""


@dataclass(frozen=True)
class Sizes:
    """What the networks of some grids are padded to, and what their kernels must be able to do.

    Attributes:
        links, coarse_links, parts: lengths for the links, for those of each of the preconditioner's coarse grids, and
            for the voxels with a fill.
        rows: of the law table.
        warm: whether there is a warmth. directed: whether there are axis factors.
        split, pairs: `bucket` of the numbers of voxels with something in series, 0 for none, and of edges across
            sheets.
        kinds: conductivity.law_kinds.
    """

    links: int
    coarse_links: int
    parts: int
    rows: int
    warm: bool
    directed: bool
    split: int
    pairs: int
    kinds: tuple[int, ...]

    @staticmethod
    def of(grids: Sequence[NestedGrid]) -> Sizes:
        """The least that holds the networks of all of some grids."""
        return Sizes(
            links=max(links_wanted(g.problem.grid, g.problem.electrodes, len(g.couplings.link_node)) for g in grids),
            coarse_links=max((coarse_links_wanted(g) for g in grids), default=0),
            parts=max(parts_wanted(g.problem.grid, g.problem.electrodes, len(g.couplings.part_cell)) for g in grids),
            rows=max(-(-len(g.laws) // TABLE_ROWS) * TABLE_ROWS for g in grids),
            warm=any(g.problem.warmth is not None for g in grids),
            directed=any(g.problem.axis_factors is not None for g in grids),
            split=max(bucket(g.split_cells) if g.problem.resistive else 0 for g in grids),
            pairs=max(bucket(g.crossed_edges) for g in grids),
            kinds=law_kinds(tuple(law for g in grids for law in g.laws)),
        )


def coarse_links_wanted(grid: NestedGrid) -> int:
    """The same for all coarse grids; 0 where there are none."""
    electrodes = grid.problem.electrodes
    below = zip(grid.grids_below, grid.couplings_below, strict=True)
    return max((links_wanted(at, electrodes, len(c.link_node)) for at, c in below), default=0)


def links_wanted(grid: Grid, electrodes: Sequence[Electrode], found: int) -> int:
    return max(bucket(found), bucket(near_needles(grid, electrodes, LINK_REACH, LINK_SPREAD)))


def parts_wanted(grid: Grid, electrodes: Sequence[Electrode], found: int) -> int:
    return max(bucket(found), bucket(near_needles(grid, electrodes, PART_REACH, PART_SPREAD)))


def near_needles(grid: Grid, electrodes: Sequence[Electrode], reach: float, spread: float) -> int:
    """Nodes to be expected within so many voxels of needles' metal, whatever their places and directions: the volume of
    that shell in voxels. 0 unless all electrodes are needles."""
    if not all(isinstance(e, Needle) for e in electrodes):
        return 0
    away = reach * max(grid.spacing_m)
    volume = 0.0
    for needle in electrodes:
        assert isinstance(needle, Needle)
        metal = needle.radius_m**2 * needle.exposed_m
        volume += math.pi * ((needle.radius_m + away) ** 2 * (needle.exposed_m + 2 * away) - metal)
    return min(math.ceil(spread * volume / grid.voxel_volume_m3), len(electrodes) * math.prod(grid.node_shape))


def bucket(count: int) -> int:
    """A power of two, 256 or more."""
    return max(256, 2 ** math.ceil(math.log2(max(count, 1))))


def fill(a: NDArray[Any], length: int) -> NDArray[Any]:
    """Pad with zeros: links of no conductance."""
    return np.concatenate([a, np.zeros((length - len(a), *a.shape[1:]), a.dtype)])
