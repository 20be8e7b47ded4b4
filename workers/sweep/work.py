"""What a worker of a sweep does: evaluate points, one after another or several at once, and write each to the store.

A point's maps are written first, its record last: the record is what makes it finished. Nothing passes through the
driver but which points were finished, and how.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ...meshes.errors import PlanError, PorefieldError, ResourceError
from ...meshes.plan import Plan
from ..executors.interface import WorkerInfo
from ..progress import RunCancelled, RunControl
from ..store.sweep_store import SweepStore
from .evaluate import BatchEvaluator, Evaluator, MakeEvaluator
from .header import SweepHeader
from .model import Evaluation, PointRecord, PointState
from .points import Points
from .pulses import attempt


@dataclass(frozen=True)
class PointTask:
    """One point to evaluate, and which attempt at it this is."""

    index: int
    attempt: int


@dataclass(frozen=True)
class PointDone:
    """What the driver is told of a finished point."""

    index: int
    state: PointState
    seconds: float
    warm: bool


@dataclass(frozen=True)
class MakeSweepWork:
    """Makes a worker's `SweepWork`; sent to the worker's process."""

    url: str
    make_evaluator: MakeEvaluator
    batch: int | None = None

    def __call__(self, info: WorkerInfo) -> SweepWork:
        return SweepWork(SweepStore.open(self.url), self.make_evaluator, info, self.batch)


@dataclass(frozen=True)
class _Ready:
    """A point to evaluate, with its plan; `key` hashes its complete input."""

    task: PointTask
    plan: Plan
    key: str


class SweepWork:
    """A worker's half of a sweep: the store, the points, and an evaluator that lives as long as the worker.

    Attributes:
        batch: how many points it evaluates at once.
    """

    def __init__(
        self, store: SweepStore, make_evaluator: MakeEvaluator, info: WorkerInfo, batch: int | None = None
    ) -> None:
        """Args: batch: None leaves it to the evaluator. More than the sweep has points is never taken."""
        self.store, self.info = store, info
        header = SweepHeader.model_validate(store.header)
        self.points = Points.of(header.sweep, header.folder)
        settings = header.evaluator_settings()
        self.evaluator: Evaluator = make_evaluator(settings)
        check_inputs(header, self.evaluator)
        self.batch = choose_batch(self.evaluator, batch, self.points.n)

    def run(self, task: list[PointTask], stop: Callable[[], bool], tell: Callable[[Any], None]) -> list[PointDone]:
        """Evaluate points in their order until `stop` says so; what was not finished is not in the answer.

        Raises:
            ResourceError: the store has no room: every other point would fail too.
        """
        done: list[PointDone] = []

        def finish(points: Iterable[PointDone]) -> None:
            for one in points:
                done.append(one)
                tell(one)

        control, waiting = RunControl(cancelled=stop), list[_Ready]()
        try:
            for one in task:
                control.check()
                ready = self._prepare(one)
                if isinstance(ready, PointDone):
                    finish([ready])
                    continue
                if waiting and one.attempt > 1:
                    finish(self._evaluate(waiting, control))
                    waiting = []
                waiting.append(ready)
                # what a worker died at runs by itself: no other point is to be blamed for it
                if len(waiting) == self.batch or one.attempt > 1:
                    finish(self._evaluate(waiting, control))
                    waiting = []
            finish(self._evaluate(waiting, control))
        except RunCancelled:
            pass
        return done

    def _prepare(self, task: PointTask) -> _Ready | PointDone:
        """The point's plan, or its record where it is skipped."""
        reason = self.points.skipped(task.index)
        if reason is None:
            return _Ready(task, self.points.plan(task.index), self.points.key(task.index, self.evaluator.inputs))
        try:
            key = self.points.key(task.index, self.evaluator.inputs)
        except PlanError:
            key = ""  # a point that makes no valid plan has no input to name
        return self._record(task, key, PointState.SKIPPED, _now(), 0.0, error=reason)

    def _evaluate(self, points: list[_Ready], control: RunControl) -> Iterator[PointDone]:
        """Points, each recorded whatever became of it.

        Raises:
            RunCancelled: asked for through `control`; nothing is recorded.
        """
        if not points:
            return
        control.check()
        started, clock = _now(), time.perf_counter()
        results = self._results([one.plan for one in points], control)
        seconds = (time.perf_counter() - clock) / len(points)
        for one, result in zip(points, results, strict=True):
            clock = time.perf_counter()
            if isinstance(result, Evaluation):
                self.store.write_maps(one.task.index, dict(result.maps))
                told: dict[str, Any] = {"measures": dict(result.measures)}
                state = PointState.DONE
            else:
                by_name = isinstance(result, PorefieldError)
                told = {"error": str(result) if by_name else f"{type(result).__name__}: {result}"}
                state = PointState.FAILED
            own = seconds + time.perf_counter() - clock
            yield self._record(one.task, one.key, state, started, own, batch=self.batch, **told)

    def _results(self, plans: list[Plan], control: RunControl) -> Sequence[Evaluation | Exception]:
        if self.batch == 1:
            return [attempt(self.evaluator.evaluate, plans[0], control)]
        assert isinstance(self.evaluator, BatchEvaluator)
        return self.evaluator.evaluate_many(plans, control, self.batch)

    def _record(
        self, task: PointTask, key: str, state: PointState, started: str, seconds: float, **told: Any
    ) -> PointDone:
        warm = bool(told.get("measures", {}).get("warm_pulses"))
        record = PointRecord(
            index=task.index,
            key=key,
            state=state,
            attempts=task.attempt,
            worker=self.info.name,
            started=started,
            seconds=round(seconds, 4),
            warm=warm,
            values=self.points.values(task.index),
            **told,
        )
        self.store.write_record(record)
        return PointDone(task.index, state, seconds, warm)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def choose_batch(evaluator: Evaluator, wanted: int | None, points: int) -> int:
    """How many points a worker evaluates at once.

    Args:
        wanted: by the user; None leaves it to the evaluator.
        points: of the sweep.

    Raises:
        ResourceError: more than fit into memory, or than the evaluator takes.
    """
    if not isinstance(evaluator, BatchEvaluator):
        if wanted is not None and wanted > 1:
            expected = f"1 with {type(evaluator).__name__}, which evaluates points one by one"
            raise ResourceError.of("batch", expected, str(wanted))
        return 1
    if wanted is None:
        return min(evaluator.choose_batch(), points)
    batch = min(wanted, points)
    evaluator.check_batch(batch)
    return batch


class ChangedInputsError(ResourceError):
    """A sweep was begun with another anatomy, version or setting than there is now."""


def check_inputs(header: SweepHeader, evaluator: Evaluator) -> None:
    """Refuse to go on with a sweep whose anatomy, code or settings changed since it was begun.

    Raises:
        ChangedInputsError: with what to do.
    """
    if header.inputs != evaluator.inputs:
        raise ChangedInputsError.of(
            "sweep",
            "the anatomy files, versions and settings that the sweep was begun with",
            "other ones: finish it with those, or start a new sweep",
        )
