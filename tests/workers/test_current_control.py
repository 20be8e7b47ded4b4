"""Pulses whose current is prescribed: the voltage found is the one at which the voltage-controlled pulse draws it."""

from __future__ import annotations

from typing import Any

import pytest

from porefield.kernels.solution import SolveStatus
from porefield.meshes import PlanError, load_plan
from porefield.workers import run_plan
from porefield.workers.current_control import CURRENT_REACHED
from porefield.workers.describe import describe_plan

from .linear_field import LinearFieldSolver

LOGISTIC = {
    "law": "logistic",
    "baseline_s_per_m": 0.1,
    "permeabilised_s_per_m": 0.4,
    "midpoint_v_per_cm": 580,
    "width_v_per_cm": 60,
}


@pytest.fixture
def current_plan(tiny_plan: dict[str, Any]) -> dict[str, Any]:
    tiny_plan["pulses"] = [{"anode": ["A"], "cathode": ["B"], "current_a": 2.0}]
    tiny_plan["generator"] = None
    return tiny_plan


def test_the_voltage_controlled_pulse_is_reproduced(tiny_plan: dict[str, Any]) -> None:
    """A law that bends: two needles, one floating between them; then the current that came out, prescribed."""
    tiny_plan["tissues"]["block"]["conductivity"] = LOGISTIC
    tiny_plan["generator"] = None
    del tiny_plan["pulses"][1]
    by_voltage = run_plan(load_plan(tiny_plan)).report.pulses[0]
    current_a = by_voltage.generator_current_a
    assert current_a is not None
    pulse = tiny_plan["pulses"][0]
    del pulse["voltage_v"]
    pulse["current_a"] = current_a
    found = run_plan(load_plan(tiny_plan)).report.pulses[0]
    assert found.solver.status is SolveStatus.CONVERGED
    assert found.solver.tolerance == by_voltage.solver.tolerance
    assert found.current_a == current_a
    assert found.generator_current_a == pytest.approx(current_a, rel=CURRENT_REACHED)
    # I ~ V^p with p of at least 1, so the voltage is at least as close as the current
    assert found.voltage_v == pytest.approx(1000, rel=2 * CURRENT_REACHED)
    assert found.electrode_potentials_v["C"] == pytest.approx(by_voltage.electrode_potentials_v["C"], rel=1e-4)


def test_a_linear_current_takes_a_probe_and_two_solves(
    current_plan: dict[str, Any], linear_field: LinearFieldSolver
) -> None:
    """5 mA/V: 1 V, then 400 V loosely, then 400 V as accurately as the plan asks for."""
    pulse = run_plan(load_plan(current_plan)).report.pulses[0]
    assert pulse.voltage_v == pytest.approx(400)
    assert [v[0] for v in linear_field.calls] == pytest.approx([1, 400, 400])


def test_generator_limits_are_held_against_what_was_found(
    current_plan: dict[str, Any], linear_field: LinearFieldSolver
) -> None:
    current_plan["generator"] = {"name": "small", "max_voltage_v": 300, "max_current_a": 2}
    report = run_plan(load_plan(current_plan)).report
    assert report.pulses[0].within_generator_limits is False
    assert report.pulses[0].voltage_at_current_limit_v is None
    assert "pulse A-B: 2 A take 400 V, more than the 300 V of small" in report.warnings
    current_plan["generator"]["max_voltage_v"] = 500
    assert run_plan(load_plan(current_plan)).report.pulses[0].within_generator_limits is True
    current_plan["generator"]["max_current_a"] = 1
    report = run_plan(load_plan(current_plan)).report
    assert report.pulses[0].within_generator_limits is False
    assert "pulses[0].current_a is 2 A; small delivers 1 A" in report.warnings
    assert report.pulses[0].voltage_at_current_limit_v == pytest.approx(200, rel=0.01)


def test_a_current_that_no_voltage_drives_is_refused(
    current_plan: dict[str, Any], linear_field: LinearFieldSolver
) -> None:
    current_plan["pulses"][0]["current_a"] = 60
    with pytest.raises(PlanError, match=r"pulses\[0\].current_a: expected at most the 50 A that 10000 V drive; got 60"):
        run_plan(load_plan(current_plan))


def test_not_converging_travels_with_the_result(current_plan: dict[str, Any], linear_field: LinearFieldSolver) -> None:
    linear_field.status = SolveStatus.STAGNATED
    result = run_plan(load_plan(current_plan))
    assert not result.converged
    assert len(linear_field.calls) == 1


@pytest.mark.parametrize(
    ("given", "got"),
    [({}, "none of them"), ({"voltage_v": 100, "current_a": 1}, "voltage_v and current_a")],
)
def test_a_pulse_has_a_voltage_or_a_current(current_plan: dict[str, Any], given: dict[str, float], got: str) -> None:
    current_plan["pulses"][0] = {"anode": ["A"], "cathode": ["B"], **given}
    with pytest.raises(PlanError, match=rf"pulses\[0\]: expected exactly one of voltage_v, current_a; got {got}"):
        load_plan(current_plan)


def test_the_description_tells_the_current(current_plan: dict[str, Any]) -> None:
    pulse = describe_plan(load_plan(current_plan)).pulses[0]
    assert (pulse.voltage_v, pulse.current_a) == (None, 2.0)
