"""What a sweep computes at each point, and what is kept of it: shared by evaluators, store and driver.

An evaluator says once which measures and maps it makes (`Layout`), then gives their values for each point
(`Evaluation`). The store keeps one `PointRecord` per point; a point counts as finished once its record is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict


class PointState(StrEnum):
    """Where a point is. Only done, failed and skipped stand in records; the others follow from their absence."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Dim:
    """One dimension of a sweep's dataset.

    Attributes:
        name: of the dimension.
        size: how many points along it.
        coords: name -> (values, one for each point along the dimension; attributes such as field and units).
    """

    name: str
    size: int
    coords: Mapping[str, tuple[list[Any], Mapping[str, Any]]]


@dataclass(frozen=True)
class Variable:
    """A measure of each point: a number, or an array over some of the layout's coordinates.

    Attributes:
        dims: names of coordinates of the layout; none for a number.
        units: as CF writes them; "1" for shares and counts.
    """

    units: str
    long_name: str
    dims: tuple[str, ...] = ()


@dataclass(frozen=True)
class MapVariable:
    """A map of each point over the voxels of the sweep's grid (dims x, y, z)."""

    dtype: Literal["uint8", "float32"]
    units: str
    long_name: str
    attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """What an evaluator makes at each point.

    Attributes:
        coords: coordinate name -> labels (text or numbers), for measures that are arrays.
        measures: by name.
        maps: by name; all over the same voxels.
        space: x, y, z -> voxel centres along the grid's own axes, mm; empty without maps.
        attrs: what a reader must know (affine, disclaimer, versions), plain JSON data.
    """

    measures: Mapping[str, Variable]
    coords: Mapping[str, list[Any]] = field(default_factory=dict)
    maps: Mapping[str, MapVariable] = field(default_factory=dict)
    space: Mapping[str, list[float]] = field(default_factory=dict)
    attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One point's values, as the layout announces them; None (or nan) for a number that does not exist."""

    measures: Mapping[str, Any]
    maps: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class PointRecord(BaseModel):
    """One finished point.

    Attributes:
        index: C-order over the sweep's dimensions.
        key: hash of the point's complete input; a record with another key is not this point's.
        attempts: how often it was begun, this time included.
        batch: how many points its worker took at once. seconds: of the batch, over its points.
        error: why it failed or was skipped.
        measures: name -> number, or nested lists in the order of the variable's coordinates; None for no number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int
    key: str
    state: PointState
    attempts: int = 1
    worker: str = ""
    started: str = ""
    seconds: float = 0.0
    batch: int = 1
    warm: bool = False
    error: str | None = None
    values: dict[str, float] = {}
    measures: dict[str, Any] = {}
