"""The page's pictures: errors against spacing, and fields along lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from porefield.kernels.cases.case import Case, fitted_order

Figures = dict[str, Any]
INK = ("#1b6ca8", "#c8553d", "#3b8b5a", "#8a5aa8", "#b38600", "#555555")
ORDERS = (
    ("Coaxial cylinders", "300 V", "potential, rms over V"),
    ("Concentric spheres", "300 V", "potential, rms over V"),
    ("Two needles in a block", "", "current"),
    ("Manufactured solution", "", None),
)
"""Panels: group, what titles hold, figure; None for all of a case's."""
LINES = (
    ("coaxial", "r (mm)", 0.5, ("coaxial constant, 300 V", "coaxial ramp, 300 V", "coaxial sigmoid (Sel), 300 V")),
    ("two needles", "along the line through both axes (mm)", 0.5, ("needles constant",)),
    (
        "sphere",
        "along the field from its middle (mm)",
        0.5,
        ("sphere in a field, ramp", "sphere in a field, sigmoid (Sel)"),
    ),
)
"""Panels: title, axis, spacing (mm), cases."""


def draw(cases: Sequence[Case], figures: Figures, folder: Path) -> None:
    plt.rcParams.update({"font.size": 8.5, "axes.spines.top": False, "axes.spines.right": False})
    draw_orders(cases, figures, folder / "verification_orders.png")
    draw_lines({case.name: case for case in cases}, folder / "verification_lines.png")


def draw_orders(cases: Sequence[Case], figures: Figures, path: Path) -> None:
    fig, panels = plt.subplots(1, len(ORDERS), figsize=(13, 4.6), layout="constrained")
    for ax, (group, holding, name) in zip(panels, ORDERS, strict=True):
        members = [c for c in cases if c.group == group and holding in c.title and c.name in figures]
        curves = [(c, f) for c in members for f in c.figures() if name in (None, f.name)]
        for ink, (case, f) in zip(INK, curves, strict=False):
            errors = [abs(f.error(figures[case.name][f"{h:g}"][f.name])) for h in case.spacings_mm]
            order = fitted_order(case.spacings_mm, errors)
            label = f.name.removesuffix(", rms") if name is None else case.title.split(",")[0]
            label += f": order {order:.2f}" if f.norm else ""
            ax.loglog(case.spacings_mm, errors, "o-", ms=4, lw=1.2, color=ink, label=label)
        guide(ax, members[0].spacings_mm)
        ax.set_title(f"{group}: {name or 'relative errors'}", fontsize=9)
    panels[0].set_ylabel("error")
    fig.savefig(path, dpi=110)
    plt.close(fig)


def guide(ax: Axes, spacings_mm: Sequence[float]) -> None:
    """Ticks at the spacings, and the slope of second order below the curves."""
    h = np.asarray([max(spacings_mm), min(spacings_mm)])
    least = min(float(np.min(np.asarray(line.get_ydata()))) for line in ax.lines)
    ax.loglog(h, 0.5 * least * (h / h[1]) ** 2, "--", lw=1, color="#999999", label="second order")
    ax.set_xticks(list(spacings_mm), [f"{s:g}" for s in spacings_mm])
    ax.minorticks_off()
    ax.set_xlabel("voxel (mm)")
    low, high = ax.get_ylim()
    ax.set_ylim(10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high)))
    ax.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.16))


def draw_lines(cases: dict[str, Case], path: Path) -> None:
    fig, panels = plt.subplots(
        2, len(LINES), figsize=(13, 4.6), layout="constrained", height_ratios=(3, 1), sharex="col"
    )
    for column, (title, along, spacing, names) in zip(panels.T, LINES, strict=True):
        for ink, name in zip(INK, names, strict=False):
            line = cases[name].line(spacing)
            if line is None:
                raise ValueError(f"line: expected one of {name}, got none")
            column[0].plot(line.along_mm, line.exact_v_per_m / 100, "-", color=ink, lw=1.2, label=line.label)
            every = slice(None, None, max(1, len(line.along_mm) // 45))
            column[0].plot(line.along_mm[every], line.ours_v_per_m[every] / 100, ".", color=ink, ms=4)
            error = 100 * (line.ours_v_per_m / line.exact_v_per_m - 1)
            column[1].plot(line.along_mm, error, "-", color=ink, lw=0.9)
        column[0].set_title(f"{title}, {spacing:g} mm voxels: lines exact, dots ours", fontsize=9)
        if title == "two needles":
            column[0].set_yscale("log")
        column[0].legend(frameon=False, fontsize=7.5)
        column[1].axhline(0, color="#999999", lw=0.6)
        column[1].set_ylim(-7, 7)
        column[1].set_xlabel(along)
    panels[0, 0].set_ylabel("|E| (V/cm)")
    panels[1, 0].set_ylabel("error (%)")
    fig.savefig(path, dpi=110)
    plt.close(fig)
