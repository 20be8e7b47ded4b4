"""`porefield examples`."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner, Result

from porefield.meshes import load_plan
from porefield.meshes.gallery import load_gallery
from porefield.service.cli import app


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["examples", *arguments])


def test_the_list_names_every_case() -> None:
    assert all(name in call().output for name in load_gallery())
    assert set(json.loads(call("--json").output)) == set(load_gallery())


def test_a_case_is_copied_as_it_is_or_with_large_voxels(tmp_path: Path) -> None:
    assert call("skin_fold", "--out", str(tmp_path / "fine")).exit_code == 0
    assert call("--coarse", "--out", str(tmp_path / "coarse")).exit_code == 0
    text = (tmp_path / "fine" / "skin_fold.yaml").read_text()
    assert text == load_gallery()["skin_fold"].text == call("skin_fold").output
    assert {path.stem for path in (tmp_path / "coarse").iterdir()} == set(load_gallery())
    assert load_plan(tmp_path / "coarse" / "skin_fold.yaml").grid.spacing_mm == (1, 1, 1)


def test_nothing_is_overwritten_and_unknown_names_are_refused(tmp_path: Path) -> None:
    (tmp_path / "vertebra.yaml").write_text("mine")
    done = call("--out", str(tmp_path))
    assert done.exit_code == 2
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
    done = call("vertebrae")
    assert done.exit_code == 2
    assert "did you mean" in " ".join(done.output.replace("│", " ").split())
