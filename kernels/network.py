"""The conductance network: mean square field of the voxels, residual, and the Newton matrix.

Discrete energy  W = sum_c V_c U(q_c),  U'(q) = sigma(sqrt q) / 2, with the mean square field of voxel c

    q_c = sum_a 1/(4 h_a^2) sum_{4 edges e along a} k_e (d_e phi)^2  +  sum_{links l in c} w_lc g_l / V (phi_i - V_k)^2

(k_e the open share of the edge; U and sigma are taken at q_c / w_c in voxels of fill w, see coupling.py). Its
gradient is a 7-point network with edge conductance V/(4 h_a^2) k_e sum of the 4
voxels' sigma, plus the links; its Hessian is that network plus the rank-one term 2 V sigma'(q_c) b_c b_c^T per voxel,
b_c = grad q_c / 2. E sigma(E) increasing makes it positive definite.
Axis factors (directions.py) weigh the three parts of q and make a conductivity for each axis; links and edges in series
with contacts and sheets carry shares of their drop in b_c (series.py).
Unknowns: phi at free nodes (`free` is 0 at metal nodes; a node where no voxel conducts has an empty row and stays as it
is), and the potential of floating electrodes. Everything here is traced by jax.jit; arrays are flat (layout.py).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt8

from .coarse_links import CoarseLinks
from .conductivity import sigma_and_slope
from .layout import Layout
from .series import Pairs, Split, solve_split

Nodes = Float[Array, " n"]
Voltages = Float[Array, " electrodes"]
Links = Float[Array, " links"]
barrier = jax.lax.optimization_barrier

LEAST_STIFFNESS = 0.1
"""Share of sigma that the preconditioner's conductivity keeps."""


class Network(NamedTuple):
    """Everything about one grid that does not change between Newton steps.

    Attributes:
        spacing_m: (3,). tissue: of each voxel (padding included) an index into the table.
        table: conductivity.law_table. warmth: factor on sigma per voxel, or None.
        open_edge: per axis, extended. free: 1 at unknown nodes, else 0.
        link_*: as in links.Couplings, padded with g = 0. part_*: voxels with a fill w, and 1 / w. floating: 1
            for electrodes that float, else 0. coarse: links of the preconditioner's coarse grids.
        axis_factors: factors on sigma along the axes for each row of the table; None where all tissue is isotropic.
        split: voxels in series with contacts or sheets, or None.
    """

    spacing_m: Float[Array, "3"]
    tissue: UInt8[Array, " n"]
    table: Float[Array, "t 5"]
    warmth: Float[Array, " n"] | None
    open_edge: tuple[Float[Array, " e"], Float[Array, " e"], Float[Array, " e"]]
    free: Nodes
    link_node: Int[Array, " links"]
    link_electrode: Int[Array, " links"]
    link_g_m: Links
    link_cell: Int[Array, "links 8"]
    link_weight: Float[Array, "links 8"]
    part_cell: Int[Array, " parts"]
    part_inverse: Float[Array, " parts"]
    floating: Voltages
    coarse: tuple[CoarseLinks, ...] = ()
    axis_factors: Float[Array, "t 3"] | None = None
    split: Split | None = None

    @property
    def plain(self) -> bool:
        return self.axis_factors is None and self.split is None

    @property
    def volume_m3(self) -> Float[Array, ""]:
        return jnp.prod(self.spacing_m)

    @property
    def edge_weight(self) -> Float[Array, "3"]:
        """1 / (4 h_a^2)."""
        return 0.25 / self.spacing_m**2


class SplitState(NamedTuple):
    """Of links and pairs with something in series: what of their drop is in each voxel's tissue. pair_drop: high -
    low."""

    link_share: Float[Array, "links 8"]
    pair_share: Float[Array, "pairs 8"]
    pair_drop: Float[Array, " pairs"]
    pair_conductance: Float[Array, " pairs"]


class State(NamedTuple):
    """The network at one potential: q is already divided by the fill. `link_drop` are phi_i - V_k.

    Between two Newton steps q is None, and sigma, slope and residual are in the inner precision, the residual over its
    norm (`carry`).
    """

    q: Nodes | None
    sigma: Nodes
    slope: Nodes
    link_drop: Links
    link_conductance: Links
    residual: Nodes
    electrode_current: Voltages
    split: SplitState | None = None


def evaluate(lay: Layout, kinds: tuple[int, ...], net: Network, phi: Nodes, volts: Voltages) -> State:
    """Field, conductivity, residual (A, zero at metal nodes) and the current out of each electrode (A)."""
    weight, volume = net.edge_weight, net.volume_m3
    share, nodes = net.open_edge, lay.extend(phi)
    link_drop = lay.pick(nodes, net.link_node) - volts[net.link_electrode]

    def difference(nodes: Nodes, axis: int, at: int) -> Nodes:
        return lay.take(nodes, at + lay.strides[axis]) - lay.take(nodes, at)

    def square(axis: int, at: int) -> Nodes:
        return lay.take(share[axis], at) * difference(nodes, axis, at) ** 2

    axis_q = [weight[a] * lay.voxel_sum(functools.partial(square, a), a) for a in range(3)]
    factors = voxel_factors(net)
    weighted = axis_q if factors is None else [k * part for k, part in zip(factors, axis_q, strict=True)]
    q = lay.keep(weighted[0] + weighted[1] + weighted[2])
    link_q = (net.link_g_m / volume * link_drop**2)[:, None] * net.link_weight
    # a clipped negative leak may not turn a mean square negative
    q = barrier(q.at[net.link_cell].add(link_q).at[net.part_cell].multiply(net.part_inverse))
    q = jnp.maximum(q, 0)
    found = sigma_and_slope(lay.planes(q), lay.planes(net.tissue), net.table, kinds)
    sigma, slope = (x.reshape(-1) for x in found)
    if net.warmth is not None:
        sigma, slope = sigma * net.warmth, slope * net.warmth
    split = None
    if net.split is not None:
        q, sigma, slope, split = with_series(net, net.split, kinds, phi, weighted, link_q, sigma, slope, q)
    whole = lay.extend(sigma)
    sigma = lay.take(whole, 0)
    extended = [whole] * 3 if factors is None else extended_axes(lay, sigma, factors)
    # the same again, or the compiler would keep differences that are cheaper to take anew
    same = barrier(nodes)

    def flow(axis: int, at: int) -> Nodes:
        conductance = lay.edge_sum(extended[axis], axis, at) * lay.take(share[axis], at)
        return (volume * weight[axis]) * (conductance * difference(same, axis, at))

    link_weight = net.link_weight
    if split is not None:
        link_weight = link_weight * split.link_share
    link_conductance = net.link_g_m * jnp.sum(link_weight * lay.pick(whole, net.link_cell), axis=1)
    link_current = link_conductance * link_drop
    residual = lay.keep(net.free * lay.outflow(flow)).at[net.link_node].add(link_current)
    if net.split is not None and split is not None:
        residual = net.free * add_pairs(residual, net.split.pairs, split.pair_conductance * split.pair_drop)
    electrode_current = jnp.zeros_like(volts).at[net.link_electrode].add(-link_current)
    return State(q, sigma, slope, link_drop, link_conductance, residual, electrode_current, split)


def carry(lay: Layout, state: State, norm: Float[Array, ""], dtype: jnp.dtype) -> State:
    """What the next Newton step needs of a state, in its precision."""
    residual = lay.keep((state.residual / jnp.where(norm > 0, norm, 1)).astype(dtype))
    sigma, slope = lay.keep(state.sigma.astype(dtype)), lay.keep(state.slope.astype(dtype))
    return state._replace(q=None, sigma=sigma, slope=slope, residual=residual)


def extended_axes(lay: Layout, sigma: Nodes, factors: tuple[Nodes, Nodes, Nodes] | None) -> list[Nodes]:
    """Conductivity along each axis, extended; one array three times where tissue is isotropic."""
    if factors is None:
        return [lay.extend(sigma)] * 3
    return [lay.extend(k * sigma) for k in factors]


def voxel_factors(net: Network) -> tuple[Nodes, Nodes, Nodes] | None:
    """Axis factors of each voxel; None where all tissue is isotropic."""
    if net.axis_factors is None:
        return None
    x, y, z = (net.axis_factors[:, a][net.tissue] for a in range(3))
    return x, y, z


def add_pairs(out: Nodes, pairs: Pairs, flow: Float[Array, " pairs"]) -> Nodes:
    """Outflow with that of pairs, `flow` rising from low to high."""
    return out.at[pairs.low].add(-flow).at[pairs.high].add(flow)


def with_series(
    net: Network,
    split: Split,
    kinds: tuple[int, ...],
    phi: Nodes,
    axis_q: list[Nodes],
    link_q: Float[Array, "links 8"],
    sigma: Nodes,
    slope: Nodes,
    q: Nodes,
) -> tuple[Nodes, Nodes, Nodes, SplitState]:
    """q, sigma and slope with the split voxels' own, and the shares of their links and pairs."""
    pairs = split.pairs
    pair_drop = phi[pairs.high] - phi[pairs.low]
    pair_q = (pairs.g_m / net.volume_m3 * pair_drop**2)[:, None] * pairs.weight
    inverse = jnp.ones_like(q).at[net.part_cell].multiply(net.part_inverse)
    edge_q = (axis_q[0][split.cell] + axis_q[1][split.cell] + axis_q[2][split.cell]) * inverse[split.cell]
    cell = jnp.concatenate([net.link_cell, pairs.cell])
    element_q = jnp.concatenate([link_q, pair_q]) * inverse[cell]
    ohm_m = jnp.concatenate([split.link_ohm_m, pairs.ohm_m])
    place = jnp.concatenate([split.link_place, pairs.place])
    warmth = None if net.warmth is None else net.warmth[split.cell]
    found = solve_split(kinds, net.table, net.tissue[split.cell], warmth, edge_q, element_q, ohm_m, place)
    q, sigma = q.at[split.cell].set(found.q), sigma.at[split.cell].set(found.sigma)
    slope = slope.at[split.cell].set(found.slope)
    share = 1 / (1 + sigma[cell] * ohm_m)
    links = len(net.link_cell)
    conductance = pairs.g_m * jnp.sum(pairs.weight * share[links:] * sigma[pairs.cell], axis=1)
    return q, sigma, slope, SplitState(share[:links], share[links:], pair_drop, conductance)


class PairTerms(NamedTuple):
    """Pairs in the rank-one terms, the slope g (phi_j - phi_i) / V."""

    pairs: Pairs
    weight: Float[Array, "pairs 8"]
    slope: Float[Array, " pairs"]


class Near(NamedTuple):
    """A network near the Newton matrix, for the preconditioner: conductivity sigma + 2 sigma'(q) q_a along axis a, the
    diagonal of the tensor sigma I + 2 sigma' E E^T that the Newton matrix is a discretisation of.

    Attributes:
        sigma: of each voxel along each axis. frozen: sigma itself. scaled_edge: S_i g S_j of the edge from each node
            along each axis, extended. link_conductance: of each link.
    """

    sigma: tuple[Nodes, Nodes, Nodes]
    frozen: Nodes
    scaled_edge: tuple[Nodes, Nodes, Nodes]
    link_conductance: Links


class Operator(NamedTuple):
    """The Newton matrix at a state, in the inner precision, scaled: H^ = S H S with S = 1 / root at unknown nodes, 0
    elsewhere, which removes every mask, and makes the diagonal of the network `near` one.

    Attributes:
        root: square root of the diagonal of `near`, links and edges to metal included; 0 at nodes that are no unknowns.
        edge: conductance of the edge from each node along each axis at frozen conductivity, extended.
        drop: edge differences x open share / (4 h^2), extended. curvature: 2 V sigma'(q).
        link_*: conductance, and g (phi_i - V_k) / V. floating: 1 for electrodes that float.
        factors: axis factors of each voxel, or None. pairs: edges across sheets, or None.
    """

    root: Nodes
    edge: tuple[Nodes, Nodes, Nodes]
    drop: tuple[Nodes, Nodes, Nodes]
    curvature: Nodes
    link_node: Int[Array, " links"]
    link_electrode: Int[Array, " links"]
    link_cell: Int[Array, "links 8"]
    link_weight: Links
    link_conductance: Links
    link_slope: Links
    floating: Voltages
    near: Near
    factors: tuple[Nodes, Nodes, Nodes] | None = None
    pairs: PairTerms | None = None

    @property
    def scale(self) -> Nodes:
        """S."""
        return reciprocal(self.root)


def reciprocal(root: Nodes) -> Nodes:
    """1 / root, 0 where that is 0."""
    return jnp.where(root > 0, 1 / jnp.where(root > 0, root, 1), 0)


def linearise(lay: Layout, net: Network, phi: Nodes, state: State, dtype: jnp.dtype) -> Operator:
    """The Newton matrix of `evaluate` at a potential and its state."""
    volume = net.volume_m3
    factors = voxel_factors(net)
    if factors is not None:
        factors = as_type(factors, dtype)
    sigma, slope = state.sigma.astype(dtype), state.slope.astype(dtype)
    slope = barrier(slope.at[net.part_cell].multiply(net.part_inverse.astype(dtype)))
    drop = edge_drops(lay, net, phi, dtype)
    near_sigma = stiffness(lay, phi, drop, sigma, slope, factors)
    edge = edges_of(lay, net, extended_axes(lay, sigma, factors), dtype)
    near_edge = edges_of(lay, net, [lay.extend(s) for s in near_sigma], dtype)
    link_weight, pairs = net.link_weight, None
    if net.split is not None and state.split is not None:
        link_weight = link_weight * state.split.link_share**2
        edge, pairs = linearise_pairs(lay, edge, net.split.pairs, state.split, volume, dtype)
        near_edge, _ = linearise_pairs(lay, near_edge, net.split.pairs, state.split, volume, dtype)
    link_conductance = state.link_conductance.astype(dtype)
    rise = along_field(net, near_sigma, sigma, net.link_cell) - sigma[net.link_cell]
    near_link = link_conductance + net.link_g_m.astype(dtype) * jnp.sum(link_weight.astype(dtype) * rise, axis=1)
    nothing = jnp.zeros_like(sigma)
    root = root_of(lay, near_edge, nothing.at[net.link_node].add(near_link), net.free)
    scale = lay.extend(reciprocal(root))
    return Operator(
        root=root,
        edge=(edge[0], edge[1], edge[2]),
        drop=drop,
        curvature=lay.keep((2 * volume).astype(dtype) * slope),
        link_node=net.link_node,
        link_electrode=net.link_electrode,
        link_cell=net.link_cell,
        link_weight=link_weight.astype(dtype),
        link_conductance=link_conductance,
        link_slope=(net.link_g_m / volume * state.link_drop).astype(dtype),
        floating=net.floating.astype(dtype),
        near=Near(near_sigma, sigma, scale_edges(lay, near_edge, scale), near_link),
        factors=factors,
        pairs=pairs,
    )


def edge_drops(lay: Layout, net: Network, phi: Nodes, dtype: jnp.dtype) -> tuple[Nodes, Nodes, Nodes]:
    """Differences x open share / (4 h^2) of the edges along each axis, extended."""
    weight, nodes = net.edge_weight, lay.extend(phi)
    x, y, z = (
        lay.extend((weight[a] * lay.take(net.open_edge[a], 0) * (lay.take(nodes, s) - phi)).astype(dtype))
        for a, s in enumerate(lay.strides)
    )
    return x, y, z


def stiffness(
    lay: Layout, phi: Nodes, drop: tuple[Nodes, Nodes, Nodes], sigma: Nodes, slope: Nodes, factors: Any
) -> tuple[Nodes, Nodes, Nodes]:
    """k_a (sigma + 2 sigma'(q) k_a q_a) of each voxel, q_a its mean square field along an axis, k_a the axis factor."""
    # single precision is enough for a network that is only near the Newton matrix
    nodes = lay.extend((phi - phi[0]).astype(sigma.dtype))

    def square(axis: int, at: int) -> Nodes:
        return lay.take(drop[axis], at) * (lay.take(nodes, at + lay.strides[axis]) - lay.take(nodes, at))

    def along(axis: int) -> Nodes:
        k = 1.0 if factors is None else factors[axis]
        rise = 2 * k * slope * lay.voxel_sum(functools.partial(square, axis), axis)
        # a falling law leaves E sigma(E) rising, but not by much
        return lay.keep(k * jnp.maximum(sigma + rise, LEAST_STIFFNESS * sigma))

    return along(0), along(1), along(2)


def along_field(net: Network, near_sigma: Sequence[Nodes], sigma: Nodes, cell: Int[Array, "links 8"]) -> Any:
    """sigma + 2 sigma'(q) q of some voxels, which is met along the field, and so by links; in anisotropic tissue sigma,
    in units of the axis factors."""
    if net.axis_factors is not None:
        return sigma[cell]
    x, y, z = near_sigma
    return x[cell] + y[cell] + z[cell] - 2 * sigma[cell]


def edges_of(lay: Layout, net: Network, sigma_extended: list[Nodes], dtype: jnp.dtype) -> list[Nodes]:
    """Conductances (S) of the edges along each axis, extended, from the voxels' conductivity along it."""
    factor = (net.volume_m3 * net.edge_weight).astype(dtype)
    share = [lay.take(k, 0).astype(dtype) for k in net.open_edge]
    return [lay.extend(factor[a] * lay.edge_sum(sigma_extended[a], a) * share[a]) for a in range(3)]


def network_diagonal(lay: Layout, edge: list[Nodes], leak: Nodes) -> Nodes:
    """Diagonal of a network of edges (extended), and of what leaks from its nodes."""
    for g, s in zip(edge, lay.strides, strict=True):
        leak = leak + lay.take(g, 0) + lay.take(g, -s)
    return leak


def root_of(lay: Layout, edge: list[Nodes], leak: Nodes, free: Nodes) -> Nodes:
    """Square root of a network's diagonal; 0 where a node is no unknown."""
    diagonal = network_diagonal(lay, edge, leak)
    return lay.keep(jnp.sqrt(jnp.where((free > 0) & (diagonal > 0), diagonal, 0)))


def scale_edges(lay: Layout, edge: list[Nodes], scale_extended: Nodes) -> tuple[Nodes, Nodes, Nodes]:
    """S_i g S_j; all extended."""
    here = lay.take(scale_extended, 0)
    x, y, z = (
        lay.extend(lay.take(g, 0) * here * lay.take(scale_extended, s)) for g, s in zip(edge, lay.strides, strict=True)
    )
    return x, y, z


def as_type(arrays: tuple[Nodes, Nodes, Nodes], dtype: jnp.dtype) -> tuple[Nodes, Nodes, Nodes]:
    x, y, z = (a.astype(dtype) for a in arrays)
    return x, y, z


def linearise_pairs(
    lay: Layout, edge: list[Nodes], pairs: Pairs, split: SplitState, volume: Float[Array, ""], dtype: jnp.dtype
) -> tuple[list[Nodes], PairTerms]:
    """The edges with the pairs' conductances, and the pairs' part in the rank-one terms."""
    conductance = split.pair_conductance.astype(dtype)[:, None] * pairs.axis.astype(dtype)
    edge = [g.at[lay.halo + pairs.low].add(conductance[:, a]) for a, g in enumerate(edge)]
    weight = (pairs.weight * split.pair_share**2).astype(dtype)
    return edge, PairTerms(pairs, weight, (pairs.g_m / volume * split.pair_drop).astype(dtype))


def neighbours(lay: Layout, scaled_edge: tuple[Nodes, Nodes, Nodes], extended: Nodes) -> Nodes:
    """Sum of the scaled edges times the nodes at their other ends."""
    parts = [
        lay.take(g, 0) * lay.take(extended, s) + lay.take(g, -s) * lay.take(extended, -s)
        for g, s in zip(scaled_edge, lay.strides, strict=True)
    ]
    return parts[0] + parts[1] + parts[2]


def apply_newton(lay: Layout, op: Operator, v: Nodes, u: Voltages) -> tuple[Nodes, Voltages]:
    """The Newton matrix H times (v, u): v at the nodes (zero at metal), u at the electrodes (zero at driven ones)."""
    out, out_u = apply_scaled(lay, op, lay.extend(op.root * v), u)
    return op.root * lay.take(out, 0), out_u


def apply_scaled(lay: Layout, op: Operator, x: Nodes, u: Voltages) -> tuple[Nodes, Voltages]:
    """H^ times (x, u), with x and the result at the nodes extended."""
    scale = op.scale
    v = lay.extend(scale * lay.take(x, 0))
    link_v = lay.pick(v, op.link_node) - u[op.link_electrode]

    def slope(axis: int, at: int) -> Nodes:
        return lay.take(op.drop[axis], at) * (lay.take(v, at + lay.strides[axis]) - lay.take(v, at))

    sums = [lay.voxel_sum(functools.partial(slope, a), a) for a in range(3)]
    if op.factors is not None:
        sums = [k * part for k, part in zip(op.factors, sums, strict=True)]
    # 2 V sigma' b . v of each voxel, b having parts of its edges, links and pairs
    t = lay.extend(op.curvature * (sums[0] + sums[1] + sums[2]))
    t = t.at[lay.halo + op.link_cell].add(
        op.curvature[op.link_cell] * (op.link_slope * link_v)[:, None] * op.link_weight
    )
    if op.pairs is not None:
        pairs = op.pairs.pairs
        pair_v = lay.pick(v, pairs.high) - lay.pick(v, pairs.low)
        part = (op.pairs.slope * pair_v)[:, None] * op.pairs.weight
        t = t.at[lay.halo + pairs.cell].add(op.curvature[pairs.cell] * part)
    along = [t] * 3 if op.factors is None else extended_axes(lay, lay.take(t, 0), op.factors)

    def flow(axis: int, at: int) -> Nodes:
        difference = lay.take(v, at + lay.strides[axis]) - lay.take(v, at)
        frozen = lay.take(op.edge[axis], at) * difference
        return frozen + lay.take(op.drop[axis], at) * lay.edge_sum(along[axis], axis, at)

    link_out = op.link_conductance * link_v + op.link_slope * jnp.sum(
        op.link_weight * lay.pick(t, op.link_cell), axis=1
    )
    out = lay.extend(scale * lay.outflow(flow)).at[lay.halo + op.link_node].add(scale[op.link_node] * link_out)
    if op.pairs is not None:
        pairs = op.pairs.pairs
        pair_t = op.pairs.slope * jnp.sum(op.pairs.weight * lay.pick(t, pairs.cell), axis=1)
        out = out.at[lay.halo + pairs.low].add(-scale[pairs.low] * pair_t)
        out = out.at[lay.halo + pairs.high].add(scale[pairs.high] * pair_t)
    return out, jnp.zeros_like(u).at[op.link_electrode].add(-link_out) * op.floating
