"""A sweep: computed in the job's work folder, where a later attempt goes on, then published without its many files.

result.zarr      all measures, labelled
maps.zarr        the maps of each point, if any were asked for
points.parquet   the same measures as one table, with state and error of every point
sweep.json       what was asked for
summary.json     how many points ended how
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ..progress import RunCancelled
from ..publish import published_directory
from ..store.sweep_export import export_sweep
from ..store.sweep_store import SweepStore
from ..summarise import version_of
from ..summary import DISCLAIMER
from ..sweep.drive import resume_sweep, run_sweep
from ..sweep.evaluate import limited_evaluator
from ..sweep.progress import SweepOutcome
from ..sweep.same import is_sweep
from ..sweep.spec import load_sweep
from ..sweep.work import ChangedInputsError
from .inputs import with_files
from .progress import Reporter
from .task import JobTask

MOST_REASONS = 10


class SweepSummary(BaseModel):
    """summary.json of a sweep."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    porefield: str = Field(description="version that computed it")
    created: str = Field(description="ISO 8601, UTC")
    disclaimer: str = DISCLAIMER
    title: str
    dims: dict[str, int] = Field(description="dimension of the dataset -> points along it")
    points: dict[str, int] = Field(description="how many points there are, and how they ended")
    failures: dict[str, int] = Field(description="why points failed, the most frequent reasons, and how often")


def run_sweep_job(task: JobTask, reporter: Reporter) -> None:
    """Compute what is missing and publish the whole.

    Raises:
        PorefieldError: the sweep, its plan or this machine does not allow it.
        RunCancelled: stopped; what is finished is kept.
    """
    inputs, folder = with_files(task)
    out = task.work_dir / "sweep"
    told: dict[str, Any] = {"on_progress": reporter.sweep, "cancelled": reporter.stop}
    told["make_evaluator"] = partial(limited_evaluator, task.most_voxels)

    def compute() -> SweepOutcome:
        if is_sweep(out):
            return resume_sweep(out, **told)
        return run_sweep(load_sweep(inputs), out, anatomy=folder, **told)

    try:
        outcome = compute()
    except ChangedInputsError:  # begun by another version of the program, before an upgrade
        shutil.rmtree(out)
        outcome = compute()
    if not outcome.complete:
        raise RunCancelled("the sweep was stopped; what is finished is kept")
    store = SweepStore.open(out)
    with published_directory(task.result_dir) as directory:
        export_sweep(store, directory)
        text = summary_of(store, outcome).model_dump_json(indent=1)
        (directory / "summary.json").write_text(text + "\n", encoding="utf-8")


def summary_of(store: SweepStore, outcome: SweepOutcome) -> SweepSummary:
    """How a finished sweep turned out."""
    table = store.table()
    reasons = Counter(map(str, table.loc[table["state"] == "failed", "error"].tolist()))
    counts = {name: getattr(outcome, name) for name in ("total", "done", "failed", "skipped")}
    return SweepSummary(
        porefield=version_of("porefield"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        title=store.header["sweep"]["title"],
        dims={dim.name: dim.size for dim in store.dims},
        points=counts,
        failures=dict(reasons.most_common(MOST_REASONS)),
    )


def about_sweep(directory: Path) -> dict[str, Any]:
    """How the points of a published sweep ended."""
    return {"points": json.loads((directory / "summary.json").read_text(encoding="utf-8"))["points"]}
