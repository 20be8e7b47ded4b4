"""What is refused before a job is accepted, by the field of its inputs; and which uploads it needs."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from porefield.meshes.errors import GeometryError, PlanError, PorefieldError, Problem
from porefield.workers.jobs.inputs import check_inputs, uploads_of
from porefield.workers.jobs.schemas import inputs_schema, outputs_schema
from porefield.workers.jobs.task import PROCESSES

from ..sweep.stub import PLAN
from .jobs import AXES, INPUTS, execute, job

SHA, OTHER = "a" * 64, "0123456789abcdef" * 4


def scan(**changes: Any) -> dict[str, Any]:
    """The plan on an upload."""
    label_map = {"path": f"upload:{SHA}", "names": {"1": "liver"}, "background": "fat", **changes}
    return {**PLAN, "anatomy": {"label_map": label_map}, "targets": ["liver"]}


def fields(process: str, inputs: dict[str, Any], **limits: int) -> list[str]:
    """Fields that are refused."""
    before, problems = copy.deepcopy(inputs), list[Problem]()
    try:
        check_inputs(process, inputs, **limits)
    except PorefieldError as error:
        problems = error.problems
    assert inputs == before
    assert all(problem.expected and problem.got for problem in problems)
    return [problem.field for problem in problems]


def within(process: str, plan: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """A plan as inputs of a process, and what stands before its fields."""
    return (plan, "") if process == "plan" else ({**INPUTS[process], "plan": plan}, "plan.")


@pytest.mark.parametrize("process", PROCESSES)
def test_good_inputs_pass(process: str) -> None:
    assert fields(process, INPUTS[process], most_voxels=4096, most_points=20) == []
    inputs, prefix = within(process, scan(body=f"upload:{OTHER}"))
    assert fields(process, inputs, most_voxels=10, most_points=20) == []
    assert uploads_of(process, inputs) == {
        f"{prefix}anatomy.label_map.path": SHA,
        f"{prefix}anatomy.label_map.body": OTHER,
    }
    assert uploads_of(process, INPUTS[process]) == {}


def masks(*paths: Any, **more: Any) -> dict[str, Any]:
    """The plan on masks."""
    structures = [{"path": path, "tissue": "liver"} for path in paths]
    return {**PLAN, "anatomy": {"masks": {"structures": structures, "background": "fat", **more}}, "targets": ["liver"]}


def test_masks_are_uploads() -> None:
    inputs = masks(f"upload:{SHA}", f"upload:{OTHER}", body=f"upload:{SHA}")
    assert fields("plan", inputs) == []
    found = {"anatomy.masks.body": SHA, "anatomy.masks.structures[0].path": SHA}
    assert uploads_of("plan", inputs) == found | {"anatomy.masks.structures[1].path": OTHER}
    over = [{"path": f"upload:{OTHER}", "tissue": "tumour"}]
    assert uploads_of("plan", scan(masks=over))["anatomy.label_map.masks[0].path"] == OTHER
    assert fields("plan", masks("/etc/passwd")) == ["anatomy.masks.structures[0].path"]
    assert fields("plan", scan(masks=[{"path": "../x.nii", "tissue": "tumour"}])) == ["anatomy.label_map.masks[0].path"]
    assert fields("plan", masks(f"upload:{SHA}", 3, body="x")) == [
        "anatomy.masks.body",
        "anatomy.masks.structures[1].path",
        "anatomy.masks.structures[1].path",  # and not text
    ]


def test_files_that_are_no_uploads_are_refused() -> None:
    inputs = scan()
    inputs["anatomy"]["ct"] = {"path": "/etc"}
    assert fields("plan", inputs) == ["anatomy.ct"]
    inputs = copy.deepcopy(PLAN)
    needle = inputs["electrodes"][0]["needle"]
    del needle["tip_mm"], needle["direction"]
    for way in (
        {"line": {"path": "/etc/passwd", "tip": "first"}},
        {"fiducials": {"path": "x", "tip": "T", "entry": "E"}},
    ):
        spoiled = {
            **inputs,
            "electrodes": [{**inputs["electrodes"][0], "needle": needle | way}, *inputs["electrodes"][1:]],
        }
        assert fields("plan", spoiled) == [f"electrodes[0].needle.{next(iter(way))}.path"]
    points = {"points_mm": [[-7, -10, 4], [-7, -10, 9]], "space": "LPS", "tip": "first"}
    inputs["electrodes"][0]["needle"] = needle | {"line": points}
    assert fields("plan", inputs) == []


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "labels.nii.gz",
        "../labels.nii.gz",
        "${HOME}/labels.nii.gz",
        f"upload:{SHA}/../../x",
        f"upload:{SHA.upper()}",
        f" upload:{SHA}",
        f"upload:{SHA}\n",
        "upload:..",
        SHA,
        3,
        None,
        ["upload"],
        {"upload": SHA},
    ],
)
def test_no_file_of_the_server_can_be_named(process: str, path: Any) -> None:
    for field in ("path", "body"):
        if field == "body" and path is None:
            continue
        inputs, prefix = within(process, scan(**{field: path}))
        assert f"{prefix}anatomy.label_map.{field}" in fields(process, inputs)
    if isinstance(path, str):
        inputs, prefix = within(process, scan(names=path))
        assert fields(process, inputs) == [f"{prefix}anatomy.label_map.names"]
        if process != "plan":
            assert fields(process, {**INPUTS[process], "plan": path}) == ["plan"]
    assert fields(process, within(process, scan(names="totalsegmentator"))[0]) == []


def test_a_refused_path_is_never_opened_by_a_worker_either(tmp_path: Path) -> None:
    outcome, _ = execute(job(tmp_path, "plan", scan(path="/etc/passwd")))
    assert outcome["state"] == "failed"
    assert outcome["error"]["problems"][0]["field"] == "anatomy.label_map.path"
    assert "root:" not in json.dumps(outcome)


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"unknown": 1}, "unknown"),
        ({"grid": {"spacing_mm": -1}}, "grid.spacing_mm"),
        ({"grid": {"spacing_mm": 0.5}}, "grid.spacing_mm"),
        ({"grid": {"spacing_mm": 1e-300}}, "grid.spacing_mm"),
        ({"generator": "nobody's"}, "generator"),
        ({"anatomy": {"phantom": {"size_mm": [1e12, 1e12, 1e12], "tissue": "liver"}}}, "grid.spacing_mm"),
        ({"anatomy": {"phantom": {"size_mm": [16, 16, 16], "tissue": "livr"}}, "targets": ["livr"]}, None),
        ({"anatomy": 3}, "anatomy"),
        ({"anatomy": {"label_map": 3}}, "anatomy.label_map"),
        ({"electrodes": []}, "electrodes"),
    ],
)
def test_wrong_plans_are_named_within_the_inputs(process: str, change: dict[str, Any], field: str | None) -> None:
    inputs, prefix = within(process, {**PLAN, **change})
    found = fields(process, inputs, most_voxels=5000)
    if field is None:
        assert found[0].startswith(f"{prefix}anatomy.phantom.tissue")
    else:
        assert prefix + field in found


def test_electrodes_outside_of_a_phantom_are_told_at_once() -> None:
    needle = {**PLAN["electrodes"][1]["needle"], "tip_mm": [40, 8, 12]}
    plan = {**PLAN, "electrodes": [PLAN["electrodes"][0], {**PLAN["electrodes"][1], "needle": needle}]}
    with pytest.raises(GeometryError, match=r"plan\.electrodes\[1\]\.needle\.tip_mm"):
        check_inputs("sweep", {"plan": plan, "axes": AXES})


def test_everything_wrong_is_told_at_once() -> None:
    inputs = {"plan": {**scan(path="x"), "pulses": []}, "axes": [{"name": "v", "field": "f"}], "maps": ["other"]}
    found = fields("sweep", inputs)
    assert found[:2] == ["plan.anatomy.label_map.path", "plan.pulses"]
    assert {"axes[0]", "maps[0]"} <= set(found)


def test_points_are_counted_before_they_are_made() -> None:
    huge = {"start": 0, "stop": 1, "count": 1_000_000}
    axes = [{"name": f"a{i}", "field": "pulses[0].voltage_v", "grid": huge} for i in range(50)]
    assert fields("sweep", {"plan": PLAN, "axes": axes}, most_points=1000) == ["axes[0]"]
    design = {"method": "random", "points": 10_000_000, "fields": {"pulses[0].voltage_v": {"uniform": [1, 2]}}}
    assert fields("sweep", {"plan": PLAN, "design": design}, most_points=1000) == ["design"]
    assert fields("sweep", INPUTS["sweep"], most_points=4) == ["axes[0]"]
    assert fields("sweep", INPUTS["sweep"], most_points=5) == []
    each = {**INPUTS["robustness"], "groups": "each"}  # a group for each needle, at least
    assert fields("robustness", each, most_points=15) == ["samples"]
    assert fields("robustness", each, most_points=16) == []
    assert fields("robustness", {**each, "plan": {**PLAN, "targets": []}}) == ["plan.targets"]


def test_fields_of_a_sweep_that_are_not_there_are_named_where_it_names_them() -> None:
    axis = {"name": "volts", "field": "pulses[0].volts", "values": [1]}
    assert fields("sweep", {"plan": PLAN, "axes": [*AXES, axis]}) == ["axes[1].field"]
    path = {"name": "path", "field": "anatomy.label_map.path", "values": [1]}
    assert fields("sweep", {"plan": scan(), "axes": [path]}) == ["axes[0].field"]
    assert fields("other", {}) == ["process"]
    assert fields("sweep", {}) == ["plan"]


def test_a_plan_by_itself_can_be_studied() -> None:
    check_inputs("robustness", PLAN)
    assert uploads_of("robustness", scan()) == {"anatomy.label_map.path": SHA}
    with pytest.raises(PlanError, match="upload:"):
        check_inputs("robustness", scan(path="x"))


@pytest.mark.parametrize("process", PROCESSES)
def test_schemas_say_what_is_taken(process: str) -> None:
    schema = inputs_schema(process)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(INPUTS[process])
    assert validator.is_valid(within(process, scan(body=f"upload:{OTHER}"))[0])
    for changes in ({"path": "/etc/passwd"}, {"body": "x"}, {"names": "/etc/passwd"}):
        assert not validator.is_valid(within(process, scan(**changes))[0])
    if process != "plan":
        assert not validator.is_valid({**INPUTS[process], "plan": "plan.yaml"})
    jsonschema.Draft202012Validator.check_schema(outputs_schema(process))


@pytest.mark.parametrize("process", PROCESSES)
def test_text_that_no_file_can_hold_is_refused(process: str) -> None:
    for text in ("\ud800", "a\0b", "\udfff\ud800"):
        inputs, prefix = within(process, {**PLAN, "title": text})
        assert fields(process, inputs) == [f"{prefix}title"]
        for key in (text, ""):
            inputs, prefix = within(process, {**PLAN, "tissues": {key: {}}})
            assert fields(process, inputs) == [f"{prefix}tissues"]
    inputs, _ = within(process, {**PLAN, "title": "\N{GRINNING FACE} \N{GREEK SMALL LETTER SIGMA}"})
    assert fields(process, inputs) == []


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("part", ["pulses", "electrodes", "targets"])
def test_more_than_can_be_checked_in_a_moment_is_refused(process: str, part: str) -> None:
    started = time.process_time()
    for item in ({}, 1, "lesion"):
        inputs, prefix = within(process, {**PLAN, part: [item] * 1_000_000})
        assert fields(process, inputs) == [prefix.rstrip(".") or part]
    assert time.process_time() - started < 10  # it took minutes to tell what is wrong with each


def test_a_sweep_may_have_many_values_but_one_wrong_one_is_enough() -> None:
    many = [float(v) for v in range(100, 100_100)]
    table = {"method": "table", "table": {"pulses.*.voltage_v": many}}
    assert fields("sweep", {"plan": PLAN, "design": table}, most_points=100_000) == []
    axis = {"name": "voltage", "field": "pulses.*.voltage_v"}
    assert fields("sweep", {"plan": PLAN, "axes": [{**axis, "values": many}]}, most_points=100_000) == []
    wrong = ["x"] * 1000
    assert fields("sweep", {"plan": PLAN, "axes": [{**axis, "values": wrong}]}) == ["axes[0].values[0]"]
    for inputs in ({"plan": PLAN, "axes": [1] * 1_000_000}, {"plan": PLAN, "constraints": [{}] * 1_000_000}):
        assert fields("sweep", inputs) == [list(inputs)[1]]
