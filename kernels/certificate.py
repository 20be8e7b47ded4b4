"""A second, plain evaluation of the network's equations in numpy: what a solution is believed on.

It shares no code with the solver's own stencils (flat layout, JAX): three-dimensional arrays, differences by np.diff,
sums over shifted slices, float64 throughout. The tests compare the two, and both with a dense assembly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .conductivity import conductivity
from .coupling import Couplings
from .problem import FieldProblem

Nodes = NDArray[np.float64]


@dataclass(frozen=True)
class Audit:
    """Attributes: mean_square_field (V^2/m^2, of the voxel's tissue) and conductivity (S/m) per voxel; residual (A)
    per node, zero in metal;
    electrode_current_a out of each electrode; dissipated_power_w."""

    mean_square_field: Nodes
    conductivity_s_per_m: Nodes
    residual_a: Nodes
    electrode_current_a: NDArray[np.float64]
    dissipated_power_w: float

    def residual_norm(self, floating: NDArray[np.bool_]) -> float:
        """Euclidean norm over nodes and floating electrodes (A)."""
        return float(np.sqrt(np.sum(self.residual_a**2) + np.sum(self.electrode_current_a[floating] ** 2)))


def audit(problem: FieldProblem, couplings: Couplings, potential_v: Nodes, volts: NDArray[np.float64]) -> Audit:
    """Evaluate field, conductivity, residual and currents of a potential, shape grid.node_shape."""
    grid = problem.grid
    hx, hy, hz = grid.spacing_m
    volume = hx * hy * hz
    drops = [np.diff(potential_v, axis=a) for a in range(3)]
    shares = [_edges(couplings.open_edge[a], a) for a in range(3)]
    q = np.zeros(grid.shape)
    for a, h in enumerate(grid.spacing_m):
        q += _mean_of_4(shares[a] * drops[a] ** 2, a) / h**2
    link_drop = potential_v.reshape(-1)[couplings.link_node] - volts[couplings.link_electrode]
    cell = np.unravel_index(couplings.link_cell, grid.node_shape)
    inside = couplings.link_weight > 0
    square = couplings.link_weight * (couplings.link_g_m * link_drop**2)[:, None] / volume
    np.add.at(q, tuple(c[inside] for c in cell), square[inside])
    q = np.maximum(q, 0)
    whole = np.ones(grid.shape)
    whole[np.unravel_index(couplings.part_cell, grid.node_shape)] = couplings.part_fill
    q /= whole
    sigma = conductivity_of(problem, np.sqrt(q))
    out = np.zeros(grid.node_shape)
    for a, h in enumerate(grid.spacing_m):
        flow = volume / h**2 * _mean_round_edges(sigma, a) * shares[a] * drops[a]
        out[_slice(a, None, -1)] -= flow
        out[_slice(a, 1, None)] += flow
    clipped = tuple(np.minimum(c, n - 1) for c, n in zip(cell, grid.shape, strict=True))
    link_current = couplings.link_g_m * np.sum(couplings.link_weight * sigma[clipped], axis=1) * link_drop
    np.add.at(out.reshape(-1), couplings.link_node, link_current)
    out[couplings.metal >= 0] = 0
    currents = np.zeros(len(problem.electrodes))
    np.add.at(currents, couplings.link_electrode, -link_current)
    return Audit(q, sigma, out, currents, float(volume * np.sum(sigma * q * whole)))


def conductivity_of(problem: FieldProblem, field_v_per_m: Nodes) -> Nodes:
    """sigma (S/m) of each voxel in a given |E|, one law at a time."""
    sigma = np.zeros(problem.grid.shape)
    for i, law in enumerate(problem.laws):
        here = problem.tissue == i
        if not law.insulating and here.any():
            sigma[here] = conductivity(law, field_v_per_m[here])
    return sigma if problem.warmth is None else sigma * problem.warmth


def _slice(axis: int, start: int | None, stop: int | None) -> tuple[slice, slice, slice]:
    s, full = slice(start, stop), slice(None)
    return (s if axis == 0 else full, s if axis == 1 else full, s if axis == 2 else full)


def _edges(share: NDArray[np.float32], axis: int) -> Nodes:
    return share[_slice(axis, None, -1)].astype(np.float64)


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
            halo = [(1, 1) if c == b else (0, 0) for c in range(3)]
            padded = np.pad(voxels, halo)
            voxels = 0.5 * (padded[_slice(b, None, -1)] + padded[_slice(b, 1, None)])
    return voxels
