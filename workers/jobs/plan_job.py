"""One plan: solved, measured, and published as `porefield run` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...kernels.solution import SolveStatus
from ...meshes.plan import load_plan
from ..run import run_plan
from ..store.run_store import read_summary
from .inputs import with_files
from .progress import Reporter
from .task import JobTask


def run_plan_job(task: JobTask, reporter: Reporter) -> None:
    """Publish result.zarr, summary.json, report.html and coverage.png.

    Raises:
        PorefieldError: the plan, its anatomy or this machine does not allow it.
        RunCancelled: stopped; nothing is left.
    """
    inputs, folder = with_files(task)
    plan = load_plan(inputs, markups=False)
    told: dict[str, Any] = {"on_progress": reporter.run, "cancelled": reporter.stop}
    result = run_plan(plan, anatomy=folder, most_voxels=task.most_voxels, **told)
    result.write(task.result_dir, **told)


def about_plan(directory: Path) -> dict[str, Any]:
    """Whether a plan's result is to be relied on."""
    return {"converged": read_summary(directory)["status"] == SolveStatus.CONVERGED}
