"""Electrodes in the conductance network, at sub-voxel accuracy and without staircases.

Nodes inside metal are no unknowns and the edges that touch them are taken out of the network. What replaces those edges
is a list of *links*: link l joins free node i to electrode k with the geometric conductance g (metres), so that it
carries g sigma (phi_i - V_k), sigma being averaged over the voxels c that the link lies in with weights w_c. The same
link adds w_c g (phi_i - V_k)^2 / V_c to the mean square field of voxel c: one energy, one symmetric Newton matrix.

Two kinds of link: cut edges, for surfaces that the grid resolves (cut_edges.py), and wire leaks, for needles
(wire_leaks.py).

A voxel that metal fills in part, or whose field is steep, has a *fill* w: the network's q of F in it, divided by the
true mean square of grad F over its tissue. Its conductivity is taken at q / w, and its energy is w V U(q / w): the
network stays as it is, and the conductivity next to metal is that of the field in the tissue.

Insulated shafts narrow the edges round them (shafts.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .cut_edges import link_cut_edges
from .electrodes import Electrode, Needle
from .fills import NearVoxels, Shares
from .grid import Grid
from .links import SHORTEST_CUT, Couplings, no_metal
from .node_boxes import at, box_of, points_in
from .shafts import narrow_by_shaft
from .surfaces import Factors, factors_at
from .wire_leaks import link_wire, open_alone, shares_of

EVERYWHERE = (slice(None), slice(None), slice(None))


def couple(
    grid: Grid,
    electrodes: tuple[Electrode, ...],
    factors: Factors | None = None,
    lengths: bool = False,
    *,
    fills: bool = True,
) -> Couplings:
    """Metal nodes, open edges and links of all electrodes on a grid.

    Args:
        factors: on the conductivity of each voxel along the axes, shape (3, nx, ny, nz): part of all conductances of
            links and of the near field's energies. None where all tissue is isotropic.
        lengths: work out `link_length_m`.
        fills: without them links lie in all their voxels alike; that is enough for a preconditioner, in a tenth of the
            time.
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
            if fills:
                fill_voxels(grid, electrode, k, out, alone)
    for k, electrode in enumerate(electrodes):
        if fills and not isinstance(electrode, Needle):
            fill_voxels(grid, electrode, k, out, out.open_edge)
    return out


def mark_metal(grid: Grid, electrode: Electrode, k: int, metal: NDArray[np.int16]) -> None:
    box = box_of(grid, electrode, 1)
    points = points_in(grid, box)
    distance = electrode.distance_m(points)
    h = min(grid.spacing_m)
    inside = distance <= SHORTEST_CUT * h
    if isinstance(electrode, Needle):
        inside &= electrode.shaft_distance_m(points) > 0
    metal[box][inside] = k


def close_edges_into_metal(c: Couplings) -> None:
    free = c.metal < 0
    for axis in range(3):
        lower, upper = at(axis, slice(None, -1)), at(axis, slice(1, None))
        c.open_edge[axis][lower] *= free[lower] & free[upper]


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
