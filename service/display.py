"""Progress of a run on stderr: a bar for people, JSON lines for machines, or nothing."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ..workers.progress import RunProgress

STAGES = {
    "prepare": "reading the anatomy",
    "solve": "solving",
    "sample": "sampling the field",
    "limits": "finding the voltage that fits the generator",
    "measure": "measuring",
    "check_grid": "checking on larger voxels,",
    "write": "writing",
}


class Display(Protocol):
    """Shows RunProgress; a context manager."""

    def __enter__(self) -> Display: ...
    def __exit__(self, *error: object) -> None: ...
    def show(self, progress: RunProgress) -> None:
        """The next state."""
        ...

    def say(self, text: str) -> None:
        """A line for the user."""
        ...


class NoDisplay:
    """Nothing but what the user must know."""

    def __enter__(self) -> NoDisplay:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def show(self, progress: RunProgress) -> None:
        pass

    def say(self, text: str) -> None:
        sys.stderr.write(text + "\n")


class JsonLines:
    """One JSON object a line."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def show(self, progress: RunProgress) -> None:
        elapsed_s = round(time.monotonic() - self._start, 3)
        self._write({"event": "progress", **dataclasses.asdict(progress), "fraction": progress.fraction}, elapsed_s)

    def say(self, text: str) -> None:
        self._write({"event": "message", "message": text}, round(time.monotonic() - self._start, 3))

    def _write(self, event: dict[str, object], elapsed_s: float) -> None:
        sys.stderr.write(json.dumps({**event, "elapsed_s": elapsed_s}) + "\n")
        sys.stderr.flush()


class Bar:
    """One rich bar for the whole run, with the pulse and the Newton step beside it."""

    def __init__(self, console: Console) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[detail]}"))
        self._progress = Progress(*columns, TimeElapsedColumn(), console=console, transient=True)
        self._task = self._progress.add_task("", total=1.0, detail="")

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def show(self, progress: RunProgress) -> None:
        detail = ""
        text = STAGES[progress.stage]
        if progress.pulse_name:
            text += f" {progress.pulse_name} ({progress.pulse_index + 1} of {progress.pulses})"
        if progress.step is not None and progress.relative_residual is not None:
            grid = f" on coarse grid {progress.level}" if progress.level else ""
            detail = f"Newton step {progress.step}{grid}, residual {progress.relative_residual:.1e}"
        elif progress.stage in ("solve", "check_grid"):
            detail = "compiling, or reading the compiled solver"
        self._progress.update(self._task, description=text, completed=progress.fraction, detail=detail)

    def say(self, text: str) -> None:
        self._progress.console.print(text)


def choose_display(*, as_json: bool, quiet: bool) -> Display:
    """The display that a command's options ask for."""
    if quiet:
        return NoDisplay()
    return JsonLines() if as_json else Bar(Console(stderr=True))
