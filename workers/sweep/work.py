"""What a worker of a sweep does: evaluate points one after another and write each straight to the store.

A point's maps are written first, its record last: the record is what makes it finished. Nothing passes through the
driver but which points were finished, and how.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ...meshes.errors import PlanError, PorefieldError, ResourceError
from ..executors.interface import WorkerInfo
from ..progress import RunCancelled, RunControl
from ..store.sweep_store import SweepStore
from .evaluate import Evaluator, MakeEvaluator
from .header import SweepHeader
from .model import Evaluation, PointRecord, PointState
from .points import Points


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

    def __call__(self, info: WorkerInfo) -> SweepWork:
        return SweepWork(SweepStore.open(self.url), self.make_evaluator, info)


class SweepWork:
    """A worker's half of a sweep: the store, the points, and an evaluator that lives as long as the worker."""

    def __init__(self, store: SweepStore, make_evaluator: MakeEvaluator, info: WorkerInfo) -> None:
        self.store, self.info = store, info
        header = SweepHeader.model_validate(store.header)
        self.points = Points.of(header.sweep, header.folder)
        settings = header.evaluator_settings()
        self.evaluator: Evaluator = make_evaluator(settings)
        check_inputs(header, self.evaluator)

    def run(self, task: list[PointTask], stop: Callable[[], bool], tell: Callable[[Any], None]) -> list[PointDone]:
        """Evaluate points in their order until `stop` says so; what was not finished is not in the answer."""
        done: list[PointDone] = []
        for one in task:
            if stop():
                break
            try:
                done.append(self.run_point(one, RunControl(cancelled=stop)))
            except RunCancelled:
                break
            tell(done[-1])
        return done

    def run_point(self, task: PointTask, control: RunControl) -> PointDone:
        """One point, finished when this returns, whatever became of it.

        Raises:
            ResourceError: the store has no room: every other point would fail too.
            RunCancelled: asked for through `control`; nothing is recorded.
        """
        started, clock = datetime.now(UTC), time.perf_counter()
        state, error, evaluation = self._evaluate(task.index, control)
        if evaluation is not None:
            self.store.write_maps(task.index, dict(evaluation.maps))
        seconds = time.perf_counter() - clock
        measures = dict(evaluation.measures) if evaluation else {}
        record = PointRecord(
            index=task.index,
            key=self._key(task.index),
            state=state,
            attempts=task.attempt,
            worker=self.info.name,
            started=started.isoformat(timespec="milliseconds"),
            seconds=round(seconds, 4),
            warm=bool(measures.get("warm_pulses")),
            error=error,
            values=self.points.values(task.index),
            measures=measures,
        )
        self.store.write_record(record)
        return PointDone(task.index, state, seconds, record.warm)

    def _evaluate(self, index: int, control: RunControl) -> tuple[PointState, str | None, Evaluation | None]:
        reason = self.points.skipped(index)
        if reason is not None:
            return PointState.SKIPPED, reason, None
        try:
            return PointState.DONE, None, self.evaluator.evaluate(self.points.plan(index), control)
        except PorefieldError as error:
            return PointState.FAILED, str(error), None
        except (MemoryError, ArithmeticError, ValueError) as error:
            # what a point's own numbers can provoke; anything else is a fault of the program and stops the sweep
            return PointState.FAILED, f"{type(error).__name__}: {error}", None

    def _key(self, index: int) -> str:
        try:
            return self.points.key(index, self.evaluator.inputs)
        except PlanError:
            return ""  # a point that makes no valid plan has no input to name


def check_inputs(header: SweepHeader, evaluator: Evaluator) -> None:
    """Refuse to go on with a sweep whose anatomy, code or settings changed since it was begun.

    Raises:
        ResourceError: with what to do.
    """
    if header.inputs != evaluator.inputs:
        raise ResourceError.of(
            "sweep",
            "the anatomy files, versions and settings that the sweep was begun with",
            "other ones: finish it with those, or start a new sweep",
        )
