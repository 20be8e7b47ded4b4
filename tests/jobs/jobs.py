"""Jobs of a small plan, and a worker process that runs one; importable by processes that tests start.

python -m tests.jobs.jobs PROCESS FOLDER [BYTES]     runs it once, with a limit on file sizes; its outcome as JSON
"""

from __future__ import annotations

import copy
import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from porefield.workers.jobs.task import JobTask
from porefield.workers.jobs.work import JobWork

from ..sweep.stub import PLAN

AXES = [{"name": "voltage", "field": "pulses.*.voltage_v", "values": [600, 700, 800, 900, 1000]}]
INPUTS: dict[str, dict[str, Any]] = {
    "plan": PLAN,
    "sweep": {"plan": PLAN, "axes": AXES, "maps": ["zone"], "warm_starts": False},
    "robustness": {"plan": PLAN, "samples": 4, "groups": "kind", "placement": {"shift_mm": 0.4, "depth_mm": 0.5}},
}


def long_sweep() -> dict[str, Any]:
    """Some seconds of work: a sweep is told of, and asked whether to stop, at least once in each."""
    return {**INPUTS["sweep"], "axes": [{**AXES[0], "values": list(range(600, 660))}]}


def job(folder: Path, process: str, inputs: dict[str, Any] | None = None, **more: Any) -> JobTask:
    """A task that works and publishes below a folder."""
    data = copy.deepcopy(INPUTS[process] if inputs is None else inputs)
    return JobTask("0123abcd", process, data, str(folder / "results"), str(folder / "work"), **more)


def execute(task: JobTask, stop: Callable[[], bool] = lambda: False) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The outcome of a job, and all it told, which must be JSON."""
    told: list[dict[str, Any]] = []
    outcome = JobWork().run(task, stop, told.append)
    return json.loads(json.dumps(outcome)), json.loads(json.dumps(told, allow_nan=False))


def remains(folder: Path) -> list[str]:
    """What lies in the folders of results and work."""
    return sorted(f"{where}/{p.name}" for where in ("results", "work") for p in (folder / where).glob("*"))


def main(process: str, folder: str, most_bytes: str | None = None) -> None:
    if most_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(most_bytes), int(most_bytes)))
    outcome, _ = execute(job(Path(folder), process))
    print(json.dumps(outcome))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
