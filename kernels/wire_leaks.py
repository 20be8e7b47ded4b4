"""Wire leaks: the links of needles, however thin and wherever they lie between the nodes.

F is the near field of the needle alone, zero on its metal (nearfield.py). Every free node within about `REACH` voxels
of the metal gets

    g_i = sum over its open edges of g0 (F_j - F_i) / F_i,

worked out as if the needle were the only metal: then the network holds the near field exactly, and a node between two
needles is linked to both. In which of its 8 voxels a leak lies: fills.py. Where the near field is steeper than the grid
can follow leaks are negative; definite.py tells what that may do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .electrodes import Electrode, Insulation, Needle
from .fills import Shares
from .grid import Grid
from .links import Couplings, NearField, append_links, edge_conductance_m, no_metal, voxels_round_node
from .nearfield import shape_function
from .node_boxes import Box, at, box_of, points_in
from .shafts import narrow_by_shaft
from .surfaces import edge_factor, wire_length_m

REACH = 2.0
"""How far from a needle's surface nodes are linked to it, in voxels."""
TAPER = 1.0
"""Voxels over which links fade out round REACH: a whole row of nodes that came within reach at once moved the current
by 0.4 %."""
NEAR_REACH = 4.0
"""How far from a needle, in voxels, an interpolated potential follows its near field, fading out over the last one."""
MOST_NEGATIVE_LEAK = -0.2
"""Of the geometric edge conductance, beyond what `support` outweighs; the near field may ask for less next to a
needle's ends."""
SETTLE_SWEEPS = 30
"""Relaxations of the nodes inside a shaft; it is seldom more than two voxels thick."""


def shares_of(grid: Grid, electrode: Electrode, shafts: list[Insulation], unblocked: Shares) -> Shares:
    """Open shares without any metal, as a near field sees them: of a band, its shaft insulates over the other bands."""
    if not isinstance(electrode, Needle) or not electrode.others_m:
        return unblocked
    shares = no_metal(grid)
    for shaft in dict.fromkeys(electrode.insulation_alone if s == electrode.insulation else s for s in shafts):
        narrow_by_shaft(grid, shaft, shares)
    return shares


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
    away = needle.distance_chebyshev_m(points) / h
    taper = np.clip((REACH - away) / TAPER + 0.5, 0, 1)
    within = (taper > 0) & (c.metal[box] < 0) & ~insulated
    leak = np.where(within, taper * network_flow(opened, f)[0] / np.where(within, f, 1), 0)
    least = MOST_NEGATIVE_LEAK * network_flow(geometric, f)[1] / 6 - support(opened, np.maximum(leak, 0))
    g = np.maximum(leak, least)[within]
    node = np.argwhere(within) + [s.start for s in box]
    cells, weights = voxels_round_node(grid, node)
    share = np.where(insulated, 0, np.clip(NEAR_REACH - away, 0, 1)).astype(np.float32)
    c.near.append(NearField(k, box, f.astype(np.float32), share))
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
