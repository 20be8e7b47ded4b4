"""What a job tells while it runs: plain JSON data, at most five times a second, and at least now and then."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from ..executors.interface import Stop, Tell
from ..progress import RunProgress
from ..sweep.progress import SweepProgress

EVERY_S = 0.25
"""Four times a second, so that with the last one, which is told in any case, no second holds more than five."""
ALIVE_S = 10.0
"""What was told last is told again after so long while the job goes on: who hears nothing for long may end it."""


class Reporter:
    """A job's progress on its way out, and its question whether to stop, which shows that it goes on.

    `told` is asked for by whoever computes: between Newton steps, points and arrays.
    """

    def __init__(self, tell: Tell, stop: Stop, clock: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._stop, self._clock = tell, stop, clock
        self._last: dict[str, Any] | None = None
        self._waiting = False
        self._told_s = -math.inf

    def tell(self, progress: dict[str, Any]) -> None:
        """Tell, or keep until it may be told; what comes after it takes its place."""
        self._last, self._waiting = progress, True
        if self._clock() - self._told_s >= EVERY_S:
            self.flush()

    def stop(self) -> bool:
        """Whether the job is to stop."""
        since_s = self._clock() - self._told_s
        if self._last is not None and since_s >= (EVERY_S if self._waiting else ALIVE_S):
            self._waiting = True
            self.flush()
        return self._stop()

    def flush(self) -> None:
        """Tell what waits."""
        if self._waiting and self._last is not None:
            self._waiting, self._told_s = False, self._clock()
            self._tell(self._last)

    def run(self, progress: RunProgress) -> None:
        """Where a plan is."""
        self.tell(of_run(progress))

    def sweep(self, progress: SweepProgress) -> None:
        """Where a sweep or a study is."""
        self.tell(of_sweep(progress))


def of_run(progress: RunProgress) -> dict[str, Any]:
    """A plan's progress as JSON data; `fraction` is rough."""
    residual = _finite(progress.relative_residual)
    where = f"pulse {progress.pulse_index + 1} of {progress.pulses}"
    if progress.stage in ("solve", "check_grid") and progress.step is not None:
        where += f", Newton step {progress.step}" + (f", residual {residual:.1e}" if residual is not None else "")
    return {
        "stage": progress.stage,
        "pulse": progress.pulse_name,
        "pulse_index": progress.pulse_index,
        "pulses": progress.pulses,
        "level": progress.level,
        "step": progress.step,
        "relative_residual": residual,
        "tolerance": _finite(progress.tolerance),
        "fraction": _share(progress.fraction),
        "message": where if progress.stage in ("solve", "limits", "check_grid") else "",
    }


def of_sweep(progress: SweepProgress) -> dict[str, Any]:
    """A sweep's or study's progress as JSON data."""
    message = f"{progress.finished} of {progress.total} points, {progress.failed} failed" if progress.total else ""
    return {
        "stage": progress.stage,
        "total": progress.total,
        "done": progress.done,
        "failed": progress.failed,
        "skipped": progress.skipped,
        "running": progress.running,
        "rate_per_s": _finite(progress.rate_per_s),
        "seconds_left": _finite(progress.seconds_left),
        "fraction": _share(progress.finished / progress.total if progress.total else 0.0),
        "message": progress.message or message,
    }


def _finite(value: float | None) -> float | None:
    """A number that JSON has; None for others."""
    return float(value) if value is not None and math.isfinite(value) else None


def _share(value: float) -> float:
    return min(max(float(value), 0.0), 1.0) if math.isfinite(value) else 0.0
