"""The main picture: three orthogonal slices and one in the electrodes' plane, at one scale, with its legends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import figures_style as style
from .figures_legend import ROW_IN, draw_colour_bar, draw_legend, legend_rows, line_handles, tissue_handles
from .figures_panel import Layers, draw_panel, layers_of, tissues_in
from .report_data import Result
from .report_format import percent
from .report_planes import Plane, electrode_plane, orthogonal_plane

_WIDTH_IN = 11.4
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.62, 1.15, 1.2, 0.62
_GAP_X, _GAP_Y = 0.72, 0.66
_TALLEST_IN = 11.5
SIDES = "Axial and coronal: the patient's right is on the left of the picture."


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
    """The field over the anatomy."""
    pulses = len(result.pulses)
    over = f"maximum over {pulses} pulses" if pulses > 1 else "one pulse"
    line = f"Electric field |E|, {over}. {SIDES}{ct_words(result)}"
    bar = partial(draw_colour_bar, result=result)
    return panels_figure(layers_of(result), line_handles(result), bar, (headline(result), result.title, line))


def ct_words(result: Result) -> str:
    """What the grey under the tissues' colours is."""
    low, high = style.CT_WINDOW_HU
    return "" if result.ct_hu is None else f" Shading: the CT, {low:.0f} to {high:.0f} HU."


def panels_figure(
    layers: Layers, handles: Iterable[Artist], draw_bar: Callable[[Axes], None], words: tuple[str, str, str]
) -> Figure:
    """Coronal and sagittal above, axial and oblique below: one scale, neighbours share their edges in millimetres.

    Args:
        handles: legend entries of what is drawn as lines. words: headline and two lines below it.
    """
    result = layers.result
    planes = main_planes(result)
    width_mm, depth_mm, height_mm = (n * h for n, h in zip(result.shape, result.spacing_mm, strict=True))
    shown = [p for p in (planes.axial, planes.coronal, planes.sagittal, planes.oblique) if p is not None]
    rows = [
        *legend_rows(handles, _WIDTH_IN - _LEFT),
        *legend_rows(tissue_handles(result, tissues_in(result, shown)), _WIDTH_IN - _LEFT),
    ]
    bottom = _BOTTOM + ROW_IN * len(rows)
    scale, height_in = _scale(width_mm, depth_mm, height_mm, bottom)
    figure = style.new_figure(_WIDTH_IN, height_in)
    column_x = (_LEFT, _LEFT + width_mm * scale + _GAP_X)
    row_y = (bottom + depth_mm * scale, bottom + (depth_mm + height_mm) * scale + _GAP_Y)
    places = (
        (planes.coronal, column_x[0], row_y[1]),
        (planes.sagittal, column_x[1], row_y[1]),
        (planes.axial, column_x[0], row_y[0]),
        (planes.oblique, column_x[1], row_y[0]),
    )
    for plane, x, y in places:
        if plane is None:
            _say_no_oblique(figure, x, y)
            continue
        w, h = (scale * size for size in plane.size_mm)
        draw_panel(_add_axes(figure, x, y - h, w, h), plane, layers)
    _draw_headline(figure, result.converged, *words)
    draw_bar(_add_axes(figure, _WIDTH_IN - 0.92, bottom, 0.2, row_y[1] - bottom))
    draw_legend(figure, rows, _LEFT, bottom - 0.52)
    return figure


def _scale(width_mm: float, depth_mm: float, height_mm: float, bottom: float) -> tuple[float, float]:
    """Inches per millimetre that fill the page's width without making it too tall, and the page's height."""
    across = (_WIDTH_IN - _LEFT - _RIGHT - _GAP_X) / (width_mm + depth_mm)
    upward = (_TALLEST_IN - _TOP - bottom - _GAP_Y) / (depth_mm + height_mm)
    scale = min(across, upward)
    return scale, _TOP + bottom + _GAP_Y + (depth_mm + height_mm) * scale


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
        return f"{style.shortened(name, 40)} covered: {percent((target.get('coverage') or {}).get('reversible'))}{at}"
    return "Electric field"


def _draw_headline(figure: Figure, converged: bool, heading: str, title: str, line: str) -> None:
    height = figure.get_size_inches()[1]
    colour = style.INK if converged else style.ALARM
    _text(figure, _LEFT, height - 0.42, heading, fontsize=style.HEADLINE_PT, fontweight="bold", color=colour)
    for text, y in ((style.shortened(title, 130), 0.65), (line, 0.84)):
        _text(figure, _LEFT, height - y, text, fontsize=style.BODY_PT, color=style.QUIET)
