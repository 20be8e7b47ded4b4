"""The points of a robustness study: Saltelli's arrangement of Sobol points, as a sweep.

For each of N base samples there are D + 2 points, D the number of groups: A and B, two independent draws of everything,
and AB_1 ... AB_D, A with the fields of one group taken from B. Statistics use A and B alone (2 N points); differences
between A, B and AB_j give the share of the variance that is due to group j. Saltelli et al. 2010, Comput Phys Commun
181:259, as SALib has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...meshes.plan import Plan
from ..sweep.spec import Design, Sweep
from .factors import Factor
from .settings import Robustness


def salib_problem(factors: Sequence[Factor]) -> dict[str, Any]:
    """The problem as SALib describes it, every factor by its quantile."""
    return {
        "num_vars": len(factors),
        "names": [factor.field for factor in factors],
        "groups": [factor.group for factor in factors],
        "bounds": [[0.0, 1.0]] * len(factors),
    }


def sweep_of(settings: Robustness, plan: Plan, factors: Sequence[Factor]) -> Sweep:
    """The sweep over all points; index k (D + 2) + j is A, AB_1 ... AB_D, B of base sample k."""
    from SALib.sample import sobol  # takes a second to import

    unit = sobol.sample(salib_problem(factors), settings.samples, calc_second_order=False, seed=settings.seed)
    columns = {f.field: tuple(f.distribution.quantile(unit[:, i]).tolist()) for i, f in enumerate(factors)}
    return Sweep(
        title=f"Robustness of {plan.title}" if plan.title else "Robustness",
        plan=plan.model_dump(mode="json", exclude_unset=True),
        design=Design(method="table", table=columns),
        maps=("zone",),
        warm_starts=settings.warm_starts,
    )


def base_points(samples: int, groups: int) -> NDArray[np.int64]:
    """Indices of the points that are independent draws: A and B of each base sample, in order; shape (2 samples,)."""
    first = np.arange(samples) * (groups + 2)
    return np.stack([first, first + groups + 1], axis=1).reshape(-1)


def complete_samples(measured: NDArray[np.bool_], groups: int) -> NDArray[np.int64]:
    """Base samples all of whose D + 2 points have a result; the others can't be used for indices."""
    return np.flatnonzero(measured.reshape(-1, groups + 2).all(axis=1))
