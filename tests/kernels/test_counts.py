"""Counts of small solves against recorded ones, in a process that has compiled nothing yet. Never seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECORDED = Path(__file__).with_name("counts.json")


def check(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.counts", "--check", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True)


@pytest.mark.slow
def test_no_count_of_a_small_solve_has_grown() -> None:
    """Meant to grow? Then `python -m benchmarks.counts --record`, and say why in the commit."""
    done = check()
    assert done.returncode == 0, done.stdout + done.stderr


def test_counts_that_rise_fail(tmp_path: Path) -> None:
    more = {"newton_steps": 1, "cg_iterations": 5, "compilations": 1, "xla_bytes_moved_per_voxel": 99}
    counts = json.loads(RECORDED.read_text())
    for name, by in more.items():
        counts["grids"]["48"][name] += by
    found = tmp_path / "found.json"
    found.write_text(json.dumps(counts))
    done = check("--found", found)
    assert done.returncode == 1
    grown = [line.split(":")[1] for line in done.stdout.splitlines() if line.startswith("GROWN")]
    assert grown == [f" 48^3, {name}" for name in more]
