"""The sweep file: a base plan, what to vary, what to keep."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, PrivateAttr, ValidationError, model_validator

from ...meshes.errors import PlanError
from ...meshes.model import Model, Name, Number, exactly_one, problems_of, refuse, shown
from ...meshes.plan import read_table
from .distributions import Distribution

MAP_NAMES = ("zone", "field")
LONGEST_CONDITION = 1000
"""Characters."""
Numbers = Annotated[tuple[Number, ...], Field(fail_fast=True)]
"""There may be a million of them: the first wrong one is told."""


class GridValues(Model):
    """Equally spaced values, on a linear or logarithmic scale."""

    start: Number = Field(description="First value.")
    stop: Number = Field(description="Last value.")
    count: int = Field(ge=1, le=1_000_000, description="How many.")
    spacing: Literal["linear", "log"] = Field(default="linear", description="Equal steps or equal ratios.")

    @model_validator(mode="after")
    def _can_be_log(self) -> GridValues:
        if self.spacing == "log" and not (self.start > 0 and self.stop > 0):
            refuse("start", "positive ends for a logarithmic grid", (self.start, self.stop))
        return self

    def values(self) -> list[float]:
        """The values, from the first to the last."""
        make = np.geomspace if self.spacing == "log" else np.linspace
        return [float(v) for v in make(self.start, self.stop, self.count)]


class Axis(Model):
    """One dimension of the sweep: one field with its values, or several fields that change together."""

    name: Name = Field(description="Dimension of the dataset.")
    field: str | None = Field(default=None, description="Path of a field of the plan.")
    grid: GridValues | None = Field(default=None, description="Its values, equally spaced.")
    values: Numbers | None = Field(default=None, min_length=1, description="Its values, one by one.")
    fields: dict[str, Numbers] | None = Field(
        default=None, description="Instead: several fields with equally many values, which change together."
    )

    @model_validator(mode="after")
    def _has_values(self) -> Axis:
        exactly_one(self, ("field", "fields"))
        if self.field is not None:
            exactly_one(self, ("grid", "values"))
        elif self.grid is not None or self.values is not None:
            refuse("fields", "values of each field in 'fields'", "grid or values beside it")
        elif not self.fields or len({len(v) for v in self.fields.values()}) != 1 or not self.size:
            refuse("fields", "equally many values for each field", {k: len(v) for k, v in (self.fields or {}).items()})
        return self

    def columns(self) -> dict[str, list[float]]:
        """Field -> values along the axis."""
        if self.fields is not None:
            return {path: list(values) for path, values in self.fields.items()}
        assert self.field is not None
        return {self.field: self.grid.values() if self.grid else list(self.values or ())}

    @property
    def size(self) -> int:
        return len(next(iter(self.columns().values())))


class Design(Model):
    """Points drawn from distributions, or given one by one."""

    method: Literal["sobol", "latin_hypercube", "random", "table"] = Field(description="How points are drawn.")
    points: int | None = Field(default=None, ge=1, le=10_000_000, description="How many; a power of 2 for sobol.")
    seed: int = Field(default=1, ge=0, description="Of the random numbers.")
    fields: dict[str, Distribution] | None = Field(
        default=None, description="Fields and their distributions; '*' draws for each item by itself."
    )
    table: dict[str, Numbers] | None = Field(
        default=None, description="Method 'table': field -> its value at each point."
    )

    @model_validator(mode="after")
    def _complete(self) -> Design:
        if self.method == "table":
            if not self.table or len({len(v) for v in self.table.values()}) != 1:
                refuse("table", "equally many values for each field", shown(self.table))
        elif not self.fields or self.points is None:
            refuse("fields", "fields with distributions, and the number of points", "one of them missing")
        elif self.method == "sobol" and self.points & (self.points - 1):
            near = 2 ** round(float(np.log2(self.points)))
            refuse("points", f"a power of 2 for a Sobol design, such as {near}", self.points)
        return self

    @property
    def size(self) -> int:
        return len(next(iter(self.table.values()))) if self.table else self.points or 0


class Constraint(Model):
    """A condition on axes and fields that a point must meet, or be skipped."""

    require: str = Field(
        min_length=1,
        max_length=LONGEST_CONDITION,
        description="Comparison of axis names, numbers, + - * / ** and abs, min, max.",
    )
    reason: str = Field(default="", description="Told of the points that do not meet it.")


class Sweep(Model):
    """A base plan and how to vary it."""

    title: str = Field(default="", description="One line for people.")
    plan: str | dict[str, Any] = Field(description="The base plan: a file relative to this one, or its table.")
    axes: tuple[Axis, ...] = Field(default=(), description="Crossed with each other and with the design.")
    design: Design | None = Field(default=None, description="Points off any grid.")
    constraints: tuple[Constraint, ...] = Field(default=(), description="Points that do not meet one are skipped.")
    maps: tuple[Literal["zone", "field"], ...] = Field(default=(), description="Maps to keep of every point.")
    warm_starts: bool = Field(default=True, description="Start solves from neighbours; false: each by itself.")
    max_attempts: int = Field(default=3, ge=1, le=100, description="Tries of a point that takes its process down.")

    _folder: Path | None = PrivateAttr(default=None)

    @property
    def folder(self) -> Path | None:
        """Folder of the file the sweep was read from."""
        return self._folder

    @model_validator(mode="after")
    def _varies(self) -> Sweep:
        if not self.axes and self.design is None:
            refuse("axes", "at least one axis, or a design", "neither")
        names = [axis.name for axis in self.axes] + (["point"] if self.design else [])
        reserved = {"x", "y", "z", "target", "avoided", "pulse", "electrode", "threshold_v_per_cm", "index"}
        for i, name in enumerate(names):
            if name in names[:i] or name in reserved or (name == "point" and not self.design):
                refuse(f"axes[{i}].name", "a name of its own, not one of the dataset's", name)
        return self


def load_sweep(source: Path | str | Mapping[str, Any]) -> Sweep:
    """Read and check a sweep file; its plan is opened by `Points.of`.

    Raises:
        PlanError: with one problem for everything found wrong.
    """
    data, folder = read_settings(source, "sweep", "a table with plan, axes or design")
    try:
        sweep = Sweep.model_validate(data)
    except ValidationError as error:
        raise PlanError(problems_of(error, data)) from None
    sweep._folder = folder
    return sweep


def read_settings(
    source: Path | str | Mapping[str, Any], field: str, expected: str
) -> tuple[dict[str, Any], Path | None]:
    """A settings file (YAML or JSON) as a table, with its folder; a table as it is.

    Raises:
        PlanError: naming `field`, for what can't be read or is no table.
    """
    folder = None
    data: Any = source
    if not isinstance(source, Mapping):
        try:
            text = Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PlanError.of(field, "a readable YAML or JSON file", f"{source}: {error}") from None
        data, folder = read_table(text, field), Path(source).resolve().parent
    if not isinstance(data, Mapping):
        raise PlanError.of(field, expected, shown(data))
    return dict(data), folder
