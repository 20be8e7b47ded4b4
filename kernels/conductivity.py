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
    def ramp(cls, s0: float, s1: float, start_v_per_m: float, end_v_per_m: float, alpha: float = 0.0) -> ConductivityLaw:
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
