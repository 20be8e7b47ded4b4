"""How honest the grid check is: uncertainties that plans are given, against the errors that their numbers have.

Writes docs/certificate.json and the picture of docs/certificate.md.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from porefield.kernels.cases.finite_elements import NEEDLES_IN_A_BLOCK, FiniteElements
from porefield.kernels.cases.radial import Coaxial
from porefield.kernels.conductivity import ConductivityLaw
from porefield.meshes import load_plan
from porefield.workers import run_plan
from porefield.workers.summary import GridNumber

INNER_MM, OUTER_MM, THICK_MM, VOLTAGE_V, THRESHOLD_V_PER_CM = 2.0, 12.0, 2.0, 500.0, 450.0
CHAMBER_LAWS = (ConductivityLaw.constant(0.2), ConductivityLaw.logistic(0.08, 0.32, 50e3, 6e3))
CHAMBER_SPACINGS_MM = (1.0, 2 / 3, 0.5)
CHAMBER_SHIFTS_MM = ((0.13, -0.31), (0.4, 0.13), (-0.25, -0.2))
"""Of the axis off the middle, three places between the voxels."""
NEEDLES = ("C1 1.2 mm, 10 mm apart, linear", "C2 1.2 mm, 15 mm apart", "C3 1.8 mm, 20 mm apart, tumour between")
NEEDLES_SPACINGS_MM = (1.5, 1.0)

Checked = list[dict[str, Any]]
"""Each number: of which problem, what it is, error and uncertainty over the true value."""


def checked(say: Callable[[str], None]) -> Checked:
    found: Checked = []
    for problem, plan, exact in itertools.chain(chambers(), needles()):
        report = run_plan(load_plan(plan), check_grid=True).report
        assert report.grid_check is not None
        assert report.grid_check.done
        numbers = report.grid_check.numbers
        found += [row(problem, what, numbers[where], true) for where, (what, true) in exact.items()]
        say(f"{problem}: {sum(within(r) for r in found)} of {len(found)} numbers within their uncertainty so far")
    return found


def row(problem: str, what: str, number: GridNumber, true: float) -> dict[str, Any]:
    assert number.uncertainty is not None
    error, uncertainty = number.value / true - 1, number.uncertainty / true
    return {
        "problem": problem,
        "number": what,
        "error": float(f"{error:.4g}"),
        "uncertainty": float(f"{uncertainty:.4g}"),
    }


def within(one: dict[str, Any]) -> bool:
    return abs(one["error"]) <= one["uncertainty"]


Exact = dict[str, tuple[str, float]]
"""JSON pointer into a summary -> (what it is, what it should be)."""


def chambers() -> Iterator[tuple[str, dict[str, Any], Exact]]:
    """Between two tubes: current, and the share above a field."""
    for law, spacing_mm, shift_mm in itertools.product(CHAMBER_LAWS, CHAMBER_SPACINGS_MM, CHAMBER_SHIFTS_MM):
        exact = Coaxial(1e-3 * INNER_MM, 1e-3 * OUTER_MM, law, VOLTAGE_V)
        contour_mm = 1e3 * exact.contour_m(1e2 * THRESHOLD_V_PER_CM)
        share = (contour_mm**2 - INNER_MM**2) / (OUTER_MM**2 - INNER_MM**2)
        true = {
            "/pulses/0/generator_current_a": ("current", exact.current_a() * 1e-3 * THICK_MM),
            "/targets/tumour/coverage/reversible": ("coverage", share),
        }
        name = "linear" if law == CHAMBER_LAWS[0] else "logistic"
        yield f"chamber, {name}, {spacing_mm:.3g} mm", chamber(law, spacing_mm, *shift_mm), true


def chamber(law: ConductivityLaw, spacing_mm: float, x_mm: float, y_mm: float) -> dict[str, Any]:
    x, y = 15 + x_mm, 15 + y_mm
    tissue = {
        "conductivity": described(law),
        "reversible_v_per_cm": THRESHOLD_V_PER_CM,
        "irreversible_v_per_cm": 2 * THRESHOLD_V_PER_CM,
    }
    shape = {"from_mm": [x, y, -1], "to_mm": [x, y, 4], "radius_mm": OUTER_MM + 0.8}
    place = {"centre_mm": [x, y, 5], "axis": [0, 0, 1], "length_mm": 40}
    inner = {**place, "outer_diameter_mm": 2 * INNER_MM}
    outer = {**place, "inner_diameter_mm": 2 * OUTER_MM, "outer_diameter_mm": 2 * OUTER_MM + 4}
    return {
        "anatomy": {
            "phantom": {"size_mm": [30, 30, THICK_MM], "tissue": "liver"},
            "add": [{"tissue": "tumour", "cylinder": shape}],
        },
        "grid": {"spacing_mm": spacing_mm},
        "tissues": {"liver": tissue, "tumour": tissue},
        "electrodes": [{"name": "inner", "tube": inner}, {"name": "outer", "tube": outer}],
        "pulses": [{"anode": ["inner"], "cathode": ["outer"], "voltage_v": VOLTAGE_V}],
        "targets": ["tumour"],
    }


def needles() -> Iterator[tuple[str, dict[str, Any], Exact]]:
    """Two needles in a block: current, volumes and what is covered of a tumour."""
    for name, spacing_mm in itertools.product(NEEDLES, NEEDLES_SPACINGS_MM):
        reference = NEEDLES_IN_A_BLOCK[name]
        true = {"/pulses/0/generator_current_a": ("current", reference.current_a[0])}
        for t, (volume, _) in reference.volumes_mm3.items():
            true[f"/volumes_mm3/above_v_per_cm/{t}"] = ("volume", volume)
        yield f"{name.split()[0]}, {spacing_mm:g} mm", block(reference, spacing_mm), true


def block(reference: FiniteElements, spacing_mm: float) -> dict[str, Any]:
    b = reference.block
    laws = {"liver": b.tissue} | ({} if b.tumour is None else {"tumour": b.tumour})
    ball = {"tissue": "tumour", "sphere": {"centre_mm": [0.5 * b.box_mm] * 3, "radius_mm": 10}}
    electrodes = []
    for letter, centre, axis in zip("AB", b.centres_mm, b.axes, strict=True):
        tip = [c + 0.5 * b.length_mm * a for c, a in zip(centre, axis, strict=True)]
        needle = {"tip_mm": tip, "direction": list(axis), "diameter_mm": b.diameter_mm, "exposed_mm": b.length_mm}
        electrodes.append({"name": letter, "needle": needle})
    return {
        "anatomy": {
            "phantom": {"size_mm": [b.box_mm] * 3, "tissue": "liver"},
            "add": [] if b.tumour is None else [ball],
        },
        "grid": {"spacing_mm": spacing_mm},
        "tissues": {
            name: {"conductivity": described(law), "reversible_v_per_cm": 400, "irreversible_v_per_cm": 600}
            for name, law in laws.items()
        },
        "electrodes": electrodes,
        "pulses": [{"anode": ["A"], "cathode": ["B"], "voltage_v": b.voltage_v}],
        "targets": [] if b.tumour is None else ["tumour"],
        "thresholds_v_per_cm": [400, 600, 800, 1000],
    }


def described(law: ConductivityLaw) -> dict[str, Any]:
    """A constant or logistic law as plans have it."""
    if law.baseline_s_per_m == law.permeabilised_s_per_m:
        return {"law": "constant", "conductivity_s_per_m": law.baseline_s_per_m}
    return {
        "law": "logistic",
        "baseline_s_per_m": law.baseline_s_per_m,
        "permeabilised_s_per_m": law.permeabilised_s_per_m,
        "midpoint_v_per_cm": law.a / 100,
        "width_v_per_cm": law.b / 100,
    }


def write(found: Checked, docs: Path) -> None:
    (docs / "certificate.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    draw(found, docs / "images" / "certificate.png")


def draw(found: Checked, path: Path) -> None:
    """Each number by its error and its uncertainty; below the line it held."""
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    fig, ax = plt.subplots(figsize=(6.4, 4.6), layout="constrained")
    marks = {"current": ("o", "#1b6ca8"), "coverage": ("s", "#c8553d"), "volume": ("^", "#3b8b5a")}
    for what, (mark, ink) in marks.items():
        some = [r for r in found if r["number"] == what]
        kept = sum(within(r) for r in some)
        points = np.abs([[r["uncertainty"], r["error"]] for r in some])
        label = f"{what}: {kept} of {len(some)} within"
        ax.loglog(*(100 * points.T), mark, ms=4.5, color=ink, alpha=0.8, label=label)
    low, high = ax.get_ylim()
    line = np.asarray([max(low, 1e-3), 100])
    ax.loglog(line, line, "-", lw=1, color="#555555")
    ax.text(1.6, 2.4, "error = uncertainty", rotation=33, fontsize=8, color="#555555")
    ax.set_ylim(line[0], max(high, 10))
    ax.set_xlim(0.08, 60)
    ax.set_xlabel("uncertainty that the certificate states (%)")
    ax.set_ylabel("true error (%)")
    ax.legend(frameon=False, loc="lower right")
    fig.savefig(path, dpi=120)
    plt.close(fig)
