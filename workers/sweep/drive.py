"""Running a sweep: hand points to workers, watch over them, and go on after whatever died.

    outcome = run_sweep(load_sweep("sweep.yaml"), "out", executor=ExecutorSettings("ray"))
    outcome = resume_sweep("out")

The driver owns no results: workers write them to the store. It may be killed at any moment; a later one reads which
points have a record and computes the others. A point that takes its worker down with it is tried `max_attempts` times.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from ..executors.in_process import InProcess
from ..executors.interface import Executor
from ..executors.local_processes import LocalProcesses
from ..progress import Cancelled, RunControl
from ..store.columns import CODES, counts_of
from ..store.places import is_url
from ..store.predict import check_room, predict_bytes
from ..store.sweep_store import SweepStore
from ..summarise import version_of
from .dispatch import Dispatch
from .evaluate import Evaluator, MakeEvaluator, plan_evaluator
from .header import SweepHeader, evaluator_settings
from .model import PointState
from .points import Points
from .progress import OnSweepProgress, SweepOutcome, SweepProgress, Tally
from .spec import Sweep
from .work import MakeSweepWork, SweepWork, check_inputs


@dataclass(frozen=True)
class ExecutorSettings:
    """Where points are computed.

    Attributes:
        kind: in this process, in child processes of it, or by Ray actors.
        workers: how many; None for as many as the cores (or, on Ray, GPUs) allow. One, in this process.
        address: of a running Ray cluster; None starts one on this machine for the time of the sweep.
        batch: points that a worker solves side by side; None for as many as a GPU's free memory holds, on a CPU one.
    """

    kind: Literal["in_process", "processes", "ray"] = "in_process"
    workers: int | None = None
    threads_per_worker: int = 1
    gpus_per_worker: float = 0
    address: str | None = None
    batch: int | None = None

    def open_processes(self, make_work: MakeSweepWork) -> AbstractContextManager[Executor]:
        """The executor whose workers are processes, here or on Ray; they start when it is entered."""
        if self.kind == "processes":
            return LocalProcesses(
                make_work,
                workers=self.workers,
                threads_per_worker=self.threads_per_worker,
                gpus_per_worker=self.gpus_per_worker,
            )
        from ..executors.ray_cluster import RayCluster  # Ray takes seconds to import, and is an extra

        return RayCluster(
            make_work,
            workers=self.workers,
            threads_per_worker=self.threads_per_worker,
            gpus_per_worker=self.gpus_per_worker,
            address=self.address,
        )


def run_sweep(
    sweep: Sweep,
    out: Path | str,
    *,
    base_dir: Path | None = None,
    anatomy: Path | None = None,
    executor: ExecutorSettings | None = None,
    on_progress: OnSweepProgress | None = None,
    cancelled: Cancelled = None,
    make_evaluator: MakeEvaluator = plan_evaluator,
) -> SweepOutcome:
    """Begin a sweep in a new directory (or s3:// prefix) and run it to its end.

    Args:
        base_dir: where relative paths of the sweep and its plan start; the folder of its file by default.
        anatomy: the label map, or a folder to look for the plan's files in, named for this run.
        make_evaluator: what is computed at each point; must be importable by workers (a function, or a partial of one).

    Raises:
        PorefieldError: the sweep or its plan can't be run, `out` exists, or its results would not fit.
    """
    if on_progress is not None:
        on_progress(SweepProgress("prepare", 0))
    store, evaluator = create_sweep(sweep, out, base_dir=base_dir, anatomy=anatomy, make_evaluator=make_evaluator)
    if is_url(out):
        room = predict_bytes(store.layout, store.n)
        _say(on_progress, f"up to {room.total / 1e6:.3g} MB will go to {out}, where free room can't be looked up")
    return _drive(store, executor or ExecutorSettings(), on_progress, cancelled, make_evaluator, evaluator)


def resume_sweep(
    out: Path | str,
    *,
    executor: ExecutorSettings | None = None,
    on_progress: OnSweepProgress | None = None,
    cancelled: Cancelled = None,
    retry_failed: bool = False,
    make_evaluator: MakeEvaluator = plan_evaluator,
) -> SweepOutcome:
    """Compute the points of a sweep that have no record yet; none if all have.

    Args:
        retry_failed: compute failed points again too.

    Raises:
        PorefieldError: no sweep there, another driver is at it, or its inputs have changed.
    """
    store = SweepStore.open(out)
    if retry_failed:
        store.remove_records(np.flatnonzero(store.read_states() == CODES[PointState.FAILED]).tolist())
    return _drive(store, executor or ExecutorSettings(), on_progress, cancelled, make_evaluator, None)


def create_sweep(
    sweep: Sweep,
    out: Path | str,
    *,
    base_dir: Path | None = None,
    anatomy: Path | None = None,
    make_evaluator: MakeEvaluator = plan_evaluator,
) -> tuple[SweepStore, Evaluator]:
    """Check a sweep and lay out its store, without computing a point; the evaluator that was made for it comes along.

    Raises:
        PorefieldError: as `run_sweep`.
    """
    SweepStore.check_new(out)
    points = Points.of(sweep, base_dir)
    folder = base_dir or points.base.folder or sweep.folder
    sweep = sweep.model_copy(update={"plan": points.base.model_dump(mode="json")})
    where, named = (None if p is None else str(p.expanduser().resolve()) for p in (folder, anatomy))
    evaluator = make_evaluator(evaluator_settings(sweep, where, named))
    check_room(out, predict_bytes(evaluator.layout, points.n))
    header = SweepHeader(
        porefield=version_of("porefield"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        sweep=sweep,
        base_dir=where,
        anatomy=named,
        inputs=evaluator.inputs,
        points=points.n,
    )
    store = SweepStore.create(out, header.model_dump(mode="json"), evaluator.layout, points.dims)
    return store, evaluator


def _drive(
    store: SweepStore,
    executor: ExecutorSettings,
    on_progress: OnSweepProgress | None,
    cancelled: Cancelled,
    make_evaluator: MakeEvaluator,
    evaluator: Evaluator | None,
) -> SweepOutcome:
    """Compute what is missing, and pack the dataset."""
    began = time.perf_counter()
    header = SweepHeader.model_validate(store.header)
    points = Points.of(header.sweep, header.folder)
    if evaluator is None:
        evaluator = make_evaluator(header.evaluator_settings())
        check_inputs(header, evaluator)
    driver = f"{socket.gethostname()}-{secrets.token_hex(3)}"
    with store.lease(driver, partial(_say, on_progress)):
        store.clear_cancel()
        states = store.read_states()
        tally = Tally(points.n)
        tally.states.update(counts_of(states))
        tell = partial(_tell, tally, on_progress)
        stop = _stopper(store, cancelled)
        computing_s, lost = 0.0, 0
        if tally.finished < points.n:
            dispatch = Dispatch(store, points, driver, header.sweep.max_attempts, tally, tell, stop)
            dispatch.plan(np.flatnonzero(states).tolist(), executor.workers or 4)
            make_work = MakeSweepWork(store.url, make_evaluator, executor.batch)
            with _opened(executor, make_work, store, evaluator, stop) as workers:
                computing_s = dispatch.run(workers)
            lost = dispatch.lost
        tell("pack")
        store.pack()
        complete = tally.finished == points.n
        tell("finished" if complete else "cancelled")
    return SweepOutcome(
        out=store.url,
        total=points.n,
        done=tally.states[PointState.DONE],
        failed=tally.states[PointState.FAILED],
        skipped=tally.states[PointState.SKIPPED],
        computed=tally.computed,
        warm=tally.warm,
        workers_lost=lost,
        cancelled=not complete,
        seconds=time.perf_counter() - began,
        computing_s=computing_s,
    )


def _opened(
    executor: ExecutorSettings,
    make_work: MakeSweepWork,
    store: SweepStore,
    evaluator: Evaluator,
    stop: Callable[[], bool],
) -> AbstractContextManager[Executor]:
    if executor.kind == "in_process":  # the driver has read the anatomy already
        return InProcess(lambda info: SweepWork(store, lambda _: evaluator, info, executor.batch), stop)
    return executor.open_processes(make_work)


def _stopper(store: SweepStore, cancelled: Cancelled) -> Callable[[], bool]:
    """Whether to stop: asked by the caller, or through the store, which is looked at once a second."""
    control, looked, found = RunControl(cancelled=cancelled), time.monotonic(), False

    def stop() -> bool:
        nonlocal looked, found
        if not found and time.monotonic() - looked > 1:
            looked, found = time.monotonic(), store.cancel_requested()
        return found or control.stopping

    return stop


def _say(on_progress: OnSweepProgress | None, text: str) -> None:
    if on_progress is not None:
        on_progress(SweepProgress("prepare", 0, message=text))


def _tell(
    tally: Tally,
    on_progress: OnSweepProgress | None,
    stage: Literal["prepare", "start_workers", "run", "pack", "finished", "cancelled"],
    *,
    running: int = 0,
    workers: int = 0,
    began_s: float = 0.0,
    message: str = "",
) -> None:
    if on_progress is None:
        return
    rate = tally.rate_per_s(began_s)
    left = tally.total - tally.finished
    on_progress(
        SweepProgress(
            stage=stage,
            total=tally.total,
            done=tally.states[PointState.DONE],
            failed=tally.states[PointState.FAILED],
            skipped=tally.states[PointState.SKIPPED],
            running=running,
            workers=workers,
            rate_per_s=rate,
            seconds_left=left / rate if rate else None,
            message=message,
        )
    )
