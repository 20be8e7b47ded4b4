"""What the points of a study say: distributions, the probability that a target is covered whole, shares of the
variance, and how all of these settle with the number of points.

Proportions carry Wilson's 95 % interval for independent draws; Sobol points do better, so it is on the safe side.
Indices carry SALib's bootstrap interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.stats import binomtest

from .design import base_points, complete_samples, salib_problem
from .factors import Factor, groups_of

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
RESAMPLES = 400
FEWEST_SAMPLES = 4
"""Base samples below which an estimate says nothing."""
CONSTANT = 1e-9
"""Standard deviation over the largest value below which a measure does not vary: it has no shares to tell."""

Floats = NDArray[np.float64]


class Estimate(BaseModel):
    """Base of the parts of robustness.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Proportion(Estimate):
    """A probability with its 95 % interval; null where no point has a result."""

    value: float | None
    low: float | None
    high: float | None
    points: int = Field(description="independent draws that it rests on")


class Share(Estimate):
    """How much of a measure's variance is due to one group: by itself (first), and with all it interacts with (total).
    The 95 % intervals are value +- conf; null where the measure does not vary or too few points have a result."""

    group: str
    first: float | None
    first_conf: float | None
    total: float | None
    total_conf: float | None


class Measure(Estimate):
    """The distribution of one measure over the draws, and what its variance is due to."""

    name: str = Field(description="as a column of the sweep's table")
    label: str
    unit: str
    planned: float | None = Field(description="of the plan as it stands")
    mean: float | None
    sd: float | None
    quantiles: dict[str, float | None] = Field(description="5, 25, 50, 75 and 95 %")
    shares: list[Share]
    values: list[float | None] = Field(description="of the independent draws, in order", repr=False)


class Settling(Estimate):
    """Estimates from the first base samples only."""

    samples: int
    whole: dict[str, Proportion] = Field(description="target -> probability that it is covered whole")
    total: dict[str, dict[str, float | None]] = Field(description="measure -> group -> total index")


def proportion(hits: NDArray[np.bool_]) -> Proportion:
    """A share of draws and Wilson's interval."""
    n = len(hits)
    if n == 0:
        return Proportion(value=None, low=None, high=None, points=0)
    k = int(np.count_nonzero(hits))
    interval = binomtest(k, n).proportion_ci(0.95, method="wilson")
    return Proportion(value=k / n, low=float(interval.low), high=float(interval.high), points=n)


class Draws:
    """The table of a study's points: which are independent draws, and which can serve indices.

    Args:
        table: of the sweep, one row per point. factors: as the design was made. samples: base samples N.
    """

    def __init__(self, table: pd.DataFrame, factors: Sequence[Factor], samples: int) -> None:
        self.table, self.factors, self.samples = table, factors, samples
        self.groups = groups_of(list(factors))
        self.done = (table["state"] == "done").to_numpy(bool)
        self._base = base_points(samples, len(self.groups))

    def base(self, samples: int | None = None) -> NDArray[np.int64]:
        """Indices of the independent draws with a result, of the first base samples or all."""
        chosen = self._base[: 2 * (self.samples if samples is None else samples)]
        return chosen[self.done[chosen]]

    @property
    def base_count(self) -> int:
        """How many independent draws there are, with or without a result."""
        return len(self._base)

    def values(self, column: str) -> Floats:
        """One measure at all points; nan where it has no value."""
        return self.table[column].to_numpy(float)

    def whole(self, column: str, share: float, samples: int | None = None) -> Proportion:
        """The probability that a coverage reaches a share."""
        values = self.values(column)[self.base(samples)]
        values = values[np.isfinite(values)]
        return proportion(values >= share)

    def shares(self, column: str, samples: int | None = None) -> list[Share]:
        """Sobol indices of a measure."""
        values = self.values(column)
        used = complete_samples(self.done & np.isfinite(values), len(self.groups))
        used = used[used < (self.samples if samples is None else samples)]
        rows = values.reshape(-1, len(self.groups) + 2)[used].reshape(-1)
        if len(used) < FEWEST_SAMPLES or np.std(rows) <= CONSTANT * float(np.max(np.abs(rows))):
            return [Share(group=g, first=None, first_conf=None, total=None, total_conf=None) for g in self.groups]
        from SALib.analyze import sobol

        found: Mapping[str, Floats] = sobol.analyze(
            salib_problem(self.factors), rows, calc_second_order=False, num_resamples=RESAMPLES, seed=1
        )
        return [
            Share(
                group=group,
                first=finite(found["S1"][j]),
                first_conf=finite(found["S1_conf"][j]),
                total=finite(found["ST"][j]),
                total_conf=finite(found["ST_conf"][j]),
            )
            for j, group in enumerate(self.groups)
        ]

    def measure(self, name: str, label: str, unit: str, planned: float | None) -> Measure:
        """Distribution and shares of one column."""
        values = self.values(name)[self.base()]
        known = values[np.isfinite(values)]
        empty = len(known) == 0
        return Measure(
            name=name,
            label=label,
            unit=unit,
            planned=planned,
            mean=None if empty else float(known.mean()),
            sd=None if len(known) < 2 else float(known.std(ddof=1)),
            quantiles={f"{q:g}": None if empty else float(np.quantile(known, q)) for q in QUANTILES},
            shares=self.shares(name),
            values=[finite(v) for v in values],
        )

    def settling(self, whole: Mapping[str, str], share: float, measures: Sequence[str]) -> list[Settling]:
        """Estimates from ever more base samples, doubling up to all.

        Args:
            whole: target -> column of its coverage. measures: columns whose total indices are told.
        """
        sizes: list[int] = []
        n = self.samples
        while n >= FEWEST_SAMPLES:
            sizes.insert(0, n)
            n //= 2
        return [
            Settling(
                samples=size,
                whole={target: self.whole(column, share, size) for target, column in whole.items()},
                total={m: {s.group: s.total for s in self.shares(m, size)} for m in measures},
            )
            for size in sizes
        ]


def finite(value: Any) -> float | None:
    """The number, or None for nan and infinity."""
    return float(value) if math.isfinite(value) else None
