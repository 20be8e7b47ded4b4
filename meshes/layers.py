"""Layers too thin for voxels, by name: thickness and conductivity of the library, for the plan's sheets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from .library import Value, data_table, read_value

THICKNESS, CONDUCTIVITY = "thickness_um", "conductivity_s_per_m"


@dataclass(frozen=True)
class Layer:
    """A thin layer.

    Attributes:
        name: as plans write it.
        thickness: micrometres. conductivity: S/m, across the layer.
    """

    name: str
    thickness: Value
    conductivity: Value
    note: str = ""

    @property
    def values(self) -> tuple[Value, Value]:
        return self.thickness, self.conductivity

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"values": {v.quantity: v.as_dict() for v in self.values}, "note": self.note}


@cache
def load_layers() -> Mapping[str, Layer]:
    """The library's layers by name."""
    table = data_table("tissues.yaml")
    return {name: _read(name, entry, table["sources"]) for name, entry in table["layers"].items()}


def _read(name: str, entry: dict[str, Any], sources: dict[str, str]) -> Layer:
    thickness, conductivity = (read_value(q, entry[q], sources) for q in (THICKNESS, CONDUCTIVITY))
    return Layer(name, thickness, conductivity, entry.get("note", ""))
