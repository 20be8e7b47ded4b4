"""Run a robustness study: the plan as it stands, then all points as a sweep, then what they say.

    outcome = run_robustness(load_robustness("plan.yaml"), "study", executor=ExecutorSettings("ray"))

The directory of a study:

    sweep/               all points (sweep_store.py); a study that was stopped or killed goes on with it
    probability.zarr     the probability of coverage of each voxel, beside nominal/result.zarr
    robustness.json      all estimates
    nominal/             the plan as it stands, as `porefield run` writes it; its report tells of the estimates
    report.html          for people, with its pictures inside; probability.png is the main one

All but the sweep are written when all points are finished, each whole or not at all, the report last.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ...kernels.solution import SolveStatus
from ...meshes.errors import PlanError
from ..dataset import describe_electrode
from ..progress import Cancelled, RunProgress
from ..publish import OutputExistsError, published_directory
from ..run import RunResult, run_plan
from ..store.files import write_atomic
from ..store.sweep_store import SweepStore, write_dataset
from ..store.tables import columns_of
from ..summary import DISCLAIMER
from ..sweep.drive import ExecutorSettings, resume_sweep, run_sweep
from ..sweep.evaluate import layout_of, measures_of
from ..sweep.progress import OnSweepProgress, SweepOutcome, SweepProgress
from ..sweep.pulses import NotConvergedError
from ..sweep.same import check_same_sweep, is_sweep
from .design import base_points, sweep_of
from .factors import factors_of, groups_of
from .probability import probability_maps
from .settings import Robustness
from .summary import RobustnessSummary, summarise_study


@dataclass(frozen=True)
class RobustnessOutcome:
    """How a study ended; no summary when it was stopped before all points were finished."""

    out: str
    sweep: SweepOutcome
    summary: RobustnessSummary | None


def run_robustness(
    settings: Robustness,
    out: Path | str,
    *,
    anatomy: Path | None = None,
    executor: ExecutorSettings | None = None,
    on_progress: OnSweepProgress | None = None,
    cancelled: Cancelled = None,
    resume: bool = False,
) -> RobustnessOutcome:
    """Run a study to its report, or go on with one.

    Args:
        anatomy: the label map, or a folder to look for the plan's files in, named for this run.
        resume: go on with this very study where `out` holds it.

    Raises:
        PorefieldError: the plan can't be run, does not converge as it stands, or `out` holds something else.
        RunCancelled: stopped before the first point.
    """
    out = Path(out).expanduser()
    _check_out(out, resume)
    if on_progress is not None:
        on_progress(SweepProgress("prepare", 0))
    plan = settings.load_plan()
    nominal = _run_nominal(settings, anatomy, cancelled)
    factors = factors_of(settings, plan, nominal.scene)
    sweep = sweep_of(settings, plan, factors)
    told: dict[str, Any] = {"executor": executor, "on_progress": on_progress, "cancelled": cancelled}
    if is_sweep(out / "sweep"):
        check_same_sweep(sweep, out / "sweep", plan.folder)
        outcome = resume_sweep(out / "sweep", **told)
    else:
        outcome = run_sweep(sweep, out / "sweep", base_dir=plan.folder, anatomy=anatomy, **told)
    if not outcome.complete:
        return RobustnessOutcome(str(out), outcome, None)
    store = SweepStore.open(out / "sweep")
    table = store.table()
    layout = layout_of(nominal.scene, ())
    planned = columns_of(layout, measures_of(nominal.scene, nominal.solutions, nominal.samples, 0))
    summary = summarise_study(settings, plan, factors, layout, table, planned)
    _write_maps(out, store, table, nominal, settings.samples, len(groups_of(factors)))
    write_atomic(out / "robustness.json", (summary.model_dump_json(indent=1) + "\n").encode())
    if not (out / "nominal").is_dir():
        nominal.write(out / "nominal")  # now, for its report tells of the study
    # matplotlib takes half a second to import: whoever is stopped before should not wait for it
    from .report import write_robustness_report

    write_robustness_report(out)
    return RobustnessOutcome(str(out), outcome, summary)


def _check_out(out: Path, resume: bool) -> None:
    if is_sweep(out / "sweep"):
        if not resume:
            raise OutputExistsError.of("out", "a new directory, or leave to resume the study that is there", str(out))
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputExistsError.of("out", "a new or empty directory", f"{out}, which exists and holds no study")


def _run_nominal(settings: Robustness, anatomy: Path | None, cancelled: Cancelled) -> RunResult:
    plan = settings.load_plan()
    if not plan.targets:
        raise PlanError.of("targets", "a target whose coverage is studied", "none")
    nominal = run_plan(plan, anatomy=anatomy, cancelled=cancelled, on_progress=_unheard)
    if not nominal.converged:
        got = f"{nominal.report.status}: see what `porefield run` says of it"
        raise NotConvergedError.of("plan", f"a plan that is {SolveStatus.CONVERGED} as it stands", got)
    return nominal


def _unheard(progress: RunProgress) -> None:
    """Progress of the nominal run is not told; asking for it lets the run be cancelled between steps."""


def _write_maps(
    out: Path, store: SweepStore, table: pd.DataFrame, nominal: RunResult, samples: int, groups: int
) -> None:
    scene = nominal.scene
    attrs = {
        "Conventions": "CF-1.11",
        "disclaimer": DISCLAIMER,
        "affine": scene.grid.affine.tolist(),
        "space": "RAS",
        "electrodes": [describe_electrode(name, e, scene.grid) for name, e in scene.electrodes.items()],
    }
    base = base_points(samples, groups)
    done = (table["state"] == "done").to_numpy(bool)
    maps = probability_maps(store.read_maps()["zone"], base[done[base]], attrs)
    with published_directory(out / "probability.zarr", overwrite=True) as partial:
        write_dataset(maps, str(partial))
