"""Solve all verification cases, and write docs/verification.json, docs/verification.md and its pictures; and how
honest uncertainties are, docs/certificate.json with its picture.

python -m benchmarks.verification                 all cases at all spacings, and uncertainties
python -m benchmarks.verification --case NAME     some cases anew; the others' figures stay as they are
python -m benchmarks.verification --uncertainty   uncertainties alone
python -m benchmarks.verification --page          the page alone, from the figures that are there
python -m benchmarks.verification --check         fail if the page is not what those figures give
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import jax

from porefield.kernels.cases.case import Case
from porefield.kernels.cases.catalogue import all_cases

from .control import PrescribedCurrentCase
from .page import broken_bars, page

DOCS = Path(__file__).parents[2] / "docs"
FIGURES, PAGE = DOCS / "verification.json", DOCS / "verification.md"


def cases_on_the_page() -> tuple[Case, ...]:
    """The kernels' own, and what needs more than the kernels."""
    return (*all_cases(), PrescribedCurrentCase())


def solve(case: Case) -> dict[str, Any]:
    """Figures at all of a case's spacings (mm)."""
    found = {}
    for spacing in case.spacings_mm:
        began = time.perf_counter()
        m = case.measure(spacing)
        say(f"{case.name} at {spacing:g} mm: {m.voxels} voxels, {time.perf_counter() - began:.1f} s")
        if not m.converged:
            raise SystemExit(f"{case.name} at {spacing:g} mm did not converge: residual {m.residual:.1e}")
        found[f"{spacing:g}"] = {name: float(f"{value:.8g}") for name, value in m.values.items()}
    return found


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verification", description=__doc__)
    parser.add_argument("--case", action="append", default=[])
    parser.add_argument("--uncertainty", action="store_true")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--check", action="store_true")
    wanted = parser.parse_args()
    cases = cases_on_the_page()
    figures: dict[str, Any] = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    if wanted.check:
        same = list(figures) == [c.name for c in cases] and PAGE.read_text(encoding="utf-8") == page(cases, figures)
        say("the page is what the figures give" if same else "the page is not what the figures give: make verify")
        return 0 if same else 1
    jax.config.update("jax_compilation_cache_dir", str(DOCS.parent / ".jax_cache"))
    if not wanted.page and not wanted.uncertainty:
        from .pictures import draw

        names = set(wanted.case) or {case.name for case in cases}
        solved = {case.name: solve(case) for case in cases if case.name in names}
        # in the catalogue's order, and without cases that are no more
        figures = {c.name: solved.get(c.name) or figures[c.name] for c in cases if c.name in solved | figures}
        FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        draw(cases, figures, DOCS / "images")
    PAGE.write_text(page(cases, figures), encoding="utf-8")
    if wanted.uncertainty or not (wanted.case or wanted.page):
        from . import uncertainty

        uncertainty.write(uncertainty.checked(say), DOCS)
    for line in (broken := broken_bars(cases, figures)):
        say(line)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
