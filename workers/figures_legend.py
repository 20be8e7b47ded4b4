"""What the lines and colours of the main picture mean: entries in rows that fit the page, and the colour bar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.typing import LineStyleType

from . import figures_style as style
from .figures_panel import full_colour_v_per_cm, isolines, tip_marker
from .report_data import Result

ROW_IN = 0.21
_CHARACTER_IN, _HANDLE_IN = 0.057, 0.56


def legend_rows(handles: Iterable[Artist], width_in: float) -> list[list[Artist]]:
    """The entries broken into rows no wider than the page, by the lengths of their labels."""
    rows: list[list[Artist]] = [[]]
    used = 0.0
    for handle in handles:
        needed = _HANDLE_IN + _CHARACTER_IN * len(str(handle.get_label()))
        if rows[-1] and used + needed > width_in:
            rows.append([])
            used = 0.0
        rows[-1].append(handle)
        used += needed
    return [row for row in rows if row]


def draw_legend(figure: Figure, rows: Sequence[Sequence[Artist]], left_in: float, top_in: float) -> None:
    """Draw the rows downwards from a height above the page's lower edge."""
    page_width, page_height = figure.get_size_inches()
    for index, row in enumerate(rows):
        anchor = ((left_in - 0.05) / page_width, (top_in - index * ROW_IN) / page_height)
        figure.add_artist(
            figure.legend(
                handles=list(row),
                loc="upper left",
                bbox_to_anchor=anchor,
                ncols=len(row),
                fontsize=style.SMALL_PT,
                frameon=False,
                handlelength=2.0,
                columnspacing=1.4,
                borderpad=0,
                borderaxespad=0,
            )
        )


def tissue_handles(result: Result, seen: Iterable[int]) -> list[Patch]:
    """A patch for each tissue that the pictures show."""
    names = result.tissue_names
    colours = style.tissue_colours(names)
    return [
        Patch(
            facecolor=colours[i],
            edgecolor=style.QUIET,
            linewidth=0.6,
            label=style.plain(style.shortened(names[i].replace("_", " "), 30)),
        )
        for i in sorted(seen)
        if i < len(names)
    ]


def line_handles(result: Result) -> list[Line2D]:
    """Legend entries of everything that is drawn as a line."""
    tissue = style.plain(style.shortened(result.thresholds.tissue.replace("_", " "), 24))
    words = {style.REVERSIBLE: f"reversible ({tissue})", style.IRREVERSIBLE: "irreversible"}
    handles = [
        Line2D([], [], color=colour, linewidth=1.5, linestyle=dashes, label=f"{level:g} V/cm, {words[colour]}")
        for level, colour, dashes in isolines(result)
    ]
    if result.targets:
        label = f"target: {_listed(result.targets)}"
        handles.append(Line2D([], [], color=style.TARGET, linewidth=1.4, label=label))
    if result.avoided:
        label = f"to spare: {_listed(result.avoided)}"
        handles.append(Line2D([], [], color=style.AVOIDED, linewidth=1.4, linestyle=(0, (1.2, 1)), label=label))
    casing = style.cased(3.6, style.INK)
    metal: tuple[tuple[float, LineStyleType, str], ...] = (
        (2.2, "-", "exposed metal"),
        (1.4, (0, (3, 2)), "projected onto the slice"),
    )
    for width, dashes, label in metal:
        line = Line2D([], [], color=style.ELECTRODE, linewidth=width, linestyle=dashes, label=label)
        line.set_path_effects(casing)
        handles.append(line)
    handles.append(Line2D([], [], color=style.SHAFT, linewidth=1.6, label="insulated shaft"))
    tip = tip_marker(0, 0, style.ELECTRODE)
    tip.set_label("tip")
    return [*handles, tip]


def _listed(names: Iterable[str]) -> str:
    return style.plain(style.shortened(", ".join(n.replace("_", " ") for n in names), 44))


def draw_colour_bar(bar: Axes, result: Result) -> None:
    """The field's colours as they look over white, with the thresholds."""
    top = result.thresholds.scale_top_v_per_cm
    colours = style.field_rgba(np.linspace(0, top, 512)[:, None], top, full_colour_v_per_cm(result))
    bar.imshow(colours, extent=(0, 1, 0, top), origin="lower", aspect="auto")
    for level, colour, dashes in isolines(result):
        bar.plot([0, 1], [level, level], color="white", linewidth=3.2)
        bar.plot([0, 1], [level, level], color=colour, linewidth=1.8, linestyle=dashes)
    style.dress(bar)
    bar.set(xlim=(0, 1), ylim=(0, top), xticks=[])
    bar.yaxis.tick_right()
    bar.set_title("V/cm", fontsize=style.BODY_PT, color=style.INK, pad=5, loc="left")
    note = f"clipped above {top:g} V/cm"
    bar.text(3.7, 0.5 * top, note, rotation=90, fontsize=style.SMALL_PT, color=style.QUIET, ha="center", va="center")
