"""Electrodes in the conductance network, at sub-voxel accuracy and without staircases.

Nodes inside metal are no unknowns and the edges that touch them are taken out of the network. What replaces those edges
is a list of *links*: link l joins free node i to electrode k with the geometric conductance g (metres), so that it
carries g sigma (phi_i - V_k), sigma being averaged over the voxels c that the link lies in with weights w_c. The same
link adds w_c g (phi_i - V_k)^2 / V_c to the mean square field of voxel c: one energy, one symmetric Newton matrix.

Two kinds of link:

* Cut edge, for surfaces that the grid resolves (plates, tubes, spheres). An edge of conductance g0 whose free part has
  the fraction theta gets g0 / theta, in the edge's own 4 voxels. Gibou et al. 2002, J Comput Phys 176:205.
* Wire leak, for needles, however thin. F is the near field of the needle alone, zero on its metal (nearfield.py). Every
  free node within about `REACH` voxels of the metal gets
      g_i = sum over its open edges of g0 (F_j - F_i) / F_i,
  in those of its 8 voxels whose edges lack the energy of F (fills.py), worked out as if the needle were the only metal:
  then the network holds the near field exactly, wherever the needle lies between the nodes, and a node between two
  needles is linked to both.

A voxel that metal fills in part, or whose field is steep, has a *fill* w: the network's q of F in it, divided by the
true mean square of grad F over its tissue. Its conductivity is taken at q / w, and its energy is w V U(q / w): the
network stays as it is, and the conductivity next to metal is that of the field in the tissue.

Insulated shafts narrow the edges round them (shafts.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

from .electrodes import Electrode, Insulation, Needle
from .fills import NearVoxels, Shares
from .grid import Grid
from .nearfield import shape_function
from .node_boxes import Box, at, box_of, points_in
from .shafts import narrow_by_shaft
from .surfaces import (
    CrossedEdges,
    Factors,
    contact_length_m,
    edge_factor,
    factors_at,
    weighted_edges,
    wire_length_m,
)

REACH = 2.0
"""How far from a needle's surface nodes are linked to it, in voxels."""
TAPER = 1.0
"""Voxels over which links fade out round REACH: a whole row of nodes that came within reach at once moved the current
by 0.4 %."""
MOST_NEGATIVE_LEAK = -0.2
"""Of the geometric edge conductance, beyond what `support` outweighs; the near field may ask for less next to a
needle's ends."""
SETTLE_SWEEPS = 30
"""Relaxations of the nodes inside a shaft; it is seldom more than two voxels thick."""
SHORTEST_CUT = 0.01
"""A node nearer than this fraction of an edge to a surface counts as metal."""

EVERYWHERE = (slice(None), slice(None), slice(None))


@dataclass
class Couplings:
    """What electrodes do to the network of one grid. Arrays over nodes have shape grid.node_shape.

    Attributes:
        metal: index of the electrode a node lies in, -1 for free nodes.
        open_edge: for each axis the share of an edge's conductance that is left (0 to 1), edge i going from node i
            to i + 1.
        link_node: flat node index of each link. link_electrode: its electrode. link_g_m: its geometric conductance, m.
        link_cell, link_weight: (links, 8) voxel indices flat over the *node* shape, and weights (0 where unused).
        part_cell, part_fill: voxels (same indices) with a fill other than 1, and that fill.
        link_length_m: a contact of r ohm m2 is in series with a link as r / link_length_m is with the resistivity of
            its tissue; None where nobody asked.
        part_isotropy: in tissue with axis factors, the mean of |E|^2 over the weighted one in those voxels, else None.
        link_ohm_m, crossed, split_cell: what is in series with tissue (directions.py), or None.
    """

    metal: NDArray[np.int16]
    open_edge: list[NDArray[np.float32]]
    link_node: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    link_electrode: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    link_g_m: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    link_cell: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 8), np.int32))
    link_weight: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 8), np.float32))
    part_cell: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    part_fill: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    link_length_m: NDArray[np.float64] | None = None
    part_isotropy: NDArray[np.float64] | None = None
    link_ohm_m: NDArray[np.float64] | None = None
    crossed: CrossedEdges | None = None
    split_cell: NDArray[np.int32] | None = None
    factors: Factors | None = None


def couple(
    grid: Grid, electrodes: tuple[Electrode, ...], factors: Factors | None = None, lengths: bool = False
) -> Couplings:
    """Metal nodes, open edges and links of all electrodes on a grid.

    Args:
        factors: on the conductivity of each voxel along the axes, shape (3, nx, ny, nz): part of all conductances of
            links and of the near field's energies. None where all tissue is isotropic.
        lengths: work out `link_length_m`.
    """
    out = Couplings(metal=np.full(grid.node_shape, -1, np.int16), open_edge=no_metal(grid), factors=factors)
    if lengths:
        out.link_length_m = np.zeros(0)
    if factors is not None:
        out.part_isotropy = np.zeros(0)
    for k, electrode in enumerate(electrodes):
        mark_metal(grid, electrode, k, out.metal)
    shafts = [e.insulation for e in electrodes if isinstance(e, Needle)]
    for insulation in dict.fromkeys(shafts):
        narrow_by_shaft(grid, insulation, out.open_edge)
    unblocked = [share.copy() for share in out.open_edge]
    close_edges_into_metal(out)
    for k, electrode in enumerate(electrodes):
        if not isinstance(electrode, Needle):
            link_cut_edges(grid, electrode, k, out)
    for k, electrode in enumerate(electrodes):
        if isinstance(electrode, Needle):
            unmetalled = shares_of(grid, electrode, shafts, unblocked)
            alone = [open_alone(out, unmetalled, k, axis, EVERYWHERE) for axis in range(3)]
            link_wire(grid, electrode, k, alone, out)
            fill_voxels(grid, electrode, k, out, alone)
    for k, electrode in enumerate(electrodes):
        if not isinstance(electrode, Needle):
            fill_voxels(grid, electrode, k, out, out.open_edge)
    return out


# -- geometry helpers --------------------------------------------------------------------------------------------------


def edge_conductance_m(grid: Grid, axis: int, box: Box) -> NDArray[np.float64]:
    """Geometric conductance (face area / length, m) of the edges that start in a box of nodes, with the part of their
    face that lies outside the grid taken off: one half on an outer face, one quarter on an outer edge."""
    hx, hy, hz = grid.spacing_m
    whole = hx * hy * hz / grid.spacing_m[axis] ** 2
    share = np.ones(tuple(s.stop - s.start for s in box))
    for b in range(3):
        i = np.arange(box[b].start, box[b].stop)
        last = grid.shape[b]
        factor = (i < last) * 1.0 if b == axis else 0.5 * ((i > 0) * 1.0 + (i < last) * 1.0)
        share *= factor.reshape([-1 if c == b else 1 for c in range(3)])
    return whole * share


# -- metal and shafts --------------------------------------------------------------------------------------------------


def mark_metal(grid: Grid, electrode: Electrode, k: int, metal: NDArray[np.int16]) -> None:
    box = box_of(grid, electrode, 1)
    points = points_in(grid, box)
    distance = electrode.distance_m(points)
    h = min(grid.spacing_m)
    inside = distance <= SHORTEST_CUT * h
    if isinstance(electrode, Needle):
        inside &= electrode.shaft_distance_m(points) > 0
    metal[box][inside] = k


def shares_of(grid: Grid, electrode: Electrode, shafts: list[Insulation], unblocked: Shares) -> Shares:
    """Open shares without any metal, as a near field sees them: of a band, its shaft insulates over the other bands."""
    if not isinstance(electrode, Needle) or not electrode.others_m:
        return unblocked
    shares = no_metal(grid)
    for shaft in dict.fromkeys(electrode.insulation_alone if s == electrode.insulation else s for s in shafts):
        narrow_by_shaft(grid, shaft, shares)
    return shares


def no_metal(grid: Grid) -> list[NDArray[np.float32]]:
    """Open shares of a grid without electrodes."""
    shares = [np.ones(grid.node_shape, np.float32) for _ in range(3)]
    for a in range(3):
        shares[a][at(a, slice(-1, None))] = 0
    return shares


def close_edges_into_metal(c: Couplings) -> None:
    free = c.metal < 0
    for axis in range(3):
        lower, upper = at(axis, slice(None, -1)), at(axis, slice(1, None))
        c.open_edge[axis][lower] *= free[lower] & free[upper]


# -- cut edges ---------------------------------------------------------------------------------------------------------


def link_cut_edges(grid: Grid, electrode: Electrode, k: int, c: Couplings) -> None:
    """Replace every edge that the surface of a resolved electrode cuts by links from its free ends."""
    box = box_of(grid, electrode, 2)
    for axis in range(3):
        step = tuple(1 if b == axis else 0 for b in range(3))
        start = points_in(grid, box)
        along = np.asarray(step) * grid.spacing_m[axis]
        first, last = crossing_fractions(electrode, start, along)
        lower = np.moveaxis(np.indices(first.shape), 0, -1) + [s.start for s in box]
        # a node that counts as metal may lie a hair outside of it, and its edge miss the surface
        for end, fraction in ((lower, 0.0), (np.minimum(lower + step, grid.shape), 1.0)):
            grazed = np.isnan(first) & (c.metal[end[..., 0], end[..., 1], end[..., 2]] == k)
            first, last = np.where(grazed, fraction, first), np.where(grazed, fraction, last)
        cut = np.isfinite(first) & (edge_conductance_m(grid, axis, box) > 0)
        for i, theta in ((lower, first), (lower + step, 1 - last)):
            node = np.minimum(i, np.asarray(grid.shape))
            free = cut & (c.metal[node[..., 0], node[..., 1], node[..., 2]] < 0)
            whole = grid.voxel_volume_m3 / grid.spacing_m[axis] ** 2
            cells, weights = voxels_round_edge(grid, axis, lower[free])
            part = np.maximum(theta[free], SHORTEST_CUT)
            g, weights = weighted_edges(c.factors, axis, whole / part, cells, weights)
            length = None
            if c.link_length_m is not None:
                way = np.asarray(step) * (1.0 if i is lower else -1.0)
                surface = (node[free] + part[:, None] * way) * np.asarray(grid.spacing_m)
                length = contact_length_m(electrode, surface, axis, grid, g)
            append_links(c, grid, node[free], k, g, cells, weights, length)
        c.open_edge[axis][box][cut] = 0


def crossing_fractions(
    electrode: Electrode, start: NDArray[np.float64], along: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the segment start + t along, t in 0..1, is inside metal: smallest and largest such t (nan: nowhere).

    The point deepest in the metal is found by sampling the distance at 9 points and refining round the smallest, the
    crossings by bisection from there; so metal thinner than the voxels is found too.
    """
    t = np.linspace(0, 1, 9)
    d = np.stack([electrode.distance_m(start + s * along) for s in t])
    lowest = np.argmin(d, axis=0)
    deepest = _refine_minimum(electrode, start, along, np.clip(lowest - 1, 0, 7) / 8, np.clip(lowest + 1, 1, 8) / 8)
    touches = electrode.distance_m(start + deepest[..., None] * along) <= 0
    first = _bisect(electrode, start, along, outside=np.zeros_like(deepest), inside=deepest)
    last = _bisect(electrode, start, along, outside=np.ones_like(deepest), inside=deepest)
    return np.where(touches, first, np.nan), np.where(touches, last, np.nan)


def _refine_minimum(
    electrode: Electrode,
    start: NDArray[np.float64],
    along: NDArray[np.float64],
    lo: NDArray[np.float64],
    hi: NDArray[np.float64],
) -> NDArray[np.float64]:
    for _ in range(20):
        third = (hi - lo) / 3
        left = electrode.distance_m(start + (lo + third)[..., None] * along)
        right = electrode.distance_m(start + (hi - third)[..., None] * along)
        smaller_left = left < right
        lo, hi = np.where(smaller_left, lo, lo + third), np.where(smaller_left, hi - third, hi)
    return 0.5 * (lo + hi)


def _bisect(
    electrode: Electrode,
    start: NDArray[np.float64],
    along: NDArray[np.float64],
    outside: NDArray[np.float64],
    inside: NDArray[np.float64],
) -> NDArray[np.float64]:
    already = electrode.distance_m(start + outside[..., None] * along) <= 0
    lo, hi = outside.copy(), inside.copy()
    for _ in range(30):
        middle = 0.5 * (lo + hi)
        metal = electrode.distance_m(start + middle[..., None] * along) <= 0
        lo, hi = np.where(metal, lo, middle), np.where(metal, middle, hi)
    return np.where(already, outside, hi)


# -- wire leaks --------------------------------------------------------------------------------------------------------


def open_alone(c: Couplings, unblocked: Shares, k: int, axis: int, box: Box) -> NDArray[np.float32]:
    """Open shares of a box's edges as they were if electrode k were the only metal."""
    foreign = (c.metal[box] != k).astype(np.float32)
    share = unblocked[axis][box] * foreign
    share[at(axis, slice(None, -1))] *= foreign[at(axis, slice(1, None))]
    return share


def link_wire(grid: Grid, needle: Needle, k: int, alone: Shares, c: Couplings) -> None:
    """Wire leaks of one needle at all free nodes within reach, as if it were alone: they do not depend on other metal,
    and a node between two needles has links to both."""
    box = box_of(grid, needle, REACH + TAPER + 2)
    points = points_in(grid, box)
    geometric = [edge_conductance_m(grid, axis, box) for axis in range(3)]
    opened = [g0 * share[box] for g0, share in zip(geometric, alone, strict=True)]
    if c.factors is not None:
        opened = [g0 * edge_factor(c.factors, axis)[box] for axis, g0 in enumerate(opened)]
    insulated = needle.insulation_alone.distance_m(points) <= 0
    f = settle(shape_function(needle, points), insulated, opened)
    h = max(grid.spacing_m)
    taper = np.clip((REACH - needle.distance_chebyshev_m(points) / h) / TAPER + 0.5, 0, 1)
    within = (taper > 0) & (c.metal[box] < 0) & ~insulated
    leak = np.where(within, taper * network_flow(opened, f)[0] / np.where(within, f, 1), 0)
    least = MOST_NEGATIVE_LEAK * network_flow(geometric, f)[1] / 6 - support(opened, np.maximum(leak, 0))
    g = np.maximum(leak, least)[within]
    node = np.argwhere(within) + [s.start for s in box]
    cells, weights = voxels_round_node(grid, node)
    length = None if c.link_length_m is None else wire_length_m(needle, grid, g, f[within])
    append_links(c, grid, node, k, g, cells, weights, length)


def support(edges: list[NDArray[np.float64]], leak: NDArray[np.float64]) -> NDArray[np.float64]:
    """What outweighs a negative leak at each node of a box: the ways over one edge and a neighbour's positive leak to
    the electrode, conductances in series. Six nodes may lean on one leak, so each has a sixth of it."""
    out, sixth = np.zeros_like(leak), leak / 6
    for axis, conductance in enumerate(edges):
        lower, upper = at(axis, slice(None, -1)), at(axis, slice(1, None))
        e = conductance[lower]
        for here, there in ((lower, upper), (upper, lower)):
            both = e + sixth[there]
            out[here] += np.where(both > 0, e * sixth[there] / np.where(both > 0, both, 1), 0)
    return out


def network_flow(
    edges: list[NDArray[np.float64]], f: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Flow into each node of a box by potentials f, and the sum of its edges' conductances."""
    into, total = np.zeros_like(f), np.zeros_like(f)
    for axis, conductance in enumerate(edges):
        lower, upper = at(axis, slice(None, -1)), at(axis, slice(1, None))
        g = conductance[lower]
        flow = g * (f[upper] - f[lower])
        into[lower] += flow
        into[upper] -= flow
        total[lower] += g
        total[upper] += g
    return into, total


def settle(
    f: NDArray[np.float64], insulated: NDArray[np.bool_], edges: list[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """A near field with the values that the network itself will give to nodes inside the shaft.

    They have no links, and whatever edge is left to them must not carry a current that the near field knows nothing of.
    """
    out = f.copy()
    if not insulated.any():
        return out
    for _ in range(SETTLE_SWEEPS):
        into, total = network_flow(edges, out)
        out = np.where(insulated & (total > 0), out + into / np.where(total > 0, total, 1), out)
    return out


# -- voxels that metal or a steep near field fills in part -------------------------------------------------------------


def fill_voxels(grid: Grid, electrode: Electrode, k: int, c: Couplings, open_edge: Shares) -> None:
    """Where in their voxels an electrode's links lie, and the fill of these; where two electrodes claim one, the first
    counts."""
    own = np.flatnonzero(c.link_electrode == k)
    used = c.link_weight[own] > 0
    cells = np.unique(c.link_cell[own][used]).astype(np.int64)
    if not len(cells):
        return
    voxels = NearVoxels(grid, electrode, cells, open_edge, factors_at(c.factors, grid, cells))
    node, g, cell = c.link_node[own].astype(np.int64), c.link_g_m[own], c.link_cell[own]
    if isinstance(electrode, Needle):
        c.link_weight[own] = voxels.spread(g, cell, c.link_weight[own].astype(np.float64)).astype(np.float32)
    fill = voxels.fill(node, g, cell, c.link_weight[own].astype(np.float64))
    new = ~np.isin(cells, c.part_cell)
    c.part_cell = np.concatenate([c.part_cell, cells[new].astype(np.int32)])
    c.part_fill = np.concatenate([c.part_fill, fill[new]])
    if c.part_isotropy is not None:
        c.part_isotropy = np.concatenate([c.part_isotropy, voxels.isotropy[new]])


# -- link bookkeeping --------------------------------------------------------------------------------------------------


def voxels_round_node(grid: Grid, node: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The 8 voxels round each node (n, 3) -> indices (n, 8, 3) and weights (n, 8) that sum to 1 over those in the
    grid."""
    corner = np.asarray(list(product((-1, 0), repeat=3)))
    cells = node[:, None, :] + corner
    inside = np.all((cells >= 0) & (cells < np.asarray(grid.shape)), axis=-1)
    return cells, (inside / np.maximum(inside.sum(axis=1, keepdims=True), 1)).astype(np.float32)


def voxels_round_edge(grid: Grid, axis: int, lower: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The 4 voxels round each edge, padded to 8 with weight 0; each of the 4 weighs 1/4 if it is in the grid, else
    0."""
    corner = np.asarray([s for s in product((-1, 0), repeat=3) if s[axis] == 0])
    cells = np.concatenate([lower[:, None, :] + corner, lower[:, None, :] + 0 * corner], axis=1)
    inside = np.all((cells >= 0) & (cells < np.asarray(grid.shape)), axis=-1)
    inside[:, 4:] = False
    return cells, (0.25 * inside).astype(np.float32)


def append_links(
    c: Couplings,
    grid: Grid,
    node: NDArray[np.int64],
    k: int,
    g_m: NDArray[np.float64],
    cells: NDArray[np.int64],
    weights: NDArray[np.float32],
    length_m: NDArray[np.float64] | None = None,
) -> None:
    shape = grid.node_shape
    safe = np.where(weights[..., None] > 0, cells, 0)
    flat_cells = np.ravel_multi_index((safe[..., 0], safe[..., 1], safe[..., 2]), shape)
    flat_node = np.ravel_multi_index((node[:, 0], node[:, 1], node[:, 2]), shape)
    c.link_node = np.concatenate([c.link_node, flat_node.astype(np.int32)])
    c.link_electrode = np.concatenate([c.link_electrode, np.full(len(flat_node), k, np.int32)])
    c.link_g_m = np.concatenate([c.link_g_m, g_m])
    c.link_cell = np.concatenate([c.link_cell, flat_cells.astype(np.int32)])
    c.link_weight = np.concatenate([c.link_weight, weights])
    if c.link_length_m is not None and length_m is not None:
        c.link_length_m = np.concatenate([c.link_length_m, length_m])
