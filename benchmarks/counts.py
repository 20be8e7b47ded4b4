"""What a solve of small grids counts: Newton steps, PCG iterations, compilations, and the bytes that XLA's step moves.

python -m benchmarks.counts --record        write tests/kernels/counts.json: when a change is meant to move them
python -m benchmarks.counts --check         fail where a count has grown; never a matter of seconds
python -m benchmarks.counts --check --found FILE --against FILE      counts that were written before

Bounds: Newton steps and compilations may not rise at all. PCG iterations may by 5 % and one, since another processor
rounds in another order. Bytes may by 2 %. Compilations and bytes are compared only with the jaxlib that recorded them.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

from porefield.kernels.field import solve_field

from .measure import compilations, counted, of_step
from .problems import at_voltage, moved, two_needles

RECORDED = Path(__file__).parents[1] / "tests" / "kernels" / "counts.json"
VOXELS = (32, 48)
BOUNDS = {
    "newton_steps": (0.0, 0.0),
    "cg_iterations": (0.05, 1.0),
    "compilations": (0.0, 0.0),
    "compilations_of_another": (0.0, 0.0),
    "xla_bytes_moved_per_voxel": (0.02, 0.0),
    "xla_memory_bytes_per_voxel": (0.02, 0.0),
}
"""Of each count: how far it may rise, as a share of what is recorded and on top of that."""
OF_JAXLIB = ("compilations", "compilations_of_another", "xla_bytes_moved_per_voxel", "xla_memory_bytes_per_voxel")
Counts = dict[str, Any]
"""`jaxlib`: its version; `grids`: counts by the voxels along a side."""


def count(voxels: int) -> dict[str, float]:
    """Of the two needles; `compilations_of_another`: with a needle moved and another voltage."""
    problem = two_needles(voxels)
    with counted() as first:
        solution = solve_field(problem)
    with counted() as another:
        other = solve_field(at_voltage(moved(problem, 0.7), 1200.0))
    if not (solution.converged and other.converged):
        raise SystemExit(f"{voxels}^3 did not converge: {solution.status}, {other.status}")
    step = of_step(problem)
    return {
        "newton_steps": sum(solution.newton_steps),
        "cg_iterations": sum(solution.cg_iterations),
        "compilations": first[0],
        "compilations_of_another": another[0],
        "xla_bytes_moved_per_voxel": step["xla_bytes_moved_per_voxel"],
        "xla_memory_bytes_per_voxel": step["xla_memory_bytes_per_voxel"],
    }


def grown(found: Counts, recorded: Counts) -> list[str]:
    """What has grown beyond its bound, in words."""
    out = []
    same = found["jaxlib"] == recorded["jaxlib"]
    for grid, counts in recorded["grids"].items():
        for name, (share, more) in BOUNDS.items():
            if name in OF_JAXLIB and not same:
                continue
            before, now = counts[name], found["grids"][grid][name]
            if now > before * (1 + share) + more:
                out.append(f"{grid}^3, {name}: {now:g}, was {before:g}, may be {before * (1 + share) + more:g}")
    return out


def count_all() -> Counts:
    return {"jaxlib": importlib.metadata.version("jaxlib"), "grids": {str(n): count(n) for n in VOXELS}}


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.counts", description=__doc__)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--found", type=Path)
    parser.add_argument("--against", type=Path, default=RECORDED)
    wanted = parser.parse_args()
    compilations()
    found = json.loads(wanted.found.read_text(encoding="utf-8")) if wanted.found else count_all()
    text = json.dumps(found, indent=1)
    if wanted.record:
        RECORDED.write_text(text + "\n", encoding="utf-8")
    say(text)
    recorded = json.loads(wanted.against.read_text(encoding="utf-8")) if wanted.check else found
    if recorded["jaxlib"] != found["jaxlib"]:
        say(
            f"recorded with jaxlib {recorded['jaxlib']}, this is {found['jaxlib']}; not compared: "
            f"{', '.join(OF_JAXLIB)}"
        )
    worse = grown(found, recorded) if wanted.check else []
    for line in worse:
        say(f"GROWN: {line}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
