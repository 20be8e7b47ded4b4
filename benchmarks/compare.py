"""Two commits on one machine, taking turns: python -m benchmarks.compare BASE [--voxels 64 96] [--rounds 5].

BASE is checked out into a temporary folder (git worktree); the other is the working tree. Both solve the fixed problem
with the packages installed here, each in a process of its own, on one thread, warm. Ratios are of the same turn.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from .peers.protocol import ROOT, Record, Served

FOLDERS = ("kernels", "meshes", "workers", "service")


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def importable(tree: Path, folder: Path) -> Path:
    """A folder from which a tree's porefield.* is imported, before the installed one."""
    package = folder / "porefield"
    package.mkdir(parents=True)
    for name in FOLDERS:
        (package / name).symlink_to(tree / name)
    return folder


def compare(base: Path, voxels: int, rounds: int, scratch: Path) -> None:
    sides: dict[str, list[Record]] = {"base": [], "here": []}
    served: dict[str, Served] = {}
    for name, tree in (("base", base), ("here", ROOT)):
        path = importable(tree, scratch / f"{name}{voxels}")
        command = [sys.executable, Path(__file__).with_name("compare_worker.py"), str(voxels)]
        served[name] = Served(command, more={"PYTHONPATH": os.pathsep.join([str(path), str(ROOT)])})
    with served["base"], served["here"]:
        for _ in range(rounds):
            for name, one in served.items():
                sides[name].append(one.solve())
    ratios = [b["seconds"] / a["seconds"] for a, b in zip(sides["base"], sides["here"], strict=True)]
    for name, solves in sides.items():
        seconds, last = [s["seconds"] for s in solves], solves[-1]
        told = f"newton {last['steps']}, cg {last['iterations']}, residual {last['residual']:.1e}"
        say(f"{voxels}^3 {name}: median {statistics.median(seconds):.3f} s, least {min(seconds):.3f} s; {told}")
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
    say(f"{voxels}^3 here / base: {statistics.median(ratios):.3f} ({spread}, {rounds} turns)")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("base")
    parser.add_argument("--voxels", type=int, nargs="+", default=[64, 96])
    parser.add_argument("--rounds", type=int, default=5)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "base"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(tree), wanted.base], cwd=ROOT, check=True)
        try:
            for voxels in wanted.voxels:
                compare(tree, voxels, wanted.rounds, Path(scratch))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
