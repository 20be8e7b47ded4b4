"""Words in a panel: electrode names, isoline values, the patient's directions. Placed so that they do not collide."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import takewhile

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from . import figures_style as style
from .figures_electrodes import Sketch
from .report_planes import Plane

_SAME_PLACE_MM = 2.5
"""Needles whose names would stand closer than this share one label."""
_MANY = 3
"""Conductors of one device that a label no longer names one by one."""
_TURNS = tuple(math.radians(d) for d in (0, 45, -45, 90, -90, 135, -135, 180))
_DISTANCES_PT = (6.0, 12.0, 20.0, 30.0)

Segments = Sequence[NDArray[np.float64]]


def draw_names(axes: Axes, plane: Plane, sketches: Sequence[Sketch]) -> list[Bbox]:
    """Electrode names beside their metal, within the frame and clear of each other; returns their boxes in pixels."""
    cut = [s.label for s in sketches if s.crossing is not None]
    middle = np.mean(cut, axis=0) if cut else None
    metal = (
        np.concatenate([axes.transData.transform(s.label[None]) for s in sketches]) if sketches else np.empty((0, 2))
    )
    boxes: list[Bbox] = []
    letters = _letters(axes)
    for group in grouped(sketches):
        first = group[0]
        away = first.away
        if first.crossing is not None and middle is not None and np.linalg.norm(first.label - middle) > 1:
            away = plane.as_seen(first.label - middle)
        boxes.append(_place_name(axes, plane, group, away, [*letters, *boxes], metal))
    return boxes


def _letters(axes: Axes) -> list[Bbox]:
    """Where the patient's directions stand in a panel, in pixels: near enough for names to keep clear of them."""
    size = (style.BODY_PT + 1) * axes.get_figure(root=True).dpi / 72  # pyright: ignore[reportOptionalMemberAccess]
    frame = axes.get_window_extent()
    x, y, half = (frame.x0 + frame.x1) / 2, (frame.y0 + frame.y1) / 2, 0.8 * size
    places = [(frame.x0 + half, y), (frame.x1 - half, y), (x, frame.y0 + half), (x, frame.y1 - half)]
    return [Bbox.from_extents(at_x - half, at_y - half, at_x + half, at_y + half) for at_x, at_y in places]


def grouped(sketches: Sequence[Sketch]) -> list[list[Sketch]]:
    """Sketches with names at the same place together, in their order."""
    groups: list[list[Sketch]] = []
    for item in sketches:
        near = (g for g in groups if np.linalg.norm(g[0].label - item.label) < _SAME_PLACE_MM)
        group = next(near, None)
        if group is None:
            groups.append([item])
        else:
            group.append(item)
    return groups


def in_short(names: Sequence[str]) -> str:
    """Names in one label; of three or more conductors of a device what their names share: rows.a for rows.a1 to .a4."""
    devices: dict[str, list[str]] = {}
    for name in names:
        devices.setdefault(name.partition(".")[0], []).append(name)
    told = [[_shared(own)] if len(own) >= _MANY else own for own in devices.values()]
    return ", ".join(name for own in told for name in own)


def _shared(names: Sequence[str]) -> str:
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in alike).rstrip(".")


def _place_name(
    axes: Axes,
    plane: Plane,
    group: Sequence[Sketch],
    away: NDArray[np.float64],
    boxes: Sequence[Bbox],
    metal: NDArray[np.float64],
) -> Bbox:
    """Try places around the anchor, the wanted direction first, and keep the one that hides least."""
    left, right, bottom, top = plane.extent
    low, high = np.minimum([left, bottom], [right, top]), np.maximum([left, bottom], [right, top])
    x, y = np.clip(group[0].label, low, high)
    words = style.plain(style.shortened(in_short([s.name for s in group]), 32))
    how = {"fontsize": style.BODY_PT, "fontweight": "bold", "color": style.INK, "zorder": 6}
    label = axes.annotate(
        words, (float(x), float(y)), xytext=(0, 0), textcoords="offset points", path_effects=style.cased(2.6), **how
    )
    best: tuple[float, tuple[float, float]] | None = None
    frame = axes.get_window_extent()
    for distance in _DISTANCES_PT:
        for turn in _TURNS:
            offset = _turned(away, turn) * distance
            _anchor(label, offset)
            box = _box(axes, label)
            cost = _cost(box, frame, boxes, metal) + 0.2 * abs(turn) + 0.03 * distance
            if best is None or cost < best[0]:
                best = cost, (float(offset[0]), float(offset[1]))
    assert best is not None
    _anchor(label, np.array(best[1]))
    return _box(axes, label)


def _turned(direction: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([c * direction[0] - s * direction[1], s * direction[0] + c * direction[1]])


def _anchor(label: object, offset: NDArray[np.float64]) -> None:
    """Put a label at an offset (points), with the side that faces the metal as its anchor."""
    x, y = float(offset[0]), float(offset[1])
    steepness = math.hypot(x, y) * 0.38
    across = "left" if x > steepness else "right" if x < -steepness else "center"
    up = "bottom" if y > steepness else "top" if y < -steepness else "center"
    label.set(position=(x, y), ha=across, va=up)  # pyright: ignore[reportAttributeAccessIssue]


def _box(axes: Axes, label: object) -> Bbox:
    canvas = axes.get_figure(root=True).canvas  # pyright: ignore[reportOptionalMemberAccess]
    assert isinstance(canvas, FigureCanvasAgg)
    return label.get_window_extent(canvas.get_renderer())  # pyright: ignore[reportAttributeAccessIssue]


def _cost(box: Bbox, frame: Bbox, boxes: Sequence[Bbox], metal: NDArray[np.float64]) -> float:
    """How much a label hides or loses, as shares of its own area."""
    area = max(box.width * box.height, 1.0)
    lost = 1 - _overlap(box, frame) / area
    hidden = sum(_overlap(box, other) for other in boxes) / area
    covered = int(box.count_contains(metal)) if len(metal) else 0
    return 6 * lost + 4 * hidden + covered


def _overlap(a: Bbox, b: Bbox) -> float:
    common = Bbox.intersection(a, b)
    return 0.0 if common is None else common.width * common.height


def draw_value(axes: Axes, lines: Segments, level: float, colour: str, taken: NDArray[np.float64]) -> Bbox | None:
    """An isoline's value on the line where there is most room; `taken` (n, 2) are pixels to keep clear of."""
    frame = axes.get_window_extent()
    seen = [axes.transData.transform(s) for s in lines if len(s)]
    place = clearest_point(seen, taken, (frame.x0, frame.x1, frame.y0, frame.y1))
    if place is None:
        return None
    x, y = axes.transData.inverted().transform(place)
    label = axes.text(
        float(x),
        float(y),
        f"{level:g}",
        ha="center",
        va="center",
        fontsize=style.SMALL_PT,
        fontweight="bold",
        color=colour,
        path_effects=style.cased(2.6),
        zorder=5.5,
    )
    return _box(axes, label)


def clearest_point(
    segments: Segments, taken: NDArray[np.float64], extent: tuple[float, float, float, float]
) -> NDArray[np.float64] | None:
    """The vertex of the lines (n, 2) that is farthest from all taken points (m, 2) and from the frame."""
    vertices = np.concatenate([s for s in segments if len(s)] or [np.empty((0, 2))])
    if not len(vertices):
        return None
    left, right, bottom, top = extent
    frame = np.abs(np.column_stack([vertices[:, 0] - left, vertices[:, 0] - right])).min(axis=1)
    frame = np.minimum(frame, np.abs(np.column_stack([vertices[:, 1] - bottom, vertices[:, 1] - top])).min(axis=1))
    room = 1.5 * frame
    if len(taken):
        room = np.minimum(room, np.linalg.norm(vertices[:, None] - taken[None], axis=2).min(axis=1))
    return vertices[int(room.argmax())]


def draw_frame_words(axes: Axes, plane: Plane) -> None:
    """Title, rulers, and the patient's directions at the edges."""
    title = f"{plane.kind.capitalize()}   {plane.place}"
    axes.set_title(style.plain(title), fontsize=style.BODY_PT + 0.5, color=style.INK, loc="left", pad=5)
    axes.set_xlabel(plane.across.label, labelpad=1)
    axes.set_ylabel(plane.along.label, labelpad=1)
    for locator in (axes.xaxis, axes.yaxis):
        locator.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    draw_directions(axes, plane, ("left", "right", "bottom", "top"), style.BODY_PT + 1)


def draw_refusal(axes: Axes) -> None:
    """Across every panel of a failed solve, because pictures are cut out and passed on."""
    axes.text(
        0.5,
        0.5,
        "NOT CONVERGED",
        transform=axes.transAxes,
        ha="center",
        va="center",
        rotation=30,
        fontsize=20,
        fontweight="bold",
        color=style.ALARM,
        path_effects=style.cased(3),
        alpha=0.8,
        zorder=8,
    )


def draw_directions(axes: Axes, plane: Plane, sides: Sequence[str], size_pt: float) -> None:
    """The letters of the patient's directions at some edges of the picture."""
    where = {"left": (0.012, 0.5), "right": (0.988, 0.5), "bottom": (0.5, 0.018), "top": (0.5, 0.982)}
    for side in sides:
        axes.text(
            *where[side],
            getattr(plane.edges, side),
            transform=axes.transAxes,
            ha=side if side in ("left", "right") else "center",
            va=side if side in ("bottom", "top") else "center",
            fontsize=size_pt,
            fontweight="bold",
            color=style.INK,
            path_effects=style.cased(2.8),
            zorder=7,
        )
