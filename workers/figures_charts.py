"""The smaller pictures: the field of each pulse, and the field-volume histogram of the targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from . import figures_style as style
from .figures_labels import draw_directions
from .figures_panel import Layers, draw_panel, isolines, layers_of
from .report_data import Result, Volume
from .report_format import finite
from .report_planes import Plane, orthogonal_plane

_WIDTH_IN = 11.4
_COLUMNS = 3
_TALLEST_PANEL_IN = 3.6
MOST_PULSES = 60
"""Shown, in twenty rows. A picture has at most 2^16 dots a side, which a hundred rows may exceed, and is held whole."""


def pulse_planes(result: Result) -> list[Plane]:
    """For each pulse the slice, across the electrodes, in which the largest area reaches the reversible threshold.

    Of those that are shown. All have one orientation: that of the three which the electrodes cross most steeply.
    """
    axis = crossing_axis(result)
    threshold = result.thresholds.reversible_v_per_cm or 0.0
    planes = []
    for index in range(len(result.pulses[:MOST_PULSES])):
        field = np.where(result.conducting, np.nan_to_num(result.pulse_field_v_per_cm(index)), 0)
        planes.append(orthogonal_plane(result, axis, fullest_slice(field, threshold, axis, result.centre_index[axis])))
    return planes


def fullest_slice(field: Volume, threshold: float, axis: int, otherwise: int) -> int:
    """The slice along `axis` with most voxels at or above the threshold, then with the largest sum of |E|."""
    others = tuple(a for a in range(3) if a != axis)
    area = np.count_nonzero(field >= threshold, axis=others) if threshold else np.zeros(field.shape[axis], int)
    sums = field.sum(axis=others, dtype=np.float64)
    if not sums.max() > 0:
        return otherwise
    return int(np.lexsort((sums, area))[-1])


def crossing_axis(result: Result) -> int:
    """Grid axis nearest to the electrodes' own directions; axial (2) without electrodes."""
    if not result.electrodes:
        return 2
    lines = np.array([e.spine_mm[1] - e.spine_mm[0] for e in result.electrodes])
    unit = result.affine[:3, :3] / result.spacing_mm
    return int(np.argmax(np.abs(lines @ unit).sum(axis=0)))


def pulses_figure(result: Result, check: Callable[[], None] = lambda: None) -> Figure:
    """Small multiples, one panel per pulse, each with the electrodes that are driven in it; at most MOST_PULSES.

    Args:
        check: called between panels; whatever it raises stops the drawing.
    """
    planes = pulse_planes(result)
    columns = min(_COLUMNS, len(planes))
    rows = math.ceil(len(planes) / columns)
    width_mm, height_mm = planes[0].size_mm
    panel_width = (_WIDTH_IN - 0.35) / _COLUMNS - 0.35
    scale = min(panel_width / width_mm, _TALLEST_PANEL_IN / height_mm)
    panel_height = scale * height_mm
    page_height = rows * (panel_height + 0.5) + 0.15
    figure = style.new_figure(_WIDTH_IN, page_height)
    base = layers_of(result)
    for index, (pulse, plane) in enumerate(zip(result.pulses[:MOST_PULSES], planes, strict=True)):
        check()
        row, column = divmod(index, columns)
        x = 0.1 + column * (panel_width + 0.45)
        y = page_height - (row + 1) * (panel_height + 0.5) + 0.05
        box = (x / _WIDTH_IN, y / page_height, scale * width_mm / _WIDTH_IN, panel_height / page_height)
        axes = figure.add_axes(box)
        draw_panel(axes, plane, _pulse_layers(base, result, index), labels=False)
        axes.set(xticks=[], yticks=[])
        axes.set_title(style.plain(pulse_title(pulse)), fontsize=style.BODY_PT, loc="left", pad=4, fontweight="bold")
        axes.set_title(plane.place, fontsize=style.SMALL_PT, loc="right", pad=4, color=style.QUIET)
        draw_directions(axes, plane, ("left", "top"), style.BODY_PT)
    return figure


def _pulse_layers(base: Layers, result: Result, index: int) -> Layers:
    pulse = result.pulses[index]
    driven = frozenset([*pulse.get("anodes", ()), *pulse.get("cathodes", ())])
    return replace(base, values=result.pulse_field_v_per_cm(index), electrodes=driven or None)


def pulse_title(pulse: Mapping[str, Any]) -> str:
    """'A-B, 1500 V'."""
    voltage = finite(pulse.get("voltage_v"))
    name = str(pulse.get("name", ""))
    return name if voltage is None else f"{name}, {voltage:g} V"


def histogram_figure(result: Result) -> Figure | None:
    """The share of each target at or above a field, against that field; None when no target has one."""
    curves = [(name, *_curve(target.get("histogram") or {})) for name, target in result.targets.items()]
    curves = [(name, field, share) for name, field, share in curves if len(field) > 1]
    if not curves:
        return None
    figure = style.new_figure(7.6, 3.5)
    axes = figure.add_axes((0.085, 0.15, 0.89, 0.74))
    for index, (name, field, share) in enumerate(curves):
        colour, dashes = style.SERIES[index % len(style.SERIES)], ("-", "--", "-.", ":")[index % 4]
        if len(curves) == 1:
            colour = style.INK
            axes.fill_between(field, 0, share, color=style.HAIRLINE, alpha=0.35, linewidth=0)
        axes.plot(field, share, color=colour, linestyle=dashes, linewidth=1.8, label=style.plain(name))
    reached = max(float(np.max(_reached(f, s))) for _, f, s in curves)
    top = result.thresholds.scale_top_v_per_cm
    axes.set(xlim=(0, min(max(reached, 0.75 * top), top)), ylim=(0, 1.0))
    _mark_thresholds(figure, result)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axes.set_xlabel("electric field (V/cm)")
    axes.set_ylabel("share of the target at or above it")
    axes.grid(color=style.HAIRLINE, linewidth=0.5)
    axes.set_axisbelow(True)
    style.dress(axes)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if len(curves) > 1:
        axes.legend(fontsize=style.SMALL_PT, frameon=False, loc="upper right")
    return figure


def _curve(histogram: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Finite points (field V/cm, share) of a histogram."""
    pairs = zip(histogram.get("field_v_per_cm") or (), histogram.get("fraction_at_or_above") or (), strict=False)
    points = [(f, s) for a, b in pairs if (f := finite(a)) is not None and (s := finite(b)) is not None]
    field, share = np.array(points).reshape(-1, 2).T
    return field, share


def _reached(field: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Fields that more than a thousandth of the target reaches."""
    return field[share > 1e-3] if np.any(share > 1e-3) else field


def _mark_thresholds(figure: Figure, result: Result) -> None:
    axes = figure.axes[0]
    for level, colour, dashes in isolines(result):
        axes.axvline(level, color=colour, linestyle=dashes, linewidth=1.5)
        word = "reversible" if colour == style.REVERSIBLE else "irreversible"
        if level < axes.get_xlim()[1]:
            axes.annotate(
                f"{word}, {level:g} V/cm",
                (level, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(4 if word == "reversible" else -4, 4),
                textcoords="offset points",
                ha="right" if word == "reversible" else "left",
                fontsize=style.SMALL_PT,
                color=colour,
                fontweight="bold",
            )
