"""What a robustness study varies: placement of the electrodes, conductivities and thresholds, and how many points."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from ...meshes.errors import PlanError
from ...meshes.model import Model, NotNegative, problems_of, refuse
from ...meshes.plan import Plan, load_plan
from ..sweep.spec import read_settings

WHOLE = 0.999
"""Share of a target from which it counts as covered whole: a thousandth is below what voxels resolve."""


class Placement(Model):
    """How far electrodes end up from where the plan has them: standard deviations of normal distributions."""

    shift_mm: NotNegative = Field(default=1.0, description="Along each patient axis, mm.")
    depth_mm: NotNegative = Field(default=2.0, description="Of needles, along the direction of insertion, mm.")
    tilt_deg: NotNegative = Field(default=2.0, description="About each patient axis, degrees.")
    together: bool = Field(default=False, description="All electrodes move as one body, as on a common holder.")


class Robustness(Model):
    """A plan and how uncertain it is."""

    plan: str | dict[str, Any] = Field(description="A plan file relative to this one, or the plan's table.")
    placement: Placement = Field(default=Placement(), description="Placement errors.")
    conductivity: dict[str, NotNegative] = Field(
        default={},
        description="Tissue -> standard deviation over mean of its conductivity, over the library's; 0 keeps it as "
        "it is; '*' stands for all tissues that are not named.",
    )
    threshold: dict[str, NotNegative] = Field(default={}, description="The same for a tissue's thresholds.")
    samples: int = Field(
        default=64, ge=4, le=65536, description="Base samples N, a power of 2; N (groups + 2) points are computed."
    )
    seed: int = Field(default=1, ge=1, description="Of the random numbers.")
    groups: Literal["each", "kind"] = Field(
        default="each",
        description="Whose shares of the variance are told: each electrode's and tissue's, or placement, conductivity "
        "and thresholds as wholes, which takes fewer points.",
    )
    whole: float = Field(default=WHOLE, gt=0, le=1, description="Share from which a target counts as covered whole.")
    warm_starts: bool = Field(default=True, description="Start solves from neighbours; false: each by itself.")

    _folder: Path | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _power_of_two(self) -> Robustness:
        if self.samples & (self.samples - 1):
            refuse("samples", "a power of 2, such as 64", self.samples)
        return self

    @property
    def folder(self) -> Path | None:
        """Folder of the file that it was read from."""
        return self._folder

    def load_plan(self) -> Plan:
        """The plan, read.

        Raises:
            PlanError: it can't be.
        """
        if isinstance(self.plan, str):
            return load_plan((self.folder or Path()) / self.plan)
        return load_plan(self.plan)


def load_robustness(source: Path | str | Mapping[str, Any], changes: Mapping[str, Any] | None = None) -> Robustness:
    """Read a robustness file, or a plan file, which is studied with the usual settings.

    Args:
        source: path of a YAML or JSON file, or the table itself.
        changes: settings over those of the file; those of `placement` one by one.

    Raises:
        PlanError: with one problem for everything found wrong.
    """
    data, folder = read_settings(source, "plan", "a plan, or a table with 'plan' and what is uncertain")
    if "plan" not in data:
        data = {"plan": Path(source).name if isinstance(source, str | Path) else dict(data)}
    data = merged(data, changes or {})
    try:
        settings = Robustness.model_validate(data)
    except ValidationError as error:
        raise PlanError(problems_of(error, data)) from None
    settings._folder = folder
    return settings


def merged(data: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A table with changes over it; tables within are merged, not replaced."""
    for key, value in changes.items():
        former = data.get(key)
        if isinstance(value, Mapping) and isinstance(former, Mapping):
            value = merged(dict(former), value)
        data[key] = value
    return data
