"""The conductance network: mean square field of the voxels, residual, and the Newton matrix.

Discrete energy  W = sum_c V_c U(q_c),  U'(q) = sigma(sqrt q) / 2, with the mean square field of voxel c

    q_c = sum_a 1/(4 h_a^2) sum_{4 edges e along a} k_e (d_e phi)^2  +  sum_{links l in c} w_lc g_l / V (phi_i - V_k)^2

(k_e the open share of the edge; U and sigma are taken at q_c / w_c in voxels of fill w, see coupling.py). Its
gradient is a 7-point network with edge conductance V/(4 h_a^2) k_e sum of the 4
voxels' sigma, plus the links; its Hessian is that network plus the rank-one term 2 V sigma'(q_c) b_c b_c^T per voxel,
b_c = grad q_c / 2. E sigma(E) increasing makes it positive definite.
Unknowns: phi at free nodes (`free` is 0 at metal nodes; a node where no voxel conducts has an empty row and stays as it
is), and the potential of floating electrodes. Everything here is traced by jax.jit; arrays are flat (layout.py).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt8

from .conductivity import sigma_and_slope
from .layout import Layout

Nodes = Float[Array, " n"]
Voltages = Float[Array, " electrodes"]
Links = Float[Array, " links"]


class Network(NamedTuple):
    """Everything about one grid that does not change between Newton steps.

    Attributes:
        spacing_m: (3,). tissue: of each voxel (padding included) an index into the table.
        table: conductivity.law_table. warmth: factor on sigma per voxel, or None.
        open_edge: per axis. free: 1 at unknown nodes, else 0.
        link_*: as in coupling.Couplings, padded with g = 0. part_*: voxels with a fill w, and 1 / w. floating: 1
            for electrodes that float, else 0.
    """

    spacing_m: Float[Array, "3"]
    tissue: UInt8[Array, " n"]
    table: Float[Array, "t 5"]
    warmth: Float[Array, " n"] | None
    open_edge: tuple[Float[Array, " n"], Float[Array, " n"], Float[Array, " n"]]
    free: Nodes
    link_node: Int[Array, " links"]
    link_electrode: Int[Array, " links"]
    link_g_m: Links
    link_cell: Int[Array, "links 8"]
    link_weight: Float[Array, "links 8"]
    part_cell: Int[Array, " parts"]
    part_inverse: Float[Array, " parts"]
    floating: Voltages

    @property
    def volume_m3(self) -> Float[Array, ""]:
        return jnp.prod(self.spacing_m)

    @property
    def edge_weight(self) -> Float[Array, "3"]:
        """1 / (4 h_a^2)."""
        return 0.25 / self.spacing_m**2


class State(NamedTuple):
    """The network at one potential: q is already divided by the fill. `drop` are edge differences times open share,
    `link_drop` phi_i - V_k."""

    q: Nodes
    sigma: Nodes
    slope: Nodes
    drop: list[Nodes]
    link_drop: Links
    link_conductance: Links
    residual: Nodes
    electrode_current: Voltages


def evaluate(lay: Layout, kinds: tuple[int, ...], net: Network, phi: Nodes, volts: Voltages) -> State:
    """Field, conductivity, residual (A, zero at metal nodes) and the current out of each electrode (A)."""
    weight, volume = net.edge_weight, net.volume_m3
    differences = lay.differences(phi)
    drop = [d * k for d, k in zip(differences, net.open_edge, strict=True)]
    link_drop = phi[net.link_node] - volts[net.link_electrode]
    edges = [e * d for e, d in zip(drop, differences, strict=True)]
    q = weight[0] * lay.voxel_sum(edges[0], 0)
    q = q + weight[1] * lay.voxel_sum(edges[1], 1) + weight[2] * lay.voxel_sum(edges[2], 2)
    link_q = (net.link_g_m / volume * link_drop**2)[:, None] * net.link_weight
    # a clipped negative leak may not turn a mean square negative
    q = jnp.maximum(q.at[net.link_cell].add(link_q), 0).at[net.part_cell].multiply(net.part_inverse)
    sigma, slope = sigma_and_slope(q, net.tissue, net.table, kinds)
    if net.warmth is not None:
        sigma, slope = sigma * net.warmth, slope * net.warmth
    sigma_extended = lay.extend(sigma)
    flows = [volume * weight[a] * lay.edge_sum(sigma_extended, a) * drop[a] for a in range(3)]
    link_conductance = net.link_g_m * jnp.sum(net.link_weight * sigma[net.link_cell], axis=1)
    link_current = link_conductance * link_drop
    residual = lay.outflow(flows).at[net.link_node].add(link_current) * net.free
    electrode_current = jnp.zeros_like(volts).at[net.link_electrode].add(-link_current)
    return State(q, sigma, slope, drop, link_drop, link_conductance, residual, electrode_current)


class Operator(NamedTuple):
    """The Newton matrix at a state, in the inner precision. Voxel and edge factors carry all of the geometry.

    `edge`: conductances of edges between free nodes. `diagonal`: of the network, links and edges to metal included.
    `drop`: edge differences / (4 h^2). `curvature`: 2 V sigma'(q). `link_*`: conductance, and g (phi_i - V_k) / V.
    """

    edge: tuple[Nodes, Nodes, Nodes]
    diagonal: Nodes
    drop: tuple[Nodes, Nodes, Nodes]
    curvature: Nodes
    link_node: Int[Array, " links"]
    link_electrode: Int[Array, " links"]
    link_cell: Int[Array, "links 8"]
    link_weight: Links
    link_conductance: Links
    link_slope: Links
    free: Nodes
    floating: Voltages


def linearise(lay: Layout, net: Network, state: State, dtype: jnp.dtype) -> Operator:
    """The Newton matrix of `evaluate` at a state."""
    weight, volume = net.edge_weight, net.volume_m3
    sigma_extended = lay.extend(state.sigma.astype(dtype))
    edge = []
    for a in range(3):
        factor = (volume * weight[a]).astype(dtype)
        edge.append(factor * lay.edge_sum(sigma_extended, a) * net.open_edge[a].astype(dtype))
    link_conductance = state.link_conductance.astype(dtype)
    diagonal = network_diagonal(lay, edge).at[net.link_node].add(link_conductance)
    x, y, z = (jax.lax.optimization_barrier((weight[a] * state.drop[a]).astype(dtype)) for a in range(3))
    return Operator(
        edge=(edge[0], edge[1], edge[2]),
        diagonal=diagonal,
        drop=(x, y, z),
        curvature=(2 * volume * state.slope.at[net.part_cell].multiply(net.part_inverse)).astype(dtype),
        link_node=net.link_node,
        link_electrode=net.link_electrode,
        link_cell=net.link_cell,
        link_weight=net.link_weight.astype(dtype),
        link_conductance=link_conductance,
        link_slope=(net.link_g_m / volume * state.link_drop).astype(dtype),
        free=net.free.astype(dtype),
        floating=net.floating.astype(dtype),
    )


def network_diagonal(lay: Layout, edge: list[Nodes]) -> Nodes:
    out = jnp.zeros_like(edge[0])
    for g, s in zip(edge, lay.strides, strict=True):
        out = out + g + lay.take(lay.extend(g), -s)
    return out


def apply_newton(lay: Layout, op: Operator, v: Nodes, u: Voltages) -> tuple[Nodes, Voltages]:
    """The Newton matrix times (v, u): v at the nodes (zero at metal), u at the electrodes (zero at driven ones)."""
    dv = lay.differences(v)
    link_v = v[op.link_node] - u[op.link_electrode]
    slope = [d * e for d, e in zip(op.drop, dv, strict=True)]
    b = lay.voxel_sum(slope[0], 0) + lay.voxel_sum(slope[1], 1) + lay.voxel_sum(slope[2], 2)
    b = b.at[op.link_cell].add((op.link_slope * link_v)[:, None] * op.link_weight)
    t = jax.lax.optimization_barrier(op.curvature * b)
    t_extended = lay.extend(t)
    flows = [op.edge[a] * dv[a] + op.drop[a] * lay.edge_sum(t_extended, a) for a in range(3)]
    link_t = jnp.sum(op.link_weight * t[op.link_cell], axis=1)
    link_flow = op.link_conductance * link_v + op.link_slope * link_t
    out_v = lay.outflow(flows).at[op.link_node].add(link_flow) * op.free
    out_u = jnp.zeros_like(u).at[op.link_electrode].add(-link_flow) * op.floating
    return out_v, out_u
