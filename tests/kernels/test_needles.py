"""Needles of any tip and shaft: currents against finite elements. At 1 mm, in any pose, and moving: test_cases.py."""

import pytest

from porefield.kernels.cases.poses import BALL_A
from porefield.kernels.cases.shapes import SHAPES
from porefield.kernels.field import solve_field

from .fem_extra import REFERENCES, problem_of

NAMES = {"conical": "conical tips", "rounded": "rounded tips", "shafts": "insulated shafts"}
NAMES |= {"bipolar": "two bands on one shaft"} | {f"close_{d}": f"1.2 mm, {d} mm apart" for d in (2, 3, 4)}


def test_references_are_sure_enough_to_test_against():
    assert max(r["uncertainty_rel"] for r in REFERENCES.values()) < 1e-3


@pytest.mark.parametrize("name", REFERENCES)
def test_cases_state_what_the_references_give(name):
    if name.startswith("ball"):
        current, uncertainty = BALL_A[float(name.removeprefix("ball_"))]
    else:
        shape, _, law = name.partition("_") if not name.startswith("close") else (name, "", "linear")
        current, uncertainty = SHAPES[NAMES[shape]][1][law]
    # the probe's are of another mesh, each as sure as it says
    assert current == pytest.approx(
        REFERENCES[name]["current_a"], rel=uncertainty + REFERENCES[name]["uncertainty_rel"]
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in REFERENCES if not name.startswith(("ball", "close"))])
def test_current_at_half_a_millimetre(name):
    s = solve_field(problem_of(name, 0.5))
    assert s.converged
    assert s.current_imbalance < 1e-5
    assert abs(s.currents_a[0] / REFERENCES[name]["current_a"] - 1) < 0.005
