"""Pictures of a study: probability over the anatomy, distributions, shares of the variance, how estimates settle."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from .. import figures_style as style
from ..figures import SIDES, panels_figure
from ..figures_legend import line_handles
from ..figures_panel import Isoline, Palette, layers_of
from ..report_data import Result, Volume
from ..report_format import percent
from .estimates import Measure, Share
from .summary import RobustnessSummary

_WIDTH_IN = 11.4
_COLUMNS = 3
_BINS = 24
SURE, EVEN, UNLIKELY = 0.95, 0.5, 0.05
LEVELS: tuple[Isoline, ...] = (
    (SURE, style.IRREVERSIBLE, "-"),
    (EVEN, style.REVERSIBLE, (0, (4, 1.2))),
    (UNLIKELY, style.QUIET, (0, (1.2, 1.0))),
)
"""Isolines of the probability; levels of an exact 0 or 1 would follow the noise."""
_LEVEL_WORDS = {SURE: "covered in 95 % of the draws", EVEN: "in half of them", UNLIKELY: "in 5 %"}


@cache
def probability_colours() -> Colormap:
    """Light for unlikely, dark for sure; one hue, apart from the colours of |E|."""
    return ListedColormap(mpl.colormaps["YlGnBu"](np.linspace(0.05, 0.95, 256)), "probability")


def probability_rgba(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Colours (..., 4): transparent where nothing is ever covered, or no tissue is."""
    known = np.nan_to_num(probability)
    rgba = probability_colours()(np.clip(known, 0, 1))
    rgba[..., 3] = 0.86 * np.clip(known / UNLIKELY, 0, 1)
    return rgba


def probability_figure(nominal: Result, probability: Volume, summary: RobustnessSummary) -> Figure:
    """The probability of reversible coverage over the anatomy, the electrodes where the plan has them."""
    layers = layers_of(nominal, np.nan_to_num(probability), Palette(probability_rgba, LEVELS))
    lines = [
        Line2D([], [], color=colour, linewidth=1.5, linestyle=dashes, label=_LEVEL_WORDS[level])
        for level, colour, dashes in LEVELS
    ]
    others = [h for h in line_handles(nominal) if "V/cm" not in str(h.get_label())]
    words = f"Probability that most of a voxel is permeabilised, over {summary.draws_with_result} draws. {SIDES}"
    return panels_figure(layers, [*lines, *others], _draw_bar, (headline(summary), summary.title, words))


def headline(summary: RobustnessSummary) -> str:
    """'tumour covered whole in 83.2 % of the draws'."""
    for target, found in summary.whole.items():
        return f"{style.shortened(target, 40)} covered whole in {percent(found.value)} of the draws"
    return "Probability of coverage"


def _draw_bar(bar: Axes) -> None:
    colours = probability_rgba(np.linspace(0, 1, 512)[:, None])
    bar.imshow(colours, extent=(0, 1, 0, 1), origin="lower", aspect="auto")
    for level, colour, dashes in LEVELS:
        bar.plot([0, 1], [level, level], color="white", linewidth=3.2)
        bar.plot([0, 1], [level, level], color=colour, linewidth=1.8, linestyle=dashes)
    style.dress(bar)
    bar.set(xlim=(0, 1), ylim=(0, 1), xticks=[])
    bar.yaxis.tick_right()
    bar.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    bar.set_title("of draws", fontsize=style.BODY_PT, color=style.INK, pad=5, loc="left")


def distributions_figure(measures: Sequence[Measure]) -> Figure:
    """A histogram of each measure, with its 5, 50 and 95 % quantiles and the value of the plan as it stands."""
    rows = -(-len(measures) // _COLUMNS)
    figure = style.new_figure(_WIDTH_IN, 0.35 + 2.15 * rows)
    axes = figure.subplots(rows, _COLUMNS, squeeze=False).reshape(-1)
    for place, measure in zip(axes, measures, strict=False):
        _draw_distribution(place, measure)
    for place in axes[len(measures) :]:
        place.set_axis_off()
    figure.tight_layout(h_pad=1.6, w_pad=1.8)
    return figure


def _draw_distribution(axes: Axes, measure: Measure) -> None:
    known = np.asarray([v for v in measure.values if v is not None], float)
    share = measure.unit == "1"
    scale = 100 if share else 1
    style.dress(axes)
    unit = "%" if share else measure.unit.replace("mm3", "mm\N{SUPERSCRIPT THREE}")
    axes.set_title(style.plain(style.shortened(measure.label, 48)), fontsize=style.BODY_PT, color=style.INK, loc="left")
    axes.set_xlabel(unit)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.set_yticks([])
    if not len(known):
        axes.text(0.5, 0.5, "no draw has a value", transform=axes.transAxes, ha="center", fontsize=style.SMALL_PT)
        return
    axes.hist(scale * known, bins=_BINS, color=style.SERIES[4], edgecolor="white", linewidth=0.4)
    for name, dashes in (("0.05", ":"), ("0.5", "-"), ("0.95", ":")):
        value = measure.quantiles[name]
        if value is not None:
            axes.axvline(scale * value, color=style.INK, linestyle=dashes, linewidth=1.2)
    if measure.planned is not None:
        axes.axvline(scale * measure.planned, color=style.IRREVERSIBLE, linewidth=1.6, linestyle=(0, (4, 1.2)))


def shares_figure(measures: Sequence[Measure], groups: Sequence[str]) -> Figure | None:
    """First-order and total indices with their 95 % intervals; None when no measure varies."""
    shown = [m for m in measures if any(s.total is not None for s in m.shares)]
    if not shown:
        return None
    columns = min(len(shown), _COLUMNS)
    rows = -(-len(shown) // columns)
    figure = style.new_figure(_WIDTH_IN, 0.7 + rows * (0.75 + 0.3 * len(groups)))
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).reshape(-1)
    for place, measure in zip(axes, shown, strict=False):
        _draw_shares(place, measure)
    for place in axes[len(shown) :]:
        place.set_axis_off()
    for row in range(rows):
        first = axes[row * columns]
        first.set_yticks(range(len(groups)), [style.plain(style.shortened(g, 34)) for g in groups])
    axes[0].invert_yaxis()
    handles = [
        Line2D([], [], color=style.SERIES[0], marker="o", linestyle="none", label="by itself (first order)"),
        Line2D([], [], color=style.SERIES[1], marker="s", linestyle="none", label="with its interactions (total)"),
    ]
    figure.tight_layout(rect=(0, 0.32 / figure.get_size_inches()[1], 1, 1), h_pad=1.4, w_pad=1.4)
    figure.legend(handles=handles, loc="lower center", ncols=2, fontsize=style.SMALL_PT, frameon=False)
    return figure


def _draw_shares(axes: Axes, measure: Measure) -> None:
    style.dress(axes)
    axes.set_title(style.plain(style.shortened(measure.label, 44)), fontsize=style.BODY_PT, color=style.INK, loc="left")
    for index, share in enumerate(measure.shares):
        _draw_index(axes, index - 0.14, share.first, share.first_conf, style.SERIES[0], "o")
        _draw_index(axes, index + 0.14, share.total, share.total_conf, style.SERIES[1], "s")
    axes.axvline(0, color=style.HAIRLINE, linewidth=0.8)
    axes.set(xlim=(-0.25, 1.25), xticks=(0, 0.5, 1))
    axes.set_xlabel("share of the variance")
    axes.grid(axis="x", color=style.HAIRLINE, linewidth=0.5)
    axes.set_axisbelow(True)


def _draw_index(axes: Axes, y: float, value: float | None, conf: float | None, colour: str, marker: str) -> None:
    if value is None:
        return
    axes.errorbar(value, y, xerr=conf or 0.0, color=colour, marker=marker, markersize=4, linewidth=1.1, capsize=2)


def settling_figure(summary: RobustnessSummary) -> Figure:
    """The probability of whole coverage, and the largest total indices, against the number of base samples."""
    figure = style.new_figure(_WIDTH_IN, 3.0)
    left, right = figure.subplots(1, 2)
    samples = [s.samples for s in summary.settling]
    for index, target in enumerate(summary.whole):
        found = [s.whole[target] for s in summary.settling]
        rows = [(n, p.value, p.low, p.high) for n, p in zip(samples, found, strict=True) if p.value is not None]
        if rows:
            n, value, low, high = np.asarray(rows, float).T
            colour = style.SERIES[index % len(style.SERIES)]
            left.fill_between(n, low, high, color=colour, alpha=0.2, linewidth=0)
            left.plot(n, value, color=colour, marker="o", markersize=4, label=style.plain(target))
    left.set(ylim=(-0.02, 1.02))
    left.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    left.set_title("probability of whole coverage, 95 % interval", fontsize=style.BODY_PT, loc="left")
    _draw_settling_shares(right, summary)
    for axes in (left, right):
        style.dress(axes)
        axes.set_xscale("log", base=2)
        axes.set_xticks(samples, [str(n) for n in samples])
        axes.set_xlabel("base samples")
        axes.grid(color=style.HAIRLINE, linewidth=0.5)
        axes.set_axisbelow(True)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=style.SMALL_PT, frameon=False)
    figure.tight_layout(w_pad=2.4)
    return figure


def _draw_settling_shares(axes: Axes, summary: RobustnessSummary) -> None:
    measure = told_measure(summary.measures)
    axes.set_title("largest total shares", fontsize=style.BODY_PT, loc="left")
    axes.set(ylim=(-0.1, 1.2))
    if measure is None:
        return
    axes.set_title(f"largest total shares: {style.plain(measure.label)}", fontsize=style.BODY_PT, loc="left")
    largest = sorted(measure.shares, key=_total, reverse=True)[:4]
    for index, share in enumerate(largest):
        rows = [(s.samples, v) for s in summary.settling if (v := s.total[measure.name].get(share.group)) is not None]
        if rows:
            n, value = np.asarray(rows, float).T
            axes.plot(n, value, color=style.SERIES[index], marker="o", markersize=4, label=style.plain(share.group))


def told_measure(measures: Sequence[Measure]) -> Measure | None:
    """The measure whose shares are shown settling: the first target's coverage, else the first current that varies."""
    wanted = ("target_coverage_reversible", "generator_current_a")
    varying = [m for m in measures if any(s.total is not None for s in m.shares) and m.name.startswith(wanted)]
    return varying[0] if varying else None


def _total(share: Share) -> float:
    return -1.0 if share.total is None else share.total
