"""Plans on their anatomy: places, tissues, structures, pulses and notes, and what does not fit together."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from porefield.kernels.electrodes import Needle, Plate
from porefield.meshes import (
    AnatomyError,
    Scene,
    build_scene,
    load_plan,
)
from porefield.meshes.errors import PlanError
from porefield.meshes.scene import SceneBuilder

from .conftest import asymmetric_labels, ras_affine, scan_plan
from .test_readers import ROTATIONS, stored_otherwise

EXAMPLES = Path(__file__).parents[2] / "examples"
SHARED = os.environ.get("POREFIELD_SHARED_DATA")


def scene_of(plan: dict[str, Any], **options: Any) -> Scene:
    return build_scene(load_plan(plan), **options)


def kinds(scene: Scene) -> set[str]:
    return {note.kind for note in scene.notes}


# Phantoms


def test_phantom_is_solved_whole(phantom_plan: dict[str, Any]) -> None:
    scene = scene_of(phantom_plan)
    assert scene.grid.shape == scene.tissue.shape == (24, 20, 16)
    np.testing.assert_array_equal(scene.grid.affine[:3, 3], [0.5, 0.5, 0.5])
    assert [tissue.name for tissue in scene.tissues] == ["liver", "tumour"]
    assert scene.tissue.dtype == np.uint8
    tumour = scene.structures["tumour"]
    centres = scene.grid.centres_mm()
    np.testing.assert_array_equal(tumour, np.linalg.norm(centres - [12, 10, 8], axis=-1) <= 3)
    np.testing.assert_array_equal(tumour, scene.tissue == 1)
    assert scene.notes == ()


def test_electrodes_and_pulses_reach_the_kernels(phantom_plan: dict[str, Any]) -> None:
    phantom_plan["electrodes"].append(
        {"name": "P", "plate": {"centre_mm": [12, 1, 8], "normal": [0, 3, 0], "up": [1, 1, 0]}
         | {"width_mm": 6, "height_mm": 4, "thickness_mm": 1}}
    )  # fmt: skip
    phantom_plan["pulses"].append({"anode": ["A"], "cathode": ["B"], "voltage_v": 500})
    phantom_plan["pulses"].append({"anode": ["A", "B"], "cathode": ["P"], "voltage_v": 300, "name": "to plate"})
    scene = scene_of(phantom_plan)
    assert scene.electrodes["A"] == Needle((7e-3, 10e-3, 4e-3), (0, 0, -1), 0.6e-3, 8e-3, 0)
    plate = scene.electrodes["P"]
    assert isinstance(plate, Plate)
    np.testing.assert_allclose(plate.size_m, (6e-3, 4e-3, 1e-3))
    np.testing.assert_allclose(np.abs(plate.axes), [[0, 0, 1], [1, 0, 0], [0, 1, 0]], atol=1e-15)
    assert [pulse.name for pulse in scene.pulses] == ["A-B", "A-B (2)", "to plate"]
    assert [pulse.potentials_v for pulse in scene.pulses] == [(1000, 0, None), (500, 0, None), (300, 300, 0)]
    problem = scene.problem(1)
    assert problem.potentials_v == (500, 0, None)
    assert problem.laws == tuple(tissue.law for tissue in scene.tissues)
    assert problem.grid.spacing_m == pytest.approx((1e-3, 1e-3, 1e-3))


def test_entry_point_stands_for_a_direction(phantom_plan: dict[str, Any]) -> None:
    needle = phantom_plan["electrodes"][0]["needle"]
    del needle["direction"]
    needle["entry_mm"] = [7, 10, 99]
    assert scene_of(phantom_plan).electrodes["A"].direction == (0, 0, -1)  # pyright: ignore[reportAttributeAccessIssue]


def test_later_shapes_cover_earlier_ones(phantom_plan: dict[str, Any]) -> None:
    vessel = {
        "tissue": "blood",
        "name": "vessel",
        "cylinder": {"from_mm": [0, 10, 8], "to_mm": [24, 10, 8], "radius_mm": 1},
    }
    phantom_plan["anatomy"]["add"].append(vessel)
    phantom_plan["avoid"] = {"vessel": {"max_v_per_cm": 500}}
    scene = scene_of(phantom_plan)
    assert not (scene.structures["vessel"] & scene.structures["tumour"]).any()
    assert scene.avoid == {"vessel": 500}
    alone = math.pi * 1 * 24
    assert scene.structures["vessel"].sum() == pytest.approx(alone, rel=0.3)


def test_phantom_that_is_no_whole_number_of_voxels(phantom_plan: dict[str, Any]) -> None:
    phantom_plan["anatomy"]["phantom"]["size_mm"] = [24, 20.7, 16.3]
    scene = scene_of(phantom_plan)
    assert scene.grid.shape == (24, 21, 17)
    air = scene.tissues.index(next(tissue for tissue in scene.tissues if tissue.name == "air"))
    np.testing.assert_array_equal(scene.tissue[:, 20, :16], 0)
    np.testing.assert_array_equal(scene.tissue[:, :, 16], air)
    assert "phantom_padded" in kinds(scene)


def test_region_of_a_phantom(phantom_plan: dict[str, Any]) -> None:
    phantom_plan["grid"]["region"] = {"from_mm": [3, 4.2, -5], "to_mm": [21, 16, 14]}
    scene = scene_of(phantom_plan)
    assert scene.grid.shape == (18, 12, 14)
    np.testing.assert_array_equal(scene.grid.corner_mm, [3, 4, 0])
    assert {note.kind for note in scene.notes if note.warning} == {"cut_by_edge"}
    whole = scene_of({**phantom_plan, "grid": {"spacing_mm": 1.0}})
    np.testing.assert_array_equal(scene.tissue, whole.tissue[3:21, 4:16, :14])


def test_three_spacings(phantom_plan: dict[str, Any]) -> None:
    phantom_plan["grid"] = {"spacing_mm": [1, 2, 0.5], "margin_mm": 20}
    scene = scene_of(phantom_plan)
    assert scene.grid.shape == (24, 10, 32)
    assert "margin_ignored" in kinds(scene)


# Scans


@pytest.mark.parametrize("rotation", ROTATIONS.values(), ids=ROTATIONS.keys())
def test_axis_orders_and_flips_give_one_scene(rotation: np.ndarray, write_nifti: Callable[..., Path]) -> None:
    labels, affine = asymmetric_labels(), ras_affine(rotation)
    first = scene_of(scan_plan(write_nifti(labels, affine), affine))
    flips = [(False, False, False), (True, False, True), (False, True, False)]
    for order, flip in itertools.product(itertools.permutations(range(3)), flips):
        path = write_nifti(*stored_otherwise(labels, affine, order, flip), "again.nii")
        scene = scene_of(scan_plan(path, affine))
        np.testing.assert_array_equal(scene.tissue, first.tissue)
        np.testing.assert_allclose(scene.grid.affine, first.grid.affine, atol=1e-4)
        for name in first.electrodes:
            here, there = scene.electrodes[name], first.electrodes[name]
            assert isinstance(here, Needle)
            assert isinstance(there, Needle)
            np.testing.assert_allclose(here.tip_m, there.tip_m, atol=1e-7)
            np.testing.assert_allclose(here.direction, there.direction, atol=1e-6)


def test_scan_is_cropped_round_metal_and_targets(write_nifti: Callable[..., Path]) -> None:
    affine = ras_affine()
    scene = scene_of(scan_plan(write_nifti(asymmetric_labels(), affine), affine, [1.5, 1, 1.25]))
    corner = affine[:3, 3] - [0.75, 1, 1.25]
    # Metal from x = 6.6 and 10 voxels, target voxels 3 .. 6, 4 .. 9, 2 .. 4; 3 mm of margin on each side.
    low = corner + np.array([3 * 1.5 - 3, 8 - 3, 2 * 2.5 - 3])
    assert (scene.grid.corner_mm <= low + 1e-9).all()
    assert (scene.grid.corner_mm > low - [1.5, 1, 1.25]).all()
    high = scene.grid.corner_mm + scene.grid.size_mm
    assert high[0] == pytest.approx(corner[0] + 10.5 * 1.5 + 0.6 + 3, abs=1.5)
    names = [tissue.name for tissue in scene.tissues]
    assert {"liver", "blood"} <= set(names)
    assert set(scene.structures) == {"portal_vein_and_splenic_vein", "aorta", "spinal_cord"} & set(scene.structures)
    # On a grid that divides the scan's voxels, labels repeat exactly.
    where = (scene.grid.centres_mm() - corner) / [1.5, 2, 2.5]
    index = tuple(np.moveaxis(where.astype(int), -1, 0))
    np.testing.assert_array_equal(scene.structures["portal_vein_and_splenic_vein"], asymmetric_labels()[index] == 64)


def test_oblique_scan_keeps_its_rotation(write_nifti: Callable[..., Path]) -> None:
    affine = ras_affine(ROTATIONS["oblique"])
    scene = scene_of(scan_plan(write_nifti(asymmetric_labels(), affine), affine, [1.5, 2, 2.5]))
    np.testing.assert_allclose(scene.grid.axes, ROTATIONS["oblique"], atol=1e-6)
    vein = np.argwhere(scene.structures["portal_vein_and_splenic_vein"]).mean(axis=0)
    expected = affine @ [*np.argwhere(asymmetric_labels() == 64).mean(axis=0), 1]
    np.testing.assert_allclose((scene.grid.affine @ [*vein, 1])[:3], expected[:3], atol=1e-4)


def test_body_mask_makes_air(tmp_path: Path, write_nifti: Callable[..., Path]) -> None:
    affine = ras_affine()
    labels = asymmetric_labels()
    mask = np.zeros_like(labels)
    mask[:, :, :-1] = 1
    write_nifti(*stored_otherwise(mask, affine, (1, 2, 0), (True, False, False)), "body.nii.gz")
    plan = scan_plan(write_nifti(labels, affine), affine, [1.5, 2, 2.5])
    plan["anatomy"]["label_map"]["body"] = "body.nii.gz"
    plan["grid"] = {"spacing_mm": [1.5, 2, 2.5], "margin_mm": 100}
    scene = scene_of(plan, base_dir=tmp_path)
    air = [tissue.name for tissue in scene.tissues].index("air")
    assert scene.tissue.shape == labels.shape
    np.testing.assert_array_equal(scene.tissue == air, (labels == 0) & (mask == 0))
    assert "no_body_mask" not in kinds(scene)
    assert "background_assumed" in kinds(scene)
    assert set(scene.provenance) == {"label_map", "body", "grid"}


def test_names_from_a_table_and_a_file(tmp_path: Path, write_nifti: Callable[..., Path]) -> None:
    affine = ras_affine()
    plan = scan_plan(write_nifti(asymmetric_labels(), affine), affine)
    plan["targets"], plan["avoid"] = ["lesion"], {}
    names = {"5": "liver", "64": "lesion", "52": "fat", "79": "spinal_cord"}
    settings = plan["anatomy"]["label_map"]
    settings |= {"names": names, "tissue_of": {"lesion": "tumour"}}
    first = scene_of(plan)
    assert [tissue.name for tissue in first.tissues if tissue.name == "tumour"] == ["tumour"]
    (tmp_path / "names.json").write_text(json.dumps(names))
    settings["names"] = "names.json"
    np.testing.assert_array_equal(scene_of(plan, base_dir=tmp_path).tissue, first.tissue)


def test_the_anatomy_of_a_run_goes_before_the_plan(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, write_nifti: Callable[..., Path]
) -> None:
    affine = ras_affine()
    path = write_nifti(asymmetric_labels(), affine)
    plan = scan_plan(path, affine)
    expected = scene_of(plan).tissue
    monkeypatch.delenv("SOME_FOLDER", raising=False)
    plan["anatomy"]["label_map"]["path"] = "${SOME_FOLDER}/deep/labels.nii.gz"
    for anatomy, told in ((path, str(path)), (tmp_path, "${SOME_FOLDER}/deep/labels.nii.gz")):
        scene = scene_of(plan, anatomy=anatomy)
        np.testing.assert_array_equal(scene.tissue, expected)
        # a folder may lie anywhere: a sweep goes on with the same files on another machine
        assert scene.provenance["label_map"]["path"] == told
    with pytest.raises(AnatomyError, match="SOME_FOLDER is not set"):
        scene_of(plan)
    (tmp_path / "deep").mkdir()
    path.rename(tmp_path / "deep" / "labels.nii.gz")
    monkeypatch.setenv("SOME_FOLDER", str(tmp_path))
    np.testing.assert_array_equal(scene_of(plan).tissue, expected)


def test_a_limit_on_voxels_holds_for_variants_too(phantom_plan: dict[str, Any]) -> None:
    plan = load_plan(phantom_plan)
    voxels = scene_of(phantom_plan).tissue.size
    with pytest.raises(PlanError, match=f"at most {voxels - 1} voxels; got {voxels}"):
        SceneBuilder(plan, most_voxels=voxels - 1)
    builder = SceneBuilder(plan, most_voxels=voxels)
    assert builder.build(plan).tissue.size == voxels
    phantom_plan["grid"] = {"spacing_mm": [h / 2 for h in plan.grid.spacing_mm]}
    with pytest.raises(PlanError, match=f"got {8 * voxels}"):
        builder.build(load_plan(phantom_plan))


# Notes


def test_notes_tell_what_a_reader_must_know(phantom_plan: dict[str, Any]) -> None:
    phantom_plan["electrodes"].append(
        {"name": "C", "needle": {"tip_mm": [12, 16, 2], "direction": [0, 0, -1], "diameter_mm": 1, "exposed_mm": 16}}
    )
    phantom_plan["electrodes"][1]["needle"]["tip_mm"] = [8.6, 10, 4]
    phantom_plan |= {"generator": "cliniporator", "avoid": {"spinal_cord": {"max_v_per_cm": 400}}}
    phantom_plan["pulses"][0]["voltage_v"] = 1200
    phantom_plan["anatomy"]["phantom"]["tissue"] = "muscle"
    scene = scene_of(phantom_plan)
    assert kinds(scene) == {
        "unverified_value",
        "unverified_generator",
        "electrode_not_pulsed",
        "electrodes_close",
        "electrode_partly_outside",
        "voltage_above_generator",
        "avoided_structure_absent",
    }
    assert scene.avoid == {}
    assert "spinal_cord" not in scene.structures
    text = {note.kind: note.message for note in scene.notes}
    assert "1200 V" in text["voltage_above_generator"]
    assert "1000 V" in text["voltage_above_generator"]
    assert text["unverified_value"].startswith("muscle: unverified baseline_s_per_m (secondhand)")


def test_avoided_structure_is_measured_only_within(write_nifti: Callable[..., Path]) -> None:
    affine = ras_affine()
    plan = scan_plan(write_nifti(asymmetric_labels(), affine), affine)
    plan["grid"]["margin_mm"] = 0
    scene = scene_of(plan)
    assert "avoided_structure_absent" in kinds(scene) or "avoided_structure_cut" in kinds(scene)


# The examples


@pytest.mark.parametrize("name", ["demo.yaml", "first_plan.yaml"])
def test_phantom_examples_build(name: str) -> None:
    scene = build_scene(load_plan(EXAMPLES / name))
    assert scene.structures[scene.targets[0]].any()
    assert not {"electrode_partly_outside", "voltage_above_generator"} & kinds(scene)


@pytest.mark.skipif(SHARED is None, reason="POREFIELD_SHARED_DATA names no folder with the segmented CT")
@pytest.mark.parametrize(
    ("name", "inside", "spared"),
    [
        ("liver_metastasis.yaml", {"liver"}, "portal_vein_and_splenic_vein"),
        ("vertebra_metastasis.yaml", {"bone_cancellous"}, "spinal_cord"),
    ],
)
def test_scan_examples_build(name: str, inside: set[str], spared: str) -> None:
    scene = build_scene(load_plan(EXAMPLES / name))
    shell = np.zeros(scene.grid.shape, bool)
    target = scene.structures["metastasis"]
    shell[1:-1, 1:-1, 1:-1] = target[:-2, 1:-1, 1:-1] | target[2:, 1:-1, 1:-1] | target[1:-1, :-2, 1:-1]
    assert {scene.tissues[i].name for i in np.unique(scene.tissue[shell & ~target])} == inside
    grid_points = scene.grid.kernel_grid.voxel_coordinates_m()
    points = np.stack(np.meshgrid(*grid_points, indexing="ij"), axis=-1)[scene.structures[spared]]
    for electrode in scene.electrodes.values():
        assert isinstance(electrode, Needle)
        closest = np.minimum(electrode.distance_m(points), electrode.shaft_distance_m(points)).min()
        assert closest > 2e-3, "a needle passes within 2 mm of what it must spare"
    assert not {"electrode_partly_outside", "voltage_above_generator", "target_cut"} & kinds(scene)
