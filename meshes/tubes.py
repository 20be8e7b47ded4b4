"""Whether the voxels resolve a tube.

The surface of a tube is known to the network where it cuts the grid's lines. Measured at 1 mm voxels, axis or ring at
random offsets:

* Current between an inner conductor and an outer one of 24 mm, both endless, against the closed form, 8 offsets. Wrong
  by at most (linear and smoothed step law)

      inner diameter   1     1.5   2     3     4     6 voxels
                       7.7   4.1   1.7   0.9   0.6   0.4 %

  and 0 where a thinner one slips between the lines. The thickness of the outer conductor's wall, 0.001 to 2 voxels,
  makes no difference where the tissue at it is not permeabilised: lines pierce a wall however thin. Where it is, a wall
  of less than a voxel matters, for the tissue in a voxel has one conductivity, by the mean of the field on both sides.
  Inner conductor 6 voxels, outer 14 to 18, smoothed step law in its steepest part at the wall, no field outside:

      wall             0.01  0.2   0.5   0.75  1     1.5 and more voxels
                       6.9   5.0   2.8   1.7   1.1   0.8 %

* Current between two rings of 10 mm, 8 mm apart, against voxels of 0.2 mm, 12 offsets, three of them on the lines. Wall
  x length in voxels, least and largest error in %:

      1 x 1   2 x 2   3 x 3   4 x 4   0.1 x 3   1 x 3   2 x 3   0.1 x 6   2 x 6
      -7.0    -3.7    -3.1    -3.2    -8.2      -5.1    -4.0    -16       -5.9
      -0.1     2.5     1.9     2.1     6.5       2.5     2.5    -2.6      -0.3

  The field is steepest at the rims, where one line more or less meets metal. In the last two columns rims are 2 voxels
  apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .conductors import Conductor
from .errors import GeometryError, Problem
from .notes import Note
from .placement import tissue_at
from .plan_electrodes import TubeSettings
from .shapes import orthonormal
from .voxels import VoxelGrid

LEAST_VOXELS = 1.0
"""A tube thinner than this in two directions is refused; a wall thinner than this is noted."""
FEW_VOXELS = 3.0
"""Below this currents are off by more than about 1 % (endless rods), 3 % (rings)."""
RIM_POINTS = 48


def check_resolved(electrodes: Sequence[Conductor], grid: VoxelGrid, air: NDArray[np.bool_]) -> list[Note]:
    """Whether the voxels resolve every tube.

    Args:
        electrodes: of the plan.
        grid: of the solve.
        air: which of its voxels insulate.

    Returns:
        Notes on tubes a few voxels thick.

    Raises:
        GeometryError: one that may slip between the grid's lines.
    """
    problems: list[Problem] = []
    notes: list[Note] = []
    for settings in electrodes:
        tube = settings.solid
        if not isinstance(tube, TubeSettings):
            continue
        voxels, size = voxels_across(tube, grid)
        if voxels < LEAST_VOXELS:
            expected = "a tube at least a voxel thick; thinner rods can be needles, which need no resolution"
            got = f"{getattr(tube, size):g}, {voxels:.2g} voxels"
            problems.append(Problem(f"{settings.field}.{size}", expected, got))
            continue
        if voxels < FEW_VOXELS:
            text = f"{settings.name} is {voxels:.2g} voxels thick: its current may be wrong by several per cent"
            notes.append(Note("tube_thin", text, warning=True))
        notes += _wall_notes(settings.name, tube, grid, air) if tube.inner_diameter_mm > 0 else []
    if problems:
        raise GeometryError(problems)
    return notes


def _wall_notes(name: str, tube: TubeSettings, grid: VoxelGrid, air: NDArray[np.bool_]) -> list[Note]:
    wall = _wall_mm(tube) / max(grid.spacing_mm)
    if wall < LEAST_VOXELS:
        text = f"{name} has a wall of {wall:.2g} voxels: where tissue at it is permeabilised on one side only, its "
        return [Note("tube_wall_thin", f"{text}current may be too low by several per cent", warning=True)]
    if wall < FEW_VOXELS and _ends_in_tissue(tube, grid, air):
        text = f"{name} ends in tissue with a wall of {wall:.2g} voxels: its current may be wrong by several per cent"
        return [Note("tube_rim", text, warning=True)]
    return []


def voxels_across(tube: TubeSettings, grid: VoxelGrid) -> tuple[float, str]:
    """Thickness of a tube's metal in voxels, and the field that says it.

    Metal that is thin in one direction only does not count: a rod is as thick as its diameter, a ring as the larger of
    wall and length.
    """
    h, axis = np.asarray(grid.spacing_mm), np.asarray(tube.unit_axis) @ grid.axes
    voxel = math.sqrt(0.5 * float(h**2 @ (1 - axis**2)))
    voxels, size = tube.outer_diameter_mm / voxel, "outer_diameter_mm"
    ring = max(_wall_mm(tube), tube.length_mm) / float(h.max())
    return (ring, "length_mm") if tube.inner_diameter_mm > 0 and ring < voxels else (voxels, size)


def _wall_mm(tube: TubeSettings) -> float:
    return 0.5 * (tube.outer_diameter_mm - tube.inner_diameter_mm)


def _ends_in_tissue(tube: TubeSettings, grid: VoxelGrid, air: NDArray[np.bool_]) -> bool:
    axis = np.asarray(tube.unit_axis)
    across = orthonormal(tube.axis, np.eye(3)[int(np.abs(axis).argmin())].tolist())[1:]
    turn = np.linspace(0, 2 * np.pi, RIM_POINTS, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1) @ across
    rims = [
        0.5 * d * circle + end * axis
        for d in (tube.inner_diameter_mm, tube.outer_diameter_mm)
        for end in (-0.5 * tube.length_mm, 0.5 * tube.length_mm)
    ]
    points = np.concatenate(rims) + np.asarray(tube.centre_mm)
    return bool(tissue_at(grid.to_local_mm(points), grid, air)[1].any())
