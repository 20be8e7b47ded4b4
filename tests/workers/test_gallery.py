"""The case gallery on coarse voxels, against the figures that it states, and what each plan must say of itself."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import yaml

from porefield.meshes import load_plan
from porefield.meshes.gallery import load_gallery
from porefield.workers import run_plan
from porefield.workers.gallery import figures_of, strays

GALLERY: Mapping = load_gallery()


@pytest.mark.slow
@pytest.mark.parametrize("name", GALLERY)
def test_coarse_figures_are_the_stated_ones(name: str) -> None:
    result = run_plan(load_plan(GALLERY[name].plan_text(coarse=True)))
    assert result.converged
    assert result.summary["grid"]["shape"] == [30, 30, 24]  # one shape: the kernels are compiled once for all
    assert not list(strays(figures_of(result.summary), GALLERY[name].expected))


@pytest.mark.parametrize("name", GALLERY)
def test_every_plan_says_what_it_is_and_what_it_is_after(name: str) -> None:
    plan = load_plan(GALLERY[name].text)
    assert "plausible, not from a patient" in plan.description.lower()
    assert "assumed" in plan.description
    assert plan.targets
    assert plan.avoid
    assert plan.generator is not None
    assert any(electrode.device is not None for electrode in plan.electrodes)


def test_the_coarse_plan_differs_in_its_voxels_alone() -> None:
    for case in GALLERY.values():
        full, coarse = (yaml.safe_load(case.plan_text(coarse=coarse)) for coarse in (False, True))
        assert full["grid"].pop("spacing_mm") == case.spacing_mm
        assert coarse["grid"].pop("spacing_mm") == case.coarse_spacing_mm
        assert full == coarse


def test_figures_that_leave_their_tolerance_are_told() -> None:
    expected = {
        "coverage": {"a": {"reversible": [1.0, 0.9]}},
        "largest_current_a": 10.0,
        "at_risk_v_per_cm": {"b": 100.0},
    }
    within = {
        "coverage": {"a": {"reversible": [1.0, 0.891]}},
        "largest_current_a": 10.09,
        "at_risk_v_per_cm": {"b": 102.9},
    }
    beyond = {
        "coverage": {"a": {"reversible": [1.0, 0.889]}},
        "largest_current_a": 10.11,
        "at_risk_v_per_cm": {"b": 103.2},
    }
    assert not list(strays(within, expected))
    assert len(list(strays(beyond, expected))) == 3
    assert len(list(strays({**expected, "at_risk_v_per_cm": {}}, expected))) == 1
