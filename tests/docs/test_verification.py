"""docs/verification.md is what `make verify` makes of the committed figures; docs/certificate.md says what it found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_figures_give() -> None:
    command = [sys.executable, "-m", "benchmarks.verification", "--check"]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_certificates_page_tells_how_many_errors_lay_within() -> None:
    found = json.loads((ROOT / "docs" / "certificate.json").read_text(encoding="utf-8"))
    words = " ".join((ROOT / "docs" / "certificate.md").read_text(encoding="utf-8").split())
    for problems, name in (("chamber", "current"), ("chamber", "coverage"), ("C", "current"), ("C", "volume")):
        some = [one for one in found if one["problem"].startswith(problems) and one["number"] == name]
        within = sum(abs(one["error"]) <= one["uncertainty"] for one in some)
        assert some
        assert f"{within} of {len(some)} {name}s" in words.replace("covered shares", "coverages")
    # one that says nothing holds everything
    assert sorted(one["uncertainty"] for one in found)[len(found) // 2] < 0.15
