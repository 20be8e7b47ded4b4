"""Fields of known shape with any law: what layers, cylinders and spheres have in common.

Where the field lines' cross-section A(s) is known beforehand, the current density is I / A(s) whatever the law, and
with g(E) = E sigma(E) the voltage is  V = int g^-1( I / A(s) ) ds:  one unknown, I, and V rises with I.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from ..conductivity import ConductivityLaw, LawKind, conductivity

Floats = NDArray[np.float64]


def field_of_current_density(law: ConductivityLaw, density_a_per_m2: Floats) -> Floats:
    """The E (V/m) with E sigma(E) = J, by bisection to rounding."""
    j = np.asarray(density_a_per_m2, np.float64)
    least, most = sorted((law.baseline_s_per_m, law.permeabilised_s_per_m))
    lo, hi = j / most, j / least
    if law.kind is LawKind.CONSTANT:
        return hi
    for _ in range(60):
        middle = 0.5 * (lo + hi)
        above = middle * conductivity(law, middle) > j
        lo, hi = np.where(above, lo, middle), np.where(above, middle, hi)
    return 0.5 * (lo + hi)


def root(rising: Callable[[float], float], high: float) -> float:
    """Where a rising function passes zero between 0 and high."""
    found: Any = brentq(rising, 0.0, high, xtol=1e-14 * high, rtol=np.float64(1e-13))
    return float(found)


def current_for_voltage(voltage: Callable[[float], float], largest_guess: float) -> float:
    """Invert a voltage that rises with the current."""
    high = largest_guess
    while voltage(high) < 0:
        high *= 2
    return root(voltage, high)
