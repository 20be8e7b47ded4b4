"""docs/gpu.md is what benchmarks/gpu makes of the committed figures; the program runs, on a CPU too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", *arguments]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_is_what_the_figures_give() -> None:
    run("--check")


@pytest.mark.slow
def test_a_device_is_measured_and_joins_the_page(tmp_path: Path) -> None:
    """16^3 voxels, a batch of 2; a row of another device stays."""
    figures = json.loads((ROOT / "docs" / "gpu.json").read_text(encoding="utf-8"))
    (name,) = (n for n in figures["devices"] if n.startswith("CPU"))
    card = {"jax": "0", "rows": [{"voxels": 64, "batch": 1, "failed": "does not fit"}]}
    (tmp_path / "gpu.json").write_text(json.dumps({"devices": {"NVIDIA L4": card}}), encoding="utf-8")
    run("--voxels", "16", "--batches", "2", "--rounds", "1", "--docs", str(tmp_path))
    devices = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["devices"]
    assert devices.pop("NVIDIA L4") == card
    (measured,) = devices.values()
    (row,) = measured["rows"]
    assert row["residual"] <= 1e-7
    assert set(row) == set(figures["devices"][name]["rows"][0])
    page = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert "| 16³ | 2 |" in page
    assert "| 64³ | 1 | does not fit |" in page
    assert "| H100 SXM | not measured yet |" in page
    assert "| L4 | not measured yet |" not in page
