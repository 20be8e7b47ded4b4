"""Ranges of tissue values: as the library states them, else two standard deviations of how far such values spread.

They are what coverage is held against at the low and the high end of thresholds, and what studies of robustness draw
from: both stand on the same numbers.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

from .library import Range, Value, data_table, read_value

Quantity = Literal["conductivity", "threshold"]
OF_THE_PLAN = "that of the library, relative to the plan's value"


def spread_of(name: str, quantity: Quantity) -> Value:
    """Standard deviation over mean of a tissue's values, for those that state none: its own entry, or the default."""
    table = data_table("tissues.yaml")
    entries = table["spreads"][quantity]
    return read_value(quantity, entries.get(name, entries["default"]), table["sources"])


def ranged(value: Value, name: str) -> Value:
    """A value of the named tissue with a range: its own, else two of its standard deviations, else of the usual spread.

    Numbers that are neither conductivities nor fields stay without one, as do those that are 0 or do not apply.
    """
    if value.range is not None or not value.value:
        return value
    if value.quantity.endswith("_s_per_m"):
        spread = spread_of(name, "conductivity")
    elif value.quantity.endswith("_v_per_cm"):
        spread = spread_of(name, "threshold")
    else:
        return value
    source, relative_sd, note = spread, spread.value, spread.note
    if value.sd:
        source, relative_sd, note = value, value.sd / value.value, f"{value.value:g} +- {value.sd:g}"
    assert relative_sd is not None
    factor = math.exp(2 * math.sqrt(math.log1p(relative_sd**2)))
    found = Range(value.value / factor, value.value * factor, source.source, source.status, source.confidence, note)
    return replace(value, range=found)


def kept_range(stated: Value, library: Value) -> Value:
    """A value of the plan with the library's range of the same quantity, relative to it: literature spreads as far."""
    if library.range is None or not library.value or not stated.value:
        return stated
    factor = stated.value / library.value
    note = library.range.note if factor == 1 else OF_THE_PLAN
    return replace(stated, range=library.range.scaled(factor, note))
