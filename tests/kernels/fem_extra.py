"""The finite-element references of fem_extra.json as voxel problems; benchmarks/references/ makes them."""

import json
from pathlib import Path

import numpy as np

from porefield.kernels.conductivity import ConductivityLaw
from porefield.kernels.electrodes import Needle
from porefield.kernels.grid import Grid
from porefield.kernels.problem import FieldProblem

REFERENCES = json.loads((Path(__file__).parent / "fem_extra.json").read_text())


def problem_of(name: str, spacing_mm: float) -> FieldProblem:
    """A reference's inputs (mm) on cubic voxels."""
    case = REFERENCES[name]["inputs"]
    shape = tuple(round(size / spacing_mm) for size in case["box_mm"])
    grid = Grid(shape, (spacing_mm * 1e-3,) * 3)  # pyright: ignore[reportArgumentType]
    tissue, laws = np.zeros(shape, np.uint8), [law_of(case["law"])]
    if "ball_mm" in case:
        centres = np.stack(np.meshgrid(*grid.voxel_coordinates_m(), indexing="ij"), axis=-1) * 1e3
        outside = np.linalg.norm(centres - case["ball_mm"]["centre_mm"], axis=-1) > case["ball_mm"]["radius_mm"]
        tissue[outside] = 1
        laws.append(ConductivityLaw.constant(0.0))
    needles = [(needle, band) for needle in case["needles"] for band in needle["bands"]]
    volts = tuple(band["share_of_voltage"] * case["voltage_v"] for _, band in needles)
    return FieldProblem(grid, tissue, tuple(laws), tuple(needle_of(n, b) for n, b in needles), volts)


def law_of(law: dict) -> ConductivityLaw:
    if law["s0"] == law["s1"]:
        return ConductivityLaw.constant(law["s0"])
    return ConductivityLaw.logistic(law["s0"], law["s1"], law["ec_v_per_m"], law["w_v_per_m"])


def needle_of(needle: dict, band: dict) -> Needle:
    return Needle(
        tuple(1e-3 * x for x in needle["tip_mm"]),
        tuple(needle["direction"]),
        0.5e-3 * needle["diameter_mm"],
        1e-3 * (band["to_mm"] - band["from_mm"]),
        1e-3 * (needle["length_mm"] - band["to_mm"]),
        needle["tip"],
        1e-3 * needle["tip_length_mm"] if needle["tip"] == "conical" else 0.0,
        1e-3 * band["from_mm"],
        tuple((1e-3 * b["from_mm"], 1e-3 * b["to_mm"]) for b in needle["bands"] if b is not band),
    )
