"""What a sweep would do, told before it does it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ..store.predict import StoragePrediction, predict_bytes
from .evaluate import MakeEvaluator, plan_evaluator
from .header import evaluator_settings
from .points import Points
from .spec import Sweep

MOST_LOOKED_AT = 2000
"""Points whose plans are made to find those that would be skipped."""


@dataclass(frozen=True)
class SweepDescription:
    """A sweep's extent.

    Attributes:
        dimensions: name -> size.
        skipped: reason -> how many of the first `looked_at` points.
    """

    title: str
    points: int
    dimensions: dict[str, int]
    fields: tuple[str, ...]
    looked_at: int
    skipped: dict[str, int]
    measures: int
    maps: tuple[str, ...]
    storage: StoragePrediction

    def lines(self) -> list[str]:
        """For people."""
        sizes = " x ".join(f"{name} ({size})" for name, size in self.dimensions.items())
        room = self.storage
        found = [
            f"{self.title or 'sweep'}: {self.points} points, {sizes}",
            "varied: " + ", ".join(self.fields),
            f"kept of each point: {self.measures} measures" + (f", maps {', '.join(self.maps)}" if self.maps else ""),
            f"room: at most {room.total / 1e6:.3g} MB in {room.files} files",
        ]
        skipped = sum(self.skipped.values())
        among = "" if self.looked_at == self.points else f" of the first {self.looked_at}"
        found.append(f"skipped: {skipped}{among}")
        return found + [f"  {n} x {reason}" for reason, n in self.skipped.items()]


def describe_sweep(
    sweep: Sweep,
    *,
    base_dir: Path | None = None,
    anatomy: Path | None = None,
    make_evaluator: MakeEvaluator = plan_evaluator,
) -> SweepDescription:
    """Check a sweep, its base plan's anatomy, and which of its points make no valid plan.

    Raises:
        PorefieldError: as `run_sweep` does before it begins.
    """
    points = Points.of(sweep, base_dir)
    folder = base_dir or points.base.folder or sweep.folder
    sweep = sweep.model_copy(update={"plan": points.base.model_dump(mode="json")})
    where, named = (None if p is None else str(p) for p in (folder, anatomy))
    layout = make_evaluator(evaluator_settings(sweep, where, named)).layout
    looked_at = min(points.n, MOST_LOOKED_AT)
    reasons = Counter(reason for i in range(looked_at) if (reason := points.skipped(i)) is not None)
    return SweepDescription(
        title=sweep.title,
        points=points.n,
        dimensions={dim.name: dim.size for dim in points.dims},
        fields=points.fields,
        looked_at=looked_at,
        skipped=dict(reasons),
        measures=len(layout.measures),
        maps=tuple(layout.maps),
        storage=predict_bytes(layout, points.n),
    )
