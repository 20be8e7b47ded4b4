"""What a plan may say in place of a needle's tip and direction: a line, or two points, of a 3D Slicer markups file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from .model import Model, Vector, exactly_one, refuse

MARKUPS_PATH = (
    "Markups file (.mrk.json); relative to the plan's folder, may contain ${ENVIRONMENT_VARIABLE}. Over HTTP a plan "
    "holds the points themselves."
)


class LineSettings(Model):
    """A line of two points: one is the needle's foremost point, and it comes from the other."""

    path: str | None = Field(default=None, min_length=1, description=MARKUPS_PATH)
    name: str | None = Field(
        default=None,
        min_length=1,
        description="Name of the line; may be left out where the file has one line only. A line without a name of its "
        "own, as 3D Slicer writes them, is called as its points are (L-1 and L-2: L), or as the file.",
    )
    points_mm: tuple[Vector, Vector] | None = Field(default=None, description="Instead of path: its two points, mm.")
    space: Literal["LPS", "RAS"] | None = Field(
        default=None, description="Coordinate system of points_mm; a file states its own."
    )
    tip: Literal["first", "last"] = Field(description="Which of its points is the needle's tip.")

    @model_validator(mode="after")
    def _one_source(self) -> LineSettings:
        exactly_one(self, ("path", "points_mm"))
        if self.points_mm is not None and self.space is None:
            refuse("space", "LPS or RAS, the coordinate system of points_mm", "none")
        for field in ("space",) if self.path is not None else ("name",):
            if getattr(self, field) is not None:
                refuse(field, f"none beside {'path' if self.path is not None else 'points_mm'}", getattr(self, field))
        return self


class FiducialSettings(Model):
    """Two points of a file's point lists, by their labels."""

    path: str = Field(min_length=1, description=MARKUPS_PATH)
    tip: str = Field(min_length=1, description="Label of the point that is the needle's tip.")
    entry: str = Field(min_length=1, description="Label of a point that the needle comes from.")
