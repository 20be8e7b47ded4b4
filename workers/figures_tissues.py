"""A tissue's conductivity law as a picture: conductivity against field, with its thresholds and their ranges."""

from __future__ import annotations

from matplotlib.figure import Figure

from ..meshes.law_curves import law_curve
from ..meshes.tissues import Tissue
from . import figures_style as style


def tissue_figure(tissue: Tissue) -> Figure:
    """The law as a curve; thresholds as lines, their ranges as bands."""
    figure = style.new_figure(7.6, 4.0)
    axes = figure.add_axes((0.1, 0.13, 0.87, 0.74))
    field, sigma = law_curve(tissue, 600)
    axes.plot(field, sigma, color=style.INK, linewidth=2.0)
    colours, dashes = (style.REVERSIBLE, style.IRREVERSIBLE), ("--", "-")
    for index, (value, colour) in enumerate(zip(tissue.thresholds, colours, strict=True)):
        if value.value is None:
            continue
        axes.axvline(value.value, color=colour, linewidth=1.5, linestyle=dashes[index])
        word = value.quantity.removesuffix("_v_per_cm")
        label = f"{word}: {value.value:g} V/cm"
        if value.range is not None:
            axes.axvspan(value.range.low, value.range.high, color=colour, alpha=0.13, linewidth=0)
            label += f"\n{value.range.low:.3g} to {value.range.high:.3g}"
        place = {"xy": (value.value, 0.06 + 0.12 * index), "xycoords": ("data", "axes fraction")}
        axes.annotate(label, **place, xytext=(5, 0), textcoords="offset points", fontsize=style.SMALL_PT, color=colour)
    axes.set(xlim=(0, field[-1]), ylim=(0, 1.12 * max(float(sigma.max()), 1e-9)))
    axes.set_xlabel("electric field |E| (V/cm)")
    axes.set_ylabel("conductivity (S/m)")
    across = " across the fibres" if tissue.fibre_ratio is not None else ""
    title = f"{tissue.name.replace('_', ' ')}: {tissue.law_name.replace('_', ' ')}{across}"
    axes.set_title(style.plain(title), fontsize=style.TITLE_PT, loc="left", fontweight="bold", color=style.INK)
    if not tissue.verified:
        doubt = "some values are unverified"
        axes.set_title(doubt, fontsize=style.SMALL_PT, loc="right", color=style.ALARM)
    axes.grid(color=style.HAIRLINE, linewidth=0.5)
    axes.set_axisbelow(True)
    style.dress(axes)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure


def tissue_png(tissue: Tissue) -> bytes:
    """The same as a PNG file."""
    return style.png(tissue_figure(tissue))
