"""The report's tables of library devices and of the protocol: every number with where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .report_data import Result
from .report_format import Html, table, text
from .report_tables import provenance_cells, spoken

HEADS = ("quantity", "value", "unit", "verified", "source")
SHOWN = {
    "gap_mm": "gap",
    "row_gap_mm": "gap between rows",
    "pitch_mm": "distance of neighbours",
    "exposed_mm": "bare length",
    "total_length_mm": "whole length",
    "tip_length_mm": "length of the conical tip",
    "shaft_mm": "insulated shaft",
    "distal_mm": "distal pole",
    "proximal_mm": "proximal pole",
    "insulation_mm": "insulation between the poles",
    "voltage_v": "voltage",
    "ratio_v_per_cm": "voltage over spacing",
    "width_us": "pulse width",
    "count": "pulses of each pair",
    "frequency_hz": "repetition frequency",
    "highest_voltage_v": "highest voltage",
}
_UNITS = ("_mm", "_v_per_cm", "_us", "_hz", "_v")


def devices_table(result: Result) -> Html | None:
    """Dimensions of the plan's devices; electrodes that are alike share their rows. None without any."""
    alike: dict[str, tuple[list[str], Mapping[str, Any]]] = {}
    for entry in result.summary.get("devices") or ():
        alike.setdefault(f"{entry['title']} {entry['values']}", ([], entry))[0].append(str(entry["name"]))
    rows: list[tuple[Any, ...]] = []
    classes: list[str] = []
    for names, entry in alike.values():
        _add(f"{', '.join(names)}: {entry['title']}", entry, rows, classes)
    return (
        table("Devices of the library", ("Electrode", *HEADS), rows, words=(0, 1, 3, 4, 5), classes=classes)
        if rows
        else None
    )


def protocol_table(result: Result) -> Html | None:
    """The protocol's numbers; the pulses that it stands for are in the table of currents. None without one."""
    entry = result.summary.get("protocol")
    if not entry:
        return None
    rows: list[tuple[Any, ...]] = []
    classes: list[str] = []
    _add(str(entry["title"]), entry, rows, classes)
    return table("Protocol", ("Protocol", *HEADS), rows, words=(0, 1, 3, 4, 5), classes=classes)


def _add(title: str, entry: Mapping[str, Any], rows: list[tuple[Any, ...]], classes: list[str]) -> None:
    for index, value in enumerate(entry.get("values") or ()):
        first = Html(text(title)) if index == 0 else ""
        rows.append((first, _words(str(value["name"])), *provenance_cells(value)))
        classes.append(" ".join(("first",) * (index == 0) + ("doubt",) * (not value.get("verified"))))


def _words(quantity: str) -> str:
    if quantity in SHOWN:
        return SHOWN[quantity]
    for unit in _UNITS:
        quantity = quantity.removesuffix(unit)
    return spoken(quantity)
