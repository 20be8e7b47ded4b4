"""Run the command line with the closed-form solver in the place of the real one, in a process of its own.

    python stand_in.py SECONDS_A_STEP SECONDS_OF_WRITING ARGUMENTS ...

It says on stderr when it solves and when it writes, so that a test can send signals at the right moment.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.workers.linear_field import LinearFieldSolver


def main() -> None:
    from porefield.service.cli import app

    step_s, write_s = float(sys.argv[1]), float(sys.argv[2])
    patch = pytest.MonkeyPatch()
    solver = LinearFieldSolver().install(patch)

    def wait(what: str, seconds: float) -> None:
        sys.stderr.write(what + "\n")
        sys.stderr.flush()
        time.sleep(seconds)

    def write(directory: Path, check: Callable[[], None]) -> None:
        (directory / "report.html").write_text("")
        wait("WRITING", write_s)

    solver.before_step = lambda: wait("SOLVING", step_s)
    patch.setattr("porefield.workers.report.write_report", write)
    app(sys.argv[3:])


if __name__ == "__main__":
    main()
