"""Progress of a sweep on stderr: a bar for people, JSON lines for machines, or nothing."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import time
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ..workers.sweep.progress import SweepProgress

LINE_EVERY_S = 1.0
"""Sweeps take days: a line for every change would fill disks."""
STAGES = {
    "prepare": "reading the plan and its anatomy",
    "start_workers": "starting workers",
    "run": "computing",
    "pack": "packing the dataset",
    "finished": "finished",
    "cancelled": "stopped",
}


class SweepDisplay(Protocol):
    """Shows SweepProgress; a context manager."""

    def __enter__(self) -> SweepDisplay: ...
    def __exit__(self, *error: object) -> None: ...
    def show(self, progress: SweepProgress) -> None:
        """The next state."""
        ...

    def say(self, text: str) -> None:
        """A line for the user."""
        ...


class SweepLines:
    """One JSON object a line; with `quiet` only what the user must know, as text."""

    def __init__(self, quiet: bool) -> None:
        self._start, self._quiet = time.monotonic(), quiet
        self._told_s, self._stage = -math.inf, ""

    def __enter__(self) -> SweepLines:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def show(self, progress: SweepProgress) -> None:
        now_s = time.monotonic()
        news = progress.stage != self._stage or progress.message
        if not self._quiet and (news or now_s - self._told_s >= LINE_EVERY_S):
            self._told_s, self._stage = now_s, progress.stage
            self._write({"event": "progress", **dataclasses.asdict(progress), "finished": progress.finished})

    def say(self, text: str) -> None:
        if self._quiet:
            sys.stderr.write(text + "\n")
        else:
            self._write({"event": "message", "message": text})

    def _write(self, event: dict[str, object]) -> None:
        elapsed_s = round(time.monotonic() - self._start, 3)
        sys.stderr.write(json.dumps({**event, "elapsed_s": elapsed_s}) + "\n")
        sys.stderr.flush()


class SweepBar:
    """One rich bar over all points, with failures, rate and time left beside it."""

    def __init__(self, console: Console) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        detail = TextColumn("{task.fields[detail]}")
        self._progress = Progress(*columns, detail, TimeElapsedColumn(), console=console, transient=True)
        self._task = self._progress.add_task("", total=None, detail="")

    def __enter__(self) -> SweepBar:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def show(self, progress: SweepProgress) -> None:
        if progress.message:
            self.say(progress.message)
        self._progress.update(
            self._task,
            description=STAGES[progress.stage],
            total=progress.total or None,
            completed=progress.finished,
            detail=detail_of(progress),
        )

    def say(self, text: str) -> None:
        self._progress.console.print(text)


def detail_of(progress: SweepProgress) -> str:
    """Rate, time left, failures and workers in words."""
    parts: list[str] = []
    if progress.rate_per_s:
        parts.append(f"{progress.rate_per_s:.2g} points/s")
    if progress.seconds_left is not None and progress.stage == "run":
        parts.append(f"{duration(progress.seconds_left)} left")
    parts += [f"{n} {what}" for n, what in ((progress.failed, "failed"), (progress.skipped, "skipped")) if n]
    if progress.workers > 1:
        parts.append(f"{progress.workers} workers")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Seconds in the unit that fits."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def choose_sweep_display(*, as_json: bool, quiet: bool) -> SweepDisplay:
    """The display that a command's options ask for."""
    return SweepLines(quiet) if as_json or quiet else SweepBar(Console(stderr=True))
