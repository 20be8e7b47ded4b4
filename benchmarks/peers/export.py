"""porefield's own networks, written for peers: the same nodes, edges, links and laws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from porefield.kernels.conductivity import ConductivityLaw, LawKind
from porefield.kernels.nested import NestedGrid, nested_grids
from porefield.kernels.problem import FieldProblem

from ..problems import staircase, two_needles

Arrays = dict[str, Any]


def table(laws: tuple[ConductivityLaw, ...]) -> np.ndarray:
    """Rows of sigma at rest, permeabilised, midpoint and width.

    Raises:
        ValueError: a law that peers don't have.
    """
    for law in laws:
        if law.kind not in (LawKind.LOGISTIC, LawKind.CONSTANT):
            raise ValueError(f"laws: expected logistic or constant ones, got {law}")
    return np.asarray([[law.baseline_s_per_m, law.permeabilised_s_per_m, law.a, law.b] for law in laws])


def of_grid(grid: NestedGrid) -> Arrays:
    c, problem = grid.couplings, grid.problem
    return {
        "spacing_m": np.asarray(problem.grid.spacing_m),
        "tissue": problem.tissue,
        "table": table(problem.laws),
        **{f"open_{axis}": share.astype(np.float32) for axis, share in zip("xyz", c.open_edge, strict=True)},
        "metal": c.metal,
        "volts": grid.volts(),
        "scale_a": grid.scale_a,
        "link_node": c.link_node,
        "link_electrode": c.link_electrode,
        "link_g_m": c.link_g_m,
        "link_weight": c.link_weight.astype(np.float64),
        "link_cell": c.link_cell,
        "part_cell": c.part_cell,
        "part_fill": c.part_fill,
    }


def export(problem: FieldProblem, file: Path) -> None:
    """The problem's nested grids, finest first."""
    write([of_grid(grid) for grid in nested_grids(problem, coarse=True)], file)


def export_staircase(voxels: int, file: Path) -> None:
    """The fixed problem with needles made of whole nodes, on nested grids."""
    write([of_staircase(n) for n in (voxels, voxels // 2, voxels // 4) if n >= 16], file)


def of_staircase(voxels: int) -> Arrays:
    grid, tissue, metal, laws = staircase(voxels)
    volts = np.asarray(two_needles(voxels).potentials_v, np.float64)
    middle = 0.5 * (volts.max() + volts.min())
    shares = []
    for axis in range(3):
        share = np.ones(grid.node_shape, np.float32)
        share[(slice(None),) * axis + (slice(-1, None),)] = 0
        shares.append(share)
    # what the metal pushes into tissue at rest when all else is at the middle potential, as porefield's scale
    h, sigma = grid.spacing_m[0], laws[0].baseline_s_per_m
    flow = np.zeros(grid.node_shape)
    for axis in range(3):
        low = (slice(None),) * axis + (slice(None, -1),)
        high = (slice(None),) * axis + (slice(1, None),)
        for metal_side, free_side in ((low, high), (high, low)):
            at = (metal[metal_side] >= 0) & (metal[free_side] < 0)
            flow[free_side][at] += h * sigma * (volts[metal[metal_side][at]] - middle)
    nothing = np.zeros(0, np.int32)
    return {
        "spacing_m": np.asarray(grid.spacing_m),
        "tissue": tissue,
        "table": table(laws),
        **{f"open_{name}": share for name, share in zip("xyz", shares, strict=True)},
        "metal": metal,
        "volts": volts,
        "scale_a": float(np.linalg.norm(flow)),
        **{f"link_{name}": nothing for name in ("node", "electrode")},
        "link_g_m": np.zeros(0),
        "link_weight": np.zeros((0, 8)),
        "link_cell": np.zeros((0, 8), np.int32),
        "part_cell": nothing,
        "part_fill": np.ones(0),
    }


def write(grids: list[Arrays], file: Path) -> None:
    arrays = {f"{i}_{name}": value for i, grid in enumerate(grids) for name, value in grid.items()}
    np.savez(file, grids=len(grids), **arrays)
