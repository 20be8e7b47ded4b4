"""One panel: a plane of the patient with anatomy, field, isolines, structures and electrodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.transforms import Bbox
from matplotlib.typing import LineStyleType
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from . import figures_style as style
from .figures_electrodes import Sketch, Stroke, sketch
from .figures_labels import draw_frame_words, draw_names, draw_refusal, draw_value
from .report_data import Result, Volume
from .report_planes import Plane, inside_grid, take, take_field

FINEST_MM = 0.4
"""Pixels that a field is interpolated to, about one dot of the printed page."""


Isoline = tuple[float, str, LineStyleType]
"""Level, colour, dashes."""


@dataclass(frozen=True)
class Palette:
    """How a map's values look over the anatomy.

    Attributes:
        colours: values (...) -> colours (..., 4); nan is transparent.
        isolines: drawn at these levels, each with its value.
    """

    colours: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    isolines: Sequence[Isoline]


@dataclass(frozen=True)
class Layers:
    """What a panel shows, loaded once for all panels of a report.

    Attributes:
        values: the map that is shown in colour, shape (nx, ny, nz), such as |E| in V/cm. palette: how.
        targets, avoided: masks by name.
        electrodes: names to draw; None draws all.
    """

    result: Result
    values: Volume
    palette: Palette
    targets: dict[str, Volume]
    avoided: dict[str, Volume]
    electrodes: frozenset[str] | None = None


def layers_of(result: Result, values: Volume | None = None, palette: Palette | None = None) -> Layers:
    """A map, the maximum of |E| over all pulses by default, with every structure that the store holds."""
    targets = {n: m for n in result.targets if (m := result.structure(n)) is not None}
    avoided = {n: m for n in result.avoided if (m := result.structure(n)) is not None}
    shown = result.field_max_v_per_cm if values is None else values
    return Layers(result, shown, palette or field_palette(result), targets, avoided)


def field_palette(result: Result) -> Palette:
    """Colours of |E| in V/cm, and the thresholds as isolines."""
    top, full = result.thresholds.scale_top_v_per_cm, full_colour_v_per_cm(result)
    return Palette(lambda field: style.field_rgba(field, top, full), isolines(result))


def draw_panel(axes: Axes, plane: Plane, layers: Layers, *, labels: bool = True) -> None:
    """Draw the plane; without `labels`, neither rulers nor directions nor the isolines' values."""
    result = layers.result
    axes.set(xlim=plane.extent[:2], ylim=plane.extent[2:], aspect="equal")
    style.dress(axes)
    tissue, inside = take(result, plane, result.tissue), inside_grid(result, plane)
    ground = tissue_rgb(result, tissue, inside)
    if result.ct_hu is not None:
        ground *= style.ct_shade(take(result, plane, result.ct_hu), inside)[..., None]
    axes.imshow(ground, extent=plane.extent, origin="upper", interpolation="nearest")
    fine = plane.refined(math.ceil(max(plane.pixel_mm) / FINEST_MM)) if plane.section is not None else plane
    field = over_metal(take_field(result, fine, layers.values), take(result, fine, result.metal))
    axes.imshow(layers.palette.colours(field), extent=plane.extent, origin="upper", interpolation="nearest")
    _draw_borders(axes, plane, tissue)
    for mask in layers.targets.values():
        _draw_outline(axes, plane, take(result, plane, mask) > 0, style.TARGET, "-")
    for mask in layers.avoided.values():
        _draw_outline(axes, plane, take(result, plane, mask) > 0, style.AVOIDED, (0, (1.2, 1.0)))
    wanted = [e for e in result.electrodes if layers.electrodes is None or e.name in layers.electrodes]
    sketches = [s for e in wanted if (s := sketch(plane, e)) is not None]
    draw_electrodes(axes, sketches)
    names = draw_names(axes, plane, sketches)
    _draw_isolines(axes, fine, field, layers.palette.isolines, _occupied(axes, sketches, names) if labels else None)
    if labels:
        draw_frame_words(axes, plane)
    if not result.converged:
        draw_refusal(axes)


def over_metal(field: NDArray[np.float64], metal: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The field carried on over metal pixels from the nearest that have one: no holes beside the drawn electrodes."""
    holes = np.isnan(field) & metal
    if not holes.any() or np.isnan(field).all():
        return field
    nearest = distance_transform_edt(np.isnan(field), return_distances=False, return_indices=True)
    filled = field[tuple(np.asarray(nearest))]
    return np.where(holes, filled, field)


def tissues_in(result: Result, planes: Iterable[Plane]) -> set[int]:
    """Indices of the tissues that the planes show."""
    shown = (take(result, plane, result.tissue)[inside_grid(result, plane)] for plane in planes)
    return {int(index) for tissue in shown for index in np.unique(tissue)}


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
    axes: Axes,
    plane: Plane,
    field: NDArray[np.float64],
    lines_drawn: Sequence[Isoline],
    taken: NDArray[np.float64] | None,
) -> None:
    """Isolines, with their values clear of the pixels `taken` (n, 2); None leaves the values out."""
    if min(plane.shape) < 2 or not np.isfinite(field).any():
        return
    rows, columns = plane.along.centres(plane.shape[0]), plane.across.centres(plane.shape[1])
    masked = np.ma.masked_invalid(field)
    for level, colour, dashes in lines_drawn:
        if not masked.min() < level < masked.max():
            continue
        axes.contour(columns, rows, masked, levels=[level], colors=["white"], linewidths=2.8, alpha=0.85)
        lines = axes.contour(
            columns, rows, masked, levels=[level], colors=[colour], linewidths=1.5, linestyles=[dashes]
        )
        if taken is not None:
            box = draw_value(axes, lines.allsegs[0], level, colour, taken)
            taken = taken if box is None else np.vstack([taken, box.corners()])


def _occupied(axes: Axes, sketches: Sequence[Sketch], names: Sequence[Bbox]) -> NDArray[np.float64]:
    """Pixels (n, 2) that metal and names take up."""
    metal = [p for s in sketches for stroke in s.strokes for p in stroke.points[:: max(1, len(stroke.points) // 12)]]
    pixels = [axes.transData.transform(np.array(metal))] if metal else []
    steps = np.array([(x, y) for x in (0, 0.25, 0.5, 0.75, 1) for y in (0, 0.5, 1)])
    pixels += [np.array(box.min) + steps * np.array(box.size) for box in names]
    return np.concatenate(pixels) if pixels else np.empty((0, 2))


def isolines(result: Result) -> list[Isoline]:
    """(level in V/cm, colour, dashes) of the thresholds that are known."""
    _, reversible, irreversible = result.thresholds
    known: tuple[tuple[float | None, str, LineStyleType], ...] = (
        (reversible, style.REVERSIBLE, "-"),
        (irreversible, style.IRREVERSIBLE, (0, (4, 1.2))),
    )
    return [(float(level), colour, dashes) for level, colour, dashes in known if level]


def draw_electrodes(axes: Axes, sketches: Sequence[Sketch]) -> None:
    """Metal bright and cased, insulated shafts thin and grey, projected parts dashed, tips as diamonds."""
    for item in sketches:
        for stroke in item.strokes:
            _draw_stroke(axes, stroke)
        if item.crossing is not None:
            axes.fill(*item.crossing.T, facecolor=style.ELECTRODE, edgecolor=style.INK, linewidth=0.9, zorder=4.5)
        if item.tip is not None:
            face = style.ELECTRODE if item.tip_in_plane else "white"
            axes.add_line(tip_marker(float(item.tip[0]), float(item.tip[1]), face))


def _draw_stroke(axes: Axes, stroke: Stroke) -> None:
    lines = [stroke.points] if stroke.hole is None else [stroke.points, stroke.hole]
    if stroke.closed:
        lines = [np.vstack([line, line[:1]]) for line in lines]
    if stroke.closed and stroke.in_plane:
        axes.add_patch(PathPatch(with_holes(lines), facecolor=style.PLATE, linewidth=0, zorder=3.8))
    exposed = stroke.part != "shaft"
    width = (2.6 if exposed else 1.6) if stroke.in_plane else (1.5 if exposed else 1.0)
    for line in lines:
        axes.plot(
            *line.T,
            color=style.ELECTRODE if exposed else style.SHAFT,
            linewidth=width,
            linestyle="-" if stroke.in_plane else (0, (3, 2)),
            path_effects=style.cased(width + 1.4, style.INK if exposed else "white"),
            solid_capstyle="butt",
            dash_capstyle="butt",
            zorder=4 if exposed else 3.5,
        )


def with_holes(loops: Sequence[NDArray[np.float64]]) -> Path:
    """One path of a closed outline (n, 2) and the closed holes in it, which run the other way round."""
    turned = []
    for index, loop in enumerate(loops):
        area = np.sum(loop[:-1, 0] * loop[1:, 1] - loop[1:, 0] * loop[:-1, 1])
        turned.append(loop if (area > 0) == (index == 0) else loop[::-1])
    return Path.make_compound_path(*(Path(loop, closed=True) for loop in turned))


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
