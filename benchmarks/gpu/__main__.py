"""Measure the solver on this machine's device, and write docs/gpu.json and docs/gpu.md.

python -m benchmarks.gpu                             all sizes, single and in batches of 8 and 64, as far as they fit
python -m benchmarks.gpu --voxels 64 --batches 1     some of them; the other rows of this device stay
python -m benchmarks.gpu --page                      the page alone, from the figures that are there
python -m benchmarks.gpu --check                     fail if the page is not what those figures give
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from porefield.kernels.batch_size import RESERVE, free_device_bytes, lane_bytes, padded_nodes
from porefield.kernels.grid import Grid

from .measure import Row, device_label, measure
from .page import page, place

ROOT = Path(__file__).parents[2]
VOXELS, BATCHES = (64, 96, 128, 192, 256), (1, 8, 64)


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def of_its_own(*arguments: str) -> dict[str, Any]:
    """What this program says in a process of its own: a peak of memory is that of one row, running out of it ends one
    row, and this process takes no memory of the device."""
    command = [sys.executable, "-m", "benchmarks.gpu", *arguments]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    if done.returncode:
        say(done.stderr)
        return {"failed": (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1][:80]}
    return json.loads(done.stdout.splitlines()[-1])


def probe() -> dict[str, Any]:
    """The device's name and free memory (None for a CPU)."""
    return {"device": device_label(), "free_bytes": free_device_bytes()}


def fits(free_bytes: int | None, voxels: int, batch: int) -> bool:
    """On a GPU, by batch_size.py; on a CPU whoever starts this knows."""
    nodes = padded_nodes(Grid((voxels, voxels, voxels), (1.0, 1.0, 1.0)))
    return free_bytes is None or batch * lane_bytes(nodes) <= (1 - RESERVE) * free_bytes


def measure_all(wanted: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """The device's name, and its rows by what was asked for."""
    device = of_its_own("--probe")
    if "failed" in device:
        raise SystemExit(f"no device to measure: {device['failed']}")
    say(json.dumps(device))
    rows: list[Row] = []
    for voxels, batch in ((v, b) for v in wanted.voxels for b in wanted.batches):
        if not fits(device["free_bytes"], voxels, batch):
            rows.append({"voxels": voxels, "batch": batch, "failed": "does not fit"})
            continue
        found = of_its_own("--row", str(voxels), str(batch), "--rounds", str(wanted.rounds))
        rows.append({"voxels": voxels, "batch": batch, **found})
        say(json.dumps(rows[-1]))
    return device["device"], {"jax": jax.__version__, "rows": rows}


def merge(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """New rows in place of old ones of the same size."""
    fresh = {place(row) for row in new["rows"]}
    kept = [row for row in (old or {"rows": []})["rows"] if place(row) not in fresh]
    return new | {"rows": sorted([*kept, *new["rows"]], key=place)}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--voxels", type=int, nargs="+", default=VOXELS, help="along each side of the cube")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--row", type=int, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--probe", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--check", action="store_true")
    wanted = parser.parse_args(arguments)
    file, written = wanted.docs / "gpu.json", wanted.docs / "gpu.md"
    if wanted.row:
        jax.config.update("jax_compilation_cache_dir", str(ROOT / ".jax_cache"))
        say(json.dumps(measure(*wanted.row, rounds=wanted.rounds)))
        return 0
    if wanted.probe:
        say(json.dumps(probe()))
        return 0
    figures = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"devices": {}}
    if wanted.check:
        same = written.read_text(encoding="utf-8") == page(figures)
        say("the page is what the figures give" if same else "the page is not what the figures give: --page")
        return 0 if same else 1
    if not wanted.page:
        name, found = measure_all(wanted)
        figures["devices"][name] = merge(figures["devices"].get(name), found)
        file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    written.write_text(page(figures), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
