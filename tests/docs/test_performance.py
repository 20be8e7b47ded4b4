"""docs/performance.md is what `make bench-page` makes of the committed figures, to the letter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_figures_give() -> None:
    command = [sys.executable, "-m", "benchmarks.performance", "--check"]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
