"""How a run tells where it is, and how it is told to stop."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stage = Literal["prepare", "solve", "sample", "measure", "limits", "check_grid", "write"]


class RunCancelled(Exception):
    """The caller asked a run to stop; nothing was written."""


@dataclass(frozen=True)
class RunProgress:
    """Where a run is; plain data, so that it can be printed, sent and stored.

    Attributes:
        stage: what is being done.
        pulse_index: which pulse, from 0; with its name and `pulses`, the number of them all.
        level: nested grid of the solve, 0 the finest; None outside of solves.
        step: Newton step on that grid.
        relative_residual: of the current balance, to be brought below `tolerance`.
        span: part of the whole work, 0 to 1, that this series of solves is.
    """

    stage: Stage
    pulse_index: int = 0
    pulses: int = 1
    pulse_name: str = ""
    level: int | None = None
    step: int | None = None
    relative_residual: float | None = None
    tolerance: float | None = None
    span: tuple[float, float] = (0.0, 1.0)

    @property
    def fraction(self) -> float:
        """Rough share (0 to 1) of the solving that is done: Newton steps are unknown beforehand, residuals fall."""
        start, stop = self.span
        return start + (stop - start) * self._fraction()

    def _fraction(self) -> float:
        if self.stage == "prepare":
            return 0.0
        if self.stage not in ("solve", "check_grid"):
            return 1.0
        return (self.pulse_index + self._pulse_fraction()) / max(self.pulses, 1)

    def _pulse_fraction(self) -> float:
        if self.level is None or self.relative_residual is None or self.tolerance is None:
            return 0.0
        if self.level > 0:  # coarse grids cost next to nothing
            return 0.1 / (1 + self.level)
        reached = math.log(min(max(self.relative_residual, self.tolerance), 1.0)) / math.log(self.tolerance)
        return 0.1 + 0.9 * reached


OnProgress = Callable[[RunProgress], None]
Cancelled = Callable[[], bool] | threading.Event | None
"""Asked between Newton steps and between arrays: True, or a set event, stops the run."""


@dataclass(frozen=True)
class RunControl:
    """A caller's progress callback and cancellation, bundled for the steps of a run; see RunProgress for `span`."""

    on_progress: OnProgress | None = None
    cancelled: Cancelled = None
    span: tuple[float, float] = (0.0, 1.0)

    def tell(self, progress: RunProgress) -> None:
        """Report, and stop if asked to.

        Raises:
            RunCancelled: the caller asked for it.
        """
        self.check()
        if self.on_progress is not None:
            self.on_progress(dataclasses.replace(progress, span=self.span))

    def check(self) -> None:
        """Stop if asked to.

        Raises:
            RunCancelled: the caller asked for it.
        """
        if self.stopping:
            raise RunCancelled("the run was cancelled; nothing was written")

    @property
    def stopping(self) -> bool:
        """Whether the caller asked to stop."""
        if isinstance(self.cancelled, threading.Event):
            return self.cancelled.is_set()
        return self.cancelled is not None and self.cancelled()
