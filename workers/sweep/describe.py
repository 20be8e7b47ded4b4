"""A sweep before it starts (`describe_sweep`) and once it was begun (`sweep_status`), in short."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ...meshes.errors import PlanError
from ..store.predict import predict_bytes
from ..store.sweep_store import SweepStore
from .evaluate import MakeEvaluator, plan_evaluator
from .header import SweepHeader, evaluator_settings
from .model import PointState
from .points import Points
from .spec import Sweep

LOOKED_AT = 10_000
"""Points whose plans are made to see which would be skipped; of larger sweeps, so many spread over all."""


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Reason(_Told):
    """Why points have no result.

    Attributes:
        points: how many. first: the lowest index among them.
    """

    state: PointState
    reason: str
    points: int
    first: int


class DimensionDescription(_Told):
    """One dimension: its size, and field -> lowest and highest value along it."""

    name: str
    size: int
    fields: dict[str, tuple[float, float]]


class StorageDescription(_Told):
    """Bytes and files that the results will take."""

    records_bytes: int
    maps_bytes: int
    dataset_bytes: int
    total_bytes: int
    files: int


class SweepDescription(_Told):
    """A sweep as it was understood.

    Attributes:
        points: all of them, those to be skipped included.
        looked_at: points whose plans were made; `reasons` counts only among these.
    """

    title: str
    dims: tuple[DimensionDescription, ...]
    points: int
    looked_at: int
    reasons: tuple[Reason, ...]
    measures: tuple[str, ...]
    maps: tuple[str, ...]
    warm_starts: bool
    storage: StorageDescription


class SweepStatus(_Told):
    """Where a sweep is.

    Attributes:
        running: whether a living driver is at it.
        pending: points without a record, those being computed included.
        warm: points that started from a neighbour's solution.
        tried_again: points that took more than one attempt.
        point_seconds: summed over all points.
    """

    out: str
    title: str
    created: str
    porefield: str
    points: int
    done: int
    failed: int
    skipped: int
    pending: int
    running: bool
    warm: int
    tried_again: int
    point_seconds: float
    reasons: tuple[Reason, ...]


def describe_sweep(
    sweep: Sweep,
    *,
    base_dir: Path | None = None,
    anatomy: Path | None = None,
    make_evaluator: MakeEvaluator = plan_evaluator,
) -> SweepDescription:
    """Check a sweep against its plan and anatomy without computing a point; arguments as of `run_sweep`.

    Raises:
        PorefieldError: the sweep or its plan can't be run.
    """
    points = Points.of(sweep, base_dir)
    folder = base_dir or points.base.folder or sweep.folder
    where, named = (None if p is None else str(p.expanduser().resolve()) for p in (folder, anatomy))
    layout = make_evaluator(evaluator_settings(with_plan(sweep, points), where, named)).layout
    storage = predict_bytes(layout, points.n)
    step = -(-points.n // LOOKED_AT)
    looked_at = range(0, points.n, step)
    skipped = ((PointState.SKIPPED, reason, i) for i in looked_at if (reason := points.skipped(i)) is not None)
    return SweepDescription(
        title=sweep.title or points.base.title,
        dims=_dimensions(points),
        points=points.n,
        looked_at=len(looked_at),
        reasons=_counted(skipped),
        measures=tuple(layout.measures),
        maps=tuple(layout.maps),
        warm_starts=sweep.warm_starts,
        storage=StorageDescription(
            records_bytes=storage.records,
            maps_bytes=storage.maps,
            dataset_bytes=storage.dataset,
            total_bytes=storage.total,
            files=storage.files,
        ),
    )


def sweep_status(out: Path | str) -> SweepStatus:
    """Where a sweep is, from what its directory holds.

    Raises:
        PorefieldError: no sweep there.
    """
    store = SweepStore.open(out)
    header = SweepHeader.model_validate(store.header)
    records = store.read_records()
    states = [record.state for record in records.values()]
    without = (
        (record.state, record.error or "", i) for i, record in records.items() if record.state is not PointState.DONE
    )
    return SweepStatus(
        out=store.url,
        title=header.sweep.title,
        created=header.created,
        porefield=header.porefield,
        points=header.points,
        done=states.count(PointState.DONE),
        failed=states.count(PointState.FAILED),
        skipped=states.count(PointState.SKIPPED),
        pending=header.points - len(states),
        running=store.running(),
        warm=sum(record.warm for record in records.values()),
        tried_again=sum(record.attempts > 1 for record in records.values()),
        point_seconds=round(sum(record.seconds for record in records.values()), 3),
        reasons=_counted(without),
    )


def check_same_sweep(sweep: Sweep, out: Path | str, base_dir: Path | None = None) -> None:
    """Refuse to go on with a sweep that was begun from another file.

    Raises:
        PlanError: naming what differs.
        PorefieldError: no sweep there.
    """
    header = SweepHeader.model_validate(SweepStore.open(out).header)
    begun = header.sweep.model_dump(mode="json")
    given = with_plan(sweep, Points.of(sweep, base_dir)).model_dump(mode="json")
    differing = [name for name in begun if begun[name] != given[name]]
    if differing:
        expected = f"the sweep that {out} was begun with"
        raise PlanError.of("sweep", expected, f"another one: {', '.join(differing)} differ")


def with_plan(sweep: Sweep, points: Points) -> Sweep:
    """The sweep with its plan in it instead of the plan's path."""
    return sweep.model_copy(update={"plan": points.base.model_dump(mode="json")})


def _dimensions(points: Points) -> tuple[DimensionDescription, ...]:
    found = []
    for dim in points.dims:
        numbers = {name: values for name, (values, _) in dim.coords.items() if values and _all_numbers(values)}
        ranges = {name: (float(min(values)), float(max(values))) for name, values in numbers.items()}
        found.append(DimensionDescription(name=dim.name, size=dim.size, fields=ranges))
    return tuple(found)


def _all_numbers(values: Iterable[object]) -> bool:
    return all(isinstance(value, int | float) for value in values)


def _counted(found: Iterable[tuple[PointState, str, int]]) -> tuple[Reason, ...]:
    """Reasons by how many points they hold for, the most frequent first."""
    counts: dict[tuple[PointState, str], tuple[int, int]] = {}
    for state, reason, index in found:
        n, first = counts.get((state, reason), (0, index))
        counts[state, reason] = (n + 1, min(first, index))
    reasons = [Reason(state=s, reason=r, points=n, first=i) for (s, r), (n, i) in counts.items()]
    return tuple(sorted(reasons, key=lambda one: (-one.points, one.first)))
