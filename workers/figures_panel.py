"""One panel: a plane of the patient with anatomy, field, isolines, structures and electrodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import LineStyleType
from numpy.typing import NDArray

from . import figures_style as style
from .figures_electrodes import Sketch, Stroke, sketch
from .report_data import Result, Volume
from .report_planes import Plane, inside_grid, take, take_field

FINEST_MM = 0.4
"""Pixels that a field is interpolated to, about one dot of the printed page."""


@dataclass(frozen=True)
class Layers:
    """What a panel shows, loaded once for all panels of a report.

    Attributes:
        field_v_per_cm: map of shape (nx, ny, nz).
        targets, avoided: masks by name.
        electrodes: names to draw; None draws all.
        names: print the electrodes' names.
    """

    result: Result
    field_v_per_cm: Volume
    targets: dict[str, Volume]
    avoided: dict[str, Volume]
    electrodes: frozenset[str] | None = None
    names: bool = True


def layers_of(result: Result) -> Layers:
    """The maximum over all pulses, with every structure that the store holds."""
    targets = {n: m for n in result.targets if (m := result.structure(n)) is not None}
    avoided = {n: m for n in result.avoided if (m := result.structure(n)) is not None}
    return Layers(result, result.field_max_v_per_cm, targets, avoided)


def draw_panel(axes: Axes, plane: Plane, layers: Layers, *, labels: bool = True) -> set[int]:
    """Draw the plane; returns the indices of the tissues in it."""
    result = layers.result
    tissue, inside = take(result, plane, result.tissue), inside_grid(result, plane)
    axes.imshow(tissue_rgb(result, tissue, inside), extent=plane.extent, origin="upper", interpolation="nearest")
    fine = plane.refined(math.ceil(max(plane.pixel_mm) / FINEST_MM)) if plane.section is not None else plane
    field = take_field(result, fine, layers.field_v_per_cm)
    top, full = result.thresholds.scale_top_v_per_cm, full_colour_v_per_cm(result)
    rgba = style.field_rgba(field, top, full)
    axes.imshow(rgba, extent=plane.extent, origin="upper", interpolation="nearest")
    _draw_borders(axes, plane, tissue)
    for mask in layers.targets.values():
        _draw_outline(axes, plane, take(result, plane, mask) > 0, style.TARGET, "-")
    for mask in layers.avoided.values():
        _draw_outline(axes, plane, take(result, plane, mask) > 0, style.AVOIDED, (0, (1.2, 1.0)))
    wanted = [e for e in result.electrodes if layers.electrodes is None or e.name in layers.electrodes]
    sketches = [s for e in wanted if (s := sketch(plane, e)) is not None]
    _draw_isolines(axes, fine, field, result, sketches if labels else None)
    draw_electrodes(axes, plane, sketches, layers.names)
    axes.set_xlim(*plane.extent[:2])
    axes.set_ylim(*plane.extent[2:])
    axes.set_aspect("equal")
    style.dress(axes)
    if labels:
        _draw_labels(axes, plane)
    return set(np.unique(tissue[inside]).tolist())


def full_colour_v_per_cm(result: Result) -> float:
    """Field from which the colours stand at their full strength."""
    return result.thresholds.reversible_v_per_cm or 0.5 * result.thresholds.scale_top_v_per_cm


def tissue_rgb(result: Result, tissue: NDArray[np.uint8], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Muted colours (rows, columns, 3) of the tissues, white outside the grid."""
    colours = [to_rgb(c) for c in style.tissue_colours(result.tissue_names)]
    table = np.ones((256, 3))
    table[: len(colours)] = colours
    return np.where(inside[..., None], table[tissue], to_rgb(style.OUTSIDE))


def _draw_borders(axes: Axes, plane: Plane, tissue: NDArray[np.uint8]) -> None:
    """Hairlines where one tissue meets another: they stay visible under a strong field."""
    rows, columns = plane.along.centres(plane.shape[0]), plane.across.centres(plane.shape[1])
    if min(plane.shape) < 2:
        return
    for index in np.unique(tissue)[1:]:
        mask = (tissue == index).astype(float)
        axes.contour(columns, rows, mask, levels=[0.5], colors=["#30363d"], linewidths=0.4, alpha=0.55)


def _draw_outline(axes: Axes, plane: Plane, mask: NDArray[np.bool_], colour: str, dashes: LineStyleType) -> None:
    if min(plane.shape) < 2 or not mask.any() or mask.all():
        return
    rows, columns = plane.along.centres(plane.shape[0]), plane.across.centres(plane.shape[1])
    for width, ink, line in ((2.6, "white", "-"), (1.4, colour, dashes)):
        axes.contour(columns, rows, mask.astype(float), levels=[0.5], colors=[ink], linewidths=width, linestyles=[line])


def _draw_isolines(
    axes: Axes, plane: Plane, field: NDArray[np.float64], result: Result, clear_of: Sequence[Sketch] | None
) -> None:
    """Isolines of the thresholds; with a label each, clear of the electrodes' metal and names, unless None."""
    if min(plane.shape) < 2 or not np.isfinite(field).any():
        return
    rows, columns = plane.along.centres(plane.shape[0]), plane.across.centres(plane.shape[1])
    masked = np.ma.masked_invalid(field)
    taken = [] if clear_of is None else [p for s in clear_of for p in (s.label, *_points(s))]
    for level, colour, dashes in isolines(result):
        if not masked.min() < level < masked.max():
            continue
        axes.contour(columns, rows, masked, levels=[level], colors=["white"], linewidths=2.8, alpha=0.85)
        lines = axes.contour(
            columns, rows, masked, levels=[level], colors=[colour], linewidths=1.5, linestyles=[dashes]
        )
        if clear_of is None:
            continue
        place = clearest_point(lines.allsegs[0], np.array(taken).reshape(-1, 2), plane.extent)
        if place is not None:
            taken.append(place)
            axes.text(
                float(place[0]),
                float(place[1]),
                f"{level:g}",
                ha="center",
                va="center",
                fontsize=style.SMALL_PT,
                fontweight="bold",
                color=colour,
                path_effects=style.cased(2.6),
                zorder=5.5,
            )


def _points(item: Sketch) -> list[NDArray[np.float64]]:
    return [p for stroke in item.strokes for p in stroke.points[:: max(1, len(stroke.points) // 12)]]


def clearest_point(
    segments: Sequence[NDArray[np.float64]], taken: NDArray[np.float64], extent: tuple[float, float, float, float]
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


def isolines(result: Result) -> list[tuple[float, str, LineStyleType]]:
    """(level in V/cm, colour, dashes) of the thresholds that are known."""
    _, reversible, irreversible = result.thresholds
    known: tuple[tuple[float | None, str, LineStyleType], ...] = (
        (reversible, style.REVERSIBLE, "-"),
        (irreversible, style.IRREVERSIBLE, (0, (4, 1.2))),
    )
    return [(float(level), colour, dashes) for level, colour, dashes in known if level]


def draw_electrodes(axes: Axes, plane: Plane, sketches: Sequence[Sketch], names: bool = True) -> None:
    """Metal bright and cased, insulated shafts thin and grey, projected parts dashed, tips as diamonds, names."""
    cut = [s.label for s in sketches if s.crossing is not None]
    middle = np.mean(cut, axis=0) if cut else None
    for item in sketches:
        for stroke in item.strokes:
            _draw_stroke(axes, stroke)
        if item.crossing is not None:
            axes.fill(*item.crossing.T, facecolor=style.ELECTRODE, edgecolor=style.INK, linewidth=0.9, zorder=4.5)
        if item.tip is not None:
            face = style.ELECTRODE if item.tip_in_plane else "white"
            axes.add_line(tip_marker(float(item.tip[0]), float(item.tip[1]), face))
        if names:
            _draw_name(axes, plane, item, middle)


def _draw_stroke(axes: Axes, stroke: Stroke) -> None:
    points = np.vstack([stroke.points, stroke.points[:1]]) if stroke.closed else stroke.points
    exposed = stroke.part != "shaft"
    width = (2.6 if exposed else 1.6) if stroke.in_plane else (1.5 if exposed else 1.0)
    axes.plot(
        points[:, 0],
        points[:, 1],
        color=style.ELECTRODE if exposed else style.SHAFT,
        linewidth=width,
        linestyle="-" if stroke.in_plane else (0, (3, 2)),
        path_effects=style.cased(width + 1.4, style.INK if exposed else "white"),
        solid_capstyle="butt",
        dash_capstyle="butt",
        zorder=4 if exposed else 3.5,
    )


def tip_marker(x: float, y: float, face: str) -> Line2D:
    """The diamond that marks a needle's tip."""
    return Line2D(
        [x],
        [y],
        linestyle="none",
        marker="D",
        markersize=4,
        markerfacecolor=face,
        markeredgecolor=style.INK,
        markeredgewidth=0.8,
        zorder=5,
    )


def _draw_name(axes: Axes, plane: Plane, item: Sketch, middle: NDArray[np.float64] | None) -> None:
    """The electrode's name beside its metal, kept within the frame; those that are cut through are named outwards."""
    left, right, bottom, top = plane.extent
    low, high = np.minimum([left, bottom], [right, top]), np.maximum([left, bottom], [right, top])
    margin = 0.05 * (high - low)
    x, y = np.clip(item.label, low + margin, high - margin)
    away = item.away
    if item.crossing is not None and middle is not None and np.linalg.norm(item.label - middle) > 1:
        away = plane.as_seen(item.label - middle)
    axes.annotate(
        style.plain(item.name),
        (float(x), float(y)),
        xytext=(8.5 * float(away[0]), 8.5 * float(away[1])),
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=style.BODY_PT,
        fontweight="bold",
        color=style.INK,
        path_effects=style.cased(2.6),
        zorder=6,
        annotation_clip=False,
    )


def _draw_labels(axes: Axes, plane: Plane) -> None:
    title = f"{plane.kind.capitalize()}   {plane.place}"
    axes.set_title(style.plain(title), fontsize=style.BODY_PT + 0.5, color=style.INK, loc="left", pad=5)
    axes.set_xlabel(plane.across.label, labelpad=1)
    axes.set_ylabel(plane.along.label, labelpad=1)
    for locator in (axes.xaxis, axes.yaxis):
        locator.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    where = {"left": (0.012, 0.5), "right": (0.988, 0.5), "bottom": (0.5, 0.015), "top": (0.5, 0.985)}
    align = {
        "left": ("left", "center"),
        "right": ("right", "center"),
        "bottom": ("center", "bottom"),
        "top": ("center", "top"),
    }
    for side, letters in plane.edges._asdict().items():
        horizontal, vertical = align[side]
        axes.text(
            *where[side],
            letters,
            transform=axes.transAxes,
            ha=horizontal,
            va=vertical,
            fontsize=style.BODY_PT + 1,
            fontweight="bold",
            color=style.INK,
            path_effects=style.cased(2.8),
            zorder=7,
        )
