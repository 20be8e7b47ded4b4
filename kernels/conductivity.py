"""Conductivity laws sigma(|E|, T) of permeabilised tissue, one per tissue, evaluated per voxel.

    sigma(E, T) = [ s0 + (s1 - s0) z(E) ] (1 + alpha dT)

with z rising from 0 to 1:

    constant       z = 0
    ramp           z = clip((E - a) / (b - a), 0, 1)                                          a, b = start, end
    smoothed_step  z = 1/2 + 15 r/16 - 5 r^3/8 + 3 r^5/16,  r = clip((2E - a - b) / (b - a), -1, 1)  ('flc2hs')
    logistic       z = 1 / (1 + exp(-(E - a) / b))                                            a, b = midpoint, width
    gompertz       z = exp(-a exp(-b E))                                                      a, b = displacement, rate

Sel's sigmoid s0 + (s1 - s0) / (1 + D exp(-(E - A) / B)) is the logistic law with midpoint A + B ln D and width B.

The discrete energy is convex, and so the solution unique and Newton's method safe, when E sigma(E) increases
with E; `check_monotonic` refuses a law where it does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from numpy.typing import ArrayLike, NDArray


class LawKind(IntEnum):
    """Which z(E); the number is the code that the kernels see."""

    CONSTANT = 0
    RAMP = 1
    SMOOTHED_STEP = 2
    LOGISTIC = 3
    GOMPERTZ = 4


@dataclass(frozen=True)
class ConductivityLaw:
    """One tissue's law in SI units; build it with the class methods.

    Attributes:
        baseline_s_per_m: s0 of the module's formula, S/m.
        permeabilised_s_per_m: s1, S/m.
        a, b: the two shape numbers of the module's formulas, in V/m (for gompertz: 1 and m/V).
        temperature_per_k: alpha, 1/K.
    """

    kind: LawKind
    baseline_s_per_m: float
    permeabilised_s_per_m: float
    a: float = 0.0
    b: float = 1.0
    temperature_per_k: float = 0.0

    @classmethod
    def constant(cls, conductivity_s_per_m: float, temperature_per_k: float = 0.0) -> ConductivityLaw:
        s = conductivity_s_per_m
        return cls(LawKind.CONSTANT, s, s, temperature_per_k=temperature_per_k)

    @classmethod
    def ramp(
        cls, s0: float, s1: float, start_v_per_m: float, end_v_per_m: float, alpha: float = 0.0
    ) -> ConductivityLaw:
        return cls(LawKind.RAMP, s0, s1, start_v_per_m, end_v_per_m, alpha)

    @classmethod
    def smoothed_step(
        cls, s0: float, s1: float, start_v_per_m: float, end_v_per_m: float, alpha: float = 0.0
    ) -> ConductivityLaw:
        return cls(LawKind.SMOOTHED_STEP, s0, s1, start_v_per_m, end_v_per_m, alpha)

    @classmethod
    def logistic(
        cls, s0: float, s1: float, midpoint_v_per_m: float, width_v_per_m: float, alpha: float = 0.0
    ) -> ConductivityLaw:
        return cls(LawKind.LOGISTIC, s0, s1, midpoint_v_per_m, width_v_per_m, alpha)

    @classmethod
    def sel(
        cls,
        s0: float,
        s1: float,
        start_v_per_m: float,
        end_v_per_m: float,
        steepness: float = 8.0,
        delay: float = 10.0,
        alpha: float = 0.0,
    ) -> ConductivityLaw:
        """Sel et al. 2005: A = (start + end) / 2, B = (end - start) / steepness, D = delay."""
        width = (end_v_per_m - start_v_per_m) / steepness
        midpoint = 0.5 * (start_v_per_m + end_v_per_m) + width * math.log(delay)
        return cls(LawKind.LOGISTIC, s0, s1, midpoint, width, alpha)

    @classmethod
    def gompertz(
        cls, s0: float, s1: float, displacement: float, rate_m_per_v: float, alpha: float = 0.0
    ) -> ConductivityLaw:
        return cls(LawKind.GOMPERTZ, s0, s1, displacement, rate_m_per_v, alpha)

    @property
    def insulating(self) -> bool:
        return self.baseline_s_per_m == 0.0 and self.permeabilised_s_per_m == 0.0


def conductivity(law: ConductivityLaw, field_v_per_m: ArrayLike) -> NDArray[np.float64]:
    """sigma(|E|) in S/m at body temperature, same shape as the field (V/m); for plots, tables and checks."""
    e = np.asarray(field_v_per_m, dtype=np.float64)
    z, _ = _rise(law.kind, e, law.a, law.b, np)
    return law.baseline_s_per_m + (law.permeabilised_s_per_m - law.baseline_s_per_m) * np.asarray(z)


def check_monotonic(law: ConductivityLaw) -> None:
    """Refuse a law for which the field problem has no unique solution.

    Raises:
        ValueError: parameters out of range, or E sigma(E) not increasing (sampled to 10 MV/m and round the law's
        own rise).
    """
    s0, s1, a, b = law.baseline_s_per_m, law.permeabilised_s_per_m, law.a, law.b
    if not all(math.isfinite(v) for v in (s0, s1, a, b, law.temperature_per_k)):
        raise ValueError(f"conductivity law: expected finite parameters, got {law}")
    if law.insulating:
        return
    if s0 <= 0 or s1 <= 0:
        raise ValueError(f"conductivity: expected more than 0 S/m (or exactly 0 for an insulator), got {s0} and {s1}")
    if law.kind in (LawKind.RAMP, LawKind.SMOOTHED_STEP) and not 0 <= a < b:
        raise ValueError(f"start and end of the rise: expected 0 <= start < end, got {a} and {b} V/m")
    if law.kind in (LawKind.LOGISTIC, LawKind.GOMPERTZ) and not b > 0:
        raise ValueError(f"width or rate of the rise: expected more than 0, got {b}")
    e = np.unique(np.concatenate([np.geomspace(1.0, 1e7, 4000), *_fine_samples(law)]))
    current_density = e * conductivity(law, e)
    if np.any(np.diff(current_density) <= 0):
        at = e[1:][np.diff(current_density) <= 0][0]
        raise ValueError(f"conductivity law: expected E sigma(E) to increase with E, but it falls near {at:.4g} V/m")


def _fine_samples(law: ConductivityLaw) -> list[NDArray[np.float64]]:
    """Fields (V/m) where the law changes fastest."""
    if law.kind in (LawKind.RAMP, LawKind.SMOOTHED_STEP):
        return [np.linspace(max(law.a, 1e-3), law.b, 2001)]
    if law.kind is LawKind.LOGISTIC:
        around = law.a + law.b * np.linspace(-20, 20, 4001)
        return [around[around > 0]]
    return []


# -- inside jit: one table for all tissues -----------------------------------------------------------------------------

TABLE_COLUMNS = 5
"""kind, s0, s1 - s0, a, b."""


def law_table(laws: tuple[ConductivityLaw, ...], kinds: tuple[int, ...] | None = None) -> NDArray[np.float64]:
    """The laws as a table that kernels gather from by tissue index, shape (number of laws, TABLE_COLUMNS).

    A constant law becomes a rise of nothing of the first kind in use, so that it costs no extra branch.

    Args:
        kinds: in use, where that is more than `law_kinds(laws)`.
    """
    kind = (kinds or law_kinds(laws))[0]
    rows = []
    for law in laws:
        own = (
            law
            if law.kind is not LawKind.CONSTANT
            else ConductivityLaw(LawKind(kind), law.baseline_s_per_m, law.baseline_s_per_m, 1.0, 2.0)
        )
        rows.append([own.kind, own.baseline_s_per_m, own.permeabilised_s_per_m - own.baseline_s_per_m, own.a, own.b])
    return np.asarray(rows, dtype=np.float64)


def law_kinds(laws: tuple[ConductivityLaw, ...]) -> tuple[int, ...]:
    """The kinds that a kernel must be able to evaluate: static, part of what is compiled."""
    kinds = sorted({int(law.kind) for law in laws} - {int(LawKind.CONSTANT)})
    return tuple(kinds) or (int(LawKind.RAMP),)


def sigma_and_slope(
    q: Float[Array, "*voxels"], tissue: UInt8[Array, "*voxels"], table: Float[Array, "t 5"], kinds: tuple[int, ...]
) -> tuple[Float[Array, "*voxels"], Float[Array, "*voxels"]]:
    """sigma (S/m) and d sigma / d q, with q = |E|^2 (V^2/m^2), for each voxel by its tissue."""
    # looked up before the arithmetic, which would otherwise be done one voxel at a time
    columns: Any = [table[:, c][tissue] for c in range(1, TABLE_COLUMNS)]
    s0, rise, a, b = jax.lax.optimization_barrier(columns)
    kind = table[:, 0][tissue] if kinds[1:] else None
    # 1e-3 V/m keeps the square root differentiable at rest and lies far below any field of interest
    e = jnp.sqrt(q + 1e-6)
    z, dz = _rise(LawKind(kinds[0]), e, a, b, jnp)
    for other in kinds[1:]:
        z_other, dz_other = _rise(LawKind(other), e, a, b, jnp)
        z, dz = jnp.where(kind == other, z_other, z), jnp.where(kind == other, dz_other, dz)
    return s0 + rise * z, rise * dz / (2 * e)


def _rise(kind: LawKind, e: Any, a: Any, b: Any, xp: Any) -> tuple[Any, Any]:
    """z(E) and dz/dE of the module's formulas, in numpy or jax.numpy."""
    if kind is LawKind.CONSTANT:
        return xp.zeros_like(e), xp.zeros_like(e)
    if kind is LawKind.RAMP:
        inside = (e > a) & (e < b)
        return xp.clip((e - a) / (b - a), 0.0, 1.0), xp.where(inside, 1.0 / (b - a), 0.0)
    if kind is LawKind.SMOOTHED_STEP:
        r = xp.clip((2 * e - a - b) / (b - a), -1.0, 1.0)
        r2 = r * r
        z = 0.5 + r * (15 - 10 * r2 + 3 * r2 * r2) / 16
        return z, (15.0 / 16.0) * (1 - r2) ** 2 * 2 / (b - a)
    if kind is LawKind.LOGISTIC:
        z = 0.5 * (1 + xp.tanh(0.5 * (e - a) / b))
        return z, z * (1 - z) / b
    inner = a * xp.exp(-b * e)
    z = xp.exp(-inner)
    return z, z * inner * b
