"""What a plan may say about a device of the electrode library: which one, where it lies, and what differs from it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, model_validator

from .devices import Device, load_devices
from .errors import one_of
from .layouts import Layout
from .library import Value
from .marked_pose import placed_by_markups
from .model import Model, Name, Number, Vector, exactly_one, refuse
from .parameters import check_settings
from .plan_markups import FiducialSettings, LineSettings
from .shapes import orthonormal

Array = NDArray[np.float64]

NEAR_X_DEG = 30.0
"""Where the direction is as near to the patient's x axis, `across` is along y by default: any angle would do that keeps
the cross product well away from zero."""


def _known_names(schema: dict[str, Any]) -> None:
    """The library, for editors."""
    schema["enum"] = list(load_devices())


class DeviceSettings(Model):
    """A device of the library at a pose."""

    name: Name = Field(description="Of the electrode library (porefield electrodes).", json_schema_extra=_known_names)
    tip_mm: Vector | None = Field(
        default=None, description="Middle of the plane of the tips, or of plates' foremost edges; patient RAS mm."
    )
    centre_mm: Vector | None = Field(default=None, description="Instead of tip_mm: middle of the bare metal.")
    direction: Vector | None = Field(
        default=None, description="The way it was pushed in, any length; or give entry_mm."
    )
    entry_mm: Vector | None = Field(
        default=None, description="Instead of direction: a point that it comes from, patient RAS mm."
    )
    line: LineSettings | None = Field(
        default=None,
        description="Instead of tip_mm and direction: a line of a 3D Slicer markups file, which becomes tip_mm and "
        "entry_mm when the plan is read.",
    )
    fiducials: FiducialSettings | None = Field(
        default=None, description="Instead of tip_mm and direction: two points of such a file, as line."
    )
    across: Vector | None = Field(
        default=None,
        description="From row a to row b, from plate a to plate b, from the centre to needle 1; made perpendicular to "
        "the direction. By default the patient's x, or y where the direction is within 30 degrees of x.",
    )
    roll_deg: Number = Field(default=0.0, description="Turned about the direction by this, by the right-hand rule.")
    set: dict[Name, Number] = Field(
        default_factory=dict, description="Numbers of the device that differ from the library's, such as exposed_mm."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_markups(cls, data: Any, info: ValidationInfo) -> Any:
        return placed_by_markups(data, info)

    @model_validator(mode="after")
    def _is_known(self) -> DeviceSettings:
        library = load_devices()
        if self.name not in library:
            refuse("name", f"a device of the library, {one_of(library, self.name)}", self.name)
        check_settings(self.set, self.device.parameters, self.name)
        for part in self.layout.parts:
            bare = part.bare[1] - part.bare[0]
            if part.tip > part.bare[1] + 1e-9:
                refuse("set.tip_length_mm", f"at most the {bare:g} mm of bare metal at the tip", part.tip)
        return self

    @model_validator(mode="after")
    def _has_pose(self) -> DeviceSettings:
        exactly_one(self, ("tip_mm", "centre_mm"))
        exactly_one(self, ("direction", "entry_mm"))
        place = self.tip_mm or self.centre_mm
        assert place is not None
        if self.direction is not None and math.hypot(*self.direction) < 1e-9:
            refuse("direction", "a vector that is not zero", self.direction)
        if self.entry_mm is not None and math.dist(self.entry_mm, place) < 1e-6:
            refuse("entry_mm", f"a point apart from {self.place_field}", self.entry_mm)
        if self.across is not None:
            orthonormal(self.unit_direction.tolist(), self.across, ("direction", "across"))
        return self

    @property
    def device(self) -> Device:
        return load_devices()[self.name]

    @property
    def layout(self) -> Layout:
        """Its conductors, in its own frame."""
        return self.device.layout(self.set)

    @property
    def values(self) -> tuple[Value, ...]:
        """Its numbers with their provenance."""
        return self.device.values(self.set)

    @property
    def place_field(self) -> str:
        """Which field says where it is."""
        return "tip_mm" if self.tip_mm is not None else "centre_mm"

    @property
    def unit_direction(self) -> Array:
        """Unit vector of insertion, patient axes."""
        place = self.tip_mm or self.centre_mm
        way = self.direction if self.direction is not None else np.subtract(place or (), self.entry_mm or ())
        vector = np.asarray(way, float)
        return vector / np.linalg.norm(vector)

    @property
    def across_or_default(self) -> Vector:
        """`across` as the plan has it, or its default."""
        if self.across is not None:
            return self.across
        near = abs(float(self.unit_direction[0])) > math.cos(math.radians(NEAR_X_DEG))
        return (0.0, 1.0, 0.0) if near else (1.0, 0.0, 0.0)

    @property
    def frame(self) -> Array:
        """Rows: its x, its y and the direction of insertion, unit vectors in patient axes."""
        way, x, y = orthonormal(self.unit_direction.tolist(), self.across_or_default, ("direction", "across"))
        turn = math.radians(self.roll_deg)
        return np.stack([math.cos(turn) * x + math.sin(turn) * y, math.cos(turn) * y - math.sin(turn) * x, way])

    @property
    def tips_mm(self) -> Array:
        """Middle of the plane of the tips, patient RAS mm."""
        if self.tip_mm is not None:
            return np.asarray(self.tip_mm, float)
        return np.asarray(self.centre_mm, float) + self.layout.middle_mm * self.unit_direction

    @property
    def far_end_mm(self) -> Array:
        """On its axis, at the end of the longest shaft or plate: what it is tilted about."""
        return self.tips_mm - self.layout.length_mm * self.unit_direction

    def describe(self) -> dict[str, Any]:
        """The device and its numbers with their provenance, for JSON."""
        device = self.device
        return {
            "device": device.name,
            "title": device.title,
            "tip_mm": self.tips_mm.tolist(),
            "direction": self.unit_direction.tolist(),
            "across": self.frame[0].tolist(),
            "values": [{"name": value.quantity, **value.as_dict()} for value in self.values],
            "verified": all(value.verified for value in self.values),
            "note": device.note,
        }
