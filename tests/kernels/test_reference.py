"""Against body-fitted finite elements (fem_cases.json of the shared data; figures that no one tuned)."""

import json

import numpy as np
import pytest

from porefield.kernels import coverage
from porefield.kernels.conductivity import ConductivityLaw
from porefield.kernels.electrodes import Needle
from porefield.kernels.field import solve_field
from porefield.kernels.grid import Grid
from porefield.kernels.points import PointSet
from porefield.kernels.problem import FieldProblem
from porefield.kernels.sampling import sample_field

CASES = ("C1", "C2", "C3", "C6")


@pytest.fixture(scope="module")
def reference(shared_data):
    return json.loads(shared_data("reference/fem_cases.json").read_text())["cases"]


def law_of(material) -> ConductivityLaw:
    if material["s0"] == material["s1"]:
        return ConductivityLaw.constant(material["s0"])
    return ConductivityLaw.logistic(material["s0"], material["s1"], material["Ec_Vpm"], material["w_Vpm"])


def problem_of(case, spacing_mm: float) -> FieldProblem:
    """The case as a voxel problem; lengths of the file are millimetres, its box starts at 0."""
    inputs = case["inputs"]
    box = inputs["box_mm"]
    n = round(box[1] / spacing_mm)
    grid = Grid((n, n, n), (spacing_mm * 1e-3, spacing_mm * 1e-3, spacing_mm * 1e-3))
    centres = np.stack(np.meshgrid(*grid.voxel_coordinates_m(), indexing="ij"), axis=-1) * 1e3
    tissue = np.zeros(grid.shape, np.uint8)
    laws = [law_of(inputs["materials"]["tissue"])]
    for region in inputs["regions"]:
        tissue[np.linalg.norm(centres - region["centre"], axis=-1) < region["radius"]] = len(laws)
        laws.append(law_of(inputs["materials"][region["name"]]))
    needles = []
    for e in inputs["electrodes"]:
        axis = np.asarray(e["axis"]) / np.linalg.norm(e["axis"])
        tip = (np.asarray(e["centre"]) + 0.5 * e["length"] * axis) * 1e-3
        needles.append(Needle(tuple(tip), tuple(axis), e["diameter"] * 0.5e-3, e["length"] * 1e-3))
    volts = tuple(e["V"] for e in inputs["electrodes"])
    return FieldProblem(grid, tissue, tuple(laws), tuple(needles), volts)


def volume_errors(case, problem, solution) -> dict[str, float]:
    samples = sample_field([problem], [solution])
    volumes = case["results"]["volume_mm3_ge_kVpm"]
    return {t: coverage.volume_at_or_above_m3(samples, float(t) * 1e3) * 1e9 / v - 1 for t, v in volumes.items()}


@pytest.mark.parametrize("name", CASES)
def test_at_one_millimetre(reference, name):
    case = reference[name]
    problem = problem_of(case, 1.0)
    s = solve_field(problem)
    assert s.converged
    assert s.currents_a[0] == pytest.approx(case["results"]["current_A"], rel=0.01)
    errors = volume_errors(case, problem, s)
    assert max(abs(errors[t]) for t in ("40", "60")) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_at_half_a_millimetre(reference, name):
    case = reference[name]
    problem = problem_of(case, 0.5)
    s = solve_field(problem)
    assert s.converged
    assert s.current_imbalance < 1e-6
    assert s.currents_a[0] == pytest.approx(case["results"]["current_A"], rel=0.005)
    errors = volume_errors(case, problem, s)
    assert max(abs(e) for e in errors.values()) < 0.03
    points = case["points"]
    sure = np.asarray(points["E_rel_unc"]) < 0.005
    at = PointSet(problem, np.asarray(points["xyz_mm"]) * 1e-3)
    field_error = np.abs(at.field_v_per_m(s) / 1e3 / np.asarray(points["E_kVpm"]) - 1)[sure]
    assert np.median(field_error) < 0.005
    assert field_error.max() < 0.05
    potential_error = np.abs(at.potential_v(s) - np.asarray(points["phi_V"])) / max(
        v for v in problem.potentials_v if v is not None
    )
    assert potential_error.max() < 0.005
