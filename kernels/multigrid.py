"""One V-cycle of geometric multigrid for the network near the Newton matrix (network.Near), which preconditions `pcg`.

Node-centred coarsening by two, trilinear interpolation P and its transpose, coarse networks assembled anew from voxel
means of the conductivity along each axis, and links to electrodes of each grid's own (coarse_links.py). Smoothing is
two steps of Jacobi with Chebyshev weights, in reverse order after the coarse correction, so that the cycle is
symmetric. On the coarsest grid runs a fixed number of steps of the Chebyshev iteration. Nothing here branches on data.

Reference: Briggs, Henson, McCormick, A Multigrid Tutorial, 2000; Adams et al. 2003, J Comput Phys 188:593 (polynomial
smoothers).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .coarse_links import CoarseLinks
from .layout import Layout
from .network import Network, Operator, along_field, neighbours, reciprocal, root_of, scale_edges

Nodes = Float[Array, " n"]
OtherNodes = Float[Array, " m"]
Levels = tuple[tuple[Layout, tuple[int, int, int]], ...]
barrier = jax.lax.optimization_barrier

SMOOTHING_INTERVAL = (0.65, 1.85)
"""Eigenvalues of the Jacobi-scaled network that the smoother damps best. What lies above, up to 2, is damped too; best
from 0.45 to 2 took one PCG iteration more in a solve."""
SMOOTHING_STEPS = 2
COARSEST_INTERVAL = (0.01, 2.0)
COARSEST_STEPS = 20


class Level(NamedTuple):
    """A network near the Newton matrix, scaled as it is: `root` of the diagonal is 0 where no unknown is."""

    root: Nodes
    scaled_edge: tuple[Float[Array, " e"], Float[Array, " e"], Float[Array, " e"]]


def smoothing_weights() -> list[float]:
    low, high = SMOOTHING_INTERVAL
    j = np.arange(SMOOTHING_STEPS)
    roots = 0.5 * (high + low) + 0.5 * (high - low) * np.cos(np.pi * (2 * j + 1) / (2 * SMOOTHING_STEPS))
    return [float(1 / r) for r in roots]


def build_levels(levels: Levels, net: Network, op: Operator) -> list[Level]:
    """The networks near the operator on all levels, finest first, in its precision."""
    dtype, sigma, frozen = op.root.dtype, list(op.near.sigma), op.near.frozen
    lay, factors = levels[0]
    out = [Level(op.root, op.near.scaled_edge)]
    free = (op.root > 0).astype(dtype)
    spacing = net.spacing_m.astype(dtype)
    for (coarse, next_factors), links in zip(levels[1:], net.coarse, strict=True):
        sigma = [barrier(coarsen_voxels(s, lay, factors)) for s in sigma]
        frozen = barrier(coarsen_voxels(frozen, lay, factors))
        free = inject(free, lay, factors)
        spacing = spacing * jnp.asarray(factors, dtype)
        leak = coarse_leak(coarse, links, along_field(net, sigma, frozen, links.cell))
        out.append(coarse_level(coarse, sigma, leak, free, spacing))
        lay, factors = coarse, next_factors
    return out


def coarse_leak(lay: Layout, links: CoarseLinks, sigma: Float[Array, "links 8"]) -> Nodes:
    """What leaks from each node to electrodes, sigma being that of the links' voxels; none where the near field asks
    for less than that."""
    if links.ohm_m is not None:
        sigma = sigma / (1 + sigma * links.ohm_m.astype(sigma.dtype))
    conductance = links.g_m.astype(sigma.dtype) * jnp.sum(links.weight.astype(sigma.dtype) * sigma, axis=1)
    return lay.keep(jnp.maximum(jnp.zeros(lay.n, sigma.dtype).at[links.node].add(conductance), 0))


def coarse_level(lay: Layout, sigma: list[Nodes], leak: Nodes, free: Nodes, spacing: Float[Array, "3"]) -> Level:
    """sigma: of each voxel along each axis."""
    volume, weight = jnp.prod(spacing), 0.25 / spacing**2
    extended = [lay.extend(s) for s in sigma]
    edge = [lay.extend(volume * weight[a] * lay.edge_sum(extended[a], a)) for a in range(3)]
    root = root_of(lay, edge, leak, free)
    return Level(root, scale_edges(lay, edge, lay.extend(reciprocal(root))))


def v_cycle(levels: Levels, networks: list[Level], r: Nodes) -> Nodes:
    """An approximate solution of the frozen, scaled network for the right-hand side r (zero where no unknown is); both
    extended."""
    (lay, factors), level = levels[0], networks[0]
    if len(levels) == 1:
        return chebyshev(lay, level, r)
    weights = smoothing_weights()
    x = first_smoothing(lay, level, r, weights)
    defect = lay.take(r, 0) - lay.take(x, 0) + neighbours(lay, level.scaled_edge, x)
    coarse_lay, coarse_level = levels[1][0], networks[1]
    coarse_defect = restrict(lay.keep(level.root * defect), lay, factors) * reciprocal(coarse_level.root)
    correction = v_cycle(levels[1:], networks[1:], coarse_lay.extend(coarse_defect))
    correction = coarse_lay.keep(reciprocal(coarse_level.root) * coarse_lay.take(correction, 0))
    x = lay.extend(lay.take(x, 0) + level.root * prolong(correction, coarse_lay, factors))
    for w in reversed(weights):
        x = smooth(lay, level, x, r, w)
    return x


def first_smoothing(lay: Layout, level: Level, r: Nodes, weights: list[float]) -> Nodes:
    """Two smoothing steps from zero at once: x = w1 r, then x + w2 (r - A x)."""
    first, second = weights
    here = (first + second - first * second) * lay.take(r, 0)
    return lay.extend(here + (first * second) * neighbours(lay, level.scaled_edge, r))


def smooth(lay: Layout, level: Level, x: Nodes, r: Nodes, weight: float) -> Nodes:
    rest = weight * (lay.take(r, 0) + neighbours(lay, level.scaled_edge, x))
    return lay.extend((1 - weight) * lay.take(x, 0) + rest)


def chebyshev(lay: Layout, level: Level, r: Nodes) -> Nodes:
    """Chebyshev iteration from zero on the coarsest grid (Saad, Iterative Methods, 2003, algorithm 12.1)."""
    low, high = COARSEST_INTERVAL
    centre, half = 0.5 * (high + low), 0.5 * (high - low)
    ratio = centre / half

    def body(_: Array, c: tuple[Nodes, Nodes, Nodes, Array]) -> tuple[Nodes, Nodes, Nodes, Array]:
        x, rest, d, rho = c
        x = x + d
        rest = lay.extend(lay.take(rest, 0) - lay.take(d, 0) + neighbours(lay, level.scaled_edge, d))
        rho_next = 1 / (2 * ratio - rho)
        d = rho_next * rho * d + (2 * rho_next / half) * rest
        return x, rest, d, rho_next

    start = (jnp.zeros_like(r), r, r / centre, jnp.asarray(1 / ratio, r.dtype))
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
    for axis, factor in enumerate(factors):
        if factor == 2:  # a sum over reshaped axes takes ten times as long
            a = barrier(0.5 * (along(a, axis, slice(0, None, 2)) + along(a, axis, slice(1, None, 2))))
    return jnp.pad(a, [(0, 1)] * 3).reshape(-1)


def along(a: Float[Array, "x y z"], axis: int, s: slice) -> Float[Array, "u v w"]:
    return a[tuple(s if b == axis else slice(None) for b in range(3))]
