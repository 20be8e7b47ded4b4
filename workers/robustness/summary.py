"""robustness.json: what a study found, and what it rests on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from ...meshes.plan import Plan
from ..summarise import version_of
from ..summary import DISCLAIMER
from ..sweep.model import Layout
from .estimates import Draws, Estimate, Measure, Proportion, Settling, proportion
from .factors import Factor
from .settings import Robustness

MOST_REASONS = 10


class RobustnessSummary(Estimate):
    """The contents of robustness.json."""

    porefield: str = Field(description="version that computed it")
    created: str = Field(description="ISO 8601, UTC")
    disclaimer: str = DISCLAIMER
    title: str
    plan: dict[str, Any] = Field(description="the plan as it stands")
    settings: dict[str, Any] = Field(description="of the study, without the plan")
    factors: list[dict[str, Any]] = Field(description="what varies, how, and where that is known from")
    groups: list[str]
    points: dict[str, int] = Field(description="computed, by how they ended")
    draws: int = Field(description="independent draws, with or without a result")
    draws_with_result: int = Field(description="those that all probabilities and distributions rest on")
    failures: dict[str, int] = Field(description="why points have no result, and how often")
    whole: dict[str, Proportion] = Field(description="target -> probability that it is covered whole, reversibly")
    exceeded: dict[str, Proportion] = Field(description="avoided structure -> probability that it is above its limit")
    within_limits: dict[str, Proportion] = Field(description="pulse -> probability that the generator can deliver it")
    measures: list[Measure]
    settling: list[Settling] = Field(description="the same from fewer base samples: how far the estimates have settled")

    def measure(self, name: str) -> Measure:
        """One measure by its column."""
        return next(m for m in self.measures if m.name == name)


def summarise_study(
    settings: Robustness,
    plan: Plan,
    factors: Sequence[Factor],
    layout: Layout,
    table: pd.DataFrame,
    planned: Mapping[str, float],
) -> RobustnessSummary:
    """All estimates of a study.

    Args:
        layout, table: of its sweep. planned: the measures of the plan as it stands, by column.
    """
    draws = Draws(table, factors, settings.samples)
    coverage = {target: f"target_coverage_reversible[{target}]" for target in layout.coords["target"]}
    chosen = list(measures_told(layout))
    settled = [*coverage.values(), *(name for name, _, _ in chosen if name.startswith("generator_current_a"))]
    states = Counter(table["state"].tolist())
    reasons = Counter(str(e) for e in table["error"].dropna().tolist() if e)
    return RobustnessSummary(
        porefield=version_of("porefield"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        title=plan.title,
        plan=plan.model_dump(mode="json", exclude_unset=True),
        settings=settings.model_dump(mode="json", exclude={"plan"}),
        factors=[factor.as_dict() for factor in factors],
        groups=draws.groups,
        points={"total": len(table), **{name: states[name] for name in ("done", "failed", "skipped")}},
        draws=draws.base_count,
        draws_with_result=len(draws.base()),
        failures=dict(reasons.most_common(MOST_REASONS)),
        whole={target: draws.whole(column, settings.whole) for target, column in coverage.items()},
        exceeded={
            name: _any(draws, f"avoid_volume_above_limit_mm3[{name}]", above=0.0) for name in layout.coords["avoided"]
        },
        within_limits={
            name: draws.whole(f"within_generator_limits[{name}]", 1.0)
            for name in layout.coords["pulse"]
            if np.isfinite(planned.get(f"within_generator_limits[{name}]", np.nan))
        },
        measures=[draws.measure(name, label, unit, _known(planned, name)) for name, label, unit in chosen],
        settling=draws.settling(coverage, settings.whole, settled),
    )


def measures_told(layout: Layout) -> Iterator[tuple[str, str, str]]:
    """(column, words, unit) of the measures whose distribution a report shows."""
    for target in layout.coords["target"]:
        yield f"target_coverage_reversible[{target}]", f"{target}: covered reversibly", "1"
        yield f"target_coverage_irreversible[{target}]", f"{target}: covered irreversibly", "1"
        yield f"target_field_q02_v_per_cm[{target}]", f"{target}: field that 98 % of it reach", "V/cm"
    for name in layout.coords["avoided"]:
        yield f"avoid_field_max_v_per_cm[{name}]", f"{name}: largest field", "V/cm"
    yield "volume_reversible_mm3", "volume, reversible or more", "mm3"
    yield "volume_irreversible_mm3", "volume, irreversible", "mm3"
    for name in layout.coords["pulse"]:
        yield f"generator_current_a[{name}]", f"current of {name}", "A"


def _any(draws: Draws, column: str, above: float) -> Proportion:
    values = draws.values(column)[draws.base()]
    return proportion(values[np.isfinite(values)] > above)


def _known(planned: Mapping[str, float], name: str) -> float | None:
    value = planned.get(name, np.nan)
    return float(value) if np.isfinite(value) else None
