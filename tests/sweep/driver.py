"""A process that begins a sweep, or goes on with it.

python -m tests.sweep.driver OUT LOG     on Ray, with the real evaluator
python -m tests.sweep.driver OUT         in itself, with an evaluator that kills its process at 600 V
"""

from __future__ import annotations

import sys
from pathlib import Path

from porefield.workers.sweep.drive import ExecutorSettings, resume_sweep, run_sweep
from porefield.workers.sweep.progress import SweepOutcome
from porefield.workers.sweep.spec import Sweep, load_sweep

from .stub import logged, stub, voltages

POINTS = 60


def the_sweep() -> Sweep:
    return load_sweep(voltages(*(400.0 + 10 * i for i in range(POINTS)), warm_starts=False, maps=["zone"]))


def a_deadly_sweep() -> Sweep:
    return load_sweep(voltages(500, 600, 700, max_attempts=2))


def main(out: Path, log: Path | None = None) -> SweepOutcome:
    sweep = a_deadly_sweep() if log is None else the_sweep()
    settings = ExecutorSettings() if log is None else ExecutorSettings("ray", workers=2)
    evaluator = stub(deadly_v=600) if log is None else logged(log, 0.3)
    if (out / "sweep.json").exists():
        return resume_sweep(out, executor=settings, make_evaluator=evaluator)
    return run_sweep(sweep, out, executor=settings, make_evaluator=evaluator)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
