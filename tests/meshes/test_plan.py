"""What plans say, and how they are refused: each refusal names field, expectation and what came."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml

from porefield.kernels.conductivity import ConductivityLaw
from porefield.meshes import Plan, PlanError, load_plan

EXAMPLES = Path(__file__).parents[2] / "examples"


def put(plan: dict[str, Any], path: str, value: Any) -> None:
    """Set a dotted path; `...` removes it."""
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    here: Any = plan
    for step in steps:
        here = here[step] if isinstance(step, int) else here.setdefault(step, {})
    if value is ...:
        del here[last]
    else:
        here[last] = value


def refusal(plan: dict[str, Any]) -> tuple[str, str, str]:
    with pytest.raises(PlanError) as caught:
        load_plan(plan)
    assert len(caught.value.problems) == 1, caught.value.problems
    return caught.value.problems[0]


RAMP = {
    "law": "ramp",
    "baseline_s_per_m": 0.1,
    "permeabilised_s_per_m": 0.3,
    "start_v_per_cm": 400,
    "end_v_per_cm": 700,
}

LAW = "tissues.liver.conductivity"
HIGH = "tissues.liver.irreversible_v_per_cm"
BOX = {"from_mm": [0, 0, 0], "to_mm": [1, 1, 1]}

BAD = [
    ("pulses.0.voltage", 1500, "pulses[0].voltage", "did you mean voltage_v", "unknown key 'voltage'"),
    ("pulses.0.voltage_v", -5, "pulses[0].voltage_v", "greater than 0", "-5"),
    ("pulses.0.voltage_v", 1e9, "pulses[0].voltage_v", "less than or equal to 10000", "1000000000"),
    ("pulses.0.voltage_v", float("nan"), "pulses[0].voltage_v", "finite number", "nan"),
    ("pulses.0.voltage_v", True, "pulses[0].voltage_v", "a number", "True"),
    ("pulses.0.voltage_v", "high", "pulses[0].voltage_v", "a number", "'high'"),
    ("pulses.0.voltage_v", ..., "pulses[0]", "exactly one of voltage_v, current_a", "none of them"),
    ("pulses.0.count", 0, "pulses[0].count", "greater than or equal to 1", "0"),
    ("pulses.0.anode", ["Q"], "pulses[0].anode[0]", "one of A, B", "Q"),
    ("pulses.0.cathode", ["A"], "pulses[0].cathode", "no electrode that is an anode", "A"),
    ("pulses.0.anode", ["A", "A"], "pulses[0].anode", "each electrode once", "A"),
    ("pulses", [], "pulses", "at least 1", "0"),
    ("electrodes.1.name", "A", "electrodes[1].name", "no other electrode", "A"),
    ("electrodes.1.needle", ..., "electrodes[1]", "exactly one of needle, probe, plate, tube", "none"),
    ("electrodes.1.needle.direction", [0, 0, 0], "electrodes[1].needle.direction", "not zero", "(0.0, 0.0, 0.0)"),
    ("electrodes.1.needle.entry_mm", [0, 0, 0], "electrodes[1].needle", "exactly one of", "direction and entry"),
    ("electrodes.1.needle.tip_mm", [1, 2], "electrodes[1].needle.tip_mm[2]", "a value", "nothing"),
    ("electrodes.1.needle.diameter_mm", 0, "electrodes[1].needle.diameter_mm", "greater than 0", "0"),
    ("grid.spacing_mm", 0, "grid.spacing_mm", "greater than 0", "0"),
    ("grid.spacing_mm", [1, 1, -1], "grid.spacing_mm[2]", "greater than 0", "-1"),
    ("grid.spacing", 1, "grid.spacing", "did you mean spacing_mm", "unknown key 'spacing'"),
    ("grid.region", {**BOX, "to_mm": [1, 1, 0]}, "grid.region.to_mm", "more than from_mm", "0.0)"),
    ("targets", ["tumour", "tumour"], "targets", "each name once", "tumour"),
    ("anatomy.phantom", ..., "anatomy", "exactly one of phantom, label_map", "none"),
    ("anatomy.add.0.box", BOX, "anatomy.add[0]", "exactly one", "sphere and box"),
    (LAW, {**RAMP, "law": "rmp"}, f"{LAW}.law", "did you mean ramp", "rmp"),
    (LAW, {"baseline_s_per_m": 1}, f"{LAW}.law", "name of a law", "nothing"),
    (LAW, {**RAMP, "end_v_per_cm": 300}, f"{LAW}.end_v_per_cm", "more than start_v_per_cm", "300"),
    (LAW, {**RAMP, "permeabilised_s_per_m": 0.01}, LAW, "increase", "0.01"),
    (HIGH, -1, HIGH, "greater than 0", "-1"),
    ("tissues.liver", {"reversible_v_per_cm": 800, "irreversible_v_per_cm": 700}, HIGH, "at least", "700"),
    ("generator", {"max_voltage_v": 3000}, "generator.max_current_a", "a value", "nothing"),
    ("generator", 7, "generator", "table of keys", "7"),
]


@pytest.mark.parametrize(
    ("path", "value", "field", "expected", "got"), BAD, ids=[f"{bad[2]} {bad[1]}"[:60] for bad in BAD]
)
def test_bad_plan_is_refused_by_field(
    phantom_plan: dict[str, Any], path: str, value: Any, field: str, expected: str, got: str
) -> None:
    put(phantom_plan, path, value)
    problem = refusal(phantom_plan)
    assert problem[0] == field
    assert expected in problem[1]
    assert got in problem[2]


def test_several_slips_are_told_at_once(phantom_plan: dict[str, Any]) -> None:
    put(phantom_plan, "pulses.0.voltage_v", -1)
    put(phantom_plan, "electrodes.0.needle.exposed_mm", 0)
    with pytest.raises(PlanError) as caught:
        load_plan(phantom_plan)
    assert [problem.field for problem in caught.value.problems] == [
        "electrodes[0].needle.exposed_mm",
        "pulses[0].voltage_v",
    ]
    assert str(caught.value).count("\n") == 1
    assert pickle.loads(pickle.dumps(caught.value)).problems == caught.value.problems


@pytest.mark.parametrize(
    ("text", "expected", "got"),
    [
        ("anatomy: [\n", "valid YAML", "line 2"),
        ("targets: [a]\ntargets: [b]\n", "valid YAML", "'targets' twice"),
        ('{"targets": ["a"],\n "targets": ["b"]}', "each key once", "'targets' 2 times"),
        ("- a\n- b\n", "a table", "['a', 'b']"),
    ],
)
def test_text_that_is_no_plan(text: str, expected: str, got: str) -> None:
    with pytest.raises(PlanError) as caught:
        load_plan(text)
    ((field, wanted, came),) = caught.value.problems
    assert field == "plan"
    assert expected in wanted
    assert got in came


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"plan: expected a readable YAML or JSON file; got .*nowhere\.yaml"):
        load_plan(tmp_path / "nowhere.yaml")


def test_yaml_json_and_table_are_the_same_plan(tmp_path: Path, phantom_plan: dict[str, Any]) -> None:
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(phantom_plan))
    (tmp_path / "plan.json").write_text(json.dumps(phantom_plan))
    plans = [load_plan(phantom_plan), load_plan(tmp_path / "plan.yaml"), load_plan(str(tmp_path / "plan.json"))]
    assert plans[0].model_dump() == plans[1].model_dump() == plans[2].model_dump()
    assert [plan.folder for plan in plans] == [None, tmp_path, tmp_path]


@pytest.mark.parametrize(
    "name", [p.name for p in sorted(EXAMPLES.glob("*.yaml")) if "anatomy" in yaml.safe_load(p.read_text())]
)
def test_examples_round_trip(name: str) -> None:
    plan = load_plan(EXAMPLES / name)
    assert load_plan(json.loads(plan.model_dump_json())).model_dump() == plan.model_dump()


def test_exponents_without_a_point_are_numbers(phantom_plan: dict[str, Any]) -> None:
    text = yaml.safe_dump(phantom_plan) + "solver: {tolerance: 1e-5}\n"
    assert load_plan(text).solver.tolerance == 1e-5


def test_plan_is_frozen(phantom_plan: dict[str, Any]) -> None:
    plan = load_plan(phantom_plan)
    with pytest.raises(ValueError, match="frozen"):
        plan.title = "other"


@pytest.mark.parametrize(
    ("conductivity", "law"),
    [
        ({"law": "constant", "conductivity_s_per_m": 0.2}, ConductivityLaw.constant(0.2)),
        (RAMP, ConductivityLaw.ramp(0.1, 0.3, 40e3, 70e3)),
        ({**RAMP, "law": "smoothed_step"}, ConductivityLaw.smoothed_step(0.1, 0.3, 40e3, 70e3)),
        ({**RAMP, "law": "flc2hs"}, ConductivityLaw.smoothed_step(0.1, 0.3, 40e3, 70e3)),
        ({**RAMP, "law": "sel", "temperature_per_k": 0.02}, ConductivityLaw.sel(0.1, 0.3, 40e3, 70e3, alpha=0.02)),
        (
            {"law": "logistic", "baseline_s_per_m": 0.1, "permeabilised_s_per_m": 0.4}
            | {"midpoint_v_per_cm": 580, "width_v_per_cm": 60},
            ConductivityLaw.logistic(0.1, 0.4, 58e3, 6e3),
        ),
        (
            {"law": "gompertz", "baseline_s_per_m": 0.1, "permeabilised_s_per_m": 0.4},
            ConductivityLaw.gompertz(0.1, 0.4, 3.053, 2.33e-5),
        ),
    ],
    ids=lambda x: x["law"] if isinstance(x, dict) else "",
)
def test_laws_reach_the_kernels_in_si(
    phantom_plan: dict[str, Any], conductivity: dict[str, Any], law: ConductivityLaw
) -> None:
    phantom_plan["tissues"] = {"liver": {"conductivity": conductivity}}
    stated = load_plan(phantom_plan).tissues["liver"].conductivity
    assert stated is not None
    built = stated.to_kernel()
    assert built.kind == law.kind
    numbers = ("baseline_s_per_m", "permeabilised_s_per_m", "a", "b", "temperature_per_k")
    assert [getattr(built, n) for n in numbers] == pytest.approx([getattr(law, n) for n in numbers], rel=1e-12)


def test_schema_describes_every_field() -> None:
    schema = Plan.model_json_schema()
    bare: list[str] = []
    for name, model in {"Plan": schema, **schema["$defs"]}.items():
        assert model.get("additionalProperties") is False, name
        assert model.get("description"), name
        for field, entry in model["properties"].items():
            if not entry.get("description") and "const" not in entry and field != "law":
                bare.append(f"{name}.{field}")
            for ending, unit in (
                ("_mm", "mm"),
                ("_v", "V"),
                ("_s_per_m", "S/m"),
                ("_v_per_cm", "V/cm"),
                ("_us", "micro"),
            ):
                if field.endswith(ending) and unit not in entry.get("description", ""):
                    bare.append(f"{name}.{field} lacks its unit")
    assert bare == []
    laws = schema["$defs"]["TissueOverride"]["properties"]["conductivity"]["anyOf"][0]["discriminator"]["mapping"]
    assert set(laws) == {"constant", "ramp", "smoothed_step", "flc2hs", "sel", "logistic", "gompertz"}
    json.dumps(schema)
