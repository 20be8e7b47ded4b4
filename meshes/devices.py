"""The electrode library, data/electrodes.yaml: devices as clinics name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from .layouts import Layout, layout_of
from .library import Value, data_table
from .parameters import Parameter, chosen, numbers_of, read_parameters


@dataclass(frozen=True)
class Device:
    """One device.

    Attributes:
        name: as plans write it. title, use, note: for people.
        kind: of its layout (layouts.py). parameters: the layout's numbers.
    """

    name: str
    title: str
    use: str
    kind: str
    parameters: Mapping[str, Parameter]
    note: str = ""

    def values(self, settings: Mapping[str, float]) -> tuple[Value, ...]:
        """Its numbers with those that a plan sets."""
        return chosen(settings, self.parameters)

    def layout(self, settings: Mapping[str, float]) -> Layout:
        """Its conductors."""
        return layout_of(self.kind, numbers_of(self.values(settings)))

    @property
    def verified(self) -> bool:
        """Whether all of its numbers are."""
        return all(parameter.value.verified for parameter in self.parameters.values())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        layout = self.layout({})
        return {
            "title": self.title,
            "use": self.use,
            "layout": self.kind,
            "conductors": [part.name for part in layout.parts],
            "groups": {name: list(parts) for name, parts in layout.groups.items()},
            "parameters": {quantity: parameter.as_dict() for quantity, parameter in self.parameters.items()},
            "verified": self.verified,
            "note": self.note,
        }


@cache
def load_devices() -> Mapping[str, Device]:
    """The library, by name."""
    table = data_table("electrodes.yaml")
    return {
        name: Device(
            name,
            entry["title"],
            entry["for"],
            entry["layout"],
            read_parameters(entry["parameters"], table["sources"]),
            entry.get("note", ""),
        )
        for name, entry in table["devices"].items()
    }
