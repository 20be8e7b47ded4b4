"""Volumes of shapes on a grid against closed forms, and their boxes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from porefield.meshes.shapes import Box, Cylinder, Ellipsoid, Shape, Sphere
from porefield.meshes.voxels import VoxelGrid

AXES = np.linalg.qr(np.array([[1.0, 0.2, 0], [-0.3, 1, 0.1], [0.1, 0.2, 1]]))[0]

SHAPES: dict[str, tuple[Shape, float]] = {
    "sphere": (Sphere(centre_mm=(1, -2, 3), radius_mm=6), 4 / 3 * math.pi * 6**3),
    "ellipsoid": (Ellipsoid(centre_mm=(1, -2, 3), radii_mm=(4, 6, 8)), 4 / 3 * math.pi * 4 * 6 * 8),
    "tilted ellipsoid": (
        Ellipsoid(centre_mm=(0, 0, 0), radii_mm=(3, 5, 9), direction=(1, 1, 0), up=(0.3, 0, 2)),
        4 / 3 * math.pi * 3 * 5 * 9,
    ),
    "cylinder": (Cylinder(from_mm=(-5, -4, -2), to_mm=(4, 5.5, 1), radius_mm=3), math.pi * 9 * math.hypot(9, 9.5, 3)),
    "box": (Box(from_mm=(-4, -5, -6), to_mm=(3, 5, 7)), 7 * 10 * 13),
}


@pytest.mark.parametrize(("shape", "volume_mm3"), SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("axes", [np.eye(3), AXES], ids=["straight", "oblique"])
def test_volume_on_a_grid(shape: Shape, volume_mm3: float, axes: np.ndarray) -> None:
    grid = VoxelGrid((96, 96, 96), (0.25, 0.25, 0.25), axes, -axes @ np.full(3, 12.0))
    box = grid.index_box(*shape.bounds_mm())
    inside = shape.contains(grid.centres_mm(box))
    # Voxels are in or out by their centres: the error of a count is a small part of the surface's voxels.
    assert inside.sum() * grid.voxel_volume_mm3 == pytest.approx(volume_mm3, rel=5e-3)
    assert not any(inside.take(end, axis).any() for axis in range(3) for end in (0, -1)), "the box cuts the shape"


def test_box_is_inclusive_on_both_faces() -> None:
    box = Box(from_mm=(0, 0, 0), to_mm=(1, 1, 1))
    points = np.array([[0, 0, 0], [1, 1, 1], [1 + 1e-9, 0.5, 0.5], [1.01, 0.5, 0.5]])
    assert box.contains(points).tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("model", "fields", "message"),
    [
        (Cylinder, {"from_mm": [1, 1, 1], "to_mm": [1, 1, 1], "radius_mm": 2}, "apart from from_mm"),
        (Box, {"from_mm": [1, 1, 1], "to_mm": [2, 1, 2]}, "more than from_mm"),
        (Ellipsoid, {"centre_mm": [0, 0, 0], "radii_mm": [1, 1, 1], "up": [2, 0, 0]}, "does not point along direction"),
        (Ellipsoid, {"centre_mm": [0, 0, 0], "radii_mm": [1, 1, 1], "direction": [0, 0, 0]}, "not zero"),
        (Sphere, {"centre_mm": [0, 0, 0], "radius_mm": 0}, "greater than 0"),
    ],
)
def test_degenerate_shapes_are_refused(model: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        model.model_validate(fields)


def test_patient_and_local_coordinates_are_inverse() -> None:
    grid = VoxelGrid((4, 5, 6), (1, 2, 3), AXES, np.array([10.0, -20, 30]))
    points = np.random.default_rng(0).normal(size=(7, 3)) * 20
    np.testing.assert_allclose(grid.to_patient_mm(grid.to_local_m(points)), points, atol=1e-12)
    np.testing.assert_allclose(grid.direction_to_patient(grid.direction_to_local(points)), points, atol=1e-12)
    centre = (grid.affine @ [1, 2, 3, 1])[:3]
    np.testing.assert_allclose(grid.centres_mm()[1, 2, 3], centre, atol=1e-12)
    np.testing.assert_allclose(grid.to_local_m(centre), [1.5e-3, 5e-3, 10.5e-3], atol=1e-15)
