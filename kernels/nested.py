"""One grid of a nested iteration: a problem as a network in the padded flat layout, and potentials to and from it.

Networks are built as numpy arrays, so that those of several problems can be stacked before they go to the device.
"""

from __future__ import annotations

import functools
import hashlib
import math
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from .coarse_links import coarse_links, couplings_below, grids_below
from .conductivity import ConductivityLaw, conductivity, law_kinds, law_table
from .coupling import couple
from .directions import specialise, voxel_factors
from .electrodes import Electrode
from .grid import Grid
from .interpolation import interpolate
from .layout import Layout, level_layouts
from .links import Couplings
from .multigrid import Levels
from .network import Network
from .problem import FieldProblem
from .series import Pairs, Split
from .sizes import Sizes, fill
from .surfaces import CrossedEdges

MOST_GRIDS = 3
"""At most this many grids, each twice as coarse as the next."""
SMALLEST_NESTED = 24
"""Voxels along the longest axis below which no coarser nested grid is worth it."""


def nested_grids(problem: FieldProblem, *, coarse: bool) -> list[NestedGrid]:
    """The problem's own grid, and after it the coarser ones to begin with, if wanted."""
    grids = [NestedGrid(problem)]
    while coarse and len(grids) < MOST_GRIDS and max(grids[-1].problem.grid.shape) >= 2 * SMALLEST_NESTED:
        grids.append(NestedGrid(coarser(grids[-1].problem)))
    return grids


def coarser(problem: FieldProblem) -> FieldProblem:
    """The same problem on voxels of twice the size (the tissue of every other voxel)."""
    grid = problem.grid
    nx, ny, nz = (math.ceil(n / 2) for n in grid.shape)
    hx, hy, hz = (2 * h for h in grid.spacing_m)
    every = (slice(None, None, 2),) * 3
    warmth = None if problem.warmth is None else problem.warmth[every]
    return replace(
        problem,
        grid=Grid((nx, ny, nz), (hx, hy, hz)),
        tissue=np.ascontiguousarray(problem.tissue[every]),
        warmth=warmth,
    )


class NestedGrid:
    """One nested grid: the problem, its couplings, and the layout of its network."""

    def __init__(self, problem: FieldProblem) -> None:
        self.problem = problem
        medium = None if problem.axis_factors is None else Medium(problem)
        contacts = any(problem.contact_ohm_m2 or ())
        self.couplings: Couplings = specialise(
            problem, couplings_of(problem.grid, problem.electrodes, medium, contacts)
        )
        self.levels: Levels = level_layouts(problem.grid.shape)
        self.layout: Layout = self.levels[0][0]
        self.grids_below = grids_below(problem.grid, self.levels)
        self.couplings_below: list[Couplings] = couplings_below(problem, self.grids_below)
        self.floating_mask = np.asarray([v is None for v in problem.potentials_v])
        self.outside = ConductivityLaw.constant(0.0)
        self.laws = (*problem.laws, self.outside)
        driven = [v for v in problem.potentials_v if v is not None]
        self.middle_v = 0.5 * (max(driven) + min(driven))
        self.scale_a = self.find_scale()

    @property
    def floating_count(self) -> int:
        return int(self.floating_mask.sum())

    @property
    def split_cells(self) -> int:
        cells = self.couplings.split_cell
        return 0 if cells is None else len(cells)

    @property
    def crossed_edges(self) -> int:
        crossed = self.couplings.crossed
        return 0 if crossed is None else len(crossed.low)

    @property
    def kinds(self) -> tuple[int, ...]:
        return law_kinds(self.laws)

    @functools.cached_property
    def network(self) -> Network:
        """The network by itself, on the device."""
        return jax.device_put(self.build_network(Sizes.of([self])))

    def build_network(self, sizes: Sizes) -> Network:
        """The network as numpy arrays of the given sizes."""
        c, lay = self.couplings, self.layout
        tissue = np.full(lay.nodes, len(self.problem.laws), np.uint8)
        nx, ny, nz = self.problem.grid.shape
        tissue[:nx, :ny, :nz] = self.problem.tissue
        table = law_table(self.laws, sizes.kinds)
        warmth = None
        if sizes.warm:
            padded = np.ones(lay.nodes, np.float32)
            if self.problem.warmth is not None:
                padded[:nx, :ny, :nz] = self.problem.warmth
            warmth = padded.reshape(-1)
        x, y, z = (np.pad(self.pad(share), lay.halo) for share in c.open_edge)
        arrays: dict[str, Any] = {
            "spacing_m": np.asarray(self.problem.grid.spacing_m, np.float64),
            "tissue": tissue.reshape(-1),
            "table": np.concatenate([table, np.repeat(table[-1:], sizes.rows - len(table), axis=0)]),
            "warmth": warmth,
            "open_edge": (x, y, z),
            "free": self.pad((c.metal < 0).astype(np.float32)),
            "link_node": fill(self.reindex(c.link_node), sizes.links),
            "link_electrode": fill(c.link_electrode, sizes.links),
            "link_g_m": fill(c.link_g_m, sizes.links),
            "link_cell": fill(self.reindex(c.link_cell), sizes.links),
            "link_weight": fill(c.link_weight, sizes.links),
            "part_cell": fill(self.reindex(c.part_cell), sizes.parts),
            "part_inverse": fill(1 / c.part_fill - 1, sizes.parts) + 1,
            "floating": self.floating_mask.astype(np.float32),
            "coarse": coarse_links(
                self.problem, self.levels, self.couplings_below, sizes.coarse_links, resistive=bool(sizes.split)
            ),
            "axis_factors": self.build_factors(sizes.rows) if sizes.directed else None,
            "split": self.build_split(sizes) if sizes.split else None,
        }
        return Network(**arrays)

    def build_factors(self, rows: int) -> NDArray[np.float64]:
        """Axis factors of the table's rows."""
        out = np.ones((rows, 3))
        if self.problem.axis_factors is not None:
            out[: len(self.problem.laws)] = self.problem.axis_factors
        return out

    def build_split(self, sizes: Sizes) -> Split:
        """What is in series with tissue, in padded indices; the padding stands for the last voxel, which is empty."""
        c, crossed = self.couplings, self.couplings.crossed or CrossedEdges.none()
        cells = np.zeros(0, np.int32) if c.split_cell is None else c.split_cell
        cell = np.full(sizes.split, self.layout.n - 1, np.int32)
        cell[: len(cells)] = self.reindex(cells)
        ohm_m = np.zeros((0, 8)) if c.link_ohm_m is None else c.link_ohm_m
        pairs: dict[str, Any] = {
            "low": fill(self.reindex(crossed.low), sizes.pairs),
            "high": fill(self.reindex(crossed.high), sizes.pairs),
            "axis": fill(np.eye(3)[crossed.axis], sizes.pairs),
            "g_m": fill(crossed.g_m, sizes.pairs),
            "cell": fill(self.reindex(crossed.cell), sizes.pairs),
            "weight": fill(crossed.weight, sizes.pairs),
            "ohm_m": fill(crossed.ohm_m, sizes.pairs),
            "place": places(cells, crossed.cell, crossed.weight, (sizes.pairs, 8), sizes.split),
        }
        arrays: dict[str, Any] = {
            "cell": cell,
            "link_ohm_m": fill(ohm_m, sizes.links),
            "link_place": places(cells, c.link_cell, c.link_weight, (sizes.links, 8), sizes.split),
        }
        return Split(**arrays, pairs=Pairs(**pairs))

    def find_scale(self) -> float:
        """Norm (A) of what the driven electrodes push into tissue at rest when all free nodes are at the middle
        potential: nothing flows but through links."""
        c = self.couplings
        at_rest = np.asarray([conductivity(law, 0.0) for law in self.laws])
        cell = np.unravel_index(c.link_cell, self.problem.grid.node_shape)
        clipped = tuple(np.minimum(i, n - 1) for i, n in zip(cell, self.problem.grid.shape, strict=True))
        sigma = at_rest[self.problem.tissue[clipped]]
        if self.problem.warmth is not None:
            sigma = sigma * self.problem.warmth[clipped]
        drop = self.middle_v - self.volts()[c.link_electrode]
        share = 1.0 if c.link_ohm_m is None else 1 / (1 + sigma * c.link_ohm_m)
        current = c.link_g_m * np.sum(c.link_weight * sigma * share, axis=1) * drop
        return float(np.linalg.norm(np.bincount(c.link_node, current))) or 1.0

    def volts(self) -> NDArray[np.float64]:
        """Of each electrode, floating ones at the middle potential."""
        return np.asarray([self.middle_v if v is None else v for v in self.problem.potentials_v], np.float64)

    def middle(self) -> NDArray[np.float64]:
        return np.full(self.problem.grid.node_shape, self.middle_v)

    def at_rest(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Everything at the middle potential: flat padded potential, electrode potentials."""
        return self.embed(self.middle()), self.volts()

    def from_guess(
        self, potential_v: NDArray[np.float64], electrodes_v: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """As `at_rest`, from potentials near the solution; driven electrodes keep their own."""
        volts = np.where(self.floating_mask, electrodes_v, self.volts())
        return self.pad(self.with_metal(potential_v.copy(), volts)), volts

    def embed(self, potential_v: NDArray[np.float64]) -> NDArray[np.float64]:
        """A potential on the true nodes as a flat padded vector; changed to the electrodes' own in their metal."""
        return self.pad(self.with_metal(potential_v, self.volts()))

    def with_metal(self, potential_v: NDArray[np.float64], volts: NDArray[np.float64]) -> NDArray[np.float64]:
        """A potential on the true nodes, changed to the electrodes' own in their metal."""
        inside = self.couplings.metal_nodes
        np.put(potential_v, inside, volts[np.take(self.couplings.metal, inside)])
        return potential_v

    def interpolate(
        self, coarse: NestedGrid, phi: NDArray[np.float64], volts: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """A coarser grid's potential on this one; both flat and padded."""
        nodes = phi.reshape(coarse.layout.nodes)
        return self.embed(interpolate(nodes, self.problem.grid.node_shape, self.couplings.near, volts))

    def pad(self, x: NDArray[Any]) -> NDArray[Any]:
        """True nodes -> flat padded vector; not a copy where nothing is padded."""
        widths = [(0, m - n) for m, n in zip(self.layout.nodes, x.shape, strict=True)]
        return (np.pad(x, widths) if any(more for _, more in widths) else x).reshape(-1)

    def extract(self, phi: Any) -> NDArray[np.float64]:
        """Flat padded vector -> true nodes."""
        nx, ny, nz = self.problem.grid.node_shape
        return np.array(np.asarray(phi).reshape(self.layout.nodes)[:nx, :ny, :nz])

    def reindex(self, flat: NDArray[np.int32]) -> NDArray[np.int32]:
        """Flat indices over the true nodes -> over the padded ones."""
        where = np.unravel_index(flat, self.problem.grid.node_shape)
        return np.ravel_multi_index(where, self.layout.nodes).astype(np.int32)


@functools.lru_cache(maxsize=8)
def couplings_of(
    grid: Grid, electrodes: tuple[Electrode, ...], medium: Medium | None = None, contacts: bool = False
) -> Couplings:
    """`couple`, kept for the next pulse through the same electrodes; never changed afterwards."""
    return couple(grid, electrodes, None if medium is None else voxel_factors(medium.problem), contacts)


class Medium:
    """Anisotropic tissue as a key: equal where the factors of all voxels are."""

    def __init__(self, problem: FieldProblem) -> None:
        self.problem = problem
        self.key = (problem.axis_factors, hashlib.sha256(problem.tissue.tobytes()).digest())

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Medium) and self.key == other.key


def places(
    cells: NDArray[np.int32],
    wanted: NDArray[np.int32],
    weight: NDArray[np.float32],
    shape: tuple[int, int],
    nowhere: int,
) -> NDArray[np.int32]:
    """Where voxels stand among sorted ones, padded; `nowhere` for those that are not there or have no weight."""
    out = np.full(shape, nowhere, np.int32)
    if len(cells):
        found = np.minimum(np.searchsorted(cells, wanted), len(cells) - 1)
        out[: len(wanted)] = np.where((cells[found] == wanted) & (weight != 0), found, nowhere)
    return out
