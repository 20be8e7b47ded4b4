"""Colours, type and helpers that all pictures share.

Pictures use matplotlib's objects alone, never pyplot's global state, so that several threads may draw at once.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, ListedColormap, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patheffects import AbstractPathEffect, withStroke
from numpy.typing import NDArray

INK = "#1d2733"
QUIET = "#5d6b7a"
HAIRLINE = "#c9d1d9"
ALARM = "#b42318"
REVERSIBLE = "#0072b2"
IRREVERSIBLE = "#d55e00"
"""Blue and vermilion of the Okabe-Ito palette, told apart by every kind of colour vision and by their line style."""
TARGET = "#111111"
AVOIDED = "#cc2a86"
ELECTRODE = "#19e3ff"
SHAFT = "#6b7480"
PLATE = "#b9eef5"
OUTSIDE = "#ffffff"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")

BODY_PT = 8.5
SMALL_PT = 7.5
TITLE_PT = 10.5
HEADLINE_PT = 14.0
DPI = 160

_TISSUE_COLOURS = (
    (("air",), "#ffffff"),
    (("spinal", "cord", "nerve", "brain"), "#e3d58f"),
    (("csf", "cerebrospinal", "saline", "urine", "bladder"), "#d3e4ea"),
    (("tumour", "tumor", "metast", "lesion", "carcinoma"), "#a59fbb"),
    (("vein", "cava", "portal"), "#aebbd4"),
    (("blood", "vessel", "arter", "aorta"), "#d9a9a9"),
    (("cortical",), "#f4efdd"),
    (("bone", "vertebra", "rib", "cancellous", "marrow"), "#d9cdb4"),
    (("liver",), "#c9ada1"),
    (("kidney",), "#c39c98"),
    (("muscle", "heart"), "#d6b7ae"),
    (("fat",), "#f5e8c4"),
    (("skin", "dermis"), "#e4c9b6"),
    (("lung",), "#dfe5e8"),
    (("bile", "gall"), "#b5c39c"),
    (("pancreas", "spleen", "stomach", "bowel", "colon", "duodenum", "mucosa", "intestine"), "#d3c1b4"),
)
_OTHER_TISSUES = ("#d0d4d8", "#bcc4cb", "#dcd8d0", "#c8cfc6")


def tissue_colours(names: Sequence[str]) -> list[str]:
    """A muted colour per tissue, by what its name says; repeats are darkened, so that no two are alike."""
    colours: list[str] = []
    others = 0
    for name in names:
        colour = next((c for words, c in _TISSUE_COLOURS if any(w in name.lower() for w in words)), None)
        if colour is None:
            colour, others = _OTHER_TISSUES[others % len(_OTHER_TISSUES)], others + 1
        colour = muted(colour)
        while colour in colours:
            colour = _hex(np.multiply(to_rgb(colour), 0.93))
        colours.append(colour)
    return colours


def muted(colour: str, share: float = 0.42) -> str:
    """The colour drawn towards grey of the same lightness: hue is left to the field."""
    rgb = np.array(to_rgb(colour))
    return _hex(rgb + share * (rgb @ (0.2126, 0.7152, 0.0722) - rgb))


def _hex(rgb: NDArray[np.float64]) -> str:
    red, green, blue = (float(c) for c in rgb)
    return to_hex((red, green, blue))


CT_WINDOW_HU = (-160.0, 240.0)
"""Level 40, width 400: how radiology shows the abdomen's soft tissue."""


def ct_shade(hu: NDArray[Any], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Factors on the tissues' colours: the CT shows through them, and they can still be told apart; 1 outside."""
    low, high = CT_WINDOW_HU
    grey = np.clip((hu - low) / (high - low), 0.0, 1.0)
    return np.where(inside, 0.35 + 0.65 * grey, 1.0)


@cache
def field_colours() -> Colormap:
    """Perceptually uniform, light for a weak field and dark for a strong one: the anatomy shows through a weak one."""
    base = mpl.colormaps["magma_r"](np.linspace(0.02, 0.92, 256))
    return ListedColormap(base, "field")


def field_opacity(relative: NDArray[np.float64], onset: float, full: float) -> NDArray[np.float64]:
    """0 below `onset`, 0.86 from `full` on, both as shares of the colour scale."""
    return 0.86 * np.clip((relative - onset) / max(full - onset, 1e-9), 0.0, 1.0)


def field_rgba(field: NDArray[np.float64], top: float, full: float) -> NDArray[np.float64]:
    """Colours (..., 4) of a field clipped at `top`, opaque enough to be read from `full` on; NaN is transparent."""
    relative = np.clip(np.nan_to_num(field) / top, 0.0, 1.0)
    rgba = field_colours()(relative)
    rgba[..., 3] = np.where(np.isnan(field), 0.0, field_opacity(relative, 0.1 * full / top, full / top))
    return rgba


def cased(width: float, colour: str = "white") -> list[AbstractPathEffect]:
    """A casing that keeps a line or a text readable on any ground; width is the casing's on either side, points."""
    return [withStroke(linewidth=width, foreground=colour)]


@cache
def _known_characters() -> frozenset[int]:
    path = font_manager.findfont(font_manager.FontProperties(family="DejaVu Sans"))
    return frozenset(font_manager.get_font(path).get_charmap())


def plain(text: object) -> str:
    """Text that matplotlib prints as it stands: no formulas, no control characters, no glyph that its font lacks."""
    known = _known_characters()
    shown = "".join(
        c if ord(c) in known and c.isprintable() else "\N{WHITE SQUARE}"
        for c in str(text).replace("\N{NO-BREAK SPACE}", " ")
    )
    return shown.replace("$", r"\$")


def shortened(text: str, most: int) -> str:
    """The text, cut to `most` characters."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def new_figure(width_in: float, height_in: float) -> Figure:
    """An empty white page with its own Agg canvas."""
    figure = Figure(figsize=(width_in, height_in), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None}, pil_kwargs={"optimize": True})
    return buffer.getvalue()


def dress(axes: Axes) -> None:
    """Thin frame, quiet ticks."""
    for spine in axes.spines.values():
        spine.set(linewidth=0.7, edgecolor=QUIET)
    axes.tick_params(width=0.7, length=3, color=QUIET, labelcolor=INK, labelsize=SMALL_PT, pad=2)
    axes.xaxis.label.set(fontsize=SMALL_PT, color=QUIET)
    axes.yaxis.label.set(fontsize=SMALL_PT, color=QUIET)
