"""docs/gallery.md is what its figures give, and has all cases."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from porefield.meshes.gallery import load_gallery

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_figures_give() -> None:
    command = [sys.executable, "-m", "benchmarks.gallery", "--check"]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_figures_are_of_all_cases_at_their_spacing() -> None:
    figures = json.loads((ROOT / "docs" / "gallery.json").read_text(encoding="utf-8"))
    assert {name: one["spacing_mm"] for name, one in figures.items()} == {
        name: case.spacing_mm for name, case in load_gallery().items()
    }
    assert all((ROOT / "docs" / "images" / "gallery" / f"{name}.png").exists() for name in figures)
