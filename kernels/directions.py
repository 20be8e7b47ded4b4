"""What anisotropic tissue, contacts and resistive sheets make of a grid's couplings.

Both resistances are in series with tissue, in each voxel by itself (series.py): of the drop over an edge that crosses a
sheet, or along a link to an electrode with a contact, the share s = 1 / (1 + rho sigma) is in the tissue of the voxel.
rho (ohm m) is the element's geometric conductance over the conductance of its part of the sheet or contact.

Nodes lie on voxel faces, those of a face between two tissues in both. They count as the side of the sheet's other
tissue; the sheet is crossed by the edges that lead from them into its holder, none of whose voxels are the other
tissue. Every grid line that goes through the surface has one such edge. Those along axis a, of face area A, are S |n_a|
/ A over a surface S with normal n, so that A |n_a| for each sums up to the surface's area, as it does for edges cut by
metal. An edge that leads from one such node to another, through a holder one voxel thick, crosses the sheet twice.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .links import Couplings, voxels_round_edge
from .node_boxes import at
from .problem import FieldProblem, Sheet
from .surfaces import LEAST_SLANT, CrossedEdges

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
SMOOTHING = 4
"""Voxels to either side that a sheet's normal is taken from."""


def specialise(problem: FieldProblem, c: Couplings) -> Couplings:
    """Couplings with what is in series with tissue in them: in links to electrodes with a contact, and in edges that
    cross a sheet. The same object where there is nothing."""
    if not problem.resistive:
        return c
    if any(problem.contact_ohm_m2 or ()):
        c = without_negative_leaks(problem, c)
    ohm_m = contact_ohm_m(problem, c)
    crossed = crossed_edges(problem, c)
    touched = np.concatenate([c.link_cell[ohm_m > 0], crossed.cell[crossed.weight > 0]])
    open_edge = [share.copy() for share in c.open_edge]
    for axis in range(3):
        open_edge[axis].reshape(-1)[crossed.low[crossed.axis == axis]] = 0
    return replace(c, open_edge=open_edge, link_ohm_m=ohm_m, crossed=crossed, split_cell=np.unique(touched))


def voxel_factors(problem: FieldProblem) -> Array | None:
    """Axis factors of each voxel, shape (3, nx, ny, nz); None where all tissue is isotropic."""
    if problem.axis_factors is None:
        return None
    return np.moveaxis(np.asarray(problem.axis_factors)[problem.tissue], -1, 0)


def without_negative_leaks(problem: FieldProblem, c: Couplings) -> Couplings:
    """Of electrodes with a contact, the current of their near field on the other links alone.

    A negative leak in series could give a voxel's equation a second solution.
    """
    assert c.link_length_m is not None
    g = c.link_g_m.copy()
    for k, resistance in enumerate(problem.contact_ohm_m2 or ()):
        own = c.link_electrode == k
        if resistance > 0 and (g[own] < 0).any():
            current = g[own] * c.link_length_m[own]  # in proportion to g F
            kept = np.maximum(current, 0)
            g[own] = np.maximum(g[own], 0) * current.sum() / kept.sum()
    return replace(c, link_g_m=g)


def contact_ohm_m(problem: FieldProblem, c: Couplings) -> Array:
    """rho of every link in each of its voxels, shape (links, 8)."""
    contacts = problem.contact_ohm_m2
    if contacts is None or c.link_length_m is None:
        return np.zeros(c.link_weight.shape)
    ohm_m = np.asarray(contacts)[c.link_electrode] / c.link_length_m
    return np.where(c.link_weight > 0, ohm_m[:, None], 0)


def crossed_edges(problem: FieldProblem, c: Couplings) -> CrossedEdges:
    """The edges that cross any sheet, with rho in each of their voxels."""
    grid, parts = problem.grid, []
    placed = [(sheet, *sheet_nodes(problem, sheet)) for sheet in problem.sheets]
    if not placed:
        return CrossedEdges.none()
    for axis in range(3):
        ohm_m = [edge_ohm_m(problem, sheet, axis, nodes, normals) for sheet, nodes, normals in placed]
        crossing = np.zeros(grid.node_shape, bool)
        for r in ohm_m:
            crossing |= (r > 0) & (c.open_edge[axis] > 0)
        lower = np.argwhere(crossing)
        cells, weights = voxels_round_edge(grid, axis, lower)
        safe = np.where(weights[..., None] > 0, cells, 0)
        x, y, z = np.moveaxis(safe, -1, 0)
        flat = np.ravel_multi_index((x, y, z), grid.node_shape)
        tissue = problem.tissue[x, y, z]
        k = 1.0 if problem.axis_factors is None else np.asarray(problem.axis_factors)[:, axis][tissue]
        rho = np.zeros(weights.shape)
        for (sheet, _, _), r in zip(placed, ohm_m, strict=True):
            rho += r[crossing][:, None] * (tissue == sheet.holder)
        low = np.flatnonzero(crossing.reshape(-1)).astype(np.int32)
        stride = int(np.prod(grid.node_shape[axis + 1 :], dtype=int))
        whole = grid.voxel_volume_m3 / grid.spacing_m[axis] ** 2
        part = CrossedEdges(
            low=low,
            high=(low + stride).astype(np.int32),
            axis=np.full(len(low), axis, np.int8),
            g_m=whole * c.open_edge[axis][crossing].astype(np.float64),
            cell=np.asarray(flat, np.int32),
            weight=(weights * k).astype(np.float32),
            ohm_m=np.where(weights > 0, k * rho, 0),
        )
        parts.append(part)
    names = ("low", "high", "axis", "g_m", "cell", "weight", "ohm_m")
    return CrossedEdges(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def sheet_nodes(problem: FieldProblem, sheet: Sheet) -> tuple[Mask, list[Array]]:
    """Nodes that both tissues of a sheet touch, and the components of its unit normal at all nodes."""
    holder, other = problem.tissue == sheet.holder, problem.tissue == sheet.other
    return touched(holder) & touched(other), interface_normal(other, holder, problem.grid.spacing_m)


def edge_ohm_m(problem: FieldProblem, sheet: Sheet, axis: int, nodes: Mask, normals: list[Array]) -> Array:
    """rho of the edges along an axis that cross a sheet, 0 for the others; shape grid.node_shape."""
    holder, other = (problem.tissue == i for i in (sheet.holder, sheet.other))
    lower, upper = at(axis, slice(None, -1)), at(axis, slice(1, None))
    across = tuple(b for b in range(3) if b != axis)
    candidate = touched(holder, across)[lower] & ~touched(other, across)[lower]
    slant = np.maximum(np.abs(normals[axis]), LEAST_SLANT)
    each = np.where(nodes, sheet.resistance_ohm_m2 / (slant * problem.grid.spacing_m[axis]), 0)
    out = np.zeros(problem.grid.node_shape)
    out[lower] = np.where(candidate, each[lower] + each[upper], 0)
    return out


def touched(voxels: Mask, axes: tuple[int, ...] = (0, 1, 2)) -> Mask:
    """Nodes, or with two axes the edges across them, that any of some voxels touches; shape of the nodes."""
    padded = np.pad(voxels, 1)
    for axis in range(3):
        ahead, behind = padded[at(axis, slice(1, None))], padded[at(axis, slice(None, -1))]
        # an edge along this axis starts at its lower node and has the voxels at its own place
        padded = ahead | behind if axis in axes else ahead
    return padded


def interface_normal(other: Mask, holder: Mask, spacing_m: tuple[float, float, float]) -> list[Array]:
    """Unit normal at the nodes of the surface between two tissues, from their difference averaged over a few voxels."""
    smooth = other.astype(float) - holder
    for axis in range(3):
        for _ in range(SMOOTHING):
            padded = np.pad(smooth, _halo(axis), mode="edge")
            smooth = 0.25 * padded[at(axis, slice(2, None))] + 0.5 * smooth + 0.25 * padded[at(axis, slice(None, -2))]
    slopes = []
    for axis, h in enumerate(spacing_m):
        slope = np.pad(smooth, 1, mode="edge")
        for b in range(3):
            ahead, behind = slope[at(b, slice(1, None))], slope[at(b, slice(None, -1))]
            slope = (ahead - behind) / h if b == axis else 0.5 * (ahead + behind)
        slopes.append(slope)
    length = np.sqrt(slopes[0] ** 2 + slopes[1] ** 2 + slopes[2] ** 2)
    return [s / np.where(length > 0, length, 1) for s in slopes]


def _halo(axis: int) -> list[tuple[int, int]]:
    return [(1, 1) if b == axis else (0, 0) for b in range(3)]
