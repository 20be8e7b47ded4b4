"""Pulse generators and their limits."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import PlanError, one_of
from .library import Value, data_table, plan_value, read_value
from .plan_electrodes import GeneratorSettings


@dataclass(frozen=True)
class Generator:
    """A generator by its limits.

    Attributes:
        name: key in the library, or the plan's own name.
        title: for people.
        values: max_voltage_v and max_current_a with their provenance.
    """

    name: str
    title: str
    values: tuple[Value, Value]
    note: str = ""

    @property
    def max_voltage_v(self) -> float:
        return _number(self.values[0])

    @property
    def max_current_a(self) -> float:
        return _number(self.values[1])

    @property
    def source(self) -> str:
        return "; ".join(dict.fromkeys(value.source for value in self.values))

    @property
    def verified(self) -> bool:
        return all(value.verified for value in self.values)


def load_generators() -> dict[str, Generator]:
    """The library, by name."""
    table = data_table("generators.yaml")
    found: dict[str, Generator] = {}
    for name, entry in table["generators"].items():
        voltage, current = (read_value(q, entry[q], table["sources"]) for q in ("max_voltage_v", "max_current_a"))
        found[name] = Generator(name, entry["title"], (voltage, current), entry.get("note", ""))
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
        voltage = plan_value("max_voltage_v", choice.max_voltage_v)
        return Generator(name, name, (voltage, plan_value("max_current_a", choice.max_current_a)))
    library = load_generators()
    if choice not in library:
        raise PlanError.of("generator", f"limits, or {one_of(library, choice)}", choice)
    return library[choice]


def _number(value: Value) -> float:
    assert value.value is not None
    return value.value
