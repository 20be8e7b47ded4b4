"""What a plan may say about the anatomy and the grid it is solved on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from .model import (
    Model,
    Name,
    NotNegative,
    Number,
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
            "'totalsegmentator', 'segments', a table number: name, or the path of one",
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


PATH = (
    "relative to the plan's folder or to the anatomy folder named at the start of the run; may contain "
    "${ENVIRONMENT_VARIABLE}."
)
BACKGROUND = "Tissue of voxels without a structure (inside the body, where that is known)."
BODY = "Mask file on the same voxels, non-zero inside the body; outside it is insulating air."


class Mask(Model):
    """One structure of a scan as a file of its own: non-zero inside."""

    path: str = Field(min_length=1, description=f"NIfTI or NRRD file; {PATH}")
    tissue: Name = Field(description="Tissue of the structure.")
    name: Name | None = Field(
        default=None, description="Name as target or avoided structure; the tissue's name by default."
    )

    @property
    def structure(self) -> str:
        """The name that targets and avoided structures use."""
        return self.name or self.tissue


MOST_MASKS = 500
"""In a plan: four times the structures that a segmentation of the whole body has."""


class LabelMap(Model):
    """A segmented scan: one number per structure."""

    path: str = Field(min_length=1, description=f"NIfTI, NRRD or DICOM-SEG file; {PATH}")
    names: LabelNames = Field(
        description="Names of the numbers: 'totalsegmentator' (task 'total', version 2), 'segments' (those that a "
        "DICOM-SEG or .seg.nrrd file states), a table number: name, or the path of a JSON or YAML file with one.",
    )
    background: Name = Field(description=BACKGROUND)
    body: str | None = Field(default=None, description=BODY)
    tissue_of: dict[Name, Name] = Field(
        default_factory=dict,
        description="Tissue of a structure, structure: tissue; over the built-in table.",
    )
    masks: tuple[Mask, ...] = Field(
        default=(), max_length=MOST_MASKS, description="Structures over those of the map; later ones over earlier."
    )


class Masks(Model):
    """A segmented scan: one file per structure."""

    structures: tuple[Mask, ...] = Field(
        min_length=1,
        max_length=MOST_MASKS,
        description="Where they overlap, later ones lie over earlier ones; how much is told.",
    )
    background: Name = Field(description=BACKGROUND)
    body: str | None = Field(default=None, description=BODY)


class Ct(Model):
    """The scan itself: behind the report's pictures, and for where the body ends."""

    path: str = Field(min_length=1, description=f"Folder of a DICOM series, or a NIfTI or NRRD file; {PATH}")
    body_above_hu: Number | None = Field(
        default=None,
        description="The body is the largest connected part above this, HU (such as -300), with its holes filled slice "
        "by slice; outside it is insulating air. Left out, the scan only stands behind the pictures.",
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
    """Either a phantom or a segmented scan, as a label map or as masks, with shapes added."""

    phantom: Phantom | None = Field(default=None, description="A block of one tissue.")
    label_map: LabelMap | None = Field(default=None, description="A segmented scan, one number per structure.")
    masks: Masks | None = Field(default=None, description="A segmented scan, one file per structure.")
    ct: Ct | None = Field(default=None, description="The scan that the segmentation was made from.")
    add: tuple[AddedShape, ...] = Field(default=(), description="Shapes painted over it, in order, in patient RAS mm.")

    @model_validator(mode="after")
    def _one_source(self) -> Anatomy:
        exactly_one(self, ("phantom", "label_map", "masks"))
        if self.ct is not None and self.phantom is not None:
            refuse("ct", "none beside a phantom", self.ct.path)
        segmented = self.label_map or self.masks
        if self.ct is not None and self.ct.body_above_hu is not None and segmented and segmented.body is not None:
            refuse("ct.body_above_hu", "none beside a mask of the body", self.ct.body_above_hu)
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
