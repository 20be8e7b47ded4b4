"""Voxels whose tissue is in series with a contact or a sheet: their conductivity, inside jit.

An element is the part of a link to an electrode with a contact, or of an edge that crosses a sheet, in one voxel. Of
its drop the share s = 1 / (1 + rho sigma) is in the tissue (rho in directions.py). With p the mean square field of the
voxel's other edges and links and m_l that of the elements, whole drops counted, the tissue sees

    q = p + sum_l m_l s_l^2

and sigma = sigma(sqrt q): one equation for sigma in each voxel, solved exactly. It says that the energy is stationary
in the drops over contacts and sheets, whose own energy is quadratic; what is left is one convex energy of the
potential, in which an element carries the current of two conductors in series. Its Hessian is again a network plus one
rank-one term a voxel, with s^2 on the elements in b_c and in place of sigma'(q) the total derivative

    sigma' / (1 - sigma' dq/dsigma),    dq/dsigma = -2 sum_l rho_l s_l^3 m_l <= 0

so that Newton's method stays Newton's method.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt8

from .conductivity import sigma_and_slope

Parts = Float[Array, "elements 8"]
ITERATIONS = 45
HALVE_EVERY = 3
"""Every third iteration halves the bracket, where Newton's method would go round in circles at a law's kink; the best
point of all is kept."""


class Pairs(NamedTuple):
    """Edges that cross a sheet; they are closed in Network.open_edge.

    Attributes:
        low, high: their nodes. axis: (pairs, 3), 1 at the edge's axis. g_m: geometric conductance, m.
        cell, weight, ohm_m, place: as of links, (pairs, 8).
    """

    low: Int[Array, " pairs"]
    high: Int[Array, " pairs"]
    axis: Float[Array, "pairs 3"]
    g_m: Float[Array, " pairs"]
    cell: Int[Array, "pairs 8"]
    weight: Float[Array, "pairs 8"]
    ohm_m: Float[Array, "pairs 8"]
    place: Int[Array, "pairs 8"]


class Split(NamedTuple):
    """Voxels with something in series.

    Attributes:
        cell: their flat indices, padded with the last voxel, which is empty.
        link_ohm_m: rho of every link in each of its voxels. link_place: where those stand in `cell` (its length: not).
    """

    cell: Int[Array, " m"]
    link_ohm_m: Float[Array, "links 8"]
    link_place: Int[Array, "links 8"]
    pairs: Pairs


class SplitVoxels(NamedTuple):
    """Of each split voxel: q, sigma, and its total derivative."""

    q: Float[Array, " m"]
    sigma: Float[Array, " m"]
    slope: Float[Array, " m"]


def solve_split(
    kinds: tuple[int, ...],
    table: Float[Array, "t columns"],
    tissue: UInt8[Array, " m"],
    warmth: Float[Array, " m"] | None,
    edge_q: Float[Array, " m"],
    element_q: Parts,
    ohm_m: Parts,
    place: Int[Array, "elements 8"],
) -> SplitVoxels:
    """Solve the equation of each split voxel.

    Args:
        tissue, warmth: of the split voxels. edge_q: p of their whole edges, over the voxel's fill.
        element_q, ohm_m, place: m and rho of all elements, over the fill, and their voxels' places.
    """

    def law(q: Float[Array, " m"]) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
        sigma, slope = sigma_and_slope(jnp.maximum(q, 0), tissue, table, kinds)
        return (sigma, slope) if warmth is None else (sigma * warmth, slope * warmth)

    def field(sigma: Float[Array, " m"]) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
        """q and dq/dsigma."""
        s = 1 / (1 + sigma.at[place].get(mode="fill", fill_value=0) * ohm_m)
        falls = jnp.zeros_like(sigma).at[place].add(ohm_m * s**3 * element_q, mode="drop")
        return edge_q.at[place].add(element_q * s**2, mode="drop"), -2 * falls

    s0, rise = table[:, 1][tissue], table[:, 2][tissue]
    scale = jnp.ones_like(s0) if warmth is None else warmth
    low, high = jnp.minimum(s0, s0 + rise) * scale, jnp.maximum(s0, s0 + rise) * scale

    def body(i: Array, c: tuple[Array, ...]) -> tuple[Array, ...]:
        sigma, lo, hi, best, least = c
        q, dq = field(sigma)
        found, slope = law(q)
        excess = sigma - found
        better = jnp.abs(excess) < least
        best, least = jnp.where(better, sigma, best), jnp.where(better, jnp.abs(excess), least)
        lo, hi = jnp.where(excess < 0, sigma, lo), jnp.where(excess >= 0, sigma, hi)
        newton = sigma - excess / (1 - slope * dq)
        usable = (newton > lo) & (newton < hi) & (i % HALVE_EVERY != HALVE_EVERY - 1)
        return jnp.where(usable, newton, 0.5 * (lo + hi)), lo, hi, best, least

    start = (low, low, high, low, jnp.full_like(low, jnp.inf))
    sigma = jax.lax.fori_loop(0, ITERATIONS, body, start)[3]
    q, dq = field(sigma)
    _, slope = law(q)
    return SplitVoxels(q, sigma, slope / (1 - slope * dq))
