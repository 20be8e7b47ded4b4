"""Devices of the electrode library: their faces, sides, and what two of them do in a slice of linear tissue.

Fields are multipole series (kernels.cases.needles.ParallelCylinders), so that the picture takes seconds.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle
from numpy.typing import NDArray

from porefield.kernels.cases.needles import ParallelCylinders
from porefield.meshes.devices import load_devices
from porefield.meshes.layouts import Layout

OUT = Path(__file__).parents[2] / "docs" / "images" / "electrodes.png"
INK, METAL, INSULATED = "#222222", "#1b6ca8", "#d8d2c4"
ISOLINES_V_PER_CM = (200, 400, 800)
SHADES = ("#f5e6c8", "#eab676", "#c8553d")
SIDES = ("long_needle", "bone_needle", "ire_probe", "bipolar_probe")
SHOWN_MM = 60.0
"""Of the shafts, which go on."""


def main() -> None:
    """Write the picture."""
    plt.rcParams.update({"font.size": 8, "axes.titlesize": 8.5, "axes.spines.top": False, "axes.spines.right": False})
    figure, panels = plt.subplots(2, 3, figsize=(9.6, 6.4), layout="constrained")
    for axes, name in zip(panels[0], ("plates", "needle_rows", "hexagonal_needles"), strict=True):
        face(axes, name)
    sides(panels[1, 0])
    rows = load_devices()["needle_rows"].layout({})
    volts = {part.name: 400.0 if part.name[0] == "a" else 0.0 for part in rows.parts}
    field(panels[1, 1], rows, [volts], "needle_rows, 400 V, one train")
    hexagon = load_devices()["hexagonal_needles"].layout({})
    pairs = [{one: 730.0, other: 0.0} for one, other in hexagon.neighbours]
    field(panels[1, 2], hexagon, pairs, "hexagonal_needles, 730 V, largest of 12 pairs")
    handles = [Rectangle((0, 0), 1, 1, color=colour) for colour in SHADES]
    labels = [f"above {v} V/cm" for v in ISOLINES_V_PER_CM]
    figure.legend(handles, labels, loc="outside lower right", ncols=3, frameon=False)
    figure.savefig(OUT, dpi=120)


def face(axes: Axes, name: str) -> None:
    """Seen along the direction of insertion."""
    layout = load_devices()[name].layout({})
    metal(axes, layout)
    for part in layout.parts:
        side = 0.8 if part.size is not None else 0.6
        axes.annotate(f".{part.name}", part.at, (part.at[0] + side, part.at[1] + 0.3), color=INK, va="top")
    axes.set(title=name, xlabel="across (mm)", aspect="equal")
    axes.margins(0.25)
    axes.invert_yaxis()


def metal(axes: Axes, layout: Layout) -> None:
    for part in layout.parts:
        if part.size is None:
            axes.add_patch(Circle(part.at, 0.5 * part.diameter, color=METAL))
        else:
            low = (part.at[0] - 0.5 * part.size[0], part.at[1] - 0.5 * part.size[1])
            axes.add_patch(Rectangle(low, *part.size, color=METAL))
    axes.autoscale_view()


def sides(axes: Axes) -> None:
    """Single needles from their sides, tips on the left."""
    for row, name in enumerate(SIDES):
        layout = load_devices()[name].layout({})
        thick = layout.parts[0].diameter
        axes.add_patch(
            Rectangle((0, row - 0.5 * thick / 4), min(layout.length_mm, SHOWN_MM), thick / 4, color=INSULATED)
        )
        for part in layout.parts:
            start, stop = part.bare
            axes.add_patch(Rectangle((start, row - thick / 8), stop - start, thick / 4, color=METAL))
        axes.text(0, row - 0.33, f"{name}, {thick:g} mm", color=INK)
    axes.set(xlim=(-1, SHOWN_MM), ylim=(len(SIDES) - 0.4, -0.6), yticks=[], xlabel="behind the tip (mm)")
    axes.set_title("single needles: bare blue, insulated grey")


def field(axes: Axes, layout: Layout, pulses: list[dict[str, float]], title: str) -> None:
    """Isolines of the largest |E| in a slice of linear tissue."""
    places = [part.at for part in layout.parts]
    reach = max(max(abs(x), abs(y)) for x, y in places) + 4
    line = np.linspace(-reach, reach, 161)
    x, y = np.meshgrid(line, line, indexing="ij")
    largest = np.max([strength(layout, volts, x, y) for volts in pulses], axis=0)
    filled = axes.contourf(x, y, largest, levels=[*ISOLINES_V_PER_CM, 1e6], colors=list(SHADES))
    axes.contour(filled, colors=INK, linewidths=0.5)
    metal(axes, layout)
    axes.set(title=title, xlabel="across (mm)", aspect="equal", xlim=(-reach, reach), ylim=(reach, -reach))


def strength(
    layout: Layout, volts: dict[str, float], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """|E| (V/cm) at points (mm)."""
    axes_m = tuple((1e-3 * a, 1e-3 * b) for a, b in (part.at for part in layout.parts))
    radius_m = 0.5e-3 * layout.parts[0].diameter
    exact = ParallelCylinders(axes_m, radius_m, tuple(volts.get(part.name) for part in layout.parts), orders=4)
    step = 1e-6
    points = [
        (1e-3 * x.ravel() + dx, 1e-3 * y.ravel() + dy) for dx, dy in ((step, 0), (-step, 0), (0, step), (0, -step))
    ]
    east, west, north, south = (exact.potential_v(*point) for point in points)
    return (np.hypot(east - west, north - south) / (2 * step) / 100).reshape(x.shape)


if __name__ == "__main__":
    main()
