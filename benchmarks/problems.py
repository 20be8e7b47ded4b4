"""The fixed problem of the benchmarks, and those that it grows into.

Two needles of 1.8 mm, 20 mm apart and 30 mm long, at 1500 V, in a cube of 60 mm of liver with a ball of tumour between
them: case C3 of kernels/cases/finite_elements.py, whose current is known by finite elements.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from porefield.kernels.cases.finite_elements import NEEDLES_IN_A_BLOCK, NeedlesInABlock
from porefield.kernels.conductivity import ConductivityLaw
from porefield.kernels.electrodes import Needle, Vector
from porefield.kernels.grid import Grid
from porefield.kernels.problem import FieldProblem

REFERENCE = NEEDLES_IN_A_BLOCK["C3 1.8 mm, 20 mm apart, tumour between"]
BLOCK = REFERENCE.block
MIDDLE_MM, RING_MM = 30.0, 10.0


def on_grid(block: NeedlesInABlock, voxels: int) -> FieldProblem:
    """A block at so many voxels along each side."""
    return block.problem(1e-3 * block.box_mm / voxels)


def two_needles(voxels: int) -> FieldProblem:
    """The fixed problem."""
    return on_grid(BLOCK, voxels)


def at_voltage(problem: FieldProblem, voltage_v: float) -> FieldProblem:
    """The same pulse, stronger or weaker."""
    return replace(problem, potentials_v=(voltage_v, *problem.potentials_v[1:]))


def moved(problem: FieldProblem, shift_mm: float) -> FieldProblem:
    """The first needle moved along x."""
    first = problem.electrodes[0]
    if not isinstance(first, Needle):
        raise ValueError(f"electrodes: expected a needle first, got {first}")
    x, y, z = first.tip_m
    return replace(problem, electrodes=(replace(first, tip_m=(x + 1e-3 * shift_mm, y, z)), *problem.electrodes[1:]))


def of_contrast(voxels: int, ratio: float, width_v_per_m: float = 6e3) -> FieldProblem:
    """Both tissues rise by a ratio, over a width; the fixed problem's laws rise by 4 and 3 over 6 kV/m."""
    liver = ConductivityLaw.logistic(0.1, 0.1 * ratio, 58e3, width_v_per_m)
    tumour = ConductivityLaw.logistic(0.2, 0.2 * ratio, 60e3, width_v_per_m)
    return on_grid(replace(BLOCK, tissue=liver, tumour=tumour), voxels)


def of_steepness(voxels: int, width_v_per_m: float) -> FieldProblem:
    """The fixed problem with laws that rise over another width."""
    return on_grid(
        replace(
            BLOCK,
            tissue=replace(BLOCK.tissue, b=width_v_per_m),
            tumour=None if BLOCK.tumour is None else replace(BLOCK.tumour, b=width_v_per_m),
        ),
        voxels,
    )


def tilted(voxels: int, degrees: float) -> FieldProblem:
    """Both needles turned about their middles: one in x and z, the other by half of it in y and z."""
    a, b = math.radians(degrees), 0.5 * math.radians(degrees)
    axes: tuple[Vector, Vector] = ((math.sin(a), 0.0, math.cos(a)), (0.0, -math.sin(b), math.cos(b)))
    return on_grid(replace(BLOCK, axes=axes), voxels)


def needles_in_a_ring(voxels: int, needles: int) -> FieldProblem:
    """So many needles round the ball, every other at 1500 V, the rest at 0 V."""
    base = two_needles(voxels)
    placed: list[Needle] = []
    for i in range(needles):
        angle = 2 * math.pi * i / needles
        x, y = MIDDLE_MM + RING_MM * math.cos(angle), MIDDLE_MM + RING_MM * math.sin(angle)
        tip = (1e-3 * x, 1e-3 * y, 1e-3 * (MIDDLE_MM + 0.5 * BLOCK.length_mm))
        placed.append(Needle(tip, (0.0, 0.0, 1.0), 0.5e-3 * BLOCK.diameter_mm, 1e-3 * BLOCK.length_mm))
    volts = tuple(BLOCK.voltage_v if i % 2 == 0 else 0.0 for i in range(needles))
    return replace(base, electrodes=tuple(placed), potentials_v=volts)


FAMILIES: dict[str, Callable[[int, float], FieldProblem]] = {
    "voxels": lambda voxels, _: two_needles(voxels),
    "contrast": of_contrast,
    "width": of_steepness,
    "needles": lambda voxels, needles: needles_in_a_ring(voxels, round(needles)),
    "tilt": tilted,
}


def problem_of(family: str, value: float, voxels: int) -> FieldProblem:
    """A member of a family by its value, which `voxels` does not have."""
    return FAMILIES[family](voxels, value)


def staircase(voxels: int) -> tuple[Grid, np.ndarray, np.ndarray, tuple[ConductivityLaw, ...]]:
    """The fixed problem as voxel codes without sub-voxel electrodes have it: grid, tissue, and which nodes are metal.

    Nodes within a needle are metal (index of the electrode, else -1); a needle that would have none gets the nodes
    nearest its axis.
    """
    problem = two_needles(voxels)
    x, y, z = (np.arange(n + 1) * h for n, h in zip(problem.grid.shape, problem.grid.spacing_m, strict=True))
    metal = np.full(problem.grid.node_shape, -1, np.int16)
    for k, needle in enumerate(problem.electrodes):
        if not isinstance(needle, Needle):
            raise ValueError(f"electrodes: expected needles, got {needle}")
        away = np.hypot(x[:, None] - needle.tip_m[0], y[None, :] - needle.tip_m[1])
        inside = away <= max(needle.radius_m, float(np.sort(away, axis=None)[0]))
        along = (z <= needle.tip_m[2] + 1e-12) & (z >= needle.tip_m[2] - needle.exposed_m - 1e-12)
        metal[inside[:, :, None] & along[None, None, :]] = k
    return problem.grid, problem.tissue, metal, problem.laws
