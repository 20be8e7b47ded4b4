"""How far a tissue's values spread, as robustness studies draw them: factors with lognormal distributions.

What a range of the library holds (ranges.py) counts as two standard deviations of the logarithm to either side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .library import Range, Value
from .ranges import Quantity, ranged
from .tissues import Tissue


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
    """Of all conductivities of a tissue together: that of the tissue at rest, which is what was measured."""
    first = next(v for v in tissue.conductivity if v.quantity.endswith("_s_per_m"))
    return _spread(tissue.name, "conductivity", ranged(first, tissue.name))


def threshold_spread(tissue: Tissue) -> Spread:
    """Of both thresholds of a tissue together: of the one that spreads further."""
    values = (ranged(value, tissue.name) for value in tissue.thresholds)
    return _spread(tissue.name, "threshold", max(values, key=lambda value: _range(value).log_sd))


def _spread(name: str, quantity: Quantity, value: Value) -> Spread:
    found = _range(value)
    relative_sd = math.sqrt(math.expm1(found.log_sd**2))
    note = f"{value.quantity}: {found.low:.3g} to {found.high:.3g}" + (f"; {found.note}" if found.note else "")
    return Spread(name, quantity, relative_sd, found.source, found.verified, note)


def _range(value: Value) -> Range:
    assert value.range is not None, f"{value.quantity} has no range"
    return value.range
