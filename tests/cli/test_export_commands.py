"""`porefield export` and `porefield markups`: files that appear whole, and options that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import pytest
from typer.testing import CliRunner, Result

from porefield.kernels.solution import SolveStatus
from porefield.meshes import build_scene, load_plan
from porefield.service.cli import app
from porefield.workers import run_scene
from porefield.workers.store.run_store import write_store

from ..workers.linear_field import TINY_PLAN, LinearFieldSolver


def call(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def result_dir(tmp_path: Path, linear_field: LinearFieldSolver) -> Path:
    (tmp_path / "result").mkdir()
    write_store(run_scene(build_scene(load_plan(TINY_PLAN))).dataset(), tmp_path / "result" / "result.zarr")
    return tmp_path / "result"


def test_maps_and_surfaces_are_written(result_dir: Path, tmp_path: Path) -> None:
    done = call("export", result_dir, "--to", tmp_path / "new" / "field.nii.gz")
    assert (done.exit_code, done.stdout.strip()) == (0, str(tmp_path / "new" / "field.nii.gz"))
    image: Any = nib.load(tmp_path / "new" / "field.nii.gz")
    assert float(image.dataobj[2, 6, 6]) == 250.0
    assert call("export", result_dir / "result.zarr", "--to", tmp_path / "z.nrrd", "--map", "zone").exit_code == 0
    for options in (["--above", 600], ["--zone", "reversible"], ["--structure", "lump", "--space", "ras"]):
        assert call("export", result_dir, "--to", tmp_path / "s.stl", *options, "--overwrite").exit_code == 0
    assert (tmp_path / "s.stl").read_bytes().startswith(b"SPACE=RAS mm; porefield lump")


@pytest.mark.parametrize(
    ("to", "options", "words"),
    [
        ("x.vtk", [], "ends with one of"),
        ("x.stl", [], "expected one of --above, --zone and --structure, got none of them"),
        ("x.stl", ["--above", 1, "--zone", "reversible"], "got --above and --zone"),
        ("x.stl", ["--zone", "reversible", "--pulse", 0], "has no part in writing x.stl"),
        ("x.nii", ["--above", 400], "has no part in writing x.nii"),
        ("x.ply", ["--above", 400, "--frame", "grid"], "has no part in writing x.ply"),
    ],
)
def test_options_that_play_no_part_are_refused(tmp_path: Path, to: str, options: list[Any], words: str) -> None:
    done = call("export", tmp_path, "--to", tmp_path / to, *options)
    assert done.exit_code == 2
    assert words in " ".join(done.output.replace("│", " ").split())
    assert not list(tmp_path.iterdir())


def test_what_a_result_does_not_hold(result_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "here.nii").write_text("mine")
    assert call("export", result_dir, "--to", tmp_path / "here.nii").exit_code == 2
    assert (tmp_path / "here.nii").read_text() == "mine"
    done = call("export", result_dir, "--to", tmp_path / "x.nii", "--map", "zonee")
    assert done.exit_code == 3
    assert "did you mean zone?" in done.output
    assert call("export", tmp_path, "--to", tmp_path / "x.nii").exit_code == 2
    assert not (tmp_path / "x.nii").exists()


def test_a_result_that_did_not_converge(tmp_path: Path, linear_field: LinearFieldSolver) -> None:
    linear_field.status = SolveStatus.STAGNATED
    write_store(run_scene(build_scene(load_plan(TINY_PLAN))).dataset(), tmp_path / "result.zarr")
    done = call("export", tmp_path, "--to", tmp_path / "x.nii")
    assert done.exit_code == 4
    assert "did not converge" in done.output
    assert b"NOT CONVERGED" in (tmp_path / "x.nii").read_bytes()


def test_a_plans_electrodes_as_markups_and_back(plan_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "needles.mrk.json"
    assert call("markups", plan_file, "--out", out).exit_code == 0
    assert [markup["name"] for markup in json.loads(out.read_text())["markups"]] == ["A", "B", "C"]
    assert call("markups", plan_file, "--out", out).exit_code == 2
    table = json.loads(plan_file.read_text())
    for electrode in table["electrodes"]:
        for name in ("tip_mm", "direction"):
            del electrode["needle"][name]
        electrode["needle"]["line"] = {"path": out.name, "name": electrode["name"], "tip": "first"}
    (tmp_path / "again.json").write_text(json.dumps(table))
    for one, other in zip(load_plan(plan_file).electrodes, load_plan(tmp_path / "again.json").electrodes, strict=True):
        assert one.needle is not None
        assert other.needle is not None
        assert other.needle.tip_mm == one.needle.tip_mm
        assert other.needle.unit_direction == pytest.approx(one.needle.unit_direction, abs=1e-12)
