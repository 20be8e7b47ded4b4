"""Run one plan: anatomy, one solve per pulse, field samples, measures; and the result, in memory or as a directory.

result = run_plan(load_plan("plan.yaml"))
result.summary["volumes_mm3"]["reversible"]
result.dataset()
result.write("out")
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import xarray as xr

from ..kernels.sampling import FieldSamples, sample_field
from ..kernels.solution import Solution, SolveStatus
from ..meshes.plan import Plan
from ..meshes.scene import Scene, SceneBuilder
from .dataset import build_dataset
from .grid_check import check_grid as check_on_larger_voxels
from .grid_check import grid_warnings
from .progress import Cancelled, OnProgress, RunControl, RunProgress
from .publish import check_target, published_directory
from .solve import find_fitting_voltage, memory_limits_named, solve_pulse
from .summarise import summarise
from .summary import RunSummary

CONTENTS = frozenset({"result.zarr", "summary.json", "report.html", "coverage.png"})
"""Of a result directory."""

OWN_SHARE = 0.7
"""Of the solving, where a grid check comes after it: 1 / (1 + 1/8 + 1/3.4), see grid_numbers.RATIOS."""


@dataclass(frozen=True, eq=False)
class RunResult:
    """A plan that was run, in memory.

    Attributes:
        scene: the plan on its anatomy.
        solutions: one per pulse.
        samples: volume-weighted samples of the largest |E| over the pulses.
        report: what was measured, typed; `summary` is the same as plain data.
    """

    scene: Scene
    solutions: tuple[Solution, ...]
    samples: FieldSamples
    report: RunSummary

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The contents of summary.json."""
        return self.report.model_dump(mode="json")

    @property
    def converged(self) -> bool:
        """Whether every pulse's solve converged; if not, no number here is to be relied on."""
        return self.report.status is SolveStatus.CONVERGED

    def dataset(self) -> xr.Dataset:
        """All maps, labelled: the variables of result.zarr."""
        return self._dataset

    @cached_property
    def _dataset(self) -> xr.Dataset:
        return build_dataset(self.scene, self.solutions, self.samples, self.report)

    def write(
        self,
        out: Path | str,
        *,
        overwrite: bool = False,
        on_progress: OnProgress | None = None,
        cancelled: Cancelled = None,
    ) -> Path:
        """Write result.zarr, summary.json, report.html and coverage.png as one directory: whole or not at all.

        Raises:
            OutputExistsError: `out` exists and is not empty, and may not be replaced.
            ResourceError: the disk is full; nothing is left behind.
            RunCancelled: the caller asked for it; nothing is left behind.
        """
        # matplotlib takes half a second to import: whoever only computes should not wait for it
        from .report import write_report
        from .store.run_store import write_store

        control = RunControl(on_progress, cancelled)
        out = Path(out)
        with published_directory(out, overwrite=overwrite, replaceable=is_result) as directory:
            control.tell(RunProgress("write"))
            write_store(self.dataset(), directory / "result.zarr", check=control.check)
            text = json.dumps(self.summary, indent=1, allow_nan=False, ensure_ascii=False)
            (directory / "summary.json").write_text(text + "\n", encoding="utf-8")
            control.check()
            write_report(directory, check=control.check)
            control.check()
        return out


def run_plan(
    plan: Plan,
    *,
    base_dir: Path | None = None,
    anatomy: Path | None = None,
    check_grid: bool | None = None,
    most_voxels: int | None = None,
    on_progress: OnProgress | None = None,
    cancelled: Cancelled = None,
) -> RunResult:
    """Run a plan and measure what it does. Nothing is written.

    Args:
        base_dir, anatomy: where its files are, as for `build_scene`.
        check_grid: solve on larger voxels too, and give each number an uncertainty (grid_check.py); None: as the plan's
            `solver.check_grid` says. Costs about half as much again.
        most_voxels: a larger grid is a PlanError.
        on_progress: called with a RunProgress between Newton steps, in the calling thread.
        cancelled: a function or a threading.Event that is asked between Newton steps.

    Raises:
        PorefieldError: the plan, its anatomy or this machine does not allow it.
        RunCancelled: the caller asked for it.
    """
    if check_grid is not None and check_grid != plan.solver.check_grid:
        plan = plan.model_copy(update={"solver": plan.solver.model_copy(update={"check_grid": check_grid})})
    own = (0.0, OWN_SHARE if plan.solver.check_grid else 1.0)
    control = RunControl(on_progress, cancelled, own)
    timings_s: dict[str, float] = {}
    control.tell(RunProgress("prepare", pulses=len(plan.trains)))
    with _timed(timings_s, "scene"):
        builder = SceneBuilder(plan, base_dir=base_dir, anatomy=anatomy, most_voxels=most_voxels)
        scene = builder.build(plan)
    result = _run(scene, control, timings_s)
    return _with_check(builder, result, RunControl(on_progress, cancelled, (own[1], 1.0)), timings_s)


def run_scene(
    scene: Scene,
    *,
    on_progress: OnProgress | None = None,
    cancelled: Cancelled = None,
    timings_s: dict[str, float] | None = None,
) -> RunResult:
    """Run a plan whose scene is built already; see `run_plan`. No grid check is made, for that needs the anatomy."""
    return _run(scene, RunControl(on_progress, cancelled), dict(timings_s or {}))


def _run(scene: Scene, control: RunControl, timings_s: dict[str, float]) -> RunResult:
    pulses = range(len(scene.pulses))
    with _timed(timings_s, "solve"), memory_limits_named(scene):
        solutions = tuple(solve_pulse(scene, i, control) for i in pulses)
    control.tell(RunProgress("sample", pulses=len(pulses)))
    with _timed(timings_s, "sample"), memory_limits_named(scene):
        samples = sample_field([scene.problem(i) for i in pulses], solutions)
    with _timed(timings_s, "limits"):
        fitting_v = [find_fitting_voltage(scene, i, s, control) for i, s in enumerate(solutions)]
    control.tell(RunProgress("measure", pulses=len(pulses)))
    with _timed(timings_s, "measure"):
        report = summarise(scene, solutions, samples, fitting_v)
    return RunResult(scene, solutions, samples, report.model_copy(update={"timings_s": _with_total(timings_s)}))


def _with_check(
    builder: SceneBuilder, result: RunResult, control: RunControl, timings_s: dict[str, float]
) -> RunResult:
    """The result with its grid check, where the plan asks for one."""
    scene, report = result.scene, result.report
    if not scene.plan.solver.check_grid:
        return result
    with _timed(timings_s, "check_grid"):
        check = check_on_larger_voxels(builder, scene, report, control)
    more = {
        "grid_check": check,
        "warnings": [*report.warnings, *grid_warnings(check)],
        "timings_s": _with_total(timings_s),
    }
    return RunResult(scene, result.solutions, result.samples, report.model_copy(update=more))


def _with_total(timings_s: dict[str, float]) -> dict[str, float]:
    whole = {**timings_s, "total": sum(timings_s.values())}
    return {name: round(seconds, 3) for name, seconds in whole.items()}


def is_result(directory: Path) -> bool:
    """Whether a directory holds a result and nothing else, so that it may be replaced."""
    names = {entry.name for entry in directory.iterdir()}
    return "summary.json" in names and names <= CONTENTS


def check_output(out: Path, *, overwrite: bool) -> None:
    """Refuse an output path before the work is done rather than after.

    Raises:
        OutputExistsError: `out` exists and is not empty, and may not be replaced.
    """
    check_target(out.expanduser().resolve(), overwrite=overwrite, replaceable=is_result)


@contextmanager
def _timed(timings_s: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        timings_s[name] = timings_s.get(name, 0.0) + time.perf_counter() - start
