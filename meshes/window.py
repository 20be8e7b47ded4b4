"""The grid of a solve: all of a phantom, or the part of a scan that matters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .conductors import Wire
from .errors import GeometryError, Problem
from .legend import Legend
from .notes import Note
from .placement import metal_bounds_mm
from .plan import Plan
from .plan_electrodes import TubeSettings
from .region import SLACK, Frame
from .sources import Source
from .voxels import VoxelGrid

Array = NDArray[np.float64]
Bounds = tuple[Array, Array]


def solve_grid(plan: Plan, source: Source, legend: Legend) -> tuple[VoxelGrid, list[Note]]:
    """The voxels to solve, and what to know about their choice.

    Raises:
        GeometryError: an electrode or the region beyond the anatomy.
    """
    frame, spacing = source.frame, plan.grid.spacing_mm
    _check_within(plan, frame)
    region = plan.grid.region
    if region is not None:
        low, high = frame.box_to_local_mm(np.asarray(region.from_mm), np.asarray(region.to_mm))
        grid = frame.crop(spacing, low, high)
        if min(grid.shape) < 1:
            got = f"{region.from_mm} to {region.to_mm}"
            raise GeometryError.of("grid.region", f"a box that meets the anatomy, {extent(frame)}", got)
        notes = _cut_faces(frame, low, high, "the region reaches beyond the anatomy")
        return grid, notes + _cut_structures(plan, source, legend, grid)
    if plan.anatomy.phantom is not None:
        grid = frame.whole(spacing)
        _check_voxels(grid, frame)
        return grid, _phantom_notes(plan, frame)
    low, high = _needed(plan, source, legend)
    low, high = low - plan.grid.margin_mm, high + plan.grid.margin_mm
    grid = frame.crop(spacing, low, high)
    _check_voxels(grid, frame)
    notes = _cut_faces(frame, low, high, f"the margin of {plan.grid.margin_mm:g} mm is cut by the edge of the scan")
    return grid, notes + _cut_structures(plan, source, legend, grid)


def _check_voxels(grid: VoxelGrid, frame: Frame) -> None:
    """At least one along each axis."""
    if min(grid.shape) < 1:
        sizes = " x ".join(f"{edge:g}" for edge in frame.extent_mm)
        got = f"{tuple(float(h) for h in grid.spacing_mm)} mm"
        raise GeometryError.of("grid.spacing_mm", f"voxels that fit into the anatomy of {sizes} mm", got)


def extent(frame: Frame) -> str:
    """Where the anatomy lies, in patient coordinates, for a message."""
    ends = np.stack([np.zeros(3), frame.extent_mm])
    corners = np.stack(np.meshgrid(*ends.T, indexing="ij"), axis=-1).reshape(-1, 3) @ frame.axes.T + frame.corner_mm
    low, high = np.round(corners.min(axis=0), 2), np.round(corners.max(axis=0), 2)
    return f"from ({', '.join(f'{v:g}' for v in low)}) to ({', '.join(f'{v:g}' for v in high)}) mm"


def _check_within(plan: Plan, frame: Frame) -> None:
    """Every needle's tip within the anatomy, and some of every plate and tube."""
    problems: list[Problem] = []
    for conductor in plan.conductors:
        solid = conductor.solid
        if isinstance(solid, Wire):
            point, reach = solid.pose.tip_mm, 1e-6
            low = high = frame.to_local_mm(np.asarray(point))
        else:
            point, reach = solid.centre_mm, 0.5 * max(plan.grid.spacing_mm)
            low, high = metal_bounds_mm(conductor, frame)
        if (high < -reach).any() or (low > frame.extent_mm + reach).any():
            got = conductor.told("(" + ", ".join(f"{v:g}" for v in point) + ")")
            problem = Problem(conductor.place_field, f"a point within the anatomy, {extent(frame)}", got)
            problems += [problem] if problem not in problems else []
    if problems:
        raise GeometryError(problems)


def _needed(plan: Plan, source: Source, legend: Legend) -> Bounds:
    """The box (mm along the frame's axes) round all bare metal and all targets; a tube's within the anatomy."""
    boxes = [metal_bounds_mm(conductor, source.frame) for conductor in plan.conductors]
    for i, conductor in enumerate(plan.conductors):
        if isinstance(conductor.solid, TubeSettings):  # what sticks out meets nothing, and asks for no margin
            boxes[i] = (np.maximum(boxes[i][0], 0.0), np.minimum(boxes[i][1], source.frame.extent_mm))
    for i, name in enumerate(plan.targets):
        box = structure_bounds_mm(plan, source, legend, name)
        if box is None:
            raise GeometryError.of(f"targets[{i}]", "a structure with voxels in the anatomy", f"{name}, which has none")
        boxes.append(box)
    lows, highs = zip(*boxes, strict=True)
    return np.min(lows, axis=0), np.max(highs, axis=0)


def structure_bounds_mm(plan: Plan, source: Source, legend: Legend, name: str) -> Bounds | None:
    """The box (mm along the frame's axes) round everything a name means; None when there is nothing."""
    codes = legend.codes(name)
    from_source = source.bounds_mm({code for code in codes if code < legend.first_added})
    boxes = [from_source] if from_source is not None else []
    for code, added in zip(legend.added, plan.anatomy.add, strict=True):
        if code in codes:
            boxes.append(source.frame.box_to_local_mm(*added.shape.bounds_mm()))
    if not boxes:
        return None
    lows, highs = zip(*boxes, strict=True)
    return np.min(lows, axis=0), np.max(highs, axis=0)


def _phantom_notes(plan: Plan, frame: Frame) -> list[Note]:
    notes: list[Note] = []
    if "margin_mm" in plan.grid.model_fields_set:
        notes.append(Note("margin_ignored", "margin_mm is for scans: the phantom is solved whole"))
    if not frame.fits(plan.grid.spacing_mm):
        text = "the phantom's size is not a whole number of voxels: the last ones are tissue or air by their centres"
        notes.append(Note("phantom_padded", text))
    return notes


def _cut_faces(frame: Frame, low: Array, high: Array, what: str) -> list[Note]:
    short = max(0.0, float(-low.min()), float((high - frame.extent_mm).max()))
    if short <= SLACK:
        return []
    text = f"{what} by up to {short:.0f} mm; no current leaves through that face"
    return [Note("cut_by_edge", text, warning=True)]


def _cut_structures(plan: Plan, source: Source, legend: Legend, grid: VoxelGrid) -> list[Note]:
    """Targets and avoided structures that reach beyond the grid are measured only within it."""
    start = source.frame.to_local_mm(grid.corner_mm)
    stop = start + grid.size_mm
    reach = max(grid.spacing_mm)
    notes: list[Note] = []
    for name in (*plan.targets, *plan.avoid):
        box = structure_bounds_mm(plan, source, legend, name)
        if box is not None and ((box[0] < start - reach).any() or (box[1] > stop + reach).any()):
            target = name in plan.targets
            text = f"{name} reaches beyond the solved region: only its part within is measured"
            notes.append(Note("target_cut" if target else "avoided_structure_cut", text, warning=target))
    return notes
