"""One panel: a plane of the patient with anatomy, field, isolines, structures and electrodes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from . import figures_style as style
from .figures_electrodes import Sketch, sketch
from .report_data import Result, Volume
from .report_planes import Plane, inside_grid, take, take_field


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
    field = take_field(result, plane, layers.field_v_per_cm)
    top, full = result.thresholds.scale_top_v_per_cm, full_colour_v_per_cm(result)
    rgba = style.field_rgba(field, top, full)
    axes.imshow(rgba, extent=plane.extent, origin="upper", interpolation="nearest")
    _draw_borders(axes, plane, tissue)
    for masks, colour, dashes in ((layers.targets, style.TARGET, "-"), (layers.avoided, style.AVOIDED, (0, (1.2, 1)))):
        for mask in masks.values():
            _draw_outline(axes, plane, take(result, plane, mask) > 0, colour, dashes)
    _draw_isolines(axes, plane, field, result, labels)
    wanted = [e for e in result.electrodes if layers.electrodes is None or e.name in layers.electrodes]
    draw_electrodes(axes, plane, (s for e in wanted if (s := sketch(plane, e)) is not None), layers.names)
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


def _draw_outline(axes: Axes, plane: Plane, mask: NDArray[np.bool_], colour: str, dashes: object) -> None:
    if min(plane.shape) < 2 or not mask.any() or mask.all():
        return
    rows, columns = plane.along.centres(plane.shape[0]), plane.across.centres(plane.shape[1])
    for width, ink, line in ((2.6, "white", "-"), (1.4, colour, dashes)):
        axes.contour(columns, rows, mask.astype(float), levels=[0.5], colors=[ink], linewidths=width, linestyles=[line])


def _draw_isolines(axes: Axes, plane: Plane, field: NDArray[np.float64], result: Result, labels: bool) -> None:
    if min(plane.shape) < 2 or not np.isfinite(field).any():
        return
    rows, columns = plane.along.centres(plane.shape[0]), plane.across.centres(plane.shape[1])
    for level, colour, dashes in isolines(result):
        if not np.nanmin(field) < level < np.nanmax(field):
            continue
        masked = np.ma.masked_invalid(field)
        axes.contour(columns, rows, masked, levels=[level], colors=["white"], linewidths=2.8, alpha=0.85)
        lines = axes.contour(columns, rows, masked, levels=[level], colors=[colour], linewidths=1.5, linestyles=[dashes])
        if labels:
            texts = axes.clabel(lines, fmt=f"{level:g}", fontsize=style.SMALL_PT, inline=False)
            for text in texts:
                text.set(path_effects=style.cased(2.4), fontweight="bold", rotation=0)


def isolines(result: Result) -> list[tuple[float, str, object]]:
    """(level in V/cm, colour, dashes) of the thresholds that are known."""
    _, reversible, irreversible = result.thresholds
    known = ((reversible, style.REVERSIBLE, "-"), (irreversible, style.IRREVERSIBLE, (0, (4, 1.2))))
    return [(float(level), colour, dashes) for level, colour, dashes in known if level]


def draw_electrodes(axes: Axes, plane: Plane, sketches: Iterable[Sketch], names: bool = True) -> None:
    for item in sketches:
        for stroke in item.strokes:
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
        if item.crossing is not None:
            axes.fill(*item.crossing.T, facecolor=style.ELECTRODE, edgecolor=style.INK, linewidth=0.9, zorder=4.5)
        if item.tip is not None:
            face = style.ELECTRODE if item.tip_in_plane else "white"
            tip = dict(marker="D", markersize=4, markeredgecolor=style.INK, markeredgewidth=0.8, zorder=5)
            axes.plot(*item.tip, linestyle="none", markerfacecolor=face, **tip)
        if names:
            _draw_name(axes, plane, item)


def _draw_name(axes: Axes, plane: Plane, item: Sketch) -> None:
    """The electrode's name beside its metal, kept within the frame."""
    left, right, bottom, top = plane.extent
    low, high = np.minimum([left, bottom], [right, top]), np.maximum([left, bottom], [right, top])
    margin = 0.05 * (high - low)
    anchor = np.clip(item.label, low + margin, high - margin)
    axes.annotate(
        style.plain(item.name),
        tuple(anchor),
        xytext=tuple(8.5 * item.away),
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
    align = {"left": ("left", "center"), "right": ("right", "center"), "bottom": ("center", "bottom"), "top": ("center", "top")}
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
