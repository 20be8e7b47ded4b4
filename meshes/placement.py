"""A plan's electrodes on the solve grid, and whether they sit where electrodes can."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..kernels.electrodes import Electrode, Needle, Plate, Tube, as_vector, cylinder_bounds
from ..kernels.sampling import voxel_box
from .conductors import Conductor, Wire
from .errors import GeometryError, Problem
from .notes import Note
from .plan_electrodes import PlateSettings, TubeSettings
from .region import Frame
from .shapes import orthonormal
from .voxels import VoxelGrid

Array = NDArray[np.float64]

MAX_SHARE_OUTSIDE = 0.5
"""Of a needle's exposed length that may lie in air or beyond the grid."""

MIN_GAP_MM = 0.01
"""Closer than this, two electrodes touch: below what is machined, and above what `gap_mm` resolves."""

CLOSE_VOXELS = 2.0
"""Links of one needle know nothing of the other. Two of 1.2 mm and 10 mm length, against finite elements: current 7.6 %
too high at a gap of 0.8 voxels, 1.5 % at 1.8, 0.6 % at 2.8 (1 mm voxels); 0.5 % at 1.6 (0.5 mm)."""

SURFACE_ERROR_MM = 2e-3
"""By how much the points spread over a tube may overrate a gap."""


def place(conductor: Conductor, where: VoxelGrid | Frame) -> Electrode:
    """The electrode in metres along the axes of a grid (or of the anatomy's frame), from its low corner."""
    solid = conductor.solid
    if isinstance(solid, Wire):
        pose = solid.pose
        return Needle(
            as_vector(where.to_local_mm(np.asarray(pose.tip_mm)) * 1e-3),
            as_vector(np.asarray(pose.unit_direction) @ where.axes),
            0.5e-3 * pose.diameter_mm,
            1e-3 * (solid.to_mm - solid.from_mm),
            1e-3 * (solid.length_mm - solid.to_mm),
            tip=pose.tip,
            cone_m=1e-3 * pose.pointed_mm if pose.tip == "conical" else 0.0,
            ahead_m=1e-3 * solid.from_mm,
            others_m=tuple((1e-3 * start, 1e-3 * stop) for start, stop in solid.others_mm),
        )
    if isinstance(solid, TubeSettings):
        tube = solid
        return Tube(
            as_vector(where.to_local_mm(np.asarray(tube.centre_mm)) * 1e-3),
            as_vector(np.asarray(tube.unit_axis) @ where.axes),
            0.5e-3 * tube.inner_diameter_mm,
            0.5e-3 * tube.outer_diameter_mm,
            1e-3 * tube.length_mm,
        )
    plate = solid
    thickness, height, width = orthonormal(plate.normal, plate.up) @ where.axes
    return Plate(
        as_vector(where.to_local_mm(np.asarray(plate.centre_mm)) * 1e-3),
        (as_vector(width), as_vector(height), as_vector(thickness)),
        (1e-3 * plate.width_mm, 1e-3 * plate.height_mm, 1e-3 * plate.thickness_mm),
    )


def metal_bounds_mm(conductor: Conductor, frame: Frame) -> tuple[Array, Array]:
    """Box (mm along the frame's axes) round the bare metal, the insulated shaft left out."""
    metal = place(conductor, frame)
    if isinstance(metal, Needle):
        span = np.asarray(metal.bare_m)
        low, high = cylinder_bounds(np.asarray(metal.tip_m), np.asarray(metal.direction), metal.radius_m, span)
    else:
        low, high = metal.bounds_m()
    return np.asarray(low) * 1e3, np.asarray(high) * 1e3


def check_in_tissue(electrodes: Sequence[Conductor], grid: VoxelGrid, air: NDArray[np.bool_]) -> list[Note]:
    """Whether every electrode meets tissue.

    Args:
        electrodes: of the plan.
        grid: of the solve.
        air: which of its voxels insulate.

    Returns:
        Notes on needles that are bare over a length outside the tissue.

    Raises:
        GeometryError: a needle's tip, or more than half of its exposed length, in air or beyond the grid; a plate or a
            tube that touches no tissue.
    """
    problems: list[Problem] = []
    bare_outside: dict[str, list[str]] = {}
    for settings in electrodes:
        solid = settings.solid
        if isinstance(solid, Wire):
            problem, share = _check_wire(settings, solid, grid, air)
            if share > 0 and problem is None:
                bare_outside.setdefault(f"{share:.0%}", []).append(settings.name)
        elif isinstance(solid, TubeSettings):
            problem = _check_tube(settings, solid, grid, air)
        else:
            problem = _check_plate(settings, solid, grid, air)
        if problem is not None and problem not in problems:
            problems.append(problem)
    if problems:
        raise GeometryError(problems)
    return [
        Note(
            "electrode_partly_outside",
            f"{share} of the exposed length of {_each(names)} lies outside the tissue",
            warning=True,
        )
        for share, names in bare_outside.items()  # 16 equal needles share one note
    ]


def _each(names: list[str]) -> str:
    return ("each of " if len(names) > 1 else "") + ", ".join(names)


def _check_wire(
    settings: Conductor, wire: Wire, grid: VoxelGrid, air: NDArray[np.bool_]
) -> tuple[Problem | None, float]:
    tip, direction = np.asarray(wire.pose.tip_mm), np.asarray(wire.pose.unit_direction)
    behind = np.concatenate([[0.0], np.linspace(wire.from_mm, wire.to_mm, 201)])
    inside, tissue = tissue_at(grid.to_local_mm(tip - behind[:, None] * direction), grid, air)
    share, shown = 1 - float(tissue[1:].mean()), settings.told(_point(wire.pose.tip_mm))
    if not inside[0]:
        return Problem(settings.place_field, f"a point in the solved region, {_extent(grid)}", shown), share
    if not tissue[0]:
        return Problem(settings.place_field, "a point in the body's tissue", f"{shown}, in air"), share
    if share > MAX_SHARE_OUTSIDE:
        expected = f"at least {1 - MAX_SHARE_OUTSIDE:.0%} of the exposed length in tissue"
        got = settings.told(f"{wire.to_mm - wire.from_mm:g}") + f", {share:.0%} of it outside"
        return Problem(wire.extent_field, expected, got), share
    return None, share


def _check_plate(settings: Conductor, plate: PlateSettings, grid: VoxelGrid, air: NDArray[np.bool_]) -> Problem | None:
    """Points half a voxel off the plate's surface: one of them must lie in tissue."""
    metal = place(settings, grid)
    assert isinstance(metal, Plate)
    outwards = np.asarray(metal.size_m) * 0.5e3 + 0.5 * max(grid.spacing_mm)
    steps = [np.linspace(-1, 1, 2 * math.ceil(a / min(grid.spacing_mm)) + 1) for a in outwards]
    cube = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    shell = cube[np.abs(cube).max(axis=1) == 1] * outwards
    inside, tissue = tissue_at(shell @ np.asarray(metal.axes) + np.asarray(metal.centre_m) * 1e3, grid, air)
    if not inside.any():
        return Problem(
            settings.place_field,
            f"a plate in the solved region, {_extent(grid)}",
            settings.told(_point(plate.centre_mm)),
        )
    if not tissue.any():
        return Problem(
            settings.place_field,
            "a plate that touches tissue",
            settings.told(_point(plate.centre_mm)) + ", all in air",
        )
    return None


def _check_tube(settings: Conductor, tube: TubeSettings, grid: VoxelGrid, air: NDArray[np.bool_]) -> Problem | None:
    """The voxels whose centre lies within a voxel of the surface: one of them must be tissue."""
    metal = place(settings, grid)
    box, centres = voxel_box(grid.kernel_grid, metal, 1)
    reach = max(grid.kernel_grid.spacing_m)
    near = np.abs(metal.distance_m(centres)) <= reach
    if not near.any():
        return Problem(settings.place_field, f"a tube in the solved region, {_extent(grid)}", _point(tube.centre_mm))
    if air[box][near].all():
        return Problem(settings.place_field, "a tube that touches tissue", f"{_point(tube.centre_mm)}, all in air")
    return None


def tissue_at(local_mm: Array, grid: VoxelGrid, air: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which points lie in the grid, and which in tissue."""
    inside = np.all((local_mm >= -1e-6) & (local_mm <= grid.size_mm + 1e-6), axis=-1)
    index = np.clip((local_mm / np.asarray(grid.spacing_mm)).astype(int), 0, np.asarray(grid.shape) - 1)
    return inside, inside & ~air[tuple(index.T)]


def check_apart(electrodes: Sequence[Conductor], placed: Sequence[Electrode], spacing_mm: float) -> list[Note]:
    """Whether no two electrodes touch.

    Returns:
        Notes on pairs closer together than CLOSE_VOXELS.

    Raises:
        GeometryError: metal that touches metal, or that lies in another needle's shaft.
    """
    problems: list[Problem] = []
    notes: list[Note] = []
    within: defaultdict[str, list[float]] = defaultdict(list)
    for (i, one), (j, other) in itertools.combinations(enumerate(placed), 2):
        names = f"{electrodes[i].name} and {electrodes[j].name}"
        gap = gap_mm(one, other)
        if gap < MIN_GAP_MM:
            expected = f"a gap of at least {MIN_GAP_MM} mm between the metal of {names}"
            got = "they touch" if gap > -MIN_GAP_MM else f"they overlap by {-gap:.2g} mm"
            problems.append(Problem(electrodes[j].field.rpartition(".")[0], expected, got))
        elif _in_shaft(one, other) or _in_shaft(other, one):
            expected = f"{names} beside each other"
            got = "the metal of one inside the shaft of the other"
            problems.append(Problem(electrodes[j].field.rpartition(".")[0], expected, got))
        elif gap < CLOSE_VOXELS * spacing_mm:
            if electrodes[i].member and electrodes[i].field == electrodes[j].field:
                within[electrodes[i].name.rpartition(".")[0]].append(gap)
            else:
                notes.append(_close(f"{names} are", gap, spacing_mm))
    if problems:
        raise GeometryError(problems)
    devices = [
        _close(f"{name}: {len(gaps)} of its pairs are as little as", min(gaps), spacing_mm)
        for name, gaps in within.items()
    ]
    return notes + devices


def _close(who: str, gap: float, spacing_mm: float) -> Note:
    voxels = f"{gap / spacing_mm:.2g} voxels"
    text = f"{who} {gap:.2g} mm apart, {voxels}: the current between them may be several per cent too high"
    return Note("electrodes_close", text, warning=True)


def gap_mm(one: Electrode, other: Electrode) -> float:
    """Shortest distance between two surfaces (mm), to a few micrometres; below 0 when they overlap.

    Taken from points spread over each: exact where a rim or a face is closest, and never too small.
    """
    nearest = min(float(other.distance_m(_surface(one)).min()), float(one.distance_m(_surface(other)).min()))
    return nearest * 1e3


def _in_shaft(metal: Electrode, needle: Electrode) -> bool:
    return isinstance(needle, Needle) and float(needle.shaft_distance_m(_surface(metal)).min()) < -1e-5


def _surface(electrode: Electrode) -> Array:
    """Points over the metal's surface and along its middle, metres, shape (n, 3)."""
    if isinstance(electrode, Needle):
        radius, length = electrode.radius_m, electrode.exposed_m
        radii = (radius, 0.5 * radius, 0.0)
        steps = 1 + max(60, math.ceil(2 * length / radius))
        behind = np.linspace(electrode.bare_m[1], electrode.bare_m[0], steps)
        width = electrode.profile.radius_at(behind) / radius
        return _rings(electrode.centre_m, electrode.direction, radii, length, 48, steps, width)
    if isinstance(electrode, Tube):
        radius, length = electrode.outer_radius_m, electrode.length_m
        middle = 0.5 * (electrode.inner_radius_m + radius)
        radii = (radius, middle, electrode.inner_radius_m)
        # an arc between two points rises by SURFACE_ERROR_MM over their chord; along, by as much over an equal tube
        angles = math.ceil(math.pi * math.sqrt(radius / (2e-3 * SURFACE_ERROR_MM)))
        step = min(math.sqrt(8e-3 * SURFACE_ERROR_MM * radius), length / 60)
        return _rings(np.asarray(electrode.centre_m), electrode.axis, radii, length, angles, math.ceil(length / step))
    assert isinstance(electrode, Plate)
    steps = [np.linspace(-0.5, 0.5, 9 if size < 2e-3 else 41) * size for size in electrode.size_m]
    block = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    return block @ np.asarray(electrode.axes) + np.asarray(electrode.centre_m)


def _rings(
    centre: Array,
    axis: Sequence[float],
    radii: Sequence[float],
    length: float,
    angles: int,
    steps: int,
    width: Array | None = None,
) -> Array:
    """Points on circles round an axis, from one end to the other; shape (n, 3). width: a factor on the radii of each
    step."""
    helper = np.eye(3)[int(np.abs(axis).argmin())]
    side = orthonormal(axis, as_vector(helper))[1:]
    turn = np.linspace(0, 2 * np.pi, angles, endpoint=False)
    rim = np.stack([np.cos(turn), np.sin(turn)], axis=1) @ side
    disc = np.concatenate([rim * r if r > 0 else np.zeros((1, 3)) for r in radii])
    along = centre + np.linspace(-0.5, 0.5, steps)[:, None] * length * np.asarray(axis)
    scaled = disc[None, :, :] if width is None else width[:, None, None] * disc
    return (along[:, None, :] + scaled).reshape(-1, 3)


def _extent(grid: VoxelGrid) -> str:
    ends = np.stack([np.zeros(3), grid.size_mm * 1e-3])
    corners = grid.to_patient_mm(np.stack(np.meshgrid(*ends.T, indexing="ij"), axis=-1).reshape(-1, 3))
    return f"from {_point(corners.min(axis=0))} to {_point(corners.max(axis=0))} mm"


def _point(point: Sequence[float] | Array) -> str:
    return "(" + ", ".join(f"{float(v):g}" for v in np.round(np.asarray(point, float), 3)) + ")"
