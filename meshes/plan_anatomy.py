"""What a plan may say about the anatomy and the grid it is solved on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from .model import (
    Model,
    Name,
    NotNegative,
    Positive,
    Size,
    Vector,
    exactly_one,
    refuse,
    shown,
)
from .shapes import Box, Cylinder, Ellipsoid, Shape, Sphere


class Phantom(Model):
    """A block of one tissue, to add shapes to."""

    size_mm: Size = Field(description="Edge lengths along patient x, y, z, mm.")
    tissue: Name = Field(description="Tissue that fills it.")
    origin_mm: Vector = Field(default=(0, 0, 0), description="Lower corner, patient RAS mm.")


def _numbered(value: Any) -> Any:
    """A table with whole numbers as keys, as JSON writes them too; a string stays what it is."""
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping) or not value:
        refuse(
            "",
            "'totalsegmentator', a table number: name, or the path of one",
            shown(value),
        )
    table: dict[int, str] = {}
    for key, name in value.items():
        if isinstance(key, bool) or not str(key).strip().isdigit():
            refuse("", "whole numbers as keys", shown(key))
        if not isinstance(name, str) or not name.strip():
            refuse(str(key), "a name", shown(name))
        table[int(str(key))] = name
    return table


LabelNames = Annotated[dict[int, str] | str, BeforeValidator(_numbered)]


class LabelMap(Model):
    """A segmented scan: one number per structure."""

    path: str = Field(
        min_length=1,
        description="NIfTI or NRRD file; relative to the plan's folder or to the anatomy folder named at the start of "
        "the run; may contain ${ENVIRONMENT_VARIABLE}.",
    )
    names: LabelNames = Field(
        description="Names of the numbers: 'totalsegmentator' (task 'total', version 2), a table number: name, "
        "or the path of a JSON or YAML file with such a table.",
    )
    background: Name = Field(description="Tissue of voxels without a label (inside the body, where a mask is given).")
    body: str | None = Field(
        default=None,
        description="Mask file on the same voxels, non-zero inside the body; outside it is insulating air.",
    )
    tissue_of: dict[Name, Name] = Field(
        default_factory=dict,
        description="Tissue of a structure, structure: tissue; over the built-in table.",
    )


class AddedShape(Model):
    """A solid of one tissue, exactly one shape, painted over what is there; later ones over earlier ones."""

    tissue: Name = Field(description="Tissue of the solid.")
    name: Name | None = Field(
        default=None,
        description="Name as target or avoided structure; the tissue's name by default.",
    )
    sphere: Sphere | None = Field(default=None, description="A ball.")
    ellipsoid: Ellipsoid | None = Field(default=None, description="An ellipsoid.")
    cylinder: Cylinder | None = Field(default=None, description="A cylinder with flat ends.")
    box: Box | None = Field(default=None, description="A block along the patient's axes.")

    @model_validator(mode="after")
    def _one_shape(self) -> AddedShape:
        exactly_one(self, ("sphere", "ellipsoid", "cylinder", "box"))
        return self

    @property
    def shape(self) -> Shape:
        found = self.sphere or self.ellipsoid or self.cylinder or self.box
        assert found is not None
        return found

    @property
    def structure(self) -> str:
        """The name that targets and avoided structures use."""
        return self.name or self.tissue


class Anatomy(Model):
    """Either a phantom or a segmented scan, with shapes added."""

    phantom: Phantom | None = Field(default=None, description="A block of one tissue.")
    label_map: LabelMap | None = Field(default=None, description="A segmented scan.")
    add: tuple[AddedShape, ...] = Field(default=(), description="Shapes painted over it, in order, in patient RAS mm.")

    @model_validator(mode="after")
    def _one_source(self) -> Anatomy:
        exactly_one(self, ("phantom", "label_map"))
        return self


class Region(Model):
    """A box along the patient's axes; on an oblique scan, the scan-aligned box round it is solved."""

    from_mm: Vector = Field(description="Lower corner, patient RAS mm.")
    to_mm: Vector = Field(description="Upper corner, patient RAS mm.")

    @model_validator(mode="after")
    def _has_volume(self) -> Region:
        if not all(a < b for a, b in zip(self.from_mm, self.to_mm, strict=True)):
            refuse(
                "to_mm",
                f"more than from_mm {self.from_mm} in each coordinate",
                self.to_mm,
            )
        return self


def _three(value: Any) -> Any:
    return [value] * 3 if isinstance(value, int | float | str) and not isinstance(value, bool) else value


Spacing = Annotated[
    Size,
    BeforeValidator(_three, json_schema_input_type=Positive | Size),
]


class GridSettings(Model):
    """Size of the voxels, and how much of the scan is solved."""

    spacing_mm: Spacing = Field(description="Voxel edge, mm: one number, or three along the scan's own axes.")
    margin_mm: NotNegative = Field(
        default=20.0,
        description="Tissue kept round electrodes and targets of a scan, mm; a phantom is solved whole.",
    )
    region: Region | None = Field(default=None, description="Solve exactly this box instead.")
    resampling: Literal["majority", "nearest"] = Field(
        default="majority",
        description="Tissue of a solve voxel: of most of its volume, or of the scan voxel at its centre.",
    )
