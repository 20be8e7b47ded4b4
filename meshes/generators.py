"""Pulse generators and their limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import PlanError, one_of
from .library import Value, data_table, plan_value, read_value
from .plan_electrodes import GeneratorSettings

ALWAYS = ("max_voltage_v", "max_current_a")
SOMETIMES = ("max_width_us", "max_count", "max_frequency_hz", "channels")
"""Limits that not every generator's entry has."""


@dataclass(frozen=True)
class Generator:
    """A generator by its limits.

    Attributes:
        name: key in the library, or the plan's own name.
        title: for people.
        values: max_voltage_v and max_current_a, and those of SOMETIMES that are known, with their provenance.
    """

    name: str
    title: str
    values: tuple[Value, ...]
    note: str = ""

    @property
    def max_voltage_v(self) -> float:
        return self._needed("max_voltage_v")

    @property
    def max_current_a(self) -> float:
        return self._needed("max_current_a")

    @property
    def max_width_us(self) -> float | None:
        """Longest pulse."""
        return self._known("max_width_us")

    @property
    def max_count(self) -> float | None:
        """Most pulses of one train."""
        return self._known("max_count")

    @property
    def max_frequency_hz(self) -> float | None:
        """Highest repetition frequency."""
        return self._known("max_frequency_hz")

    @property
    def channels(self) -> float | None:
        """Conductors that can be connected, each switched by itself; a row of needles on one wire is one."""
        return self._known("channels")

    @property
    def source(self) -> str:
        return "; ".join(dict.fromkeys(value.source for value in self.values))

    @property
    def verified(self) -> bool:
        return all(value.verified for value in self.values)

    @property
    def limits(self) -> Mapping[str, float]:
        """All that are known, by quantity."""
        return {value.quantity: value.value for value in self.values if value.value is not None}

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        kept = {value.quantity: value.as_dict() for value in self.values}
        return {"title": self.title, "values": kept, "verified": self.verified, "note": self.note}

    def _known(self, quantity: str) -> float | None:
        return self.limits.get(quantity)

    def _needed(self, quantity: str) -> float:
        return self.limits[quantity]


def load_generators() -> dict[str, Generator]:
    """The library, by name."""
    table = data_table("generators.yaml")
    found: dict[str, Generator] = {}
    for name, entry in table["generators"].items():
        quantities = [*ALWAYS, *(q for q in SOMETIMES if q in entry)]
        values = tuple(read_value(q, entry[q], table["sources"]) for q in quantities)
        found[name] = Generator(name, entry["title"], values, entry.get("note", ""))
    return found


def choose_generator(choice: str | GeneratorSettings | None) -> Generator | None:
    """The plan's generator.

    Raises:
        PlanError: a name that the library does not have.
    """
    if choice is None:
        return None
    if isinstance(choice, GeneratorSettings):
        name = choice.name or "generator"
        stated = [(q, getattr(choice, q)) for q in (*ALWAYS, *SOMETIMES)]
        values = tuple(plan_value(q, float(number)) for q, number in stated if number is not None)
        return Generator(name, name, values)
    library = load_generators()
    if choice not in library:
        raise PlanError.of("generator", f"limits, or {one_of(library, choice)}", choice)
    return library[choice]
