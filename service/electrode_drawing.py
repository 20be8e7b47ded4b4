"""Devices of the electrode library drawn in letters: their face, seen along the direction of insertion, and a side."""

from __future__ import annotations

from ..meshes.layouts import Layout, Part

COLUMNS = 56
"""Of a drawing: it fits beside the margins of a terminal of 80."""
ROWS = 21
ASPECT = 2.0
"""Height of a letter over its width."""


def drawing(layout: Layout) -> list[str]:
    """Lines: the face where there is more than one place on it, then one of the needles or plates from its side."""
    lines = _side(layout)
    if len({part.at for part in layout.parts}) > 1:
        lines = [*_face(layout), "", *lines]
    return lines


def _face(layout: Layout) -> list[str]:
    """x to the right, y downwards: the direction leads away from whoever looks."""
    reach = [_half_size(part) for part in layout.parts]
    xs = [part.at[0] + s * half[0] for part, half in zip(layout.parts, reach, strict=True) for s in (-1, 1)]
    ys = [part.at[1] + s * half[1] for part, half in zip(layout.parts, reach, strict=True) for s in (-1, 1)]
    wide, high = max(xs) - min(xs), max(ys) - min(ys)
    per_mm = min(COLUMNS / max(wide, 1e-9), ASPECT * ROWS / max(high, 1e-9))
    canvas: dict[tuple[int, int], str] = {}

    def cell(x: float, y: float) -> tuple[int, int]:
        return round((x - min(xs)) * per_mm), round((y - min(ys)) * per_mm / ASPECT)

    for part, half in zip(layout.parts, reach, strict=True):
        if part.size is not None:
            left, top = cell(part.at[0] - half[0], part.at[1] - half[1])
            right, bottom = cell(part.at[0] + half[0], part.at[1] + half[1])
            canvas |= {(c, r): "#" for c in range(left, right + 1) for r in range(top, bottom + 1)}
        column, row = cell(*part.at)
        start = max(column - len(part.name) // 2, 0)
        canvas |= {(start + i, row): letter for i, letter in enumerate(part.name)}
    rows = range(max(r for _, r in canvas) + 1)
    picture = ["".join(canvas.get((c, r), " ") for c in range(COLUMNS + 8)).rstrip() for r in rows]
    return [f"seen along the direction of insertion, {wide:.3g} x {high:.3g} mm; x to the right, y downwards", *picture]


def _half_size(part: Part) -> tuple[float, float]:
    return (0.0, 0.0) if part.size is None else (0.5 * part.size[0], 0.5 * part.size[1])


def _side(layout: Layout) -> list[str]:
    """From the tip on the left backwards; = is bare, - is insulated, one dash for each column."""
    part = layout.parts[0]
    spans = sorted((part.bare, *part.others))
    shown = min(part.length, 1.6 * spans[-1][1])
    per_mm = COLUMNS / max(shown, 1e-9)
    line = [
        "=" if any(start <= (column + 0.5) / per_mm <= stop for start, stop in spans) else "-"
        for column in range(COLUMNS)
    ]
    if part.tip:
        line[0] = "<"
    more = " ..." if part.length > shown * (1 + 1e-9) else ""
    bare = ", ".join(f"{start:g} to {stop:g}" for start, stop in spans)
    length = f", insulated to {part.length:g} mm" if part.length > spans[-1][1] else ""
    thick = (
        f"{part.diameter:g} mm thick" if part.size is None else f"{part.size[0]:g} mm thick, {part.size[1]:g} mm wide"
    )
    return ["".join(line) + more, f"{thick}; bare from {bare} mm behind the tip{length}"]
