"""A robustness study: computed in the job's work folder, where a later attempt goes on, then published.

The result is the study's directory (robustness/run.py) with two changes: `sweep/` holds what `sweep_job.py` publishes
of a sweep, and the map of probabilities is there twice, as probability.zarr, which reports are made from, and as
result.zarr, the store that every job's result has.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ...meshes.errors import PlanError
from ...meshes.scene import SceneBuilder
from ..progress import RunCancelled
from ..publish import published_directory
from ..robustness.factors import factors_of, groups_of
from ..robustness.run import run_robustness
from ..robustness.settings import Robustness, load_robustness
from ..store.sweep_export import copy_store, copy_tree, export_sweep
from ..store.sweep_store import SweepStore
from ..sweep.same import is_sweep
from ..sweep.work import ChangedInputsError
from .inputs import with_files
from .progress import Reporter
from .task import JobTask

_FILES = ("robustness.json", "report.html", "probability.png")


def run_robustness_job(task: JobTask, reporter: Reporter) -> None:
    """Compute what is missing and publish the whole.

    Raises:
        PorefieldError: the study, its plan or this machine does not allow it.
        RunCancelled: stopped; what is finished is kept.
    """
    inputs, folder = with_files(task)
    settings, study = load_robustness(inputs), task.work_dir / "study"
    _check_size(task, settings, folder)
    if study.is_dir() and not is_sweep(study / "sweep"):  # an attempt that died before its first point
        shutil.rmtree(study)
    told: dict[str, Any] = {"on_progress": reporter.sweep, "cancelled": reporter.stop}
    try:
        outcome = run_robustness(settings, study, anatomy=folder, resume=True, **told)
    except ChangedInputsError:  # begun by another version of the program, before an upgrade
        shutil.rmtree(study)
        outcome = run_robustness(settings, study, anatomy=folder, **told)
    if outcome.summary is None:
        raise RunCancelled("the study was stopped; what is finished is kept")
    with published_directory(task.result_dir) as directory:
        for name in _FILES:
            shutil.copyfile(study / name, directory / name)
        copy_tree(study / "nominal", directory / "nominal")
        copy_tree(study / "probability.zarr", directory / "probability.zarr")
        copy_store(study / "probability.zarr", directory / "result.zarr")
        (directory / "sweep").mkdir()
        export_sweep(SweepStore.open(study / "sweep"), directory / "sweep")


def _check_size(task: JobTask, settings: Robustness, folder: Path | None) -> None:
    """Refuse more voxels or points than the task allows: both are known once the anatomy is."""
    plan = settings.load_plan()
    scene = SceneBuilder(plan, anatomy=folder, most_voxels=task.most_voxels).build(plan)
    points = settings.samples * (len(groups_of(factors_of(settings, plan, scene))) + 2)
    if task.most_points is not None and points > task.most_points:
        raise PlanError.of("samples", f"at most {task.most_points} points in all", str(points))


def about_study(directory: Path) -> dict[str, Any]:
    """How the points of a published study ended."""
    return {"points": json.loads((directory / "robustness.json").read_text(encoding="utf-8"))["points"]}
