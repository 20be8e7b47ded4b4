"""Each kind of job from inputs to a published result; stopped, repeated, without room, on an upload."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from porefield.workers.jobs import work
from porefield.workers.jobs.task import JobTask
from porefield.workers.jobs.work import JobProcess, JobWork
from porefield.workers.progress import RunCancelled
from porefield.workers.store.files import BusyError
from porefield.workers.store.run_store import open_result, read_summary

from ..sweep.stub import PLAN
from .jobs import INPUTS, execute, job, long_sweep, remains

ROOT = Path(__file__).parents[2]


def nothing(directory: Path) -> dict[str, Any]:
    """What stubs say of their results."""
    return {}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any], list[dict[str, Any]]]]:
    """Each process, run once: its folder, outcome and what it told."""
    found = {}
    for process in INPUTS:
        folder = tmp_path_factory.mktemp(process)
        found[process] = (folder, *execute(job(folder, process)))
    return found


def test_a_plan_is_published_as_the_command_line_writes_it(done: Any) -> None:
    folder, outcome, told = done["plan"]
    files = ["coverage.png", "report.html", "result.zarr", "summary.json"]
    assert outcome == {"state": "successful", "result": "0123abcd", "files": files, "converged": True}
    assert remains(folder) == ["results/0123abcd"]
    summary = read_summary(folder / "results/0123abcd")
    assert summary["status"] == "converged"
    assert summary["timings_s"]["scene"] > 0
    with open_result(folder / "results/0123abcd") as maps:
        assert maps["zone"].shape == (16, 16, 16)
    steps = [t for t in told if t["stage"] == "solve" and t["step"] is not None]
    assert told[-1]["stage"] == "write"
    for one in told:
        assert one["pulses"] == 1
        assert 0 <= one["fraction"] <= 1
    assert all("Newton step" in one["message"] for one in steps)


def test_a_sweep_is_published_without_its_records(done: Any) -> None:
    folder, outcome, told = done["sweep"]
    files = ["maps.zarr", "points.parquet", "result.zarr", "summary.json", "sweep.json"]
    points = {"total": 5, "done": 5, "failed": 0, "skipped": 0}
    assert outcome == {"state": "successful", "result": "0123abcd", "files": files, "points": points}
    assert remains(folder) == ["results/0123abcd"]
    directory = folder / "results/0123abcd"
    with xr.open_zarr(directory / "result.zarr") as data, xr.open_zarr(directory / "maps.zarr") as maps:
        assert data["voltage"].values.tolist() == [600, 700, 800, 900, 1000]
        assert (np.diff(data["generator_current_a"].values[:, 0]) > 0).all()
        assert maps["zone"].shape == (5, 16, 16, 16)
        assert data.attrs["complete"] is True
    assert pd.read_parquet(directory / "points.parquet")["state"].tolist() == ["done"] * 5
    summary = json.loads((directory / "summary.json").read_text())
    assert (summary["dims"], summary["points"], summary["failures"]) == ({"voltage": 5}, points, {})
    assert told[-1]["done"] == told[-1]["total"] == 5
    assert told[-1]["message"] == "5 of 5 points, 0 failed"


def test_a_study_is_published_as_its_documentation_says(done: Any) -> None:
    folder, outcome, _ = done["robustness"]
    assert outcome["points"] == {"total": 20, "done": 20, "failed": 0, "skipped": 0}
    assert outcome["files"] == [
        "nominal",
        "probability.png",
        "probability.zarr",
        "report.html",
        "result.zarr",
        "robustness.json",
        "sweep",
    ]
    assert remains(folder) == ["results/0123abcd"]
    directory = folder / "results/0123abcd"
    with xr.open_zarr(directory / "result.zarr") as maps, open_result(directory / "nominal") as nominal:
        assert maps["probability_reversible"].shape == nominal["zone"].shape
    assert len(pd.read_parquet(directory / "sweep/points.parquet")) == 20
    assert {p.name for p in (directory / "sweep").iterdir()} == {
        "maps.zarr",
        "points.parquet",
        "result.zarr",
        "sweep.json",
    }


@pytest.mark.parametrize("process", INPUTS)
def test_nothing_published_names_a_folder_of_this_machine(done: Any, process: str) -> None:
    folder, _, _ = done[process]
    files = [path for path in (folder / "results").rglob("*") if path.is_file()]
    assert len(files) > 3
    for path in files:
        assert str(folder).encode() not in path.read_bytes(), path
        assert not path.is_symlink()


@pytest.mark.parametrize("process", INPUTS)
def test_the_same_task_again_finds_its_result(done: Any, process: str) -> None:
    folder, outcome, _ = done[process]
    (folder / "work/0123abcd").mkdir(parents=True)  # of an attempt that died before it could say that it was done
    (folder / "results/.0123abcd.partial-1").mkdir()  # of one that died before that
    start = time.monotonic()
    again, told = execute(job(folder, process))
    assert (again, told) == (outcome, [])
    assert remains(folder) == ["results/0123abcd"]
    assert time.monotonic() - start < 1


@pytest.mark.parametrize(("process", "kept"), [("plan", []), ("sweep", ["work/0123abcd"]), ("robustness", None)])
def test_a_job_stops_within_two_seconds_and_leaves_no_result(
    done: Any, tmp_path: Path, process: str, kept: list[str] | None
) -> None:
    told: list[dict[str, Any]] = []
    asked_s: list[float] = []

    def stop() -> bool:
        begun = any(t.get("step") or t["fraction"] > 0 for t in told)
        if begun and not asked_s:
            asked_s.append(time.monotonic())
        return begun

    inputs = long_sweep() if process == "sweep" else INPUTS[process]
    outcome = JobWork().run(job(tmp_path, process, inputs), stop, told.append)
    assert outcome == {"state": "stopped"}
    assert time.monotonic() - asked_s[0] < 2
    assert remains(tmp_path) == (["work/0123abcd"] if kept is None else kept)
    if process != "plan":
        again, _ = execute(job(tmp_path, process, inputs))
        points = again["points"]["done"]
        assert points == (60 if process == "sweep" else done[process][1]["points"]["done"])
        assert remains(tmp_path) == ["results/0123abcd"]


def test_a_plan_that_does_not_converge_ends_well_and_says_so(tmp_path: Path) -> None:
    plan = {**PLAN, "solver": {"max_newton_steps": 1}}
    outcome, _ = execute(job(tmp_path, "plan", plan))
    assert (outcome["state"], outcome["converged"]) == ("successful", False)


def test_what_can_not_be_computed_fails_with_its_fields_and_leaves_nothing(tmp_path: Path) -> None:
    needle = {**PLAN["electrodes"][1]["needle"], "tip_mm": [4.5, 8, 12]}
    plan = {**PLAN, "electrodes": [PLAN["electrodes"][0], {**PLAN["electrodes"][1], "needle": needle}]}
    outcome, _ = execute(job(tmp_path, "plan", plan))
    assert outcome["state"] == "failed"
    assert outcome["error"]["kind"] == "GeometryError"
    assert outcome["error"]["problems"][0]["field"].startswith("electrodes[1]")
    assert outcome["error"]["message"].startswith("electrodes[1]")
    assert remains(tmp_path) == []
    outcome, _ = execute(job(tmp_path, "robustness", {**INPUTS["robustness"], "threshold": {"bone": 0.1}}))
    assert outcome["error"]["problems"][0]["field"] == "threshold.bone"
    assert remains(tmp_path) == []


def test_limits_hold_where_the_anatomy_decides(tmp_path: Path) -> None:
    axis = {"name": "voxel", "field": "grid.spacing_mm[0]", "values": [1.0, 0.5]}
    plan = {**PLAN, "grid": {"spacing_mm": [1, 1, 1]}}
    outcome, _ = execute(job(tmp_path, "sweep", {"plan": plan, "axes": [axis]}, most_voxels=5000))
    assert outcome["points"] == {"total": 2, "done": 1, "failed": 1, "skipped": 0}
    summary = json.loads((tmp_path / "results/0123abcd/summary.json").read_text())
    assert summary["failures"] == {"grid.spacing_mm: expected at most 5000 voxels; got 8192": 1}
    many = {**INPUTS["robustness"], "groups": "each"}
    outcome, _ = execute(job(tmp_path / "study", "robustness", many, most_points=20))
    assert outcome["error"]["problems"] == [{"field": "samples", "expected": "at most 20 points in all", "got": "32"}]


@pytest.mark.slow
@pytest.mark.parametrize(("process", "most_bytes"), [("plan", 2000), ("sweep", 2000), ("sweep", 5000)])
def test_a_full_disk_is_told_and_nothing_is_left(tmp_path: Path, process: str, most_bytes: int) -> None:
    command = [sys.executable, "-m", "tests.jobs.jobs", process, str(tmp_path), str(most_bytes)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    outcome = json.loads(ended.stdout)
    assert outcome["state"] == "failed"
    assert outcome["error"]["kind"] == "ResourceError"
    assert outcome["error"]["problems"][0]["field"] == "out"
    assert str(tmp_path) not in ended.stdout
    assert remains(tmp_path) == []


def test_a_lack_of_memory_is_told_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hungry(task: JobTask, reporter: Any) -> None:
        task.work_dir.mkdir(parents=True)
        raise MemoryError

    monkeypatch.setattr(work, "check_inputs", lambda *_, **__: None)
    outcome = JobWork({"plan": JobProcess(hungry, nothing)}).run(job(tmp_path, "plan"), lambda: False, lambda _: None)
    assert outcome["error"]["kind"] == "ResourceError"
    assert outcome["error"]["message"] == "grid.spacing_mm: expected a job that fits into memory; got memory ran out"
    assert remains(tmp_path) == []


def test_what_another_attempt_may_mend_is_raised_and_kept(tmp_path: Path) -> None:
    for error in (BusyError.of("out", "nobody", "somebody"), PermissionError(13, "denied"), RuntimeError("odd")):

        def broken(task: JobTask, reporter: Any, error: Exception = error) -> None:
            task.work_dir.mkdir(parents=True, exist_ok=True)
            raise error

        with pytest.raises(type(error)):
            JobWork({"plan": JobProcess(broken, nothing)}).run(job(tmp_path, "plan"), lambda: False, lambda _: None)
        assert remains(tmp_path) == ["work/0123abcd"]


def test_a_sweep_that_another_version_began_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as other:
        other.setattr("porefield.workers.sweep.evaluate.inputs_of", lambda *_: "another version")
        told: list[dict[str, Any]] = []
        task = job(tmp_path, "sweep", long_sweep())
        stopped = JobWork().run(task, lambda: any(t.get("done") for t in told), told.append)
        assert stopped == {"state": "stopped"}
    outcome, _ = execute(task)
    assert outcome["points"]["done"] == 60


def test_a_stub_can_be_stopped_before_it_begins(tmp_path: Path) -> None:
    def never(task: JobTask, reporter: Any) -> None:
        raise AssertionError

    outcome = JobWork({"plan": JobProcess(never, nothing)}).run(job(tmp_path, "plan"), lambda: True, lambda _: None)
    assert outcome == {"state": "stopped"}
    with pytest.raises(ValueError, match="job_id"):
        dataclasses.replace(job(tmp_path, "plan"), job_id="../up")


def scan(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """A plan on an uploaded label map with a mask, and where the uploads lie."""
    data = np.zeros((16, 16, 16), np.uint8)
    data[2:-2, 2:-2, 2:-2] = 1
    images = {"path": data, "body": np.ones_like(data)}
    label_map: dict[str, Any] = {"names": {1: "liver"}, "background": "fat"}
    files: dict[str, str] = {}
    for name, voxels in images.items():
        image = nib.Nifti1Image(voxels, np.eye(4))
        image.header.set_xyzt_units("mm")
        content = gzip.compress(image.to_bytes(), mtime=0)
        sha = hashlib.sha256(content).hexdigest()
        path = folder / "anatomies" / sha / "image.nii.gz"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        label_map[name], files[sha] = f"upload:{sha}", str(path)
    anatomy = {"label_map": label_map, "add": PLAN["anatomy"]["add"]}
    return {**PLAN, "anatomy": anatomy, "grid": {"spacing_mm": 1.0, "margin_mm": 4}}, files


@pytest.mark.parametrize("process", INPUTS)
def test_uploads_are_read_by_their_hash_and_nothing_of_this_machine_is_told(tmp_path: Path, process: str) -> None:
    plan, files = scan(tmp_path)
    inputs = plan if process == "plan" else {**INPUTS[process], "plan": plan}
    outcome, told = execute(job(tmp_path, process, inputs, anatomies=files))
    assert outcome["state"] == "successful", outcome
    assert str(tmp_path) not in json.dumps([outcome, told])
    for path in (tmp_path / "results").rglob("*"):
        assert not path.is_symlink()
        assert path.is_dir() or str(tmp_path).encode() not in path.read_bytes(), path
    if process == "plan":
        provenance = read_summary(tmp_path / "results/0123abcd")["provenance"]
        sha = plan["anatomy"]["label_map"]["path"].removeprefix("upload:")
        assert provenance["label_map"]["path"] == f"{sha}.nii.gz"
        assert provenance["label_map"]["sha256"] == sha


def test_uploads_that_are_gone_or_broken_are_told_by_the_plans_field(tmp_path: Path) -> None:
    plan, files = scan(tmp_path)
    outcome, _ = execute(job(tmp_path, "sweep", {**INPUTS["sweep"], "plan": plan}))
    fields = [problem["field"] for problem in outcome["error"]["problems"]]
    assert fields == ["plan.anatomy.label_map.path", "plan.anatomy.label_map.body"]
    sha = plan["anatomy"]["label_map"]["path"].removeprefix("upload:")
    Path(files[sha]).write_bytes(Path(files[sha]).read_bytes()[:60])
    outcome, _ = execute(job(tmp_path, "plan", plan, anatomies=files))
    (problem,) = outcome["error"]["problems"]
    assert outcome["error"]["kind"] == "AnatomyError"
    assert problem["field"] == "anatomy.label_map.path"
    assert problem["got"].startswith(f"{sha}.nii.gz: ")
    assert str(tmp_path) not in json.dumps(outcome)
    assert remains(tmp_path) == []


def test_cancelled_is_not_an_error() -> None:
    assert not issubclass(RunCancelled, work.PorefieldError)
