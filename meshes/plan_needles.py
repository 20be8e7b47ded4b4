"""What a plan may say about needles: bare from the tip on, or probes with several bands of bare metal on one shaft."""

from __future__ import annotations

import itertools
import math
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, model_validator

from .marked_pose import placed_by_markups
from .model import Model, Name, NotNegative, Number, Positive, Vector, exactly_one, refuse
from .plan_markups import FiducialSettings, LineSettings

SHORTEST_GAP_MM = 0.05
"""Between two bands of a probe: far below what is made, and above what rounding could close."""


SLIMMEST = 10_000
"""Diameters in the length of a needle's metal: a hair of a metre. Gaps are measured from points half a radius apart."""


def _placed_by_markups(schema: dict[str, Any]) -> None:
    """A pose states tip_mm, or markups do."""
    schema["required"] = [name for name in schema["required"] if name != "tip_mm"]


class Pose(Model):
    """Where a straight, round instrument lies, how thick it is and how it ends."""

    model_config = ConfigDict(json_schema_extra=_placed_by_markups)

    tip_mm: Vector = Field(description="Foremost point; of a flat tip the middle of its face. Patient RAS mm.")
    direction: Vector | None = Field(
        default=None,
        description="From the shaft towards the tip (the way of insertion), any length; or give entry_mm.",
    )
    entry_mm: Vector | None = Field(
        default=None,
        description="Instead of direction: a point that the needle comes from, patient RAS mm.",
    )
    line: LineSettings | None = Field(
        default=None,
        description="Instead of tip_mm and direction: a line of a 3D Slicer markups file, which becomes tip_mm and "
        "entry_mm when the plan is read.",
    )
    fiducials: FiducialSettings | None = Field(
        default=None, description="Instead of tip_mm and direction: two points of such a file, as line."
    )
    diameter_mm: Positive = Field(description="Outer diameter of metal and shaft, mm.")
    tip: Literal["flat", "conical", "rounded"] = Field(
        default="flat", description="Shape of the tip; a rounded one is half a ball."
    )
    tip_length_mm: Positive | None = Field(
        default=None, description="Of a conical tip: from its point to the full diameter, mm; or give tip_angle_deg."
    )
    tip_angle_deg: Positive | None = Field(
        default=None, lt=180, description="Instead of tip_length_mm: full angle of the cone, degrees."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_markups(cls, data: Any, info: ValidationInfo) -> Any:
        return placed_by_markups(data, info)

    @model_validator(mode="after")
    def _has_direction(self) -> Pose:
        exactly_one(self, ("direction", "entry_mm"))
        if self.direction is not None and math.hypot(*self.direction) < 1e-9:
            refuse("direction", "a vector that is not zero", self.direction)
        if self.entry_mm is not None and math.dist(self.entry_mm, self.tip_mm) < 1e-6:
            refuse("entry_mm", "a point apart from tip_mm", self.entry_mm)
        return self

    @model_validator(mode="after")
    def _has_tip(self) -> Pose:
        if self.tip == "conical":
            exactly_one(self, ("tip_length_mm", "tip_angle_deg"))
        for field in ("tip_length_mm", "tip_angle_deg"):
            if self.tip != "conical" and getattr(self, field) is not None:
                refuse(field, "none, unless tip is conical", getattr(self, field))
        return self

    @property
    def unit_direction(self) -> tuple[float, float, float]:
        """Unit vector of insertion, patient axes."""
        if self.direction is not None:
            x, y, z = self.direction
        else:
            assert self.entry_mm is not None
            x, y, z = (t - e for t, e in zip(self.tip_mm, self.entry_mm, strict=True))
        length = math.hypot(x, y, z)
        return (x / length, y / length, z / length)

    @property
    def pointed_mm(self) -> float:
        """From the foremost point to the full diameter."""
        if self.tip == "flat":
            return 0.0
        if self.tip == "rounded":
            return 0.5 * self.diameter_mm
        if self.tip_length_mm is not None:
            return self.tip_length_mm
        assert self.tip_angle_deg is not None
        return 0.5 * self.diameter_mm / math.tan(math.radians(0.5 * self.tip_angle_deg))

    def check_slim(self, field: str, end_mm: Number) -> None:
        """Refuse a hair."""
        if end_mm > SLIMMEST * self.diameter_mm:
            refuse(field, f"at most {SLIMMEST} times diameter_mm", end_mm)

    def check_tip_fits(self, field: str, bare_mm: Number) -> None:
        """Refuse metal at the tip that ends before the full diameter is reached."""
        if bare_mm < self.pointed_mm - 1e-9:
            refuse(field, f"at least the length of the {self.tip} tip, {self.pointed_mm:.4g} mm", bare_mm)


class NeedleSettings(Pose):
    """A straight needle: bare metal over the exposed length from the tip, an insulated shaft behind it."""

    exposed_mm: Positive = Field(description="Length of bare metal, from the foremost point backwards, mm.")
    shaft_mm: NotNegative = Field(default=0.0, description="Length of insulated shaft behind the exposed part, mm.")

    @model_validator(mode="after")
    def _bare_tip(self) -> NeedleSettings:
        self.check_slim("exposed_mm", self.exposed_mm)
        self.check_tip_fits("exposed_mm", self.exposed_mm)
        return self


class BandSettings(Model):
    """Bare metal round a probe: an electrode of its own."""

    name: Name = Field(description="Name used by the pulses.")
    from_mm: NotNegative = Field(description="Where it begins, behind the foremost point, mm; 0 holds the tip.")
    to_mm: Positive = Field(description="Where it ends, behind the foremost point, mm.")

    @model_validator(mode="after")
    def _has_length(self) -> BandSettings:
        if self.to_mm <= self.from_mm:
            refuse("to_mm", f"more than from_mm {self.from_mm:g}", self.to_mm)
        return self


class ProbeSettings(Pose):
    """A needle with several electrodes: bands of bare metal, and insulation between and behind them."""

    bands: tuple[BandSettings, ...] = Field(min_length=2, description="Its electrodes.")
    shaft_mm: NotNegative = Field(default=0.0, description="Length of insulated shaft behind the last band, mm.")

    @model_validator(mode="after")
    def _bands_apart(self) -> ProbeSettings:
        order = sorted(range(len(self.bands)), key=lambda i: self.bands[i].from_mm)
        for i, j in itertools.pairwise(order):
            one, other = self.bands[i], self.bands[j]
            if other.from_mm < one.to_mm + SHORTEST_GAP_MM:
                expected = (
                    f"insulation of at least {SHORTEST_GAP_MM:g} mm behind {one.name}, which ends at {one.to_mm:g}"
                )
                refuse(f"bands[{j}].from_mm", expected, other.from_mm)
        for i, band in enumerate(self.bands):
            self.check_slim(f"bands[{i}].to_mm", band.to_mm)
            if band.from_mm == 0:
                self.check_tip_fits(f"bands[{i}].to_mm", band.to_mm)
            else:
                self.check_tip_fits(f"bands[{i}].from_mm", band.from_mm)
        return self

    @property
    def length_mm(self) -> float:
        """From the foremost point to the end of the shaft."""
        return max(band.to_mm for band in self.bands) + self.shaft_mm
