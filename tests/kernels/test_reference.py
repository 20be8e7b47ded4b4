"""Against the points of the finite elements (fem_cases.json of the shared data); their currents and volumes stand in
kernels/cases/finite_elements.py, and are held by test_cases.py with or without that data."""

import json

import numpy as np
import pytest

from porefield.kernels.cases.finite_elements import NEEDLES_IN_A_BLOCK
from porefield.kernels.field import solve_field
from porefield.kernels.points import PointSet


@pytest.mark.slow
@pytest.mark.parametrize("title", NEEDLES_IN_A_BLOCK)
def test_points_at_half_a_millimetre(shared_data, title):
    points = json.loads(shared_data("reference/fem_cases.json").read_text())["cases"][title.split()[0]]["points"]
    problem = NEEDLES_IN_A_BLOCK[title].block.problem(0.5e-3)
    s = solve_field(problem)
    assert s.converged
    assert s.current_imbalance < 1e-6
    sure = np.asarray(points["E_rel_unc"]) < 0.005
    at = PointSet(problem, np.asarray(points["xyz_mm"]) * 1e-3)
    field_error = np.abs(at.field_v_per_m(s) / 1e3 / np.asarray(points["E_kVpm"]) - 1)[sure]
    assert np.median(field_error) < 0.005
    assert field_error.max() < 0.05
    potential_error = np.abs(at.potential_v(s) - np.asarray(points["phi_V"])) / max(
        v for v in problem.potentials_v if v is not None
    )
    assert potential_error.max() < 0.005
