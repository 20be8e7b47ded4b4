"""The maps of a run: what they hold, and where they say they are."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from porefield.meshes import Plan, Scene, build_scene, load_plan
from porefield.workers import RunResult, run_scene
from porefield.workers.dataset import ZONES, describe_electrode, zone_map


def test_zone_is_what_most_of_a_voxel_is() -> None:
    #                    air  metal  outside  reversible  irreversible
    conducts = np.array([[[False, True, True, True, True]]])
    tissue = np.array([[[0.0, 0.4, 1.0, 1.0, 0.6]]], np.float32)
    reversible = np.array([[[1.0, 1.0, 0.4, 0.6, 1.0]]], np.float32)
    irreversible = np.array([[[1.0, 1.0, 0.0, 0.4, 0.5]]], np.float32)
    zone = zone_map(conducts, tissue, reversible, irreversible)
    assert zone.ravel().tolist() == [0, 3, 0, 1, 2]
    assert zone.dtype == np.uint8


def test_variables_dimensions_and_types(result: RunResult) -> None:
    dataset = result.dataset()
    space = ("x", "y", "z")
    expected = {
        "tissue": (space, "uint8"),
        "zone": (space, "uint8"),
        "structures": (("structure", *space), "uint8"),
        "field_max_v_per_m": (space, "float32"),
        "field_v_per_m": (("pulse", *space), "float32"),
        "conductivity_s_per_m": (("pulse", *space), "float32"),
        "potential_v": (("pulse", "x_node", "y_node", "z_node"), "float32"),
        "coverage_reversible": (space, "float32"),
        "coverage_irreversible": (space, "float32"),
        "tissue_fraction": (space, "float32"),
    }
    assert {str(n): (v.dims, str(v.dtype)) for n, v in dataset.data_vars.items()} == expected
    assert dataset["pulse"].values.tolist() == ["A-B", "A-C"]
    assert dataset["structure"].values.tolist() == ["lump", "block"]
    assert dataset["x"].values.tolist() == [i + 0.5 for i in range(16)]
    assert dataset["x_node"].values.tolist() == list(range(17))


def test_maps_agree_with_each_other(result: RunResult) -> None:
    dataset = result.dataset()
    np.testing.assert_array_equal(dataset["field_max_v_per_m"], dataset["field_v_per_m"].max("pulse"))
    meanings = dataset["tissue"].attrs["flag_meanings"].split()
    air = dataset["tissue"] == meanings.index("air")
    assert int(air.sum()) == 16 * 12
    for name in ("zone", "field_max_v_per_m", "coverage_reversible", "tissue_fraction"):
        assert not dataset[name].where(air, 0).any(), name
    assert dataset["zone"].attrs["flag_meanings"].split() == list(ZONES)
    # lump at 600 V/cm: 100 V/cm a voxel, so from x = 6 on
    inside = dataset["structures"].sel(structure="lump") == 1
    assert set(np.unique(dataset["zone"].values[inside.values])) == {1}
    assert (dataset["coverage_irreversible"] <= dataset["coverage_reversible"]).all()


def test_attributes_hold_what_a_reader_needs(result: RunResult, scene: Scene) -> None:
    about = result.dataset().attrs["porefield"]
    assert Plan.model_validate_json(about["plan"]) == scene.plan
    np.testing.assert_allclose(about["affine"], scene.grid.affine)
    assert about["summary"] == result.summary
    assert [e["name"] for e in about["electrodes"]] == ["A", "B", "C"]
    json.dumps(result.dataset().attrs, allow_nan=False)


def test_electrodes_are_told_in_patient_millimetres(tiny_plan: dict[str, Any]) -> None:
    tiny_plan["anatomy"]["phantom"]["origin_mm"] = [-100, 20, 5]
    tiny_plan["anatomy"]["add"] = []
    tiny_plan["targets"] = []
    tiny_plan["avoid"] = {}
    for electrode in tiny_plan["electrodes"]:
        electrode["needle"]["tip_mm"] = [
            a + b for a, b in zip(electrode["needle"]["tip_mm"], (-100, 20, 5), strict=True)
        ]
    tiny_plan["electrodes"][2] = {
        "name": "C",
        "plate": {
            "centre_mm": [-92, 30, 10],
            "normal": [0, 1, 0],
            "up": [0, 0, 1],
            "width_mm": 4,
            "height_mm": 6,
            "thickness_mm": 1.5,
        },
    }
    scene = build_scene(load_plan(tiny_plan))
    needle = describe_electrode("A", scene.electrodes["A"], scene.grid)
    assert needle["tip_mm"] == pytest.approx([-97, 26, 14])
    assert needle["direction"] == pytest.approx([0, 0, 1])
    assert (needle["diameter_mm"], needle["exposed_mm"]) == (pytest.approx(1.2), pytest.approx(5))
    plate = describe_electrode("C", scene.electrodes["C"], scene.grid)
    assert plate["centre_mm"] == pytest.approx([-92, 30, 10])
    assert plate["size_mm"] == pytest.approx([4, 6, 1.5])
    assert np.abs(plate["axes"][1]) == pytest.approx([0, 0, 1])


def test_a_tube_is_told_in_patient_millimetres(tiny_plan: dict[str, Any]) -> None:
    plan = {**tiny_plan, "targets": [], "avoid": {}}
    plan["anatomy"] = {"phantom": {**tiny_plan["anatomy"]["phantom"], "origin_mm": [-100, 20, 5]}}
    plan["electrodes"] = [
        {"name": name, "tube": {"centre_mm": [x, 26, 10], "axis": [0, 3, 4], "outer_diameter_mm": 3, "length_mm": 9}}
        for name, x in (("A", -97), ("B", -90))
    ]
    plan["electrodes"][1]["tube"]["inner_diameter_mm"] = 2
    plan["pulses"] = [{"anode": ["A"], "cathode": ["B"], "voltage_v": 100}]
    scene = build_scene(load_plan(plan))
    tube = describe_electrode("B", scene.electrodes["B"], scene.grid)
    assert tube.pop("centre_mm") == pytest.approx([-90, 26, 10])
    assert tube.pop("axis") == pytest.approx([0, 0.6, 0.8])
    sizes = {
        "inner_diameter_mm": pytest.approx(2),
        "outer_diameter_mm": pytest.approx(3),
        "length_mm": pytest.approx(9),
    }
    assert tube == {"name": "B", "kind": "tube", **sizes}


def test_a_plan_without_targets_has_an_empty_structure_map(tiny_plan: dict[str, Any], linear_field: object) -> None:
    tiny_plan["targets"], tiny_plan["avoid"] = [], {}
    result = run_scene(build_scene(load_plan(tiny_plan)))
    assert result.dataset()["structures"].shape == (0, 16, 12, 12)
    assert result.summary["targets"] == {}


def test_a_result_that_did_not_converge_says_so_in_every_map(scene: Scene, linear_field: Any) -> None:
    linear_field.status = type(linear_field.status).STAGNATED
    dataset = run_scene(scene).dataset()
    for name in ("zone", "field_max_v_per_m", "coverage_reversible", "coverage_irreversible", "potential_v"):
        assert dataset[name].attrs["solver_status"] == "stagnated", name
