"""Run the cases of the gallery; write docs/gallery.json, docs/gallery.md, its pictures, and the figures tests expect.

python -m benchmarks.gallery                  all cases at the full grid: figures, times, pictures, page (3 minutes)
python -m benchmarks.gallery --case NAME      some of them anew
python -m benchmarks.gallery --coarse         the figures of the coarse grid anew, meshes/data/cases/expected.yaml
python -m benchmarks.gallery --page           the page alone, from the figures that are there
python -m benchmarks.gallery --check          fail if the page is not what those figures give
python -m benchmarks.gallery --keep FOLDER    keep the results, with their reports
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from porefield.meshes import load_plan
from porefield.meshes.gallery import load_gallery
from porefield.workers import RunResult, run_plan
from porefield.workers.gallery import figures_of

from .page import page

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FIGURES, PAGE, PICTURES = DOCS / "gallery.json", DOCS / "gallery.md", DOCS / "images" / "gallery"
EXPECTED = ROOT / "meshes" / "data" / "cases" / "expected.yaml"
HEAD = """\
# The cases of the gallery, in the order of `porefield examples`, with what they come to at coarse_spacing_mm (edges of
# the voxels): shares of targets covered at the low, nominal and high threshold, the largest current, the largest field
# in structures to be spared. Made by `python -m benchmarks.gallery --coarse`; tests hold runs against it. Figures on
# coarse voxels are for that alone: docs/gallery.md has those of the full grid.
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gallery", description=__doc__)
    parser.add_argument("--case", action="append", default=[], choices=list(load_gallery()))
    for flag in ("--coarse", "--page", "--check"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--keep", type=Path)
    wanted = parser.parse_args()
    names = wanted.case or list(load_gallery())
    if wanted.check:
        return int(PAGE.read_text(encoding="utf-8") != page(_figures()))
    if wanted.coarse:
        _record_coarse(names)
        return 0
    if not wanted.page:
        for name in names:
            _record_full(name, wanted.keep)
    PAGE.write_text(page(_figures()), encoding="utf-8")
    return 0


def _figures() -> dict[str, Any]:
    return json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}


def _solve(name: str, *, coarse: bool) -> tuple[RunResult, dict[str, float]]:
    """A case's result; seconds on the clock, and of all its threads on processors."""
    began, worked = time.perf_counter(), time.process_time()
    result = run_plan(load_plan(load_gallery()[name].plan_text(coarse=coarse)))
    times = {"wall_s": round(time.perf_counter() - began, 1), "cpu_s": round(time.process_time() - worked, 1)}
    if not result.converged:
        raise SystemExit(f"{name} did not converge")
    print(f"{name}: {result.summary['grid']['voxels']} voxels, {times}", flush=True)  # noqa: T201
    return result, times


def _record_coarse(names: list[str]) -> None:
    found = {name: figures_of(_solve(name, coarse=True)[0].summary) for name in names}
    table = yaml.safe_load(EXPECTED.read_text(encoding="utf-8"))
    for name, figures in found.items():
        table["cases"][name]["figures"] = figures
    text = yaml.safe_dump(table, sort_keys=False, default_flow_style=None, width=110)
    EXPECTED.write_text(HEAD + text, encoding="utf-8")


def keep_picture(path: Path, name: str) -> None:
    """A report's main picture for the page: 1200 pixels wide and of 256 colours, a quarter of its bytes."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with Image.open(path) as picture:
        small = picture.convert("RGB").resize((1200, round(1200 * picture.height / picture.width)))
        small.quantize(256).save(PICTURES / f"{name}.png", optimize=True)


def _record_full(name: str, keep: Path | None) -> None:
    result, times = _solve(name, coarse=False)
    with tempfile.TemporaryDirectory() as scratch:
        folder = (keep or Path(scratch)) / name
        result.write(folder, overwrite=True)
        keep_picture(folder / "coverage.png", name)
    summary = result.summary
    described = {
        "title": load_gallery()[name].title,
        "spacing_mm": load_gallery()[name].spacing_mm,
        "voxels": summary["grid"]["voxels"],
        "trains": len(summary["pulses"]),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        **times,
        **figures_of(summary),
        "limit_v_per_cm": {key: one["limit_v_per_cm"] for key, one in summary["avoid"].items()},
        "above_limit_mm3": {key: round(one["volume_above_limit_mm3"], 1) for key, one in summary["avoid"].items()},
        "within_generator_limits": all(pulse["within_generator_limits"] for pulse in summary["pulses"]),
        "capped": sum(note["kind"] == "voltage_capped" for note in summary["notes"]),
    }
    kept = {**_figures(), name: described}
    ordered = {known: kept[known] for known in load_gallery() if known in kept}
    FIGURES.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
