"""Distributions of uncertain fields, and designs of points drawn from them (SciPy's qmc and stats)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy import stats
from scipy.stats import qmc

from ...meshes.model import Model, Number, Positive, exactly_one, refuse

Method = Literal["sobol", "latin_hypercube", "random"]
EDGE = 1e-9
"""Unit interval kept off its ends, where a normal distribution is infinite."""


class Normal(Model):
    """A normal distribution, cut off where wanted."""

    mean: Number = Field(default=0.0, description="Mean.")
    sd: Positive = Field(description="Standard deviation.")
    lowest: Number | None = Field(default=None, description="No value below.")
    highest: Number | None = Field(default=None, description="No value above.")

    @model_validator(mode="after")
    def _in_order(self) -> Normal:
        if self.lowest is not None and self.highest is not None and not self.lowest < self.highest:
            refuse("highest", f"more than lowest ({self.lowest:g})", self.highest)
        return self


class LogNormal(Model):
    """A factor that is as likely to be f times the median as 1/f times it."""

    median: Positive = Field(default=1.0, description="Median.")
    factor: Positive = Field(gt=1, description="One standard deviation: 68 % lie between median / factor and x factor.")


class Distribution(Model):
    """Exactly one kind."""

    uniform: tuple[Number, Number] | None = Field(default=None, description="Between two values.")
    triangular: tuple[Number, Number, Number] | None = Field(default=None, description="Lowest, likeliest, highest.")
    normal: Normal | None = Field(default=None, description="Normal.")
    lognormal: LogNormal | None = Field(default=None, description="Normal in the logarithm.")

    @model_validator(mode="after")
    def _one_kind(self) -> Distribution:
        exactly_one(self, ("uniform", "triangular", "normal", "lognormal"))
        ends = self.uniform or self.triangular
        if ends is not None and not (list(ends) == sorted(ends) and ends[0] < ends[-1]):
            refuse("uniform" if self.uniform else "triangular", "rising values", list(ends))
        return self

    def quantile(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values below which a share (0 to 1) of the distribution lies."""
        p = np.clip(share, EDGE, 1 - EDGE)
        if self.uniform is not None:
            low, high = self.uniform
            return low + p * (high - low)
        if self.triangular is not None:
            low, mode, high = self.triangular
            return stats.triang.ppf(p, (mode - low) / (high - low), low, high - low)
        if self.normal is not None:
            n = self.normal
            ends = [-np.inf if n.lowest is None else n.lowest, np.inf if n.highest is None else n.highest]
            a, b = ((end - n.mean) / n.sd for end in ends)
            return stats.truncnorm.ppf(p, a, b, n.mean, n.sd)
        assert self.lognormal is not None
        return self.lognormal.median * self.lognormal.factor ** stats.norm.ppf(p)


def draw(method: Method, points: int, dimensions: int, seed: int) -> NDArray[np.float64]:
    """A design in the unit cube, shape (points, dimensions)."""
    if method == "sobol":
        return qmc.Sobol(dimensions, rng=seed).random(points)
    if method == "latin_hypercube":
        return qmc.LatinHypercube(dimensions, rng=seed).random(points)
    return np.random.default_rng(seed).random((points, dimensions))
