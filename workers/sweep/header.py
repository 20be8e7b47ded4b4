"""sweep.json: all that a driver or a worker needs to go on with a sweep, wherever and whenever it starts."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from ..summary import DISCLAIMER
from .evaluate import EvaluatorSettings
from .spec import Sweep


class SweepHeader(BaseModel):
    """What a sweep was begun with; never changed afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    porefield: str = Field(description="version that began it")
    created: str = Field(description="ISO 8601, UTC")
    disclaimer: str = DISCLAIMER
    sweep: Sweep = Field(description="with the base plan in it, not its path")
    base_dir: str | None = Field(description="where relative paths start")
    anatomy: str | None = Field(description="the label map or folder named for the run")
    inputs: str = Field(description="hash of files, versions and settings")
    points: int

    @property
    def folder(self) -> Path | None:
        return None if self.base_dir is None else Path(self.base_dir)

    def evaluator_settings(self) -> EvaluatorSettings:
        """What a worker makes its evaluator from."""
        return evaluator_settings(self.sweep, self.base_dir, self.anatomy)


def evaluator_settings(sweep: Sweep, base_dir: str | None, anatomy: str | None) -> EvaluatorSettings:
    """What a worker makes its evaluator from, for a sweep whose plan is in it."""
    plan = sweep.plan
    if not isinstance(plan, dict):
        raise TypeError(f"expected a sweep with its plan in it, got {plan!r}")
    return EvaluatorSettings(plan, base_dir, anatomy, tuple(sweep.maps), sweep.warm_starts)
