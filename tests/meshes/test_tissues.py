"""The libraries: every value has a source, a status and a confidence; every law is monotone; plans go over them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from porefield.kernels.conductivity import check_monotonic
from porefield.meshes import PlanError, load_generators, load_plan, load_tissues
from porefield.meshes.law_curves import law_curve
from porefield.meshes.layers import load_layers
from porefield.meshes.library import Confidence, Status, Value, data_table
from porefield.meshes.tissues import THERMAL

TISSUES = load_tissues()
WANTED = [
    "liver",
    "liver_metastasis",
    "tumour",
    "hepatocellular_carcinoma",
    "pancreatic_carcinoma",
    "renal_carcinoma",
    "prostate_carcinoma",
    "breast_carcinoma",
    "head_neck_carcinoma",
    "lung_tumour",
    "brain_tumour",
    "melanoma_metastasis",
    "bone_metastasis",
    "muscle",
    "muscle_fibres",
    "fat",
    "skin",
    "epidermis",
    "dermis",
    "skin_lumped",
    "bile",
    "bile_duct",
    "urethra",
    "bone_cortical",
    "bone_cancellous",
    "bone_marrow_red",
    "bone_marrow_yellow",
    "prostate",
    "kidney",
    "lung",
    "pancreas",
    "blood",
    "vessel_wall",
    "brain_grey",
    "brain_white",
    "spinal_cord",
    "csf",
    "nerve",
    "bladder_wall",
    "rectum_wall",
    "bowel",
    "salivary_gland",
    "mucosa",
    "tongue",
    "cartilage",
    "connective_tissue",
    "lymph_node",
    "soft_tissue",
    "urine",
    "saline",
    "gel",
    "air",
]


def test_the_library_has_what_plans_need() -> None:
    assert set(WANTED) <= set(TISSUES)


@pytest.mark.parametrize("name", sorted(TISSUES))
def test_every_value_says_where_it_comes_from(name: str) -> None:
    tissue = TISSUES[name]
    check_monotonic(tissue.law)
    assert {value.quantity for value in tissue.thermal} <= set(THERMAL)
    for value in (*tissue.values, *tissue.thermal):
        assert value.source, value
        assert value.unit or value.quantity in ("displacement", "anisotropy_ratio"), value
        assert value.value is None or math.isfinite(value.value), value
        assert value.status is not Status.PLAN, value
    assert 0 < tissue.reversible_v_per_cm <= tissue.irreversible_v_per_cm
    for value in (*tissue.conductivity, *tissue.thresholds):
        if value.value and value.quantity.endswith(("_s_per_m", "_v_per_cm")):
            assert value.range is not None, value
            assert value.range.low < value.value < value.range.high, value
            assert value.range.source, value


def test_alternatives_and_sources_are_well_formed() -> None:
    table = data_table("tissues.yaml")
    used: set[str] = set()
    for name, entry in (*table["tissues"].items(), *table["layers"].items()):
        values = [v for k, v in entry.items() if isinstance(v, dict) and k != "alternatives"]
        values += [v for group in entry.get("alternatives", {}).values() for v in group]
        values += [v["range"] for v in values if "range" in v]
        for value in values:
            assert set(value) <= {"value", "sd", "source", "status", "confidence", "note", "range"}, (name, value)
            assert value["status"] in set(Status)
            assert value["confidence"] in set(Confidence)
            used.add(value["source"])
    assert used <= set(table["sources"])
    assert not any(word in str(table) for word in ("/work", "../", "http"))


@pytest.mark.parametrize(
    ("status", "confidence", "verified"),
    [
        ("read", "low", True),
        ("read_abstract", "medium", True),
        ("secondhand", "high", True),
        ("secondhand", "medium", False),
        ("computed", "high", True),
        ("computed", "medium", False),
        ("recall", "high", False),
        ("engineering", "high", False),
        ("plan", "stated", True),
    ],
)
def test_what_counts_as_verified(status: str, confidence: str, verified: bool) -> None:
    value = Value("baseline_s_per_m", 0.1, "x", Status(status), Confidence(confidence))
    assert value.verified is verified
    assert value.as_dict()["verified"] is verified
    assert value.as_dict()["unit"] == "S/m"


def test_liver_as_in_its_sources() -> None:
    liver = TISSUES["liver"]
    assert (liver.law.baseline_s_per_m, liver.law.permeabilised_s_per_m) == (0.08, 0.32)
    assert (liver.law.a, liver.law.b) == (35e3, 70e3)
    assert (liver.reversible_v_per_cm, liver.irreversible_v_per_cm) == (362, 637)
    assert liver.verified


def test_fluids_have_no_zone() -> None:
    for name in ("air", "blood", "csf", "urine", "saline", "gel"):
        assert math.isinf(TISSUES[name].reversible_v_per_cm)
        assert TISSUES[name].thresholds[0].value is None
    assert TISSUES["air"].insulating


def overridden(phantom_plan: dict[str, Any], **tissues: Any) -> Any:
    return load_tissues(load_plan({**phantom_plan, "tissues": tissues}).tissues)


def test_a_plan_goes_over_the_library_value_by_value(phantom_plan: dict[str, Any]) -> None:
    liver = overridden(phantom_plan, liver={"reversible_v_per_cm": 400})["liver"]
    assert liver.reversible_v_per_cm == 400
    assert (liver.thresholds[0].source, liver.thresholds[0].status) == ("plan", Status.PLAN)
    assert liver.thresholds[1] == TISSUES["liver"].thresholds[1]
    assert liver.law == TISSUES["liver"].law


def test_a_plan_replaces_a_law_whole(phantom_plan: dict[str, Any]) -> None:
    law = {"law": "constant", "conductivity_s_per_m": 0.2}
    liver = overridden(phantom_plan, liver={"conductivity": law})["liver"]
    assert [(value.quantity, value.value, value.source) for value in liver.conductivity] == [
        ("conductivity_s_per_m", 0.2, "plan")
    ]
    assert liver.thresholds == TISSUES["liver"].thresholds


def test_a_new_tissue_without_thresholds_gets_the_generic_ones(phantom_plan: dict[str, Any]) -> None:
    law = {"law": "constant", "conductivity_s_per_m": 0.2}
    agar = overridden(phantom_plan, agar={"conductivity": law})["agar"]
    assert (agar.reversible_v_per_cm, agar.irreversible_v_per_cm) == (400, 800)
    assert agar.assumed_thresholds
    assert not agar.verified


def test_a_new_tissue_needs_a_law(phantom_plan: dict[str, Any]) -> None:
    with pytest.raises(PlanError) as caught:
        overridden(phantom_plan, livr={"reversible_v_per_cm": 400})
    (problem,) = caught.value.problems
    assert problem.field == "tissues.livr.conductivity"
    assert "did you mean liver" in problem.expected


def test_thresholds_must_stay_in_order_over_the_library(phantom_plan: dict[str, Any]) -> None:
    with pytest.raises(PlanError) as caught:
        overridden(phantom_plan, liver={"irreversible_v_per_cm": 300})
    assert caught.value.problems[0].field == "tissues.liver.irreversible_v_per_cm"
    assert caught.value.problems[0].got == "300"


def test_what_is_taken_over_from_another_tissue_is_an_assumption() -> None:
    carcinoma, tumour = TISSUES["pancreatic_carcinoma"], TISSUES["tumour"]
    assert carcinoma.law == tumour.law
    assert {value.status for value in carcinoma.values} == {Status.ENGINEERING}
    assert carcinoma.thresholds[1].range is not None
    assert not carcinoma.thresholds[1].range.verified
    assert tumour.thresholds[0].verified
    dermis = TISSUES["dermis"]
    assert (dermis.conductivity[0].value, dermis.conductivity[0].status) == (0.27, Status.RECALL)
    assert dermis.thresholds[0].note == "as skin"


def test_ranges_are_stated_or_two_standard_deviations() -> None:
    low, high = TISSUES["tumour"].thresholds
    assert low.range is not None
    assert high.range is not None
    assert (low.range.low, low.range.high, high.range.low, high.range.high) == (350, 500, 500, 900)
    kidney = TISSUES["kidney"].thresholds[1]
    assert kidney.range is not None
    factor = math.exp(2 * math.sqrt(math.log1p((67 / 575) ** 2)))
    assert (kidney.range.low, kidney.range.high) == pytest.approx((575 / factor, 575 * factor))
    assert kidney.range.source == kidney.source


def test_a_plan_keeps_the_library_s_range_or_states_its_own(phantom_plan: dict[str, Any]) -> None:
    value = overridden(phantom_plan, tumour={"reversible_v_per_cm": 440})["tumour"].thresholds[0]
    assert value.range is not None
    assert (value.range.low, value.range.high) == pytest.approx((385, 550))
    own = {"reversible_v_per_cm": 440, "reversible_range_v_per_cm": [430, 600]}
    value = overridden(phantom_plan, tumour=own)["tumour"].thresholds[0]
    assert value.range is not None
    assert (value.range.low, value.range.high, value.range.verified) == (430, 600, True)
    narrow = overridden(phantom_plan, liver={"irreversible_range_v_per_cm": [600, 650]})["liver"].thresholds[1]
    assert (narrow.value, narrow.range and narrow.range.high) == (637, 650)


@pytest.mark.parametrize(
    ("name", "stated", "told"),
    [
        ("liver", {"irreversible_range_v_per_cm": [700, 800]}, r"liver.irreversible_range_v_per_cm.*\(637\) between"),
        ("liver", {"reversible_range_v_per_cm": [400, 300]}, r"liver.reversible_range_v_per_cm\[1\].*low end"),
        ("blood", {"reversible_range_v_per_cm": [300, 400]}, r"blood.reversible_range_v_per_cm.*\(none\)"),
    ],
)
def test_ranges_that_make_no_sense_are_refused(phantom_plan: dict[str, Any], name: str, stated: Any, told: str) -> None:
    with pytest.raises(PlanError, match=told):
        overridden(phantom_plan, **{name: stated})


def test_laws_are_drawn_to_beyond_all_that_happens() -> None:
    field, sigma = law_curve(TISSUES["liver"], 200)
    assert field[-1] > 723
    assert (sigma[0], sigma[-1]) == pytest.approx((0.08, 0.32))
    assert law_curve(TISSUES["air"], 3)[0][-1] == 1000


def test_generators_state_limits_and_sources() -> None:
    generators = load_generators()
    assert generators["cliniporator_vitae"].max_voltage_v == 3000
    assert generators["cliniporator_vitae"].max_current_a == 50
    assert generators["nanoknife"].max_current_a == 50
    assert generators["cliniporator"].max_voltage_v == 1000
    assert not any(generator.verified for generator in generators.values())
    assert all(generator.source for generator in generators.values())


def test_the_page_names_every_tissue_and_the_thresholds_that_differ() -> None:
    page = (Path(__file__).parents[2] / "docs" / "tissues.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in (*TISSUES, *load_layers()))
    for name in ("liver", "muscle", "prostate", "kidney", "nerve"):
        ends = [(v.value, v.range) for v in TISSUES[name].thresholds]
        told = " | ".join(f"{value:g} ({found.low:.0f} to {found.high:.0f})" for value, found in ends if found)
        assert f"| {name} | {told} |" in page
