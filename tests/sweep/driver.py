"""A process that begins a sweep, or goes on with it.

python -m tests.sweep.driver OUT LOG         on Ray, with the real evaluator
python -m tests.sweep.driver OUT LOG stub    on Ray, with one that only takes its time; then the ADDRESS of a cluster
python -m tests.sweep.driver OUT             in itself, with an evaluator that kills its process at 600 V
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

from porefield.workers.store import object_lease
from porefield.workers.sweep.drive import ExecutorSettings, resume_sweep, run_sweep
from porefield.workers.sweep.progress import SweepOutcome
from porefield.workers.sweep.same import is_sweep
from porefield.workers.sweep.spec import Sweep, load_sweep

from .stub import logged, stub, voltages

POINTS = 60
LEASE_S = 2.0
"""On an object store, for tests that would not wait half a minute for a driver that they killed."""


def the_sweep() -> Sweep:
    return load_sweep(voltages(*(400.0 + 10 * i for i in range(POINTS)), warm_starts=False, maps=["zone"]))


def a_deadly_sweep() -> Sweep:
    return load_sweep(voltages(500, 600, 700, max_attempts=2))


def main(out: str, log: str | None = None, kind: str = "real", address: str | None = None) -> SweepOutcome:
    object_lease.LEASE_S = LEASE_S
    sweep = a_deadly_sweep() if log is None else the_sweep()
    settings = ExecutorSettings() if log is None else ExecutorSettings("ray", workers=2, address=address)
    evaluator = stub(deadly_v=600)
    if log is not None:
        evaluator = logged(Path(log), 0.3) if kind == "real" else stub(Path(log), 0.2)
    if is_sweep(out):
        return resume_sweep(out, executor=settings, make_evaluator=evaluator)
    return run_sweep(sweep, out, executor=settings, make_evaluator=evaluator)


if __name__ == "__main__":
    print(json.dumps(dataclasses.asdict(main(*sys.argv[1:]))))  # noqa: T201
