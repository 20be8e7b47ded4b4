"""A second, plain evaluation of the network's equations in numpy: what a solution is believed on.

It shares no code with the solver's own stencils (flat layout, JAX): three-dimensional arrays, differences by np.diff,
sums over shifted slices, float64 throughout. The tests compare the two, and both with a dense assembly. Large arrays
are gone through slab by slab, what is worked out on the way staying in the cache, by as many threads as there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .conductivity import conductivity
from .grid import Grid
from .links import Couplings
from .problem import FieldProblem
from .program_cache import compiler_threads

Nodes = NDArray[np.float64]
Part = tuple[slice, Nodes]
SLAB_NODES = 2**17
"""Nodes of a slab, or one plane: their arrays are to fit a core's cache."""


@dataclass(frozen=True)
class Audit:
    """What a potential means.

    Attributes:
        weighted_square_field: q (V^2/m^2) that the conductivity of the voxel's tissue goes by; with axis factors more
            than mean_square_field, the mean of |E|^2.
        conductivity_s_per_m: of each voxel; with axis factors, that of a factor of 1.
        tissue_share: (3, nx, ny, nz), of the drop over a voxel along each axis what is in its tissue; None without
            contacts and sheets.
        residual_a: per node, zero in metal.
        electrode_current_a: out of each electrode. contact_drop_v: mean drop from each electrode to the tissue at it.
        dissipated_power_w: contacts and sheets included.
        link_s: conductance of each link.
    """

    mean_square_field: Nodes
    weighted_square_field: Nodes
    conductivity_s_per_m: Nodes
    residual_a: Nodes
    electrode_current_a: NDArray[np.float64]
    dissipated_power_w: float
    link_s: NDArray[np.float64]
    tissue_share: Nodes | None = None
    contact_drop_v: NDArray[np.float64] | None = None

    def residual_norm(self, floating: NDArray[np.bool_]) -> float:
        """Euclidean norm over nodes and floating electrodes (A)."""
        flat = self.residual_a.reshape(-1)
        return float(np.sqrt(np.vdot(flat, flat) + np.sum(self.electrode_current_a[floating] ** 2)))


def audit(problem: FieldProblem, couplings: Couplings, potential_v: Nodes, volts: NDArray[np.float64]) -> Audit:
    """Evaluate field, conductivity, residual and currents of a potential, shape grid.node_shape."""
    grid, volume = problem.grid, problem.grid.voxel_volume_m3
    elements = _Elements(problem, couplings, potential_v, volts)
    edge_q, axis_q = _edge_squares(problem, couplings, potential_v)
    q = _q(problem, couplings, edge_q, elements, np.ones(elements.weight.shape))
    sigma = _solve(problem, couplings, edge_q, elements, q)
    share = elements.share(sigma)
    if couplings.split_cell is not None:
        q = _q(problem, couplings, edge_q, elements, share)
    out = np.zeros(grid.node_shape)
    for voxels, flow in by_slabs(grid, lambda s: _outflow(problem, couplings, potential_v, sigma, s)):
        out[_nodes_of(voxels)] += flow
    conductance = elements.g_m * np.sum(elements.weight * elements.at_voxels(sigma) * share, axis=1)
    current = conductance * elements.drop_v
    link, pair = np.split(current, [len(couplings.link_node)])
    np.add.at(out.reshape(-1), couplings.link_node, link)
    if couplings.crossed is not None:
        np.add.at(out.reshape(-1), couplings.crossed.low, -pair)
        np.add.at(out.reshape(-1), couplings.crossed.high, pair)
    out[couplings.metal >= 0] = 0
    currents = np.zeros(len(problem.electrodes))
    np.add.at(currents, couplings.link_electrode, -link)
    power = volume * float(np.vdot(sigma, edge_q)) + float(np.sum(current * elements.drop_v))
    return Audit(
        mean_square_field=_true_square(problem, couplings, axis_q, q, elements, share),
        weighted_square_field=q,
        conductivity_s_per_m=sigma,
        residual_a=out,
        electrode_current_a=currents,
        dissipated_power_w=power,
        link_s=conductance[: len(couplings.link_node)],
        tissue_share=_tissue_share(couplings, axis_q, elements, share) if problem.resistive else None,
        contact_drop_v=_contact_drops(problem, couplings, elements, sigma, share) if problem.resistive else None,
    )


def by_slabs(grid: Grid, work: Callable[[slice], Nodes]) -> Iterator[Part]:
    """What `work` makes of some planes of voxels at a time, in their order, by as many threads as there are."""
    nx, ny, nz = grid.node_shape
    planes = max(1, SLAB_NODES // (ny * nz))
    slabs = [slice(i, min(i + planes, nx - 1)) for i in range(0, nx - 1, planes)]
    threads = min(compiler_threads(), len(slabs))
    if threads == 1:
        yield from ((s, work(s)) for s in slabs)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from zip(slabs, pool.map(work, slabs), strict=True)


def _nodes_of(voxels: slice) -> slice:
    return slice(voxels.start, voxels.stop + 1)


def _edge_squares(problem: FieldProblem, c: Couplings, potential_v: Nodes) -> tuple[Nodes, list[Nodes]]:
    """Mean square field of the voxels from their edges, weighted by axis factors; and along each axis, where tissue is
    other than plain."""
    grid = problem.grid
    total = np.empty(grid.shape)
    each = [] if problem.plain else [np.empty(grid.shape) for _ in range(3)]

    def work(voxels: slice) -> Nodes:
        nodes = _nodes_of(voxels)
        factors = _factors(problem, voxels)
        total[voxels] = 0
        for a, h in enumerate(grid.spacing_m):
            square = np.diff(potential_v[nodes], axis=a)
            square *= square
            square *= c.open_edge[a][nodes][_slice(a, None, -1)]
            along = _mean_of_4(square, a)
            along /= h**2
            if each:
                each[a][voxels] = along
            total[voxels] += along if factors is None else factors[a] * along
        return total

    for _ in by_slabs(grid, work):
        pass
    return total, each


def _outflow(problem: FieldProblem, c: Couplings, potential_v: Nodes, sigma: Nodes, voxels: slice) -> Nodes:
    """What flows into each node of a slab through the parts of its edges that lie in the slab's voxels."""
    nodes, factors = _nodes_of(voxels), _factors(problem, voxels)
    phi, here = potential_v[nodes], sigma[voxels]
    out = np.zeros(phi.shape)
    for a, h in enumerate(problem.grid.spacing_m):
        flow = np.diff(phi, axis=a)
        flow *= c.open_edge[a][nodes][_slice(a, None, -1)]
        flow *= _mean_round_edges(here if factors is None else factors[a] * here, a)
        flow *= problem.grid.voxel_volume_m3 / h**2
        out[_slice(a, None, -1)] -= flow
        out[_slice(a, 1, None)] += flow
    return out


class _Elements:
    """Links to electrodes, and after them the edges that cross a sheet; arrays (elements) and (elements, 8).

    Attributes:
        voxel: of each part. square: of the whole drop, m of series.py. field_ratio: of |E|^2 to the weighted square,
            for edges.
    """

    def __init__(self, problem: FieldProblem, c: Couplings, potential_v: Nodes, volts: Nodes) -> None:
        phi, grid, x = potential_v.reshape(-1), problem.grid, c.crossed
        cell, self.weight, self.g_m = c.link_cell, c.link_weight.astype(float), c.link_g_m
        self.drop_v = phi[c.link_node] - volts[c.link_electrode]
        self.ohm_m = np.zeros(cell.shape) if c.link_ohm_m is None else c.link_ohm_m
        ratio = np.ones(cell.shape)
        if x is not None:
            cell = np.concatenate([cell, x.cell])
            self.weight, self.g_m = np.concatenate([self.weight, x.weight]), np.concatenate([self.g_m, x.g_m])
            self.drop_v = np.concatenate([self.drop_v, phi[x.high] - phi[x.low]])
            self.ohm_m = np.concatenate([self.ohm_m, x.ohm_m])
        i, j, k = (
            np.minimum(m, n - 1) for m, n in zip(np.unravel_index(cell, grid.node_shape), grid.shape, strict=True)
        )
        self.voxel = (i, j, k)
        if x is not None:
            factors = _factors(problem, slice(None))
            along = np.ones((3, *grid.shape)) if factors is None else np.stack(factors)
            pairs = tuple(v[len(c.link_node) :] for v in self.voxel)
            ratio = np.concatenate([ratio, 1 / along[(x.axis[:, None], *pairs)]])
        self.field_ratio = ratio
        self.square = self.weight * (self.g_m * self.drop_v**2)[:, None] / grid.voxel_volume_m3

    def at_voxels(self, a: Nodes) -> Nodes:
        return a[self.voxel]

    def share(self, sigma: Nodes) -> Nodes:
        """What of the drop is in each voxel's tissue."""
        return 1 / (1 + self.at_voxels(sigma) * self.ohm_m)

    def added(self, voxels: Nodes, parts: Nodes, which: slice | NDArray[np.bool_] = slice(None)) -> Nodes:
        """Voxels with the parts of some elements added."""
        out = voxels.copy()
        used = self.weight[which] != 0
        np.add.at(out, tuple(v[which][used] for v in self.voxel), parts[which][used])
        return out


def _factors(problem: FieldProblem, voxels: slice) -> list[Nodes] | None:
    """Axis factors of each of some planes of voxels; None where all tissue is isotropic."""
    if problem.axis_factors is None:
        return None
    table = np.asarray(problem.axis_factors)
    return [table[:, a][problem.tissue[voxels]] for a in range(3)]


def _over_fill(problem: FieldProblem, c: Couplings, q: Nodes, fill: Nodes) -> Nodes:
    out, part = np.maximum(q, 0), np.unravel_index(c.part_cell, problem.grid.node_shape)
    out[part] /= fill
    return out


def _q(problem: FieldProblem, c: Couplings, edge_q: Nodes, elements: _Elements, share: Nodes) -> Nodes:
    return _over_fill(problem, c, elements.added(edge_q, elements.square * share**2), c.part_fill)


def _true_square(
    problem: FieldProblem, c: Couplings, axis_q: list[Nodes], q: Nodes, elements: _Elements, share: Nodes
) -> Nodes:
    """The mean of |E|^2: from the edges, and in voxels with links from the weighted one and the near field's."""
    if problem.axis_factors is None or c.part_isotropy is None:
        return q
    out = elements.added(np.asarray(sum(axis_q)), elements.square * elements.field_ratio * share**2)
    part = np.unravel_index(c.part_cell, problem.grid.node_shape)
    out[part] = q[part] * c.part_isotropy
    return out


BISECTIONS = 48
"""Halve a law's rise to the last digit of a double."""


def _solve(problem: FieldProblem, c: Couplings, edge_q: Nodes, elements: _Elements, q: Nodes) -> Nodes:
    """sigma = sigma(sqrt q(sigma)): at once from q, and where something is in series by bisection between the least and
    the most of each law."""
    sigma = conductivity_of(problem, np.sqrt(q))
    if c.split_cell is None:
        return sigma
    where = np.unravel_index(c.split_cell, problem.grid.node_shape)
    position = np.full(problem.grid.shape, -1)
    position[where] = np.arange(len(c.split_cell))
    place = position[elements.voxel]
    used = (place >= 0) & (elements.weight != 0)
    place, square, ohm_m = place[used], elements.square[used], elements.ohm_m[used]
    fill = _over_fill(problem, c, np.ones(problem.grid.shape), c.part_fill)[where]

    def found(s: Nodes) -> Nodes:
        q = edge_q[where].copy()
        np.add.at(q, place, square / (1 + s[place] * ohm_m) ** 2)
        return law_at(problem, where, np.sqrt(np.maximum(q, 0) * fill))

    low, high = (law_at(problem, where, np.full(len(c.split_cell), e)) for e in (0.0, np.inf))
    low, high = np.minimum(low, high), np.maximum(low, high)
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        above = middle >= found(middle)
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    sigma[where] = 0.5 * (low + high)
    return sigma


def _tissue_share(c: Couplings, axis_q: list[Nodes], elements: _Elements, share: Nodes) -> Nodes:
    """Of the drop over each voxel along each axis what is in its tissue: a root mean square over its four edges."""
    out = np.ones((3, *axis_q[0].shape))
    if c.crossed is None:
        return out
    for a in range(3):
        which = np.concatenate([np.zeros(len(c.link_node), bool), c.crossed.axis == a])
        true = elements.square * elements.field_ratio
        in_tissue, whole = elements.added(axis_q[a], true * share**2, which), elements.added(axis_q[a], true, which)
        out[a] = np.sqrt(np.where(whole > 0, in_tissue / np.where(whole > 0, whole, 1), 1))
    return out


def _contact_drops(
    problem: FieldProblem, c: Couplings, elements: _Elements, sigma: Nodes, share: Nodes
) -> NDArray[np.float64]:
    """Mean drop from each electrode to the tissue at its surface (V), weighted by current."""
    links = len(c.link_node)
    parts = (elements.weight * elements.at_voxels(sigma) * share)[:links]
    part_a = elements.g_m[:links, None] * parts * elements.drop_v[:links, None]
    drop = np.sum(-(1 - share[:links]) * elements.drop_v[:links, None] * np.abs(part_a), axis=1)
    size = len(problem.electrodes)
    total, weight = np.zeros(size), np.zeros(size)
    np.add.at(total, c.link_electrode, drop)
    np.add.at(weight, c.link_electrode, np.sum(np.abs(part_a), axis=1))
    return total / np.where(weight > 0, weight, 1)


def law_at(problem: FieldProblem, where: tuple[NDArray[np.intp], ...], field_v_per_m: Nodes) -> Nodes:
    """sigma (S/m) of some voxels in given |E|."""
    tissue, sigma = problem.tissue[where], np.zeros(len(field_v_per_m))
    for i in np.unique(tissue):
        sigma[tissue == i] = conductivity(problem.laws[i], field_v_per_m[tissue == i])
    return sigma if problem.warmth is None else sigma * problem.warmth[where]


def conductivity_of(problem: FieldProblem, field_v_per_m: Nodes) -> Nodes:
    """sigma (S/m) of each voxel in a given |E|, one law at a time."""
    sigma = np.zeros(problem.grid.shape)

    def work(voxels: slice) -> Nodes:
        tissue, out, field = problem.tissue[voxels], sigma[voxels], field_v_per_m[voxels]
        for i, law in enumerate(problem.laws):
            here = tissue == i
            if not law.insulating and here.any():
                out[here] = conductivity(law, field[here])
        return out

    for _ in by_slabs(problem.grid, work):
        pass
    return sigma if problem.warmth is None else sigma * problem.warmth


def _slice(axis: int, start: int | None, stop: int | None) -> tuple[slice, slice, slice]:
    s, full = slice(start, stop), slice(None)
    return (s if axis == 0 else full, s if axis == 1 else full, s if axis == 2 else full)


def _mean_of_4(edges: Nodes, axis: int) -> Nodes:
    """Per voxel the mean over its 4 edges along an axis."""
    for b in range(3):
        if b != axis:
            edges = 0.5 * (edges[_slice(b, None, -1)] + edges[_slice(b, 1, None)])
    return edges


def _mean_round_edges(voxels: Nodes, axis: int) -> Nodes:
    """Per edge along an axis the mean over the 4 voxels round it, those outside the grid counting as zero."""
    for b in range(3):
        if b != axis:
            wider = np.empty([n + (c == b) for c, n in enumerate(voxels.shape)])
            np.add(voxels[_slice(b, None, -1)], voxels[_slice(b, 1, None)], out=wider[_slice(b, 1, -1)])
            wider[_slice(b, None, 1)], wider[_slice(b, -1, None)] = (
                voxels[_slice(b, None, 1)],
                voxels[_slice(b, -1, None)],
            )
            voxels = np.multiply(wider, 0.5, out=wider)
    return voxels
