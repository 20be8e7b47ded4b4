"""What of a plan's fibres, contacts and sheets reaches the kernels: factors along the grid's axes, and ohm m2."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..kernels.problem import Factors, Sheet
from .conductors import conductors_of
from .errors import GeometryError, Problem
from .notes import Note
from .plan import Plan
from .plan_tissues import OHM_M2_PER_OHM_CM2, SheetSettings
from .tissues import Fibres, Tissue
from .voxels import VoxelGrid

LARGEST_TURN_DEG = 2.0
"""Between fibres and an axis of the grid. What is left out is then at most (ratio - 1) sin 2 deg = 3.5 % of (ratio - 1)
of the conductivity across, in the current across a field along the fibres."""


def axis_factors(tissues: Sequence[Tissue], grid: VoxelGrid) -> tuple[Factors, ...] | None:
    """Factors on the conductivity of each tissue along the grid's axes: 1 across fibres; None where none has fibres.

    Raises:
        GeometryError: fibres along no axis of the grid; a tissue of the library with fibres whose direction is unknown.
    """
    if all(tissue.anisotropy is None and tissue.fibre_ratio is None for tissue in tissues):
        return None
    problems: list[Problem] = []
    found: list[Factors] = []
    for tissue in tissues:
        factors = [1.0, 1.0, 1.0]
        if tissue.anisotropy is not None:
            axis, turn_deg = nearest_axis(tissue.anisotropy, grid)
            if turn_deg > LARGEST_TURN_DEG:
                problems.append(_not_along(tissue.name, tissue.anisotropy, grid, axis, turn_deg))
            assert tissue.anisotropy.ratio.value is not None
            factors[axis] = tissue.anisotropy.ratio.value
        elif tissue.fibre_ratio is not None:
            expected = "the direction of the fibres, because this tissue's conductivity holds across them"
            problems.append(Problem(f"tissues.{tissue.name}.anisotropy.along", expected, "nothing"))
        x, y, z = factors
        found.append((x, y, z))
    if problems:
        raise GeometryError(problems)
    return tuple(found)


def nearest_axis(fibres: Fibres, grid: VoxelGrid) -> tuple[int, float]:
    """The axis of the grid that fibres run along most nearly, and the angle between them (degrees)."""
    local = np.abs(grid.direction_to_local(np.asarray(fibres.along)))
    axis = int(np.argmax(local))
    return axis, math.degrees(math.acos(min(local[axis] / np.linalg.norm(local), 1.0)))


def _not_along(name: str, fibres: Fibres, grid: VoxelGrid, axis: int, turn_deg: float) -> Problem:
    nearest = ", ".join(f"{x:.3g}" for x in grid.axes[:, axis])
    expected = f"a direction within {LARGEST_TURN_DEG:g} degrees of an axis of the grid, such as [{nearest}]"
    got = "[" + ", ".join(f"{x:g}" for x in fibres.along) + "]"
    return Problem(f"tissues.{name}.anisotropy.along", expected, f"{got}, {turn_deg:.3g} degrees off")


def contacts_ohm_m2(plan: Plan) -> tuple[float, ...] | None:
    """Contact resistance of each conductor, those of a probe or a device alike; None where there is none."""
    found: list[float] = []
    for settings in plan.electrodes:
        count = len(list(conductors_of(settings)))
        found += [settings.contact_resistance_ohm_cm2 * OHM_M2_PER_OHM_CM2] * count
    return tuple(found) if any(found) else None


def place_sheets(plan: Plan, tissues: Sequence[Tissue]) -> tuple[Sheet, ...]:
    """The sheets both of whose tissues are in the grid, by their indices."""
    names = [tissue.name for tissue in tissues]
    return tuple(
        Sheet(names.index(sheet.between[0]), names.index(sheet.between[1]), sheet.ohm_m2)
        for sheet in sheets_in(plan, tissues)
    )


def sheets_in(plan: Plan, tissues: Sequence[Tissue]) -> tuple[SheetSettings, ...]:
    """As the plan has them, in the order of `place_sheets`."""
    names = {tissue.name for tissue in tissues}
    return tuple(sheet for sheet in plan.sheets if set(sheet.between) <= names)


def absent_sheets(plan: Plan, tissues: Sequence[Tissue], tissue: NDArray[np.uint8]) -> list[Note]:
    """Remarks on sheets whose tissues touch nowhere in the grid."""
    names = [t.name for t in tissues]
    notes: list[Note] = []
    for i, sheet in enumerate(plan.sheets):
        if not set(sheet.between) <= set(names) or not touch(tissue, *(names.index(n) for n in sheet.between)):
            one, other = sheet.between
            text = f"sheets[{i}]: {one} and {other} touch nowhere in the solved region, there is no sheet"
            notes.append(Note("sheet_absent", text, warning=True))
    return notes


def touch(tissue: NDArray[np.uint8], one: int, other: int) -> bool:
    """Whether voxels of two tissues share a face."""
    for axis in range(3):
        a, b = (np.take(tissue, range(s, tissue.shape[axis] - 1 + s), axis) for s in (0, 1))
        if np.any(((a == one) & (b == other)) | ((a == other) & (b == one))):
            return True
    return False
