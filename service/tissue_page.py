"""`porefield tissues --show NAME`: every value with range and source, and the conductivity law drawn in letters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..meshes.law_curves import law_curve
from ..meshes.layers import Layer
from ..meshes.library import Value
from ..meshes.tissues import Tissue
from .tables import plain_table

COLUMNS, ROWS = 60, 12
"""Of a plot, in letters: it fits beside its scale into a terminal of 80 columns."""
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of the Braille pattern for its 2 columns of 4 dots, from the top."""
_BRAILLE = 0x2800
_MARKS = "RI"


def tissue_page(tissue: Tissue) -> RenderableType:
    """One tissue."""
    across = ", across the fibres; the plan says how they run" if tissue.fibre_ratio is not None else ""
    head = [Text(f"{tissue.name}: {tissue.law_name} law{across}", style="bold")]
    head += [Text(tissue.note)] if tissue.note else []
    parts: list[RenderableType] = [*head, Text(), *(Text(line) for line in law_plot(tissue)), Text()]
    parts.append(_values(tissue.values, "field and coverage"))
    if tissue.thermal:
        parts += [Text(), _values(tissue.thermal, "heat")]
    if tissue.alternatives:
        parts += [Text(), _alternatives(tissue.alternatives)]
    return Group(*parts)


def layer_page(layer: Layer) -> RenderableType:
    """One layer of the library."""
    title = f"{layer.name}: a layer for `sheets: [{{between: [ONE, OTHER], layer: {layer.name}}}]`"
    return Group(Text(title, style="bold"), Text(layer.note), Text(), _values(layer.values, "number"))


def layer_table(layers: Iterable[Layer]) -> RenderableType:
    """The layers under the list of tissues."""
    table = plain_table("layer, for sheets", "thickness", "conductivity", "sources")
    for layer in layers:
        sources = "; ".join(dict.fromkeys(f"{v.source}{'' if v.verified else ' (unverified)'}" for v in layer.values))
        table.add_row(layer.name, *(_number(v, v.value) for v in layer.values), escape(sources))
    return table


def law_plot(tissue: Tissue) -> list[str]:
    """Lines: conductivity upwards, field to the right, R and I at the thresholds, their ranges dotted below."""
    field, sigma = law_curve(tissue, 2 * COLUMNS)
    top = float(sigma.max()) or 1.0
    dots = np.round((4 * ROWS - 1) * (1 - sigma / (1.05 * top))).astype(int)
    cells = np.zeros((ROWS, COLUMNS), int)
    for column, dot in enumerate(dots):
        former = dots[max(column - 1, 0)]
        for y in range(min(former, dot), max(former, dot) + 1):  # a steep rise stays one line
            cells[y // 4, column // 2] |= _DOTS[column % 2][y % 4]
    labels = {0: f"{1.05 * top:.3g}", ROWS - 1: "0"}
    lines = [f"{labels.get(r, ''):>8} |{''.join(chr(_BRAILLE + c) for c in row)}" for r, row in enumerate(cells)]
    lines[0] += " S/m"
    axis, reach = list("-" * COLUMNS), float(field[-1])
    bands = []
    for mark, value in zip(_MARKS, tissue.thresholds, strict=True):
        if value.value is None:
            continue
        axis[_column(value.value, reach)] = mark
        if value.range is not None:
            start, stop = (_column(end, reach) for end in (value.range.low, value.range.high))
            band = [" "] * COLUMNS
            band[start : stop + 1] = "." * (stop + 1 - start)
            band[_column(value.value, reach)] = mark
            words = f"{value.quantity.removesuffix('_v_per_cm')}, {value.range.low:.3g} to {value.range.high:.3g}"
            bands.append(f"{'':>8}  {''.join(band)} {words}")
    ends = f"0{reach:>{COLUMNS - 1}.0f} V/cm"
    return [*lines, f"{'':>8} +{''.join(axis)}", f"{'':>8}  {ends}", *bands]


def _column(field_v_per_cm: float, reach: float) -> int:
    return min(round(field_v_per_cm / reach * (COLUMNS - 1)), COLUMNS - 1)


def _values(values: Iterable[Value], heading: str) -> Table:
    table = plain_table(heading, "value", "range", "", "source")
    for value in values:
        if value.value is None:
            table.add_row(value.quantity, "does not apply", "", "", "")
            continue
        spread = f" +- {value.sd:g}" if value.sd is not None else ""
        shown, ends = f"{_number(value, value.value)}{spread}", ""
        source = escape(f"{value.source} ({value.note})" if value.note else value.source)
        if value.range is not None:
            ends = f"{value.range.low:.3g} to {value.range.high:.3g}"
            doubt = "" if value.range.verified else "[yellow]unverified[/] "
            why = f": {value.range.note}" if value.range.note else ""
            source += f"\n  range: {doubt}{escape(f'{value.range.source}{why}')}"
        table.add_row(value.quantity, shown, ends, _status(value), source)
    return table


def _status(value: Value) -> str:
    words = f"{value.status.value.replace('_', ' ')}, {value.confidence.value}"
    return words if value.verified else f"[yellow]unverified[/] ({words})"


def _number(value: Value, number: float | None) -> str:
    return "" if number is None else f"{number:g} {value.unit}".rstrip()


def _alternatives(alternatives: Mapping[str, list[dict[str, Any]]]) -> Table:
    table = plain_table("others say", "value", "", "source")
    for quantity, entries in alternatives.items():
        for entry in entries:
            found = entry["value"]
            shown = " to ".join(f"{x:g}" for x in found) if isinstance(found, list) else f"{found:g}"
            how = f"{str(entry['status']).replace('_', ' ')}, {entry['confidence']}"
            note = f" ({entry['note']})" if entry.get("note") else ""
            table.add_row(quantity, shown, how, escape(f"{entry['source']}{note}"))
    return table
