"""Estimates on tables whose answers are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.typing import NDArray

from porefield.workers.robustness.design import salib_problem
from porefield.workers.robustness.estimates import Draws, proportion
from porefield.workers.robustness.factors import Factor
from porefield.workers.robustness.probability import probability_maps
from porefield.workers.sweep.distributions import Distribution

SAMPLES = 512
FACTORS = [
    Factor(name, group, Distribution(uniform=(0, 1)), "", "", True)
    for name, group in (("a", "one"), ("b", "one"), ("c", "two"), ("d", "three"))
]


def unit() -> NDArray[np.float64]:
    from SALib.sample import sobol

    return sobol.sample(salib_problem(FACTORS), SAMPLES, calc_second_order=False, seed=1)


def table(values: NDArray[np.float64], state: NDArray[np.str_] | None = None) -> pd.DataFrame:
    return pd.DataFrame({"state": np.full(len(values), "done") if state is None else state, "y": values})


def test_indices_of_a_function_with_an_interaction() -> None:
    """y = a + b + 2 c + 6 (c - 1/2) (d - 1/2): variances 1/12 + 1/12, 4/12 and 36/144, 5/12 + 1/4 = 2/3 in all."""
    a, b, c, d = unit().T
    draws = Draws(table(a + b + 2 * c + 6 * (c - 0.5) * (d - 0.5)), FACTORS, SAMPLES)
    shares = {s.group: s for s in draws.shares("y")}
    expected = {"one": (0.25, 0.25), "two": (0.5, 0.875), "three": (0.0, 0.375)}
    for group, (first, total) in expected.items():
        found = shares[group]
        assert found.first_conf is not None
        assert found.total_conf is not None
        # SALib's intervals are 95 %; twice as wide keeps a fixed seed away from the edge
        assert found.first == pytest.approx(first, abs=2 * found.first_conf)
        assert found.total == pytest.approx(total, abs=2 * found.total_conf)
        assert found.total_conf < 0.2


def test_points_without_a_result_leave_the_rest_in_place() -> None:
    a, _, c, _ = unit().T
    values = a + 2 * c
    state = np.full(len(values), "done")
    state[[0, 7, 100]] = "failed"
    values[state == "failed"] = np.nan
    draws = Draws(table(values, state), FACTORS, SAMPLES)
    whole = Draws(table(a + 2 * c), FACTORS, SAMPLES)
    assert len(draws.base()) < draws.base_count == 2 * SAMPLES
    found, expected = draws.measure("y", "y", "1", 1.5), whole.measure("y", "y", "1", 1.5)
    assert found.mean == pytest.approx(expected.mean, abs=0.01)
    for one, other in zip(found.shares, expected.shares, strict=True):
        assert one.total == pytest.approx(other.total, abs=0.05)


def test_quantiles_and_mean_of_a_uniform_measure() -> None:
    measure = Draws(table(unit()[:, 2]), FACTORS, SAMPLES).measure("y", "y", "1", None)
    assert measure.mean == pytest.approx(0.5, abs=0.005)
    assert measure.sd == pytest.approx(12**-0.5, rel=0.01)
    assert measure.quantiles["0.05"] == pytest.approx(0.05, abs=0.005)
    assert measure.quantiles["0.95"] == pytest.approx(0.95, abs=0.005)


def test_a_constant_measure_has_no_shares_and_no_result_has_no_number() -> None:
    n = len(unit())
    constant = Draws(table(np.full(n, 3.0)), FACTORS, SAMPLES).measure("y", "y", "1", 3.0)
    assert constant.sd == 0
    assert all(s.total is None for s in constant.shares)
    nothing = Draws(table(np.full(n, np.nan), np.full(n, "failed")), FACTORS, SAMPLES)
    assert nothing.measure("y", "y", "1", None).mean is None
    assert nothing.whole("y", 0.5).value is None


def test_wilsons_interval() -> None:
    """Wilson 1927, as tabulated for 8 of 10: 0.490 to 0.943 (Brown, Cai, DasGupta 2001, Stat Sci 16:101)."""
    found = proportion(np.arange(10) < 8)
    assert (found.value, found.points) == (0.8, 10)
    assert found.low == pytest.approx(0.490, abs=5e-4)
    assert found.high == pytest.approx(0.943, abs=5e-4)


def test_estimates_settle_with_the_samples() -> None:
    draws = Draws(table(unit()[:, 2]), FACTORS, SAMPLES)
    steps = draws.settling({"target": "y"}, 0.75, ["y"])
    assert [s.samples for s in steps] == [4, 8, 16, 32, 64, 128, 256, 512]
    widths = [s.whole["target"].high - s.whole["target"].low for s in steps]  # type: ignore[operator]
    assert widths == sorted(widths, reverse=True)
    assert steps[-1].whole["target"].value == pytest.approx(0.25, abs=0.01)
    assert steps[-1].total["y"]["two"] == pytest.approx(1, abs=0.1)
    assert steps[-1].whole["target"] == draws.whole("y", 0.75)


def test_probabilities_count_tissue_only_and_chosen_points_only() -> None:
    zone = np.zeros((4, 2, 1, 1), np.uint8)
    zone[:, 0, 0, 0] = [1, 2, 0, 255]  # outside once, reversible, irreversible; the last point has no result
    zone[:, 1, 0, 0] = [3, 3, 1, 255]  # metal twice
    zones = xr.DataArray(zone, dims=("point", "x", "y", "z"), coords={"x": [1.0, 2.0], "y": [0.0], "z": [0.0]})
    maps = probability_maps(zones, np.array([0, 1, 2]), {"space": "RAS"})
    assert maps["probability_reversible"].values.ravel().tolist() == pytest.approx([2 / 3, 1])
    assert maps["probability_irreversible"].values.ravel().tolist() == pytest.approx([1 / 3, 0])
    assert maps["draws"].values.ravel().tolist() == [3, 1]
    never = probability_maps(zones, np.array([0, 1]), {})
    assert np.isnan(never["probability_reversible"].values[1, 0, 0])
