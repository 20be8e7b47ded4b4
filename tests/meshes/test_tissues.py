"""The libraries: every value has a source, a status and a confidence; every law is monotone; plans go over them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from porefield.kernels.conductivity import check_monotonic
from porefield.meshes import PlanError, load_generators, load_plan, load_tissues
from porefield.meshes.library import Confidence, Status, Value, data_table
from porefield.meshes.tissues import THERMAL

TISSUES = load_tissues()
WANTED = [
    "liver",
    "liver_metastasis",
    "tumour",
    "muscle",
    "fat",
    "skin",
    "skin_lumped",
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
        assert value.unit or value.quantity == "displacement", value
        assert value.value is None or math.isfinite(value.value), value
        assert value.status is not Status.PLAN, value
    assert 0 < tissue.reversible_v_per_cm <= tissue.irreversible_v_per_cm


def test_alternatives_and_sources_are_well_formed() -> None:
    table = data_table("tissues.yaml")
    used: set[str] = set()
    for name, entry in table["tissues"].items():
        values = [v for k, v in entry.items() if isinstance(v, dict) and k != "alternatives"]
        values += [v for group in entry.get("alternatives", {}).values() for v in group]
        for value in values:
            assert set(value) <= {"value", "sd", "source", "status", "confidence", "note"}, (name, value)
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


def test_generators_state_limits_and_sources() -> None:
    generators = load_generators()
    assert generators["cliniporator_vitae"].max_voltage_v == 3000
    assert generators["cliniporator_vitae"].max_current_a == 50
    assert generators["nanoknife"].max_current_a == 50
    assert generators["cliniporator"].max_voltage_v == 1000
    assert not any(generator.verified for generator in generators.values())
    assert all(generator.source for generator in generators.values())
