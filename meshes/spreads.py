"""How far a tissue's values spread, as robustness studies draw them: factors with lognormal distributions.

A value of the library that states a standard deviation spreads by that; else the tissue's entry under `spreads` of
data/tissues.yaml counts, else the default there, which is an assumption and says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from .library import Value, data_table, read_value
from .tissues import Tissue

Quantity = Literal["conductivity", "threshold"]


@dataclass(frozen=True)
class Spread:
    """Standard deviation over mean of a quantity, and where that comes from.

    Attributes:
        tissue: whose.
        quantity: what spreads; both thresholds of a tissue spread together, as do all its conductivities.
        relative_sd: standard deviation over mean.
        source: publication in words; 'plan' where the study's own file states it.
        verified: as for library values.
    """

    tissue: str
    quantity: Quantity
    relative_sd: float
    source: str
    verified: bool
    note: str = ""

    @property
    def factor(self) -> float:
        """exp of the standard deviation of the logarithm: 68 % lie between 1 / factor and factor."""
        return math.exp(math.sqrt(math.log1p(self.relative_sd**2)))


def conductivity_spread(tissue: Tissue) -> Spread:
    """Of all conductivities of a tissue together."""
    return _spread(tissue, "conductivity", (v for v in tissue.conductivity if v.quantity.endswith("_s_per_m")))


def threshold_spread(tissue: Tissue) -> Spread:
    """Of both thresholds of a tissue together: the larger of the two where both state one."""
    return _spread(tissue, "threshold", tissue.thresholds)


def _spread(tissue: Tissue, quantity: Quantity, values: Iterable[Value]) -> Spread:
    stated = [(v.sd / v.value, v) for v in values if v.sd and v.value]
    if stated:
        relative_sd, value = max(stated, key=lambda pair: pair[0])
        note = f"{value.quantity}: {value.value:g} +- {value.sd:g}"
        return Spread(tissue.name, quantity, relative_sd, value.source, value.verified, note)
    table = data_table("tissues.yaml")
    entries = table["spreads"][quantity]
    value = read_value(quantity, entries.get(tissue.name, entries["default"]), table["sources"])
    assert value.value is not None
    return Spread(tissue.name, quantity, value.value, value.source, value.verified, value.note)
