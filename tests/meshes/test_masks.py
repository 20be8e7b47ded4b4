"""Masks of single structures: on the scan's voxels and on others, in the stated order, and the CT behind them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import nrrd
import numpy as np
import pytest

from porefield.meshes import AnatomyError, PlanError, Scene, build_scene, load_plan

from .conftest import asymmetric_labels, ras_affine, scan_plan
from .test_readers import ROTATIONS, stored_otherwise

NAMES = {5: ("liver", "liver"), 64: ("portal", "blood"), 52: ("aorta", "blood"), 79: ("cord", "spinal_cord")}
OBLIQUE = ras_affine(ROTATIONS["oblique"])
ON_VOXELS = [1.5, 2.0, 2.5]


def masks_plan(folder: Path, affine: np.ndarray, labels: np.ndarray | None = None) -> dict[str, Any]:
    """The plan of `scan_plan` with a file for each structure, the liver filling everything first."""
    labels = asymmetric_labels() if labels is None else labels
    structures = []
    for number, (name, tissue) in NAMES.items():
        inside = labels > 0 if number == 5 else labels == number
        nib.save(nib.Nifti1Image(inside.astype(np.uint8), affine), folder / f"{name}.nii")
        structures.append({"path": f"{name}.nii", "name": name, "tissue": tissue})
    plan = scan_plan(folder / "none.nii", affine, ON_VOXELS)
    plan["anatomy"] = {"masks": {"background": "fat", "structures": structures}}
    return plan | {"targets": ["portal"], "avoid": {}}


def scene_of(plan: dict[str, Any], folder: Path) -> Scene:
    return build_scene(load_plan(plan), base_dir=folder)


def tissues(scene: Scene) -> np.ndarray:
    return np.asarray([tissue.name for tissue in scene.tissues])[scene.tissue]


def notes(scene: Scene, kind: str) -> list[str]:
    return [note.message for note in scene.notes if note.kind == kind]


def test_masks_are_the_label_map_that_they_were_cut_from(tmp_path: Path, write_nifti: Callable[..., Path]) -> None:
    labels = asymmetric_labels()
    scene = scene_of(masks_plan(tmp_path, OBLIQUE), tmp_path)
    plan = scan_plan(write_nifti(labels, OBLIQUE), OBLIQUE, ON_VOXELS)
    table = {number: name for number, (name, _) in NAMES.items()}
    plan["anatomy"]["label_map"] |= {"names": table, "tissue_of": dict(NAMES.values())}
    plan |= {"targets": ["portal"], "avoid": {}}
    expected = scene_of(plan, tmp_path)
    np.testing.assert_array_equal(tissues(scene), tissues(expected))
    np.testing.assert_array_equal(scene.grid.affine, expected.grid.affine)
    assert any("portal lies over liver by 0.225 ml" in text for text in notes(scene, "masks_overlap"))  # 30 voxels
    assert [entry["file"] for entry in scene.provenance["masks"]] == [f"{name}.nii" for name, _ in NAMES.values()]


def test_the_later_mask_lies_over_the_earlier(tmp_path: Path) -> None:
    plan = masks_plan(tmp_path, OBLIQUE)
    structures = plan["anatomy"]["masks"]["structures"]
    structures.append(structures.pop(0))  # the liver over all
    plan |= {"targets": ["liver"]}
    scene = scene_of(plan, tmp_path)
    assert "blood" not in tissues(scene)
    assert any("liver lies over portal by 0.225 ml" in text for text in notes(scene, "masks_overlap"))


def test_a_mask_over_a_label_map(tmp_path: Path, write_nifti: Callable[..., Path]) -> None:
    lesion = np.zeros((18, 15, 12), np.uint8)
    lesion[7:9, 6:10, 3:6] = 1
    write_nifti(*stored_otherwise(lesion, OBLIQUE, (1, 2, 0), (True, False, True)), "lesion.nii")
    plan = scan_plan(write_nifti(asymmetric_labels(), OBLIQUE), OBLIQUE, ON_VOXELS)
    plan["anatomy"]["label_map"]["masks"] = [{"path": "lesion.nii", "tissue": "tumour", "name": "lesion"}]
    plan |= {"targets": ["lesion"], "avoid": {}}
    scene = scene_of(plan, tmp_path)
    assert scene.structures["lesion"].sum() == lesion.sum()
    np.testing.assert_array_equal(scene.structures["lesion"], tissues(scene) == "tumour")
    where = scene.grid.centres_mm()[scene.structures["lesion"]].mean(axis=0)
    np.testing.assert_allclose(where, (OBLIQUE @ [7.5, 7.5, 4, 1])[:3], atol=1e-4)


def test_an_anatomy_folder_has_the_masks(tmp_path: Path) -> None:
    plan = masks_plan(tmp_path, OBLIQUE)
    scene = build_scene(load_plan(plan), anatomy=tmp_path)
    assert scene.provenance["masks"][0]["path"] == "liver.nii"
    with pytest.raises(AnatomyError, match=r"anatomy: expected a folder with the plan's masks; got .*liver\.nii"):
        build_scene(load_plan(plan), anatomy=tmp_path / "liver.nii")


def test_segments_of_a_seg_nrrd_bring_their_names(tmp_path: Path) -> None:
    header: dict[str, Any] = {"space": "RAS", "space directions": OBLIQUE[:3, :3].T, "space origin": OBLIQUE[:3, 3]}
    for i, (number, (name, _)) in enumerate(NAMES.items()):
        header |= {f"Segment{i}_LabelValue": str(number), f"Segment{i}_Name": name}
    nrrd.write(str(tmp_path / "labels.seg.nrrd"), asymmetric_labels(), header)
    plan = scan_plan(tmp_path / "labels.seg.nrrd", OBLIQUE, ON_VOXELS) | {"targets": ["portal"], "avoid": {}}
    plan["anatomy"]["label_map"] |= {"names": "segments", "tissue_of": dict(NAMES.values())}
    assert scene_of(plan, tmp_path).structures["portal"].sum() == 30
    nib.save(nib.Nifti1Image(asymmetric_labels(), OBLIQUE), tmp_path / "labels.nii")
    plan["anatomy"]["label_map"]["path"] = "labels.nii"
    with pytest.raises(AnatomyError, match=r"label_map\.names: expected a DICOM-SEG or \.seg\.nrrd"):
        scene_of(plan, tmp_path)


def turned(affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The portal vein drawn on voxels of 0.5 mm along the patient's axes: another frame altogether."""
    inside = np.argwhere(asymmetric_labels() == 64)
    centre = (affine @ [*inside.mean(axis=0), 1])[:3]
    to_scan = np.linalg.inv(affine)
    n, h = 60, 0.5
    fine = np.diag([h, h, h, 1.0])
    fine[:3, 3] = centre - 0.5 * (n - 1) * h
    index = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1)
    points = index @ fine[:3, :3].T + fine[:3, 3]
    cells = points @ to_scan[:3, :3].T + to_scan[:3, 3]
    low, high = inside.min(axis=0) - 0.5, inside.max(axis=0) + 0.5
    return np.all((cells > low) & (cells < high), axis=-1).astype(np.uint8), fine


def test_a_mask_on_another_frame_is_put_where_it_is(tmp_path: Path) -> None:
    plan = masks_plan(tmp_path, OBLIQUE)
    same = scene_of(plan, tmp_path)
    data, fine = turned(OBLIQUE)
    nib.save(nib.Nifti1Image(data, fine), tmp_path / "portal.nii")
    scene = scene_of(plan, tmp_path)
    np.testing.assert_array_equal(scene.structures["portal"], same.structures["portal"])
    (text,) = notes(scene, "mask_resampled")
    there_ml = data.sum() * 0.5**3 * 1e-3
    assert text == f"portal was drawn on other voxels than the scan's: {there_ml:.4g} ml there, 0.225 ml here"


def test_what_lies_beyond_the_scan_is_refused(tmp_path: Path) -> None:
    plan = masks_plan(tmp_path, OBLIQUE)
    data, fine = turned(OBLIQUE)
    fine[:3, 3] -= 14
    nib.save(nib.Nifti1Image(data, fine), tmp_path / "portal.nii")
    with pytest.raises(AnatomyError, match=r"structures\[1\]\.path: expected a mask that lies within .*% of it beyond"):
        scene_of(plan, tmp_path)


BAD = {
    "no tissue": ({"tissue": "liverr"}, PlanError, "structures[0].tissue", "did you mean liver?"),
    "no file": ({"path": "no.nii"}, AnatomyError, "structures[0].path", "a file"),
    "empty": ({"path": "empty.nii"}, AnatomyError, "structures[0].path", "not 0"),
    "folder": ({"path": "."}, AnatomyError, "structures[0].path", "a file"),
}


@pytest.mark.parametrize(("change", "error", "field", "expected"), BAD.values(), ids=BAD.keys())
def test_masks_that_are_none(tmp_path: Path, change: Any, error: Any, field: str, expected: str) -> None:
    plan = masks_plan(tmp_path, OBLIQUE)
    nib.save(nib.Nifti1Image(np.zeros((18, 15, 12), np.uint8), OBLIQUE), tmp_path / "empty.nii")
    plan["anatomy"]["masks"]["structures"][0] |= change
    with pytest.raises(error) as caught:
        scene_of(plan, tmp_path)
    (problem,) = caught.value.problems
    assert problem.field == f"anatomy.masks.{field}"
    assert expected in problem.expected


@pytest.mark.parametrize(
    ("anatomy", "field"),
    [
        ({"ct": {"path": "ct"}, "phantom": {"size_mm": [1, 1, 1], "tissue": "liver"}}, "anatomy.ct"),
        ({"masks": {"background": "fat", "structures": []}}, "anatomy.masks.structures"),
        ({"ct": {"path": "ct"}}, "anatomy"),
    ],
)
def test_plans_of_no_one_anatomy(phantom_plan: dict[str, Any], anatomy: Any, field: str) -> None:
    with pytest.raises(PlanError) as caught:
        load_plan(phantom_plan | {"anatomy": anatomy})
    assert field in [problem.field for problem in caught.value.problems]


def ct_of(labels: np.ndarray, affine: np.ndarray, folder: Path) -> np.ndarray:
    """HU: 50 in the body, an air bubble in it, a table beside it; stored with its axes in another order."""
    hu = np.full(labels.shape, -1000, np.int16)
    hu[labels > 0] = 50
    hu[8:10, 6:8, 3:9] = -900
    hu[2:16, 0, 1:11] = 300  # less than the body, and a voxel of air between them
    hu[2:16, 1, 1:11] = -1000
    nib.save(nib.Nifti1Image(*stored_otherwise(hu, affine, (2, 0, 1), (False, True, False))), folder / "ct.nii.gz")
    return hu


def test_the_ct_tells_where_the_body_ends(tmp_path: Path) -> None:
    hu = ct_of(asymmetric_labels(), OBLIQUE, tmp_path)
    plan = masks_plan(tmp_path, OBLIQUE)
    plan["anatomy"]["masks"]["structures"].pop(0)  # the rest of the body is background
    plan["anatomy"]["ct"] = {"path": "ct.nii.gz", "body_above_hu": -300}
    plan["grid"]["margin_mm"] = 60
    scene = scene_of(plan, tmp_path)
    assert scene.grid.shape == hu.shape
    found = tissues(scene)
    body = asymmetric_labels() > 0
    body[2:16, 1] = False
    outside = (found == "air") & (asymmetric_labels() < 6)
    np.testing.assert_array_equal(outside, ~body & (asymmetric_labels() < 6))
    assert (found[8:10, 6:8, 3:9] != "air").all()
    np.testing.assert_array_equal(scene.ct_hu, hu)
    assert notes(scene, "body_from_ct")
    assert not notes(scene, "no_body_mask")


def test_a_ct_that_does_not_hold_the_anatomy(tmp_path: Path, write_nifti: Callable[..., Path]) -> None:
    moved = OBLIQUE.copy()
    moved[:3, 3] += 10
    ct_of(asymmetric_labels(), moved, tmp_path)
    plan = scan_plan(write_nifti(asymmetric_labels(), OBLIQUE), OBLIQUE, ON_VOXELS)
    plan["anatomy"]["ct"] = {"path": "ct.nii.gz", "body_above_hu": -300}
    with pytest.raises(AnatomyError, match=r"anatomy\.ct\.path: expected a CT that holds all of \(18, 15, 12\) voxels"):
        scene_of(plan, tmp_path)
    plan["anatomy"]["label_map"]["body"] = "labels.nii.gz"
    with pytest.raises(PlanError, match=r"anatomy\.ct\.body_above_hu: expected none beside a mask of the body"):
        load_plan(plan)
