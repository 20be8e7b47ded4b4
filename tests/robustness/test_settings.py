"""What a study varies: files, options over them, factors and groups, and the errors of those who mistype."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from porefield.meshes.errors import PlanError
from porefield.meshes.scene import build_scene
from porefield.meshes.spreads import conductivity_spread, threshold_spread
from porefield.meshes.tissues import load_tissues
from porefield.workers.robustness.design import base_points, complete_samples, sweep_of
from porefield.workers.robustness.factors import Factor, factors_of, groups_of
from porefield.workers.robustness.settings import load_robustness
from porefield.workers.sweep.points import Points

from ..sweep.stub import PLAN


def factors(**settings: Any) -> list[Factor]:
    loaded = load_robustness({"plan": PLAN, **settings})
    plan = loaded.load_plan()
    return factors_of(loaded, plan, build_scene(plan))


def test_a_plan_is_a_study_with_the_usual_settings(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({"plan": "plan.yaml", "placement": {"shift_mm": 0.5}}))
    from_plan, from_file = load_robustness(tmp_path / "plan.yaml"), load_robustness(tmp_path / "study.yaml")
    assert from_plan.load_plan() == from_file.load_plan()
    assert (from_plan.placement.shift_mm, from_file.placement.shift_mm) == (1.0, 0.5)
    changed = load_robustness(tmp_path / "study.yaml", {"placement": {"tilt_deg": 0.0}, "samples": 16})
    assert changed.placement.shift_mm == 0.5
    assert (changed.placement.tilt_deg, changed.samples) == (0.0, 16)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"samples": 12}, "samples: expected a power of 2"),
        ({"placement": {"shift": 1}}, "placement.shift"),
        ({"placement": {"shift_mm": -1}}, "placement.shift_mm"),
        ({"groups": "all"}, "groups: expected 'each' or 'kind'"),
    ],
)
def test_what_is_mistyped_is_named(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(PlanError, match=told):
        load_robustness({"plan": PLAN, **settings})


def test_what_is_not_there_can_not_vary() -> None:
    with pytest.raises(PlanError, match=r"conductivity.bone: expected '\*' or a tissue of the solved region"):
        factors(conductivity={"bone": 0.2})
    with pytest.raises(PlanError, match="something that varies"):
        factors(placement={"shift_mm": 0, "depth_mm": 0, "tilt_deg": 0}, conductivity={"*": 0}, threshold={"*": 0})


def test_each_electrode_and_tissue_is_a_group_of_its_own() -> None:
    found = factors()
    assert groups_of(found) == [
        "placement of A",
        "placement of B",
        "conductivity of liver",
        "conductivity of tumour",
        "threshold of liver",
        "threshold of tumour",
    ]
    assert [f.field for f in found if f.group == "placement of A"] == [
        *(f"electrodes.A.shift_mm.{axis}" for axis in "xyz"),
        *(f"electrodes.A.tilt_deg.{axis}" for axis in "xyz"),
        "electrodes.A.depth_mm",
    ]
    assert groups_of(factors(groups="kind")) == ["placement", "conductivity", "threshold"]
    together = factors(placement={"together": True, "tilt_deg": 0})
    assert [f.field for f in together if f.group == "placement"] == [
        *(f"electrodes.all.shift_mm.{axis}" for axis in "xyz"),
        "electrodes.all.depth_mm",
    ]


def test_spreads_come_from_the_library_and_say_whence() -> None:
    liver, tumour = (load_tissues()[name] for name in ("liver", "tumour"))
    spread = threshold_spread(liver)
    # the range that spreads further, 500 to 723, as four standard deviations of the logarithm
    assert math.log(spread.factor) == pytest.approx(math.log(723 / 500) / 4)
    assert spread.verified
    assert "irreversible_v_per_cm: 500 to 723" in spread.note
    assert not threshold_spread(tumour).verified
    fat = conductivity_spread(load_tissues()["fat"])
    assert fat.relative_sd == pytest.approx(1.19)
    assert math.log(fat.factor) ** 2 == pytest.approx(math.log1p(1.19**2))
    stated = {f.group: f for f in factors(threshold={"tumour": 0.4})}
    assert stated["threshold of tumour"].source == "settings of this study"
    assert "0.68 to 1.47" in stated["threshold of tumour"].words  # exp(sqrt(log(1.16)))


def test_points_swap_one_group_at_a_time() -> None:
    settings = load_robustness({"plan": PLAN, "samples": 8, "groups": "kind"})
    plan = settings.load_plan()
    found = factors_of(settings, plan, build_scene(plan))
    points = Points.of(sweep_of(settings, plan, found))
    assert points.n == 8 * 5
    a, *swapped, b = (points.values(5 * 3 + j) for j in range(5))
    for group, mixed in zip(groups_of(found), swapped, strict=True):
        for factor in found:
            source = b if factor.group == group else a
            assert mixed[factor.field] == source[factor.field] != (a if source is b else b)[factor.field]
    assert base_points(8, 3).tolist()[:4] == [0, 4, 5, 9]


def test_a_threshold_scale_keeps_the_order_and_reaches_the_library() -> None:
    sweep = {
        "plan": PLAN,
        "axes": [{"name": "scale", "field": "tissues.liver.threshold_scale", "values": [0.5, 2.0]}],
    }
    from porefield.workers.sweep.spec import load_sweep

    points = Points.of(load_sweep(sweep))
    liver = load_tissues()["liver"]
    for i, scale in enumerate((0.5, 2.0)):
        override = points.plan(i).tissues["liver"]
        assert override.reversible_v_per_cm == scale * liver.reversible_v_per_cm
        assert override.irreversible_v_per_cm == scale * liver.irreversible_v_per_cm
        scaled = load_tissues(points.plan(i).tissues)["liver"].thresholds[1].range
        assert scaled is not None
        assert (scaled.low, scaled.high) == pytest.approx((scale * 500, scale * 723))
    own = {"liver": {"irreversible_v_per_cm": 600.0, "irreversible_range_v_per_cm": [550.0, 650.0]}}
    points = Points.of(load_sweep(sweep | {"plan": PLAN | {"tissues": own}}))
    assert points.plan(1).tissues["liver"].irreversible_range_v_per_cm == (1100, 1300)


def test_only_complete_base_samples_serve_indices() -> None:
    import numpy as np

    measured = np.ones(5 * 4, bool)
    measured[7] = False  # the third of the second sample's five
    assert complete_samples(measured, 3).tolist() == [0, 2, 3]


def test_the_example_is_a_study() -> None:
    settings = load_robustness(Path(__file__).parents[2] / "examples" / "robustness.yaml")
    plan = settings.load_plan()
    found = factors_of(settings, plan, build_scene(plan))
    assert settings.samples * (len(groups_of(found)) + 2) == 512  # as its last line says
