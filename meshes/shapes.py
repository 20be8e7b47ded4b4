"""Solids that a plan adds to the anatomy, in patient millimetres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from .model import Model, Positive, Size, Vector, refuse

EDGE_MM = 1e-6
"""A point this close to a surface counts as inside, so that rounding cannot break a symmetry."""

Points = NDArray[np.float64]
"""Patient RAS millimetres, shape (..., 3)."""


class Shape(Protocol):
    """A solid that knows its inside and a box round it."""

    def contains(self, points_mm: Points) -> NDArray[np.bool_]:
        """Which points lie inside or on the surface; shape (...)."""
        ...

    def bounds_mm(self) -> tuple[Points, Points]:
        """Lower and upper corner of the patient-axis-aligned box that holds the shape."""
        ...


class Sphere(Model):
    """A ball."""

    centre_mm: Vector = Field(description="Centre, patient RAS mm.")
    radius_mm: Positive = Field(description="Radius, mm.")

    def contains(self, points_mm: Points) -> NDArray[np.bool_]:
        return np.linalg.norm(points_mm - np.asarray(self.centre_mm), axis=-1) <= self.radius_mm + EDGE_MM

    def bounds_mm(self) -> tuple[Points, Points]:
        centre = np.asarray(self.centre_mm)
        return centre - self.radius_mm, centre + self.radius_mm


class Ellipsoid(Model):
    """An ellipsoid; its axes follow x, y, z unless directions are given."""

    centre_mm: Vector = Field(description="Centre, patient RAS mm.")
    radii_mm: Size = Field(description="The three half axes, mm.")
    direction: Vector = Field(default=(1, 0, 0), description="Direction of the first half axis, any length.")
    up: Vector = Field(
        default=(0, 1, 0),
        description="Direction of the second half axis; made perpendicular to the first.",
    )

    @model_validator(mode="after")
    def _spans(self) -> Ellipsoid:
        orthonormal(self.direction, self.up)
        return self

    def contains(self, points_mm: Points) -> NDArray[np.bool_]:
        along = (points_mm - np.asarray(self.centre_mm)) @ orthonormal(self.direction, self.up).T
        return np.linalg.norm(along / (np.asarray(self.radii_mm) + EDGE_MM), axis=-1) <= 1.0

    def bounds_mm(self) -> tuple[Points, Points]:
        centre = np.asarray(self.centre_mm)
        reach = np.linalg.norm(
            orthonormal(self.direction, self.up) * np.asarray(self.radii_mm)[:, None],
            axis=0,
        )
        return centre - reach, centre + reach


class Cylinder(Model):
    """A solid cylinder with flat ends, such as a length of vessel."""

    from_mm: Vector = Field(description="Middle of one end, patient RAS mm.")
    to_mm: Vector = Field(description="Middle of the other end, patient RAS mm.")
    radius_mm: Positive = Field(description="Radius, mm.")

    @model_validator(mode="after")
    def _has_length(self) -> Cylinder:
        if np.allclose(self.from_mm, self.to_mm, rtol=0, atol=EDGE_MM):
            refuse("to_mm", "a point apart from from_mm", self.to_mm)
        return self

    def contains(self, points_mm: Points) -> NDArray[np.bool_]:
        start, axis, length = self._axis()
        offset = points_mm - start
        along = offset @ axis
        across = np.linalg.norm(offset - along[..., None] * axis, axis=-1)
        return (along >= -EDGE_MM) & (along <= length + EDGE_MM) & (across <= self.radius_mm + EDGE_MM)

    def bounds_mm(self) -> tuple[Points, Points]:
        start, axis, length = self._axis()
        ends = np.stack([start, start + length * axis])
        rim = self.radius_mm * np.sqrt(np.maximum(1 - axis**2, 0))
        return ends.min(axis=0) - rim, ends.max(axis=0) + rim

    def _axis(self) -> tuple[Points, Points, float]:
        start = np.asarray(self.from_mm)
        span = np.asarray(self.to_mm) - start
        length = float(np.linalg.norm(span))
        return start, span / length, length


class Box(Model):
    """A block along the patient's axes."""

    from_mm: Vector = Field(description="One corner, patient RAS mm.")
    to_mm: Vector = Field(description="The opposite corner, patient RAS mm; larger in each coordinate.")

    @model_validator(mode="after")
    def _has_volume(self) -> Box:
        if not all(a < b for a, b in zip(self.from_mm, self.to_mm, strict=True)):
            refuse(
                "to_mm",
                f"more than from_mm {self.from_mm} in each coordinate",
                self.to_mm,
            )
        return self

    def contains(self, points_mm: Points) -> NDArray[np.bool_]:
        low, high = self.bounds_mm()
        return np.all((points_mm >= low - EDGE_MM) & (points_mm <= high + EDGE_MM), axis=-1)

    def bounds_mm(self) -> tuple[Points, Points]:
        return np.asarray(self.from_mm), np.asarray(self.to_mm)


def orthonormal(
    first: Sequence[float],
    second: Sequence[float],
    fields: tuple[str, str] = ("direction", "up"),
) -> Points:
    """Rows: unit vectors along `first`, along what of `second` is perpendicular to it, and their cross product.

    Refuses, by the names in `fields`, a zero vector and a second one along the first.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if np.linalg.norm(a) < 1e-9:
        refuse(fields[0], "a vector that is not zero", tuple(first))
    a = a / np.linalg.norm(a)
    across = b - (b @ a) * a
    if np.linalg.norm(across) <= max(1e-6 * float(np.linalg.norm(b)), 1e-9):
        refuse(fields[1], f"a vector that does not point along {fields[0]}", tuple(second))
    across = across / np.linalg.norm(across)
    return np.stack([a, across, np.cross(a, across)])
