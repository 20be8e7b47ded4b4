"""A second, plain evaluation of the network's equations in numpy: what a solution is believed on.

It shares no code with the solver's own stencils (flat layout, JAX): three-dimensional arrays, differences and
sums over shifted slices, float64 throughout. The tests compare the two, and both with a dense assembly. Large arrays
are gone through slab by slab (slabs.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .conductivity import conductivity
from .links import Couplings
from .problem import FieldProblem
from .slabs import Scratch, for_slabs

Nodes = NDArray[np.float64]


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
    volume = problem.grid.voxel_volume_m3
    elements = _Elements(problem, couplings, potential_v, volts)
    edge_q, axis_q = _edge_squares(problem, couplings, potential_v)
    q = _q(problem, couplings, edge_q, elements, np.ones(elements.weight.shape))
    sigma = _solve(problem, couplings, edge_q, elements, q)
    share = elements.share(sigma)
    if couplings.split_cell is not None:
        q = _q(problem, couplings, edge_q, elements, share)
    out = _outflow(problem, couplings, potential_v, sigma)
    conductance = elements.g_m * np.sum(elements.weight * elements.at_voxels(sigma) * share, axis=1)
    current = conductance * elements.drop_v
    link, pair = np.split(current, [len(couplings.link_node)])
    np.add.at(out.reshape(-1), couplings.link_node, link)
    if couplings.crossed is not None:
        np.add.at(out.reshape(-1), couplings.crossed.low, -pair)
        np.add.at(out.reshape(-1), couplings.crossed.high, pair)
    out.reshape(-1)[couplings.metal_nodes] = 0
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


def _edge_squares(problem: FieldProblem, c: Couplings, potential_v: Nodes) -> tuple[Nodes, list[Nodes]]:
    """Mean square field of the voxels from their edges, weighted by axis factors; and along each axis, where tissue is
    other than plain."""
    grid = problem.grid
    total = np.empty(grid.shape)
    each = [] if problem.plain else [np.empty(grid.shape) for _ in range(3)]

    def work(voxels: slice, scratch: Scratch) -> None:
        nodes, factors = slice(voxels.start, voxels.stop + 1), _factors(problem, voxels)
        for a, h in enumerate(grid.spacing_m):
            square = _drops(potential_v[nodes], a, scratch)
            square *= square
            _narrow(square, c, a, voxels if a == 0 else nodes)
            b, d = (other for other in range(3) if other != a)
            along = _sums_of_two(_sums_of_two(square, b, scratch), d, scratch)
            along *= 0.25 / h**2
            if each:
                each[a][voxels] = along
            if factors is not None:
                along *= factors[a]
            if a == 0:
                total[voxels] = along
            else:
                total[voxels] += along

    for_slabs(grid.shape[0], total[0].size, work)
    return total, each


def _outflow(problem: FieldProblem, c: Couplings, potential_v: Nodes, sigma: Nodes) -> Nodes:
    """What leaves each node through its edges."""
    grid, out = problem.grid, np.zeros(problem.grid.node_shape)
    planes, ny, nz = grid.shape

    def work(nodes: slice, scratch: Scratch) -> None:
        # voxels on both sides of each plane of nodes, those outside the grid with nothing
        inside = slice(max(nodes.start - 1, 0), min(nodes.stop, planes))
        first, factors = inside.start - (nodes.start - 1), _factors(problem, inside)
        last = first + inside.stop - inside.start
        round_nodes = scratch.array("voxels", nodes.stop - nodes.start + 1, ny, nz)
        round_nodes[:first], round_nodes[last:] = 0, 0
        here = round_nodes[first:last]
        for a, h in enumerate(grid.spacing_m):
            if a == 0 or factors is not None:
                here[...] = sigma[inside] if factors is None else factors[a] * sigma[inside]
            weight = 0.25 * grid.voxel_volume_m3 / h**2
            if a == 0:
                flow = _drops(potential_v[inside.start : inside.stop + 1], 0, scratch)
                _narrow(flow, c, 0, inside)
                flow *= _sums_round(_sums_round(here, 1, scratch), 2, scratch)
                flow *= weight
                out[nodes.start : inside.stop] -= flow[nodes.start - inside.start :]
                out[inside.start + 1 : nodes.stop] += flow[: nodes.stop - inside.start - 1]
                continue
            flow = _drops(potential_v[nodes], a, scratch)
            _narrow(flow, c, a, nodes)
            flow *= _sums_round(_sums_of_two(round_nodes, 0, scratch), 3 - a, scratch)
            flow *= weight
            out[nodes][_slice(a, None, -1)] -= flow
            out[nodes][_slice(a, 1, None)] += flow

    for_slabs(planes + 1, out[0].size, work)
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
    """In place."""
    part = np.unravel_index(c.part_cell, problem.grid.node_shape)
    np.maximum(q, 0, out=q)
    q[part] /= fill
    return q


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
    sigma = conductivity_of(problem, q)
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


def conductivity_of(problem: FieldProblem, square_field: Nodes) -> Nodes:
    """sigma (S/m) of each voxel at a given |E|^2, one law at a time."""
    sigma = np.zeros(problem.grid.shape)

    def work(voxels: slice, scratch: Scratch) -> None:
        tissue, out = problem.tissue[voxels], sigma[voxels]
        field = np.sqrt(square_field[voxels], out=scratch.array("field", *out.shape))
        for i, law in enumerate(problem.laws):
            here = tissue == i
            if law.insulating or not here.any():
                continue
            if here.all():
                out[...] = conductivity(law, field)
            else:
                out[here] = conductivity(law, field[here])

    for_slabs(problem.grid.shape[0], sigma[0].size, work)
    return sigma if problem.warmth is None else sigma * problem.warmth


def _slice(axis: int, start: int | None, stop: int | None) -> tuple[slice, slice, slice]:
    s, full = slice(start, stop), slice(None)
    return (s if axis == 0 else full, s if axis == 1 else full, s if axis == 2 else full)


def _drops(potential_v: Nodes, axis: int, scratch: Scratch) -> Nodes:
    """What the potential rises by along each edge."""
    low, high = potential_v[_slice(axis, None, -1)], potential_v[_slice(axis, 1, None)]
    return np.subtract(high, low, out=scratch.array("drops", *low.shape))


def _narrow(values: Nodes, c: Couplings, axis: int, planes: slice) -> None:
    """Multiply values of edges, that start in some planes of nodes, by the edges' open shares."""
    if not c.open_planes[axis][planes].all():
        share = c.open_edge[axis][planes]
        values *= share if axis == 0 else share[_slice(axis, None, -1)]


def _sums_of_two(x: Nodes, axis: int, scratch: Scratch) -> Nodes:
    """Of neighbours along an axis."""
    low, high = x[_slice(axis, None, -1)], x[_slice(axis, 1, None)]
    return np.add(low, high, out=scratch.array(f"sums {axis}", *low.shape))


def _sums_round(x: Nodes, axis: int, scratch: Scratch) -> Nodes:
    """As `_sums_of_two`, with nothing on either side of the first and the last."""
    shape = [n + (a == axis) for a, n in enumerate(x.shape)]
    wider = scratch.array(f"sums round {axis}", *shape)
    np.add(x[_slice(axis, None, -1)], x[_slice(axis, 1, None)], out=wider[_slice(axis, 1, -1)])
    wider[_slice(axis, None, 1)], wider[_slice(axis, -1, None)] = x[_slice(axis, None, 1)], x[_slice(axis, -1, None)]
    return wider
