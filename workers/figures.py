"""The main picture: three orthogonal slices and one in the electrodes' plane, at one scale, with its legends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.typing import LineStyleType

from . import figures_style as style
from .figures_panel import draw_panel, full_colour_v_per_cm, isolines, layers_of, tip_marker
from .report_data import Result
from .report_format import percent
from .report_planes import Plane, electrode_plane, orthogonal_plane

_WIDTH_IN = 11.4
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.62, 1.15, 1.2, 1.12
_GAP_X, _GAP_Y = 0.72, 0.66
_TALLEST_IN = 11.5


@dataclass(frozen=True)
class MainPlanes:
    """The four planes; oblique is None with fewer than two electrodes."""

    axial: Plane
    coronal: Plane
    sagittal: Plane
    oblique: Plane | None


def main_planes(result: Result) -> MainPlanes:
    """Orthogonal planes through the first target's centre, and the plane in which the electrodes lie.

    The oblique plane is cut to the room below the sagittal one.
    """
    sagittal, coronal, axial = (orthogonal_plane(result, axis, result.centre_index[axis]) for axis in range(3))
    return MainPlanes(axial, coronal, sagittal, electrode_plane(result, (sagittal.size_mm[0], axial.size_mm[1])))


def coverage_figure(result: Result) -> Figure:
    """Coronal and sagittal above, axial and oblique below: one scale, neighbours share their edges in millimetres."""
    planes = main_planes(result)
    width_mm, depth_mm, height_mm = (n * h for n, h in zip(result.shape, result.spacing_mm, strict=True))
    scale, height_in = _scale(width_mm, depth_mm, height_mm)
    figure = style.new_figure(_WIDTH_IN, height_in)
    column_x = (_LEFT, _LEFT + width_mm * scale + _GAP_X)
    row_y = (_BOTTOM + depth_mm * scale, _BOTTOM + (depth_mm + height_mm) * scale + _GAP_Y)
    places = (
        (planes.coronal, column_x[0], row_y[1]),
        (planes.sagittal, column_x[1], row_y[1]),
        (planes.axial, column_x[0], row_y[0]),
        (planes.oblique, column_x[1], row_y[0]),
    )
    layers = layers_of(result)
    seen: set[int] = set()
    for plane, x, y in places:
        if plane is None:
            _say_no_oblique(figure, x, y)
            continue
        w, h = (scale * size for size in plane.size_mm)
        seen |= draw_panel(_add_axes(figure, x, y - h, w, h), plane, layers)
    _draw_headline(figure, result)
    _draw_colour_bar(figure, result, _BOTTOM, row_y[1])
    _draw_legend(figure, result, seen)
    return figure


def _scale(width_mm: float, depth_mm: float, height_mm: float) -> tuple[float, float]:
    """Inches per millimetre that fill the page's width without making it too tall, and the page's height."""
    across = (_WIDTH_IN - _LEFT - _RIGHT - _GAP_X) / (width_mm + depth_mm)
    upward = (_TALLEST_IN - _TOP - _BOTTOM - _GAP_Y) / (depth_mm + height_mm)
    scale = min(across, upward)
    return scale, _TOP + _BOTTOM + _GAP_Y + (depth_mm + height_mm) * scale


def _add_axes(figure: Figure, x: float, y: float, width: float, height: float) -> Axes:
    """Axes at a place given in inches from the lower left corner."""
    page_width, page_height = figure.get_size_inches()
    return figure.add_axes((x / page_width, y / page_height, width / page_width, height / page_height))


def _text(figure: Figure, x: float, y: float, text: str, **how: Any) -> None:
    page_width, page_height = figure.get_size_inches()
    figure.text(x / page_width, y / page_height, style.plain(text), **{"color": style.INK, **how})


def _say_no_oblique(figure: Figure, x: float, y: float) -> None:
    text = "No oblique slice: it takes two electrodes to span a plane."
    _text(figure, x, y - 0.2, text, fontsize=style.BODY_PT)


def headline(result: Result) -> str:
    """'tumour covered: 99.2 % at 400 V/cm', or that there is no verdict."""
    if not result.converged:
        return f"NOT CONVERGED ({result.summary.get('status', 'unknown')}): do not use this map"
    for name, target in result.targets.items():
        threshold = result.thresholds.reversible_v_per_cm
        at = f" at or above {threshold:g} V/cm" if threshold else ""
        return f"{shortened(name, 40)} covered: {percent((target.get('coverage') or {}).get('reversible'))}{at}"
    return "Electric field"


def _draw_headline(figure: Figure, result: Result) -> None:
    height = figure.get_size_inches()[1]
    colour = style.INK if result.converged else style.ALARM
    _text(figure, _LEFT, height - 0.42, headline(result), fontsize=style.HEADLINE_PT, fontweight="bold", color=colour)
    pulses = len(result.pulses)
    over = f"maximum over {pulses} pulses" if pulses > 1 else "one pulse"
    line = f"Electric field |E|, {over}. Axial and coronal: the patient's right is on the left of the picture."
    for text, y in ((shortened(result.title, 130), 0.65), (line, 0.84)):
        _text(figure, _LEFT, height - y, text, fontsize=style.BODY_PT, color=style.QUIET)


def shortened(text: str, most: int) -> str:
    """The text, cut to `most` characters."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def _draw_colour_bar(figure: Figure, result: Result, low: float, high: float) -> None:
    top = result.thresholds.scale_top_v_per_cm
    bar = _add_axes(figure, _WIDTH_IN - 0.92, low, 0.2, high - low)
    values = np.linspace(0, top, 512)[:, None]
    bar.imshow(
        style.field_rgba(values, top, full_colour_v_per_cm(result)),
        extent=(0, 1, 0, top),
        origin="lower",
        aspect="auto",
    )
    for level, colour, dashes in isolines(result):
        bar.plot([0, 1], [level, level], color="white", linewidth=3.2)
        bar.plot([0, 1], [level, level], color=colour, linewidth=1.8, linestyle=dashes)
    style.dress(bar)
    bar.set(xlim=(0, 1), ylim=(0, top), xticks=[])
    bar.yaxis.tick_right()
    bar.set_title("V/cm", fontsize=style.BODY_PT, color=style.INK, pad=5, loc="left")
    note = f"clipped above {top:g} V/cm"
    bar.text(3.9, 0.5 * top, note, rotation=90, fontsize=style.SMALL_PT, color=style.QUIET, ha="center", va="center")


def _draw_legend(figure: Figure, result: Result, seen: set[int]) -> None:
    names = result.tissue_names
    colours = style.tissue_colours(names)
    tissues = [
        Patch(facecolor=colours[i], edgecolor=style.QUIET, linewidth=0.6, label=style.plain(names[i].replace("_", " ")))
        for i in sorted(seen)
        if i < len(names)
    ]
    page_width, page_height = figure.get_size_inches()
    for handles, y in ((line_handles(result), 0.58), (tissues, 0.33)):
        figure.add_artist(
            figure.legend(
                handles=handles,
                loc="upper left",
                bbox_to_anchor=((_LEFT - 0.05) / page_width, y / page_height),
                ncols=max(1, min(len(handles), 9)),
                fontsize=style.SMALL_PT,
                frameon=False,
                handlelength=2.0,
                columnspacing=1.4,
                borderpad=0,
                borderaxespad=0,
            )
        )


def line_handles(result: Result) -> list[Line2D]:
    """Legend entries of everything that is drawn as a line."""
    tissue = result.thresholds.tissue.replace("_", " ")
    words = {style.REVERSIBLE: "reversible", style.IRREVERSIBLE: "irreversible"}
    handles = [
        Line2D(
            [], [], color=colour, linewidth=1.5, linestyle=dashes, label=f"{words[colour]}, {level:g} V/cm ({tissue})"
        )
        for level, colour, dashes in isolines(result)
    ]
    if result.targets:
        handles.append(Line2D([], [], color=style.TARGET, linewidth=1.4, label="target"))
    if result.avoided:
        handles.append(Line2D([], [], color=style.AVOIDED, linewidth=1.4, linestyle=(0, (1.2, 1)), label="to spare"))
    casing = style.cased(3.6, style.INK)
    metal: tuple[tuple[float, LineStyleType, str], ...] = (
        (2.2, "-", "exposed metal"),
        (1.4, (0, (3, 2)), "projected (off the slice)"),
    )
    for width, dashes, label in metal:
        line = Line2D(
            [], [], color=style.ELECTRODE, linewidth=width, linestyle=dashes, label=label, path_effects=casing
        )
        handles.append(line)
    handles.append(Line2D([], [], color=style.SHAFT, linewidth=1.6, label="insulated shaft"))
    tip = tip_marker(0, 0, style.ELECTRODE)
    tip.set_label("tip")
    handles.append(tip)
    return handles
