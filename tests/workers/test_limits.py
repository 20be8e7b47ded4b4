"""The search for the voltage at the current limit, on laws I(V) known in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from porefield.kernels.problem import FieldProblem
from porefield.kernels.solution import Solution, SolveStatus
from porefield.meshes import Scene
from porefield.meshes.generators import choose_generator
from porefield.meshes.plan_electrodes import GeneratorSettings
from porefield.workers import run_scene
from porefield.workers.limits import CURRENT_ACCURACY, voltage_at_current_limit, within_limits


def search(scene: Scene, solver: Any, current: Callable[[float], float], limit_a: float, max_voltage_v: float = 5e3):
    """Search on I = current(V) from 1000 V; the voltage found, and the voltages solved on the way."""
    problem = scene.problem(0)
    solved: list[float] = []

    def resolve(problem: FieldProblem, near: Solution, ratio: float) -> Solution:
        solved.append(max(v for v in problem.potentials_v if v is not None))
        return solver.solution(problem, 1e-4)

    generator = choose_generator(GeneratorSettings(max_voltage_v=max_voltage_v, max_current_a=limit_a))
    assert generator is not None
    found = voltage_at_current_limit(
        problem,
        solver.solution(problem, 1e-6),
        1000.0,
        generator,
        lambda s: current(max(s.electrode_potentials_v)),
        resolve,
    )
    return found, solved


@pytest.mark.parametrize("power", [1.0, 1.3, 1.8])
def test_power_laws_are_found_in_two_solves(scene: Scene, linear_field: Any, power: float) -> None:
    found, solved = search(scene, linear_field, lambda v: 10 * (v / 1000) ** power, 4.0)
    assert found == pytest.approx(1000 * 0.4 ** (1 / power), rel=CURRENT_ACCURACY)
    assert len(solved) <= 2


def test_a_bent_law_is_found_to_one_per_cent_in_current(scene: Scene, linear_field: Any) -> None:
    def current(v: float) -> float:
        return 0.004 * v if v < 600 else 2.4 + 0.012 * (v - 600)

    found, solved = search(scene, linear_field, current, 3.0)
    assert found is not None
    assert 3.0 * (1 - CURRENT_ACCURACY) <= current(found) <= 3.0
    assert len(solved) <= 5


@pytest.mark.parametrize("power", [1.2, 1.5, 2.3, 3.5])
def test_what_is_found_fits(scene: Scene, linear_field: Any, power: float) -> None:
    """Laws steeper below 700 V than above: the secant overshoots."""

    def current(v: float) -> float:
        return 10 * (v / 1000) ** power * (1 if v > 700 else (v / 700) ** 0.8)

    found, _ = search(scene, linear_field, current, 3.0)
    assert found is not None
    assert 3.0 * (1 - CURRENT_ACCURACY) <= current(found) <= 3.0 * (1 + 1e-4)


def test_the_voltage_limit_caps_what_is_found(scene: Scene, linear_field: Any) -> None:
    found, _ = search(scene, linear_field, lambda v: 0.01 * v, 9.0, max_voltage_v=700)
    assert found == 700


def test_no_answer_when_the_search_does_not_converge(scene: Scene, linear_field: Any) -> None:
    linear_field.status = SolveStatus.STAGNATED
    assert search(scene, linear_field, lambda v: 0.01 * v, 4.0)[0] is None
    linear_field.status = SolveStatus.CONVERGED
    assert search(scene, linear_field, lambda v: 10.0 if v == 1000 else 9.0 + 1e-6 * v, 4.0)[0] is None


def test_limits_of_voltage_and_current(scene: Scene) -> None:
    generator = scene.generator  # 900 V, 4 A
    assert within_limits(generator, 900, 4.0) is True
    assert within_limits(generator, 901, 1.0) is False
    assert within_limits(generator, 100, 4.1) is False
    assert within_limits(None, 1e5, 1e5) is None


def test_a_run_says_which_pulse_fits_and_which_voltage_would(scene: Scene, linear_field: Any) -> None:
    over, fits = run_scene(scene).report.pulses  # 5 mA/V: 5 A and 2.5 A
    assert (over.within_generator_limits, fits.within_generator_limits) == (False, True)
    assert over.voltage_at_current_limit_v == pytest.approx(800, rel=0.01)
    assert fits.voltage_at_current_limit_v is None
    assert over.peak_power_w == pytest.approx(5000)
    assert len(linear_field.calls) == 3  # two pulses, one solve of the search


def test_no_verdict_on_limits_without_convergence_or_generator(scene: Scene, linear_field: Any) -> None:
    without = run_scene(replace(scene, generator=None)).report
    assert without.generator is None
    assert [p.within_generator_limits for p in without.pulses] == [None, None]
    linear_field.status = SolveStatus.OUT_OF_ITERATIONS
    pulse = run_scene(scene).report.pulses[0]
    assert (pulse.within_generator_limits, pulse.voltage_at_current_limit_v) == (None, None)
