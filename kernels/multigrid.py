"""One V-cycle of geometric multigrid for the network at frozen conductivity: the preconditioner of `pcg`.

Node-centred coarsening by two, trilinear interpolation P and its transpose, coarse networks assembled anew from voxel
means of sigma (along each axis, where it depends on direction); the conductance of links to electrodes is carried down
by P^T. Smoothing is two steps of Jacobi with Chebyshev weights, in reverse order after the coarse correction, so that
the cycle is symmetric. On the coarsest grid runs a fixed number of steps of the Chebyshev iteration. Nothing here
branches on data.

Reference: Briggs, Henson, McCormick, A Multigrid Tutorial, 2000; Adams et al. 2003, J Comput Phys 188:593 (polynomial
smoothers).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .layout import Layout
from .network import Operator, State, network_diagonal

Nodes = Float[Array, " n"]
OtherNodes = Float[Array, " m"]
Levels = tuple[tuple[Layout, tuple[int, int, int]], ...]
barrier = jax.lax.optimization_barrier

SMOOTHING_INTERVAL = (0.45, 2.0)
"""Eigenvalues of the Jacobi-scaled network that the smoother damps; 2 bounds the spectrum of any network."""
SMOOTHING_STEPS = 2
COARSEST_INTERVAL = (0.01, 2.0)
COARSEST_STEPS = 20


class Level(NamedTuple):
    """A network at frozen conductivity. `extended_edge` carries the layout's halo; `inverse` is 0 at fixed nodes."""

    extended_edge: tuple[Float[Array, " e"], Float[Array, " e"], Float[Array, " e"]]
    diagonal: Nodes
    inverse: Nodes


def smoothing_weights() -> list[float]:
    low, high = SMOOTHING_INTERVAL
    j = np.arange(SMOOTHING_STEPS)
    roots = 0.5 * (high + low) + 0.5 * (high - low) * np.cos(np.pi * (2 * j + 1) / (2 * SMOOTHING_STEPS))
    return [float(1 / r) for r in roots]


def build_levels(levels: Levels, op: Operator, state: State, spacing_m: Float[Array, "3"]) -> list[Level]:
    """The networks of all levels, finest first, in the operator's precision."""
    dtype = op.diagonal.dtype
    sigma = [s.astype(dtype) for s in state.sigma_axes]
    lay, factors = levels[0]
    out = [finest_level(lay, op)]
    leak = jnp.zeros_like(sigma[0]).at[op.link_node].add(op.link_conductance) * op.free
    free = op.free
    spacing = spacing_m.astype(dtype)
    for coarse, next_factors in levels[1:]:
        sigma = [coarsen_voxels(s, lay, factors) for s in sigma]
        leak = restrict(leak, lay, factors)
        free = inject(free, lay, factors)
        spacing = spacing * jnp.asarray(factors, dtype)
        out.append(barrier(coarse_level(coarse, sigma, leak, free, spacing)))
        lay, factors = coarse, next_factors
    return out


def finest_level(lay: Layout, op: Operator) -> Level:
    """Edges into fixed nodes stay in the diagonal only, which removes every mask from the smoother."""
    free_extended = lay.extend(op.free)
    edge = [g * op.free * lay.take(free_extended, s) for g, s in zip(op.edge, lay.strides, strict=True)]
    return level_of(lay, edge, op.diagonal, op.free)


def coarse_level(lay: Layout, sigma: list[Nodes], leak: Nodes, free: Nodes, spacing: Float[Array, "3"]) -> Level:
    """sigma: of each voxel; one array for all axes, or one for each."""
    volume, weight = jnp.prod(spacing), 0.25 / spacing**2
    extended = [lay.extend(s) for s in sigma] * (3 // len(sigma))
    edge = [volume * weight[a] * lay.edge_sum(extended[a], a) for a in range(3)]
    diagonal = network_diagonal(lay, edge) + leak
    free_extended = lay.extend(free)
    edge = [g * free * lay.take(free_extended, s) for g, s in zip(edge, lay.strides, strict=True)]
    return level_of(lay, edge, diagonal, free)


def level_of(lay: Layout, edge: list[Nodes], diagonal: Nodes, free: Nodes) -> Level:
    unknown = (free > 0) & (diagonal > 0)
    inverse = jnp.where(unknown, 1 / jnp.where(unknown, diagonal, 1), 0)
    x, y, z = (lay.extend(g) for g in edge)
    return barrier(Level((x, y, z), diagonal * free, inverse))


def apply_network(lay: Layout, level: Level, x: Nodes) -> Nodes:
    extended = lay.extend(x)
    out = level.diagonal * x
    for g, s in zip(level.extended_edge, lay.strides, strict=True):
        out = out - lay.take(g, 0) * lay.take(extended, s) - lay.take(g, -s) * lay.take(extended, -s)
    return out


def v_cycle(levels: Levels, networks: list[Level], r: Nodes) -> Nodes:
    """An approximate solution of the frozen network for the right-hand side r (zero at fixed nodes)."""
    (lay, factors), level = levels[0], networks[0]
    if len(levels) == 1:
        return chebyshev(lay, level, r)
    weights = smoothing_weights()
    x = barrier(weights[0] * level.inverse * r)
    for w in weights[1:]:
        x = smooth(lay, level, x, r, w)
    defect = barrier(r - apply_network(lay, level, x))
    coarse_defect = restrict(defect, lay, factors) * (networks[1].inverse > 0)
    correction = v_cycle(levels[1:], networks[1:], barrier(coarse_defect))
    x = barrier(x + prolong(correction, levels[1][0], factors) * (level.inverse > 0))
    for w in reversed(weights):
        x = smooth(lay, level, x, r, w)
    return x


def smooth(lay: Layout, level: Level, x: Nodes, r: Nodes, weight: float) -> Nodes:
    return barrier(x + weight * level.inverse * (r - apply_network(lay, level, x)))


def chebyshev(lay: Layout, level: Level, r: Nodes) -> Nodes:
    """Chebyshev iteration from zero on the coarsest grid (Saad, Iterative Methods, 2003, algorithm 12.1)."""
    low, high = COARSEST_INTERVAL
    centre, half = 0.5 * (high + low), 0.5 * (high - low)
    ratio = centre / half

    def body(_: Array, c: tuple[Nodes, Nodes, Nodes, Array]) -> tuple[Nodes, Nodes, Nodes, Array]:
        x, rest, d, rho = c
        x = x + d
        rest = barrier(rest - apply_network(lay, level, d))
        rho_next = 1 / (2 * ratio - rho)
        d = rho_next * rho * d + (2 * rho_next / half) * level.inverse * rest
        return x, rest, d, rho_next

    start = (jnp.zeros_like(r), r, level.inverse * r / centre, jnp.asarray(1 / ratio, r.dtype))
    return jax.lax.fori_loop(0, COARSEST_STEPS, body, start)[0]


# -- transfer between levels -------------------------------------------------------------------------------------------


def inject(x: Nodes, fine: Layout, factors: tuple[int, int, int]) -> OtherNodes:
    """Values at the fine nodes that are coarse nodes too."""
    fx, fy, fz = factors
    return x.reshape(fine.nodes)[::fx, ::fy, ::fz].reshape(-1)


def restrict(r: Nodes, fine: Layout, factors: tuple[int, int, int]) -> OtherNodes:
    """Transpose of `prolong`."""
    a = r.reshape(fine.nodes)
    for axis, factor in enumerate(factors):
        if factor == 2:
            even = along(a, axis, slice(0, None, 2))
            odd = along(a, axis, slice(1, None, 2))
            halo = [(1, 1) if b == axis else (0, 0) for b in range(3)]
            odd = jnp.pad(odd, halo)
            a = barrier(even + 0.5 * (along(odd, axis, slice(None, -1)) + along(odd, axis, slice(1, None))))
    return a.reshape(-1)


def prolong(e: Nodes, coarse: Layout, factors: tuple[int, int, int]) -> OtherNodes:
    """Trilinear interpolation to the next finer nodes."""
    a = e.reshape(coarse.nodes)
    for axis, factor in enumerate(factors):
        if factor == 2:
            start = along(a, axis, slice(None, -1))
            middle = 0.5 * (start + along(a, axis, slice(1, None)))
            shape = [2 * n if b == axis else n for b, n in enumerate(start.shape)]
            pairs = jnp.stack([start, middle], axis=axis + 1).reshape(shape)
            a = barrier(jnp.concatenate([pairs, along(a, axis, slice(-1, None))], axis=axis))
    return a.reshape(-1)


def coarsen_voxels(x: Nodes, fine: Layout, factors: tuple[int, int, int]) -> OtherNodes:
    """Mean over the fine voxels in each coarse one; the layout's last, empty planes stay zero."""
    a = x.reshape(fine.nodes)[:-1, :-1, :-1]
    (nx, ny, nz), (fx, fy, fz) = a.shape, factors
    a = a.reshape(nx // fx, fx, ny // fy, fy, nz // fz, fz).mean((1, 3, 5))
    return jnp.pad(a, [(0, 1)] * 3).reshape(-1)


def along(a: Float[Array, "x y z"], axis: int, s: slice) -> Float[Array, "u v w"]:
    return a[tuple(s if b == axis else slice(None) for b in range(3))]
