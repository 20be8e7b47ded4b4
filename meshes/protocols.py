"""Pulse protocols, data/protocols.yaml: which pairs are pulsed, and with what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from .library import Value, data_table
from .parameters import Parameter, chosen, read_parameters

Pairs = Literal["sides", "neighbours", "all"]


@dataclass(frozen=True)
class Protocol:
    """One protocol.

    Attributes:
        name: as plans write it. title, use: for people.
        pairs: who is pulsed against whom. trains: prefixes of the parameters of a pair's trains, in order.
        parameters: by quantity.
        spacing_mm: spacings that it is used for, from and to; None where any will do.
    """

    name: str
    title: str
    use: str
    pairs: Pairs
    trains: tuple[str, ...]
    parameters: Mapping[str, Parameter]
    spacing_mm: tuple[float, float] | None

    def values(self, settings: Mapping[str, float]) -> tuple[Value, ...]:
        """Its numbers with those that a plan sets; a voltage of the plan takes the place of V per cm, and the other way
        round."""
        known = dict(self.parameters)
        for train in self.trains:
            one, other = (train + quantity for quantity in ("voltage_v", "ratio_v_per_cm"))
            for stated, dropped in ((one, other), (other, one)):
                if stated in settings:
                    known.pop(dropped, None)
        return chosen(settings, {**known, **{q: self.settable[q] for q in settings if q not in known}})

    @property
    def settable(self) -> Mapping[str, Parameter]:
        """What a plan may set: the parameters, and for each train a voltage in place of V per cm or the reverse."""
        table = dict(self.parameters)
        for train in self.trains:
            for quantity in ("voltage_v", "ratio_v_per_cm"):
                own = train + quantity
                other = train + ("ratio_v_per_cm" if quantity == "voltage_v" else "voltage_v")
                if own not in table:
                    table[own] = table[other]
        return table

    @property
    def verified(self) -> bool:
        """Whether all of its numbers are."""
        return all(parameter.value.verified for parameter in self.parameters.values())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "title": self.title,
            "use": self.use,
            "pairs": self.pairs,
            "trains": [train.rstrip("_") for train in self.trains if train],
            "parameters": {quantity: parameter.as_dict() for quantity, parameter in self.parameters.items()},
            "spacing_mm": None if self.spacing_mm is None else list(self.spacing_mm),
            "verified": self.verified,
        }


@cache
def load_protocols() -> Mapping[str, Protocol]:
    """The library, by name."""
    table = data_table("protocols.yaml")
    found: dict[str, Protocol] = {}
    for name, entry in table["protocols"].items():
        spacing = entry.get("spacing_mm")
        found[name] = Protocol(
            name,
            entry["title"],
            entry["for"],
            entry["pairs"],
            tuple(f"{train}_" for train in entry["trains"]) if "trains" in entry else ("",),
            read_parameters(entry["parameters"], table["sources"]),
            None if spacing is None else (float(spacing["from"]), float(spacing["to"])),
        )
    return found
