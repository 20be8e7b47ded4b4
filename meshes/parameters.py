"""Numbers of a library's entry that a plan may set anew: defaults with provenance, bounds, sizes that are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import one_of
from .library import Value, plan_value, read_value
from .model import refuse

COUNTS = ("count", "needles_per_row")
"""Endings of quantities that are whole numbers."""


@dataclass(frozen=True)
class Parameter:
    """One number.

    Attributes:
        value: the default. lowest, highest: beyond them a number is a slip of the pen.
        sizes: those that are made, as far as known; empty where any will do.
    """

    value: Value
    lowest: float
    highest: float
    sizes: tuple[float, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether it counts something."""
        return self.value.quantity.endswith(COUNTS)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return self.value.as_dict() | {"from": self.lowest, "to": self.highest, "sizes": list(self.sizes)}


def read_parameters(entries: Mapping[str, Mapping[str, Any]], sources: dict[str, str]) -> dict[str, Parameter]:
    """Those of an entry of a data file, by quantity."""
    return {
        quantity: Parameter(
            read_value(quantity, dict(entry), sources),
            float(entry["from"]),
            float(entry["to"]),
            tuple(float(size) for size in entry.get("sizes", ())),
        )
        for quantity, entry in entries.items()
    }


def check_settings(settings: Mapping[str, float], parameters: Mapping[str, Parameter], owner: str) -> None:
    """Refuse, from within a validator, settings under `set` that an entry does not have or that are out of bounds."""
    for quantity, number in settings.items():
        parameter = parameters.get(quantity)
        if parameter is None:
            refuse(f"set.{quantity}", f"a number of {owner}, {one_of(parameters, quantity)}", f"the key {quantity!r}")
        if not parameter.lowest <= number <= parameter.highest:
            refuse(f"set.{quantity}", f"a number between {parameter.lowest:g} and {parameter.highest:g}", number)
        if parameter.whole and number != int(number):
            refuse(f"set.{quantity}", "a whole number", number)


def chosen(settings: Mapping[str, float], parameters: Mapping[str, Parameter]) -> tuple[Value, ...]:
    """The values in use, in the library's order: the plan's where it sets one, the default elsewhere."""
    return tuple(
        plan_value(quantity, settings[quantity]) if quantity in settings else parameter.value
        for quantity, parameter in parameters.items()
    )


def numbers_of(values: tuple[Value, ...]) -> dict[str, float]:
    """By quantity."""
    return {value.quantity: value.value for value in values if value.value is not None}
