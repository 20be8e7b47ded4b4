"""What a plan may say in place of its pulses: a protocol of the library, and what differs from it."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from .errors import one_of
from .library import Value
from .model import Model, Name, Number, refuse
from .parameters import check_settings
from .protocols import Protocol, load_protocols


def _known_names(schema: dict[str, Any]) -> None:
    """The library, for editors."""
    schema["enum"] = list(load_protocols())


class ProtocolSettings(Model):
    """A protocol on some of the plan's electrodes."""

    name: Name = Field(description="Of the protocol library (porefield protocols).", json_schema_extra=_known_names)
    electrodes: tuple[Name, ...] = Field(
        default=(),
        description="Electrodes, conductors of devices (hex.centre) or their groups (rows.a), in firing order; all of "
        "the plan's by default.",
    )
    set: dict[Name, Number] = Field(
        default_factory=dict,
        description="Numbers of the protocol that differ from the library's, such as ratio_v_per_cm, or in its place "
        "voltage_v, count, width_us, frequency_hz.",
    )

    @model_validator(mode="after")
    def _is_known(self) -> ProtocolSettings:
        library = load_protocols()
        if self.name not in library:
            refuse("name", f"a protocol of the library, {one_of(library, self.name)}", self.name)
        check_settings(self.set, self.protocol.settable, self.name)
        for train in self.protocol.trains:
            both = [train + quantity for quantity in ("voltage_v", "ratio_v_per_cm")]
            if all(quantity in self.set for quantity in both):
                refuse(f"set.{both[0]}", f"one of {' and '.join(both)}", "both")
        named: dict[str, int] = {}
        for i, name in enumerate(self.electrodes):
            if named.setdefault(name, i) != i:
                refuse(f"electrodes[{i}]", "each electrode once", name)
        return self

    @property
    def protocol(self) -> Protocol:
        return load_protocols()[self.name]

    @property
    def values(self) -> tuple[Value, ...]:
        """Its numbers with their provenance."""
        return self.protocol.values(self.set)

    def describe(self) -> dict[str, Any]:
        """The protocol and its numbers with their provenance, for JSON."""
        return {
            "name": self.name,
            "title": self.protocol.title,
            "pairs": self.protocol.pairs,
            "values": [{"name": value.quantity, **value.as_dict()} for value in self.values],
            "verified": all(value.verified for value in self.values),
        }
