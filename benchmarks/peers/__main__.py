"""porefield beside other solvers, taking turns, each on one thread and warm; figures in docs/performance.json.

python -m benchmarks.peers [--voxels 64 96 128] [--peer NAME ...]     the same equations to the same residual
python -m benchmarks.peers --accuracy [--code NAME ...]              seconds to 1 % of the current by finite elements

A figure is kept only if the peer's residual, evaluated by the same code for all, is within the tolerance, its current
is porefield's, and it ran on as many threads as porefield. What can't run here is kept as such, with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..figures import keep
from ..growth import TOLERANCE, start_porefield
from ..measure import passes
from ..problems import BLOCK, REFERENCE, two_needles
from .export import export, export_staircase
from .protocol import ROOT, Record, Served, Unavailable

PYTHON = Path(os.environ.get("PEERS_PYTHON", ROOT / ".venv-peers" / "bin" / "python"))
SAME_CURRENT = 1e-4
"""Relative; what a residual of 1e-6 leaves undecided is a tenth of that."""
METHODS = {
    "hypre PFMG": ("anderson", "newton"),
    "AMGCL": ("anderson", "newton"),
    "PETSc GAMG": ("anderson", "newton"),
    "PETSc BoomerAMG": ("anderson", "newton"),
    "PyAMG": ("anderson", "newton"),
    "JAX CG": ("anderson",),
    "red-black SOR": ("sor",),
    "SciPy direct": ("anderson",),
}
LARGEST = {"SciPy direct": 32, "JAX CG": 96, "red-black SOR": 128}
"""Voxels along a side beyond which a peer would take minutes, or all memory."""
VOXEL_CODE_AT = (32, 48, 64, 80, 96)
POREFIELD_AT = (24, 30, 40, 48, 60, 80, 96)
ELEMENTS_AT = {2: (1.3, 1.0, 0.7), 3: (1.3, 1.0)}
"""Factors on mesh sizes, for orders of elements; Netgen makes no mesh of some coarser ones."""


def say(record: Record) -> None:
    print(json.dumps(record), flush=True)  # noqa: T201


def start_peer(name: str, method: str, file: Path, tolerance: float) -> Served:
    if not PYTHON.exists():
        raise Unavailable("needs the environment that `make bench-peers` installs")
    return Served([PYTHON, "-m", "benchmarks.peers.worker", name, method, file, str(tolerance)])


def in_turns(ours: Served, theirs: Served, rounds: int, most_s: float) -> tuple[list[Record], list[Record]]:
    """Solutions of both, alternating, at least one each."""
    a, b, began = [], [], time.perf_counter()
    for _ in range(rounds):
        a.append(ours.solve())
        b.append(theirs.solve())
        if time.perf_counter() - began > most_s:
            break
    return a, b


def summary(told: Record, solves: Sequence[Record], voxels: int, rate: float) -> Record:
    """Of one solver's solutions."""
    last, seconds = solves[-1], min(s["seconds"] for s in solves)
    return {
        **{k: told[k] for k in ("method", "version", "options", "threads") if k in told},
        "seconds": round(seconds, 4),
        "all_seconds": [round(s["seconds"], 4) for s in solves],
        "wall_seconds": round(min(s["wall_seconds"] for s in solves), 4),
        "passes": round(passes(seconds, voxels**3, rate)),
        "steps": last["steps"],
        "iterations": last["iterations"],
        "residual": last["residual"],
        "current_a": last["current_a"],
        "bytes_per_voxel": round((last["peak_bytes"] - told["base_bytes"]) / voxels**3),
    }


def unfair(told: Record, last: Record, ours: Record, threads: int) -> str | None:
    """Why a peer's figure is refused."""
    if told["threads"] != threads:
        return f"ran on {told['threads']} threads, not {threads}"
    if not last["residual"] <= TOLERANCE:
        return f"residual {last['residual']:.1e} after {sum(last['steps'])} steps, {TOLERANCE:g} was asked"
    if abs(last["current_a"] / ours["current_a"] - 1) > SAME_CURRENT:
        return f"current {last['current_a']:.6g} A, ours {ours['current_a']:.6g} A: not the same equations"
    return None


def beside(name: str, method: str, voxels: int, ours: Served, file: Path, rounds: int, most_s: float) -> Record:
    """One peer's record, with the ratio to porefield in the same turns."""
    if voxels > LARGEST.get(name, voxels):
        return {"left_out": f"above {LARGEST[name]}^3 it takes minutes or all memory"}
    try:
        with start_peer(name, method, file, TOLERANCE) as theirs:
            a, b = in_turns(ours, theirs, rounds, most_s)
            told = theirs.told
    except Unavailable as reason:
        return {"unavailable": str(reason)}
    refused = unfair(told, b[-1], a[-1], ours.told["threads"])
    if refused:
        return {"refused": refused, "method": method, "version": told["version"]}
    ratio = statistics.median(y["seconds"] / x["seconds"] for x, y in zip(a, b, strict=True))
    return summary(told, b, voxels, ours.told["triad_bytes_per_s"]) | {"times_porefield": round(ratio, 2)}


def same_equations(voxels: int, names: Sequence[str], rounds: int, most_s: float) -> None:
    """All peers at one size."""
    with tempfile.TemporaryDirectory() as folder, start_porefield("voxels", 0, voxels) as ours:
        file = Path(folder) / "networks.npz"
        export(two_needles(voxels), file)
        solves = [ours.solve() for _ in range(rounds)]
        record = summary(ours.told, solves, voxels, ours.told["triad_bytes_per_s"])
        told = {k: ours.told[k] for k in ("machine", "triad_bytes_per_s", "step")}
        keep("peers", str(voxels), {"porefield": record | told})
        say({"voxels": voxels, "peer": "porefield", **record})
        for name in names:
            for method in METHODS[name]:
                found = beside(name, method, voxels, ours, file, rounds, most_s)
                keep("peers", str(voxels), {f"{name}, {method}": found})
                say({"voxels": voxels, "peer": name, "method": method, **found})


def error_of(current_a: float) -> float:
    return round(current_a / REFERENCE.current_a[0] - 1, 6)


def accuracy_of_porefield(rounds: int) -> None:
    rows = []
    for voxels in POREFIELD_AT:
        with start_porefield("voxels", 0, voxels, electrodes="moved") as ours:
            solves = [ours.solve() for _ in range(rounds)]
        best = min(solves, key=lambda s: s["seconds"])
        rows.append(
            {
                "voxel_mm": BLOCK.box_mm / voxels,
                "unknowns": (voxels + 1) ** 3,
                "seconds": round(best["seconds"], 4),
                "electrode_seconds": round(min(s["electrode_seconds"] for s in solves), 4),
                "error": error_of(best["current_a"]),
            }
        )
        say({"code": "porefield", **rows[-1]})
        keep("accuracy", "porefield", {"rows": rows})


def accuracy_of_elements(order: int, solver: str, rounds: int) -> None:
    ball = {"liver": law_row(BLOCK.tissue), "tumour": law_row(BLOCK.tumour), "ball_mm": 10.0}
    shape = {k: getattr(BLOCK, k) for k in ("box_mm", "diameter_mm", "centres_mm", "length_mm", "voltage_v")}
    code, rows = f"NGSolve, order {order}, {solver}", []
    for factor in ELEMENTS_AT[order]:
        arguments = [json.dumps(shape | ball), str(order), str(factor), solver, str(TOLERANCE)]
        try:
            with Served([PYTHON, "-m", "benchmarks.peers.ngsolve_worker", *arguments]) as theirs:
                solves = [theirs.solve() for _ in range(rounds)]
                told = theirs.told
        except (Unavailable, FileNotFoundError) as reason:
            if not rows:
                keep("accuracy", code, {"unavailable": str(reason)})
            say({"code": code, "factor": factor, "unavailable": str(reason)})
            continue
        best = min(solves, key=lambda s: s["seconds"])
        rows.append(
            {
                "factor": factor,
                "unknowns": best["unknowns"],
                "seconds": round(best["seconds"], 4),
                "electrode_seconds": round(min(s["mesh_seconds"] for s in solves), 4),
                "error": error_of(best["current_a"]),
                "converged": best["converged"],
            }
        )
        say({"code": code, **rows[-1]})
        keep("accuracy", code, {"rows": rows, "version": told["version"], "options": told["options"]})


def law_row(law: Any) -> tuple[float, float, float, float]:
    return (law.baseline_s_per_m, law.permeabilised_s_per_m, law.a, law.b)


def accuracy_of_staircase(name: str, method: str) -> None:
    rows, code = [], f"staircase voxels, {name}"
    for voxels in VOXEL_CODE_AT:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "networks.npz"
            export_staircase(voxels, file)
            try:
                with start_peer(name, method, file, TOLERANCE) as theirs:
                    found, told = theirs.solve(), theirs.told
            except Unavailable as reason:
                keep("accuracy", code, {"unavailable": str(reason)})
                return
        rows.append(
            {
                "voxel_mm": BLOCK.box_mm / voxels,
                "unknowns": (voxels + 1) ** 3,
                "seconds": round(found["seconds"], 4),
                "electrode_seconds": 0.0,
                "error": error_of(found["current_a"]),
                "converged": found["converged"],
            }
        )
        say({"code": code, **rows[-1]})
        keep("accuracy", code, {"rows": rows, "version": told["version"], "options": told["options"]})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--voxels", type=int, nargs="+", default=[64, 96])
    parser.add_argument("--peer", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most-s", type=float, default=20.0, help="seconds after which a peer has no further round")
    parser.add_argument("--accuracy", action="store_true")
    parser.add_argument("--code", nargs="+", choices=("porefield", "elements2", "elements3", "sor", "pfmg"))
    wanted = parser.parse_args()
    if not wanted.accuracy:
        for voxels in wanted.voxels:
            same_equations(voxels, wanted.peer, wanted.rounds, wanted.most_s)
        return
    codes = wanted.code or ("porefield", "elements2", "elements3", "sor", "pfmg")
    if "porefield" in codes:
        accuracy_of_porefield(wanted.rounds)
    for order in (2, 3):
        if f"elements{order}" in codes:
            # CG with NGSolve's "bddc" took as long as the factorisation here, to a tenth
            accuracy_of_elements(order, "direct", wanted.rounds)
    if "sor" in codes:
        accuracy_of_staircase("red-black SOR", "sor")
    if "pfmg" in codes:
        accuracy_of_staircase("hypre PFMG", "newton")


if __name__ == "__main__":
    main()
