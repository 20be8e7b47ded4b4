"""One step of Newton's method on the network's energy, compiled once for each shape.

1. state at (phi, V): residual R, conductivities                                   float64
2. Newton matrix H and its multigrid levels                                         inner precision
3. PCG for H d = -R to a loose tolerance, d scaled back                             inner precision
4. line search: the energy is convex, so its slope R(x + t d) . d rises with t; take a t where it has fallen to
   `FLAT_ENOUGH` of its start, by safeguarded secants                               float64

Floating electrodes are unknowns beside the nodes. The preconditioner eliminates them: with Y = M^-1 B, B the coupling
of the nodes to the floating electrodes and M^-1 one V-cycle, the block factorisation with S = D - 2 B^T Y + Y^T A Y is
symmetric, and S positive: the Schur complement of A, the network near the Newton matrix, and what Y has in energy above
the least.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .layout import Layout
from .multigrid import Level, Levels, build_levels, v_cycle
from .network import (
    Network,
    Nodes,
    Operator,
    SplitState,
    State,
    Voltages,
    apply_scaled,
    carry,
    evaluate,
    linearise,
    neighbours,
)

barrier = jax.lax.optimization_barrier

MOST_CG_ITERATIONS = 200
FLAT_ENOUGH = 0.5
MOST_SEARCH_STEPS = 12


class StepResult(NamedTuple):
    """Potential, voltages and state after the step, and what it took. residual_norm and current_imbalance (|sum of
    currents| / largest) belong to the new potential."""

    phi: Nodes
    volts: Voltages
    state: State
    residual_norm: Float[Array, ""]
    current_imbalance: Float[Array, ""]
    cg_iterations: Int[Array, ""]
    step_length: Float[Array, ""]


STATIC = ("levels", "kinds", "floating", "inner_dtype")


@functools.partial(jax.jit, static_argnames=STATIC, donate_argnames=("phi", "state"))
def newton_step(
    net: Network,
    phi: Nodes,
    volts: Voltages,
    state: State,
    norm: Float[Array, ""],
    forcing: Float[Array, ""],
    *,
    levels: Levels,
    kinds: tuple[int, ...],
    floating: int,
    inner_dtype: str = "float32",
) -> StepResult:
    """One Newton step from (phi, volts).

    Args:
        state, norm: as the last step left them (`State` between steps, residual norm).
        forcing: relative residual at which PCG stops. Where it is infinite the potential stays as it is, and the state
            is made anew: so begins a solve, from `blank_state`.
        levels: layout.level_layouts of the grid. kinds: conductivity.law_kinds. floating: how many electrodes float.
        inner_dtype: precision of the linear solve.
    """
    # a GPU would otherwise take products of single precision at 10 bits
    with jax.default_matmul_precision("highest"):
        return take_step(net, phi, volts, state, norm, forcing, levels, kinds, floating, inner_dtype)


@functools.partial(jax.jit, static_argnames=STATIC, donate_argnames=("phi", "state"))
def newton_steps(
    net: Network,
    phi: Float[Array, "lanes n"],
    volts: Float[Array, "lanes electrodes"],
    state: State,
    norm: Float[Array, " lanes"],
    forcing: Float[Array, " lanes"],
    *,
    levels: Levels,
    kinds: tuple[int, ...],
    floating: int,
    inner_dtype: str = "float32",
) -> StepResult:
    """`newton_step` of several networks side by side: all arrays have an axis of lanes in front. A lane whose forcing
    is infinite stays where it is."""

    def step(net: Network, phi: Nodes, volts: Voltages, state: State, norm: Array, forcing: Array) -> StepResult:
        return take_step(net, phi, volts, state, norm, forcing, levels, kinds, floating, inner_dtype)

    with jax.default_matmul_precision("highest"):
        return jax.vmap(step)(net, phi, volts, state, norm, forcing)


def take_step(
    net: Network,
    phi: Nodes,
    volts: Voltages,
    state: State,
    norm: Float[Array, ""],
    forcing: Float[Array, ""],
    levels: Levels,
    kinds: tuple[int, ...],
    floating: int,
    inner_dtype: str,
) -> StepResult:
    lay, dtype = levels[0][0], jnp.dtype(inner_dtype)
    scale = jnp.where(norm > 0, norm, 1)
    r_u = state.electrode_current * net.floating

    def change() -> tuple[Nodes, Voltages, Int[Array, ""]]:
        rhs = -state.residual.astype(dtype), (-r_u / scale).astype(dtype)
        return solve_linear(levels, floating, net, phi, state, rhs, forcing)

    def nothing() -> tuple[Nodes, Voltages, Int[Array, ""]]:
        return jnp.zeros(phi.shape, dtype), jnp.zeros(volts.shape, dtype), jnp.int32(0)

    d_v, d_u, iterations = jax.lax.cond(jnp.isfinite(forcing), change, nothing)
    slope_at_0 = norm * slope(state.residual, r_u / scale, d_v, d_u, phi.dtype)
    d_u = d_u.astype(volts.dtype)
    t, after, new_norm, imbalance = line_search(lay, kinds, net, phi, volts, d_v, d_u, scale, slope_at_0 * scale, state)
    return StepResult(
        lay.keep(phi + t * scale * d_v), volts + t * scale * d_u, after, new_norm, imbalance, iterations, t
    )


def solve_linear(
    levels: Levels,
    floating: int,
    net: Network,
    phi: Nodes,
    state: State,
    rhs: tuple[Nodes, Voltages],
    forcing: Float[Array, ""],
) -> tuple[Nodes, Voltages, Int[Array, ""]]:
    """The Newton matrix's solution to a relative residual of `forcing`, and PCG's iterations."""
    lay, dtype = levels[0][0], rhs[0].dtype
    op = linearise(lay, net, phi, state, dtype)
    scaled_rhs = lay.extend(op.scale * rhs[0]), rhs[1]
    precondition = preconditioner(levels, floating, net, op)
    matrix, root = functools.partial(apply_scaled, lay, op), lay.extend(op.root)
    (x, u), iterations = pcg(lay, matrix, precondition, scaled_rhs, root, forcing.astype(dtype))
    return lay.keep(op.scale * lay.take(x, 0)), u, iterations


@functools.partial(jax.jit, static_argnames=("levels", "kinds"))
def network_state(net: Network, phi: Nodes, volts: Voltages, *, levels: Levels, kinds: tuple[int, ...]) -> State:
    """`network.evaluate`, compiled."""
    return evaluate(levels[0][0], kinds, net, phi, volts)


def residual_norm(r_v: Nodes, r_u: Voltages) -> Float[Array, ""]:
    return jnp.sqrt(jnp.vdot(r_v, r_v) + jnp.vdot(r_u, r_u))


def slope(r_v: Nodes, r_u: Voltages, d_v: Nodes, d_u: Voltages, dtype: jnp.dtype) -> Float[Array, ""]:
    dot = lambda a, b: jnp.sum(a.astype(dtype) * b.astype(dtype))  # noqa: E731
    return dot(r_v, d_v) + dot(r_u, d_u)


def preconditioner(levels: Levels, floating: int, net: Network, op: Operator):
    """(r_v, r_u) -> approximate solution of the scaled matrix, symmetric positive definite; nodes extended."""
    networks: list[Level] = build_levels(levels, net, op)
    if not floating:
        return lambda r_v, r_u: (v_cycle(levels, networks, r_v), jnp.zeros_like(r_u))
    lay, scale = levels[0][0], op.scale
    index = jnp.flatnonzero(net.floating, size=floating)
    belongs = (op.link_electrode[None, :] == index[:, None]) * op.near.link_conductance
    nothing = jnp.zeros((floating, lay.n), op.root.dtype)
    coupling = jax.vmap(lay.extend)(nothing.at[:, op.link_node].add(belongs) * scale)
    response = jax.lax.map(lambda b: v_cycle(levels, networks, b), coupling)
    flow = jax.lax.map(functools.partial(near_flow, lay, networks[0]), response)
    schur = jnp.diag(jnp.sum(belongs, axis=1)) - 2 * coupling @ response.T + response @ flow.T
    inverse = jnp.linalg.inv(0.5 * (schur + schur.T))

    def precondition(r_v: Nodes, r_u: Voltages) -> tuple[Nodes, Voltages]:
        z = v_cycle(levels, networks, r_v)
        z_u = inverse @ (r_u[index] + response @ r_v)
        return z + z_u @ response, jnp.zeros_like(r_u).at[index].set(z_u)

    return precondition


def near_flow(lay: Layout, level: Level, x: Nodes) -> Nodes:
    """The scaled network near the Newton matrix times x, both extended."""
    return lay.extend(lay.take(x, 0) - neighbours(lay, level.scaled_edge, x))


def pcg(lay: Layout, matrix, precondition, rhs: tuple[Nodes, Voltages], root: Nodes, tolerance: Float[Array, ""]):
    """Preconditioned conjugate gradients from zero; stops at |r| <= tolerance |rhs|, the currents' norm, or after
    MOST_CG_ITERATIONS.

    Args:
        rhs: scaled. root: what turns a scaled residual into currents, extended as the nodes of rhs.
    """
    dot = lambda a, b: jnp.vdot(a[0], b[0]) + jnp.vdot(a[1], b[1])  # noqa: E731
    combine = lambda a, s, b: (lay.keep(a[0] + s * b[0]), a[1] + s * b[1])  # noqa: E731
    currents = lambda r: jnp.sum((root * r[0]) ** 2) + jnp.sum(r[1] ** 2)  # noqa: E731
    target = tolerance**2 * currents(rhs)

    def unfinished(c):
        return (currents(c[1]) > target) & (c[4] < MOST_CG_ITERATIONS)

    def body(c):
        # the preconditioner stands at the head of the loop, so that it is compiled once
        x, r, p, rz, k = c
        z = barrier(precondition(*r))
        rz_next = dot(r, z)
        p = combine(z, jnp.where(k > 0, rz_next / rz, 0), p)
        ap = barrier(matrix(*p))
        step = rz_next / dot(p, ap)
        return combine(x, step, p), combine(r, -step, ap), p, rz_next, k + 1

    zero = (jnp.zeros_like(rhs[0]), jnp.zeros_like(rhs[1]))
    one = jnp.ones((), rhs[0].dtype)
    x, _, _, _, k = jax.lax.while_loop(unfinished, body, (zero, rhs, zero, one, jnp.int32(0)))
    return x, k


def line_search(
    lay: Layout, kinds, net: Network, phi, volts, d_v, d_u, scale, slope_at_0, last: State
) -> tuple[Array, State, Array, Array]:
    """Step length t along scale x d, and there the state, the residual norm and the current imbalance.

    The slope g(t) = R(x + t d) . d of the convex energy rises from g(0) < 0. Accepted is the first t with
    |g(t)| <= FLAT_ENOUGH |g(0)|; between a t where g < 0 and one where g > 0 the next is the secant's, kept off the
    ends. `last` is a state of the same shapes.
    """

    def at(t: Array) -> tuple[Array, Array, Array, State]:
        # else the compiler takes all that depends on the network alone out of the loop and keeps it for the whole step:
        # laws and open edges of every node in double precision, 64 bytes for each
        here, t = barrier((net, t))
        s = evaluate(lay, kinds, here, phi + t * scale * d_v, volts + t * scale * d_u)
        r_u = s.electrode_current * net.floating
        g = scale * slope(s.residual, r_u, d_v, d_u, phi.dtype)
        norm = residual_norm(s.residual, r_u)
        largest = jnp.max(jnp.abs(s.electrode_current))
        imbalance = jnp.abs(jnp.sum(s.electrode_current)) / jnp.where(largest > 0, largest, 1)
        return g, norm, imbalance, carry(lay, s, norm, last.sigma.dtype)

    def unfinished(c):
        _, g, *_, k, _ = c
        flat = jnp.abs(g) <= FLAT_ENOUGH * jnp.abs(slope_at_0)
        return (k == 0) | (~flat & (k < MOST_SEARCH_STEPS))

    def body(c):
        t, g, lo, g_lo, hi, g_hi, k, _ = c
        # bracket with the last point, then the secant between the ends; the first time round t = 1 as it is
        below, above = (k > 0) & (g < 0), (k > 0) & (g >= 0)
        lo, g_lo = jnp.where(below, t, lo), jnp.where(below, g, g_lo)
        hi, g_hi = jnp.where(above, t, hi), jnp.where(above, g, g_hi)
        secant = lo - g_lo * (hi - lo) / (g_hi - g_lo)
        inside = jnp.clip(secant, lo + 0.1 * (hi - lo), hi - 0.1 * (hi - lo))
        t = jnp.where(k == 0, t, jnp.where(jnp.isfinite(hi), inside, 2 * lo))
        g, *found = at(t)
        return t, g, lo, g_lo, hi, g_hi, k + 1, tuple(found)

    one = jnp.ones_like(slope_at_0)
    zero = jnp.zeros_like(one)
    blank = (one, one, jax.tree.map(jnp.zeros_like, last))
    start = (one, slope_at_0, zero, slope_at_0, one * jnp.inf, one, jnp.int32(0), blank)
    found: Any = jax.lax.while_loop(unfinished, body, start)
    t, *_, (norm, imbalance, state) = found
    return t, state, norm, imbalance


def blank_state(net: Network, nodes: int, electrodes: int, dtype: str) -> State:
    """A state between steps that nothing is known of yet, in numpy arrays; with an axis of lanes where `net` has it."""
    front = net.link_g_m.shape[:-1]
    of_nodes: Any = np.zeros((*front, nodes), dtype)
    links: Any = np.zeros(net.link_g_m.shape)
    currents: Any = np.zeros((*front, electrodes))
    split = None
    if net.split is not None:
        pairs = net.split.pairs
        of_links: Any = np.zeros(net.link_weight.shape)
        wide: Any = np.zeros(pairs.weight.shape)
        of_pairs: Any = np.zeros(pairs.g_m.shape)
        split = SplitState(of_links, wide, of_pairs, of_pairs)
    return State(None, of_nodes, of_nodes, links, links, of_nodes, currents, split)
