"""Where a sweep is, and how it ended: plain data to print, send and store."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from .model import PointState

Stage = Literal["prepare", "start_workers", "run", "pack", "finished", "cancelled"]
RATE_WINDOW_S = 120.0


@dataclass(frozen=True)
class SweepProgress:
    """Where a sweep is.

    Attributes:
        done, failed, skipped: finished points by how they ended, those of earlier runs included.
        running: points handed to workers and not finished.
        rate_per_s: finished in this run over the last two minutes; None before the first.
        seconds_left: at that rate.
        message: what just happened that a user should know (a worker was lost), else empty.
    """

    stage: Stage
    total: int
    done: int = 0
    failed: int = 0
    skipped: int = 0
    running: int = 0
    workers: int = 0
    rate_per_s: float | None = None
    seconds_left: float | None = None
    message: str = ""

    @property
    def finished(self) -> int:
        return self.done + self.failed + self.skipped


@dataclass(frozen=True)
class SweepOutcome:
    """How a run of a sweep ended.

    Attributes:
        out: where the sweep is.
        total, done, failed, skipped: points; any others are still to be computed.
        computed: points finished by this run, not by earlier ones; warm of them started from a neighbour.
        workers_lost: processes that died and were replaced.
        seconds: of this run, workers' start included; computing_s without it.
    """

    out: str
    total: int
    done: int
    failed: int
    skipped: int
    computed: int
    warm: int
    workers_lost: int
    cancelled: bool
    seconds: float
    computing_s: float

    @property
    def complete(self) -> bool:
        """Whether every point is finished, failed and skipped ones included."""
        return self.done + self.failed + self.skipped == self.total


OnSweepProgress = Callable[[SweepProgress], None]


@dataclass
class Tally:
    """Counts of finished points, and the rate of the last ones."""

    total: int
    states: Counter[PointState] = field(default_factory=Counter)
    computed: int = 0
    warm: int = 0
    _recent: deque[tuple[float, int]] = field(default_factory=deque)

    def finish(self, states: list[PointState], warm: int, now_s: float | None = None) -> None:
        """Count points that a worker has just finished."""
        self.states.update(states)
        self.computed += len(states)
        self.warm += warm
        now_s = time.monotonic() if now_s is None else now_s
        self._recent.append((now_s, len(states)))
        while self._recent[0][0] < now_s - RATE_WINDOW_S:
            self._recent.popleft()

    @property
    def finished(self) -> int:
        return sum(self.states.values())

    def rate_per_s(self, began_s: float) -> float | None:
        """Points a second over the last two minutes, or since the first worker was ready."""
        if not self._recent:
            return None
        now_s = time.monotonic()
        span_s = now_s - max(began_s, now_s - RATE_WINDOW_S)
        return sum(n for _, n in self._recent) / span_s if span_s > 0 else None
