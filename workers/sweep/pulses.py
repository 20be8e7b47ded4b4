"""The pulses of a sweep's points, solved one point after another or several side by side, and what the next points can
start from.

Side by side, all points that the last solutions are a start for use it; the rest begin from tissue at rest. Of a
batch, the last solution is what the next batch starts from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from ...kernels.continuation import Continuation, same_problem
from ...kernels.field import batch_key
from ...kernels.iteration import Start
from ...kernels.problem import FieldProblem
from ...kernels.solution import Solution
from ...meshes.errors import PorefieldError, ResourceError
from ...meshes.scene import Scene
from ..progress import RunControl
from ..solve import memory_limits_named, solve_pulse, solve_pulses

POINT_FAULTS = (PorefieldError, MemoryError, ArithmeticError, ValueError)
"""What a point's own numbers can provoke; anything else is a fault of the program and stops the sweep."""

P = ParamSpec("P")
T = TypeVar("T")


class NotConvergedError(PorefieldError):
    """A pulse's solve did not converge: none of the point's numbers may be used."""


def attempt(what: Callable[P, T], *args: P.args, **named: P.kwargs) -> T | Exception:
    """A result, or the fault of a point's numbers that there is instead."""
    try:
        return what(*args, **named)
    except POINT_FAULTS as fault:
        return fault


@dataclass(eq=False)
class SolvedPoint:
    """A point's solutions, pulse by pulse, and how many of them started from a neighbour; or why there are none."""

    scene: Scene
    solutions: list[Solution] = field(default_factory=list)
    warm: int = 0
    fault: Exception | None = None


@dataclass(eq=False)
class _Task:
    """One pulse of one point; `known` if its solution was there already, `twin` another point's with its problem."""

    point: SolvedPoint
    problem: FieldProblem
    start: Start | None
    result: Solution | Exception | None = None
    known: bool = False
    twin: _Task | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What tasks must share to be solved side by side."""
        solver = self.point.scene.plan.solver
        return batch_key(self.problem), solver.tolerance, solver.max_newton_steps

    @property
    def converged(self) -> bool:
        return isinstance(self.result, Solution) and self.result.converged


class PulseSolver:
    """Solves points and keeps each pulse's last solutions; lives as long as its worker."""

    def __init__(self, warm_starts: bool) -> None:
        self._warm_starts = warm_starts
        self._continuations: list[Continuation] = []

    def solve(self, scenes: Sequence[Scene], control: RunControl, lanes: int) -> list[SolvedPoint]:
        """Solve points; one that fails does so by itself.

        Args:
            scenes: at most as many as lanes.
            lanes: of the compiled step; 1 solves a point by itself.

        Raises:
            RunCancelled: asked for through `control`.
        """
        points = [SolvedPoint(scene) for scene in scenes]
        pulses = max((len(scene.pulses) for scene in scenes), default=0)
        if len(self._continuations) != pulses or not self._warm_starts:
            self._continuations = [Continuation() for _ in range(pulses)]
        for i in range(pulses):
            self._solve_pulse(i, [p for p in points if p.fault is None and i < len(p.scene.pulses)], control, lanes)
        return points

    def _solve_pulse(self, index: int, points: list[SolvedPoint], control: RunControl, lanes: int) -> None:
        near = self._continuations[index]
        tasks: list[_Task] = []
        to_solve: list[_Task] = []
        for point in [p for p in points if p.scene.pulses[index].current_a is not None]:
            self._solve_at_current(index, point, control)
        for point in [p for p in points if p.scene.pulses[index].current_a is None]:
            problem = attempt(point.scene.problem, index)
            if isinstance(problem, Exception):
                point.fault = problem
                continue
            solution = near.known(problem)
            task = _Task(point, problem, near.start(problem), solution, known=solution is not None)
            task.twin = next((t for t in to_solve if same_problem(t.problem, problem)), None)
            tasks.append(task)
            if not task.known and task.twin is None:
                to_solve.append(task)
        _solve(index, to_solve, control, lanes)
        astray = [t for t in to_solve if t.start is not None and isinstance(t.result, Solution) and not t.converged]
        for task in astray:
            task.start = None
        _solve(index, astray, control, lanes)
        last = next((task for task in reversed(to_solve) if task.converged), None)
        if last is not None:
            assert isinstance(last.result, Solution)
            near.add(last.problem, last.result)
        for task in tasks:
            _keep(index, task)

    def _solve_at_current(self, index: int, point: SolvedPoint, control: RunControl) -> None:
        """A pulse whose current is prescribed, by itself: how many solves it takes depends on the point."""
        near = self._continuations[index] if self._warm_starts else Continuation()
        problem = attempt(point.scene.problem, index)
        if isinstance(problem, Exception):
            point.fault = problem
            return
        task = _Task(point, problem, near.start(problem))
        task.result = attempt(_current_solution, index, point.scene, control, near)
        _keep(index, task)


def _current_solution(index: int, scene: Scene, control: RunControl, near: Continuation) -> Solution:
    with memory_limits_named(scene):
        return solve_pulse(scene, index, control, continuation=near)


def _solve(index: int, tasks: list[_Task], control: RunControl, lanes: int) -> None:
    """Put results into tasks, those together that can be."""
    groups: defaultdict[tuple[Any, ...], list[_Task]] = defaultdict(list)
    for task in tasks:
        groups[task.key].append(task)
    for group in groups.values():
        results = attempt(_solve_group, index, group, control, lanes)
        if isinstance(results, list):
            for task, result in zip(group, results, strict=True):
                task.result = result
            continue
        if len(group) == 1 or isinstance(results, ResourceError):  # by itself a point takes as much memory
            for task in group:
                task.result = results
            continue
        for task in group:  # one of them is to blame: by themselves, the others do not fail with it
            found = attempt(_solve_group, index, [task], control, lanes)
            task.result = found[0] if isinstance(found, list) else found


def _solve_group(index: int, group: list[_Task], control: RunControl, lanes: int) -> list[Solution]:
    scenes = [task.point.scene for task in group]
    with memory_limits_named(scenes[0], lanes):
        if lanes == 1:
            return [solve_pulse(scenes[0], index, control, problem=group[0].problem, start=group[0].start)]
        problems, starts = [task.problem for task in group], [task.start for task in group]
        return solve_pulses(scenes, index, control, problems=problems, starts=starts, lanes=lanes)


def _keep(index: int, task: _Task) -> None:
    """Hand a task's result to its point."""
    point, result = task.point, task.twin.result if task.twin is not None else task.result
    if isinstance(result, Exception):
        point.fault = result
        return
    assert result is not None
    point.warm += task.known or task.twin is not None or task.start is not None
    if result.converged:
        point.solutions.append(result)
        return
    wanted = f"a relative residual of {result.tolerance:.1e}"
    got = f"{result.relative_residual:.1e} ({result.status}); no number of this point may be used"
    point.fault = NotConvergedError.of(f"pulse {point.scene.pulses[index].name}", wanted, got)
