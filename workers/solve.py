"""Solving the pulses of a scene one after another, with progress and cancellation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from ..kernels.continuation import Continuation
from ..kernels.field import solve_field, solve_fields
from ..kernels.iteration import Start
from ..kernels.problem import FieldProblem
from ..kernels.solution import Solution, SolveCancelled, StepReport
from ..kernels.spread import devices_for
from ..meshes.errors import PlanError, ResourceError
from ..meshes.plan_electrodes import MAX_VOLTAGE_V
from ..meshes.scene import PROBE_V, PulseSetup, Scene
from .current_control import OutOfReach, Solve, solve_at_current
from .limits import SEARCH_TOLERANCE, generator_current_a, scaled, voltage_at_current_limit, within_limits
from .progress import RunCancelled, RunControl, RunProgress, Stage


def solve_pulse(
    scene: Scene,
    index: int,
    control: RunControl,
    *,
    stage: Stage = "solve",
    problem: FieldProblem | None = None,
    near: tuple[Solution, float] | None = None,
    start: Start | None = None,
    continuation: Continuation | None = None,
) -> Solution:
    """Solve one pulse; where it prescribes the current, at the voltage that drives it.

    Args:
        problem: another problem than the plan's (other potentials), when searching for a voltage.
        near: a solution to start from and the factor to its voltages, when searching.
        start: where to start from, solving as accurately as ever.
        continuation: of a pulse that prescribes the current: solutions to start from, to which its own are added.

    Raises:
        RunCancelled: the caller asked for it.
        PlanError: a current that takes more than MAX_VOLTAGE_V.
    """
    pulse, settings = scene.pulses[index], scene.plan.solver

    def on_step(report: StepReport) -> bool:
        if control.stopping:
            return False
        state = (report.level, report.step, report.relative_residual, report.tolerance)
        control.tell(RunProgress(stage, index, len(scene.pulses), pulse.name, *state))
        return True

    def solve(problem: FieldProblem, tolerance: float, start: Start | None) -> Solution:
        most = settings.max_newton_steps
        return solve_field(problem, tolerance=tolerance, max_newton_steps=most, on_step=on_step, start=start)

    control.tell(RunProgress(stage, index, len(scene.pulses), pulse.name))
    try:
        if problem is None and pulse.current_a is not None:
            return _at_current(scene, index, pulse.current_a, solve, continuation or Continuation())
        if near is not None:
            tolerance, start = max(settings.tolerance, SEARCH_TOLERANCE), _scaled_start(*near)
        else:
            tolerance = settings.tolerance
        return solve(problem or scene.problem(index), tolerance, start)
    except SolveCancelled:
        raise RunCancelled("the run was cancelled; nothing was written") from None


def solve_pulses(
    scenes: Sequence[Scene],
    index: int,
    control: RunControl,
    *,
    problems: Sequence[FieldProblem],
    starts: Sequence[Start | None],
    lanes: int,
) -> list[Solution]:
    """Solve one pulse of several scenes side by side, see `solve_fields`; their solver settings must be the same.

    Args:
        problems, starts: of each scene.
        lanes: of the compiled step, shared equally by as many devices as can.

    Raises:
        RunCancelled: the caller asked for it.
    """
    settings = scenes[0].plan.solver
    control.check()
    try:
        return solve_fields(
            problems,
            tolerance=settings.tolerance,
            max_newton_steps=settings.max_newton_steps,
            on_step=lambda _: not control.stopping,
            starts=starts,
            lanes=lanes,
            devices=devices_for(lanes),
        )
    except SolveCancelled:
        raise RunCancelled(f"pulse {scenes[0].pulses[index].name} was cancelled; nothing was written") from None


def _at_current(scene: Scene, index: int, current_a: float, solve: Solve, near: Continuation) -> Solution:
    pulse, tolerance = scene.pulses[index], scene.plan.solver.tolerance

    def drawn_a(solution: Solution) -> float:
        return pulse_current_a(scene, pulse, solution)

    try:
        return solve_at_current(scene.problem(index), current_a, MAX_VOLTAGE_V, tolerance, drawn_a, solve, near)
    except OutOfReach as error:
        expected = f"at most the {error.current_a:.4g} A that {MAX_VOLTAGE_V:g} V drive"
        raise PlanError.of(f"pulses[{index}].current_a", expected, f"{current_a:g}") from None


def _scaled_start(solution: Solution, ratio: float) -> Start:
    return Start(solution.potential_v * ratio, np.asarray(solution.electrode_potentials_v) * ratio)


def find_fitting_voltage(scene: Scene, index: int, solution: Solution, control: RunControl) -> float | None:
    """Voltage (V) at which a pulse draws the generator's current limit; None where it is not exceeded or not found."""
    pulse, generator = scene.pulses[index], scene.generator
    if (
        generator is None
        or not solution.converged
        or _limited_current_a(scene, pulse, solution) <= generator.max_current_a
    ):
        return None

    def resolve(problem: FieldProblem, near: Solution, ratio: float) -> Solution:
        return solve_pulse(scene, index, control, stage="limits", problem=problem, near=(near, ratio))

    voltage_v = voltage_of(scene, pulse, solution)
    own = PROBE_V if pulse.voltage_v is None else pulse.voltage_v
    return voltage_at_current_limit(
        scaled(scene.problem(index), voltage_v / own),
        solution,
        voltage_v,
        generator,
        lambda s: pulse_current_a(scene, pulse, s),
        resolve,
    )


def pulse_current_a(scene: Scene, pulse: PulseSetup, solution: Solution) -> float:
    """What the generator delivers in a pulse (A)."""
    return generator_current_a(pulse, currents_by_name(scene, solution))


def voltage_of(scene: Scene, pulse: PulseSetup, solution: Solution) -> float:
    """Between anodes and cathodes (V): the plan's, or the one found for the current that it prescribes."""
    return float(solution.electrode_potentials_v[list(scene.electrodes).index(pulse.anodes[0])])


def fits_generator(scene: Scene, pulse: PulseSetup, solution: Solution) -> bool | None:
    """Whether the generator delivers a pulse; None without a generator."""
    voltage_v = voltage_of(scene, pulse, solution)
    return within_limits(scene.generator, voltage_v, _limited_current_a(scene, pulse, solution))


def _limited_current_a(scene: Scene, pulse: PulseSetup, solution: Solution) -> float:
    """What is held against the generator's limit (A): a prescribed current itself, not what the search came to."""
    return pulse_current_a(scene, pulse, solution) if pulse.current_a is None else pulse.current_a


def currents_by_name(scene: Scene, solution: Solution) -> Mapping[str, float]:
    """Current out of each electrode into the tissue (A)."""
    return dict(zip(scene.electrodes, solution.currents_a, strict=True))


@contextmanager
def memory_limits_named(scene: Scene, batch: int = 1) -> Iterator[None]:
    """Turn a device's or this machine's lack of memory into an error that names what to change.

    Args:
        batch: how many scenes of this size are solved side by side.

    Raises:
        ResourceError: the estimate was too low, or someone else took the memory meanwhile.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # XLA's own error is a RuntimeError that says so
        if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        size = " x ".join(map(str, scene.grid.shape))
        if batch > 1:
            got = f"{batch} points of {size} voxels side by side, for which memory ran out"
            raise ResourceError.of("batch", "as many points as fit into memory", got) from error
        got = f"{size} voxels, for which memory ran out"
        raise ResourceError.of("grid.spacing_mm", "a solve that fits into memory", got) from error
