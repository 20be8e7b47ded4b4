"""CT series and DICOM-SEG on the lattice that their headers state; what has none is refused by name."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import Dataset

from porefield.meshes import AnatomyError, ResourceError, Scene, build_scene, load_plan, readers
from porefield.meshes.dicom import read_segmentation, read_series
from porefield.meshes.readers import read_image

from .conftest import asymmetric_labels, ras_affine, scan_plan
from .dicom_files import write_segmentation, write_series
from .test_readers import ROTATIONS

OBLIQUE = ras_affine(ROTATIONS["oblique"])
TURNED = OBLIQUE[:, [1, 0, 2, 3]] * [1, -1, 1, 1]
"""Axes as a scanner might store them: far from RAS, and right-handed."""
SHARED = os.environ.get("POREFIELD_SHARED_DATA")


def hu_of(labels: np.ndarray) -> np.ndarray:
    return np.where(labels > 0, labels.astype(np.int16) * 3, -1000)


def stored_as_turned(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The voxels with the axes of TURNED, and the affine that leaves them where they are."""
    affine = TURNED.copy()
    affine[:3, 3] += OBLIQUE[:3, 0] * (data.shape[0] - 1)
    return np.flip(np.swapaxes(data, 0, 1), 1), affine


@pytest.mark.parametrize("turned", [False, True])
def test_a_series_lies_where_its_headers_say(tmp_path: Path, turned: bool) -> None:
    labels = asymmetric_labels()
    data, affine = stored_as_turned(hu_of(labels)) if turned else (hu_of(labels), OBLIQUE)
    image = read_series(write_series(tmp_path / "ct", data, affine), "f")
    nib.save(nib.Nifti1Image(labels, OBLIQUE), tmp_path / "labels.nii")
    same = read_image(tmp_path / "labels.nii", "f")
    np.testing.assert_array_equal(image.data, hu_of(same.data))
    np.testing.assert_allclose(image.corner_mm, same.corner_mm, atol=1e-4)
    np.testing.assert_allclose(image.axes, same.axes, atol=1e-6)
    np.testing.assert_allclose(image.provenance["affine"], affine, atol=1e-6)
    assert image.provenance["shape"] == list(data.shape)


def edited(**elements: Any) -> Any:
    """A change of one slice in the middle; None removes the element."""

    def edit(k: int, data_set: Dataset) -> None:
        if k == 4:
            for name, value in elements.items():
                delattr(data_set, name) if value is None else setattr(data_set, name, value)

    return edit


def sheared(k: int, data_set: Dataset) -> None:
    x, y, z = (float(value) for value in data_set.ImagePositionPatient)
    data_set.ImagePositionPatient = [f"{x:.6f}", f"{y + 0.2 * k:.6f}", f"{z:.6f}"]


def tilted(k: int, data_set: Dataset) -> None:
    data_set.GantryDetectorTilt = "-12.5"


BAD_SERIES: dict[str, Any] = {
    "missing slice": (None, "28.dcm", "slices 2.5 mm apart, all of them", "slices missing between 21.dcm"),
    "slice twice": (None, "copy", "each slice once", "14.dcm"),
    "mixed orientations": (edited(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]), None, "one orientation", "28.dcm"),
    "gantry tilt": (tilted, None, "without gantry tilt", "GantryDetectorTilt -12.5 degrees"),
    "sheared": (sheared, None, "without gantry tilt", "beside one another"),
    "two series": (edited(SeriesInstanceUID="1.2.3.5"), None, "one series", "1.2.3.5"),
    "not a CT": (edited(Modality="MR"), None, "slices of a CT", "28.dcm, Modality 'MR'"),
    "other spacing": (edited(PixelSpacing=["2", "3"]), None, "one PixelSpacing", "28.dcm"),
    "other size": (edited(Rows=14), None, "one Rows", "28.dcm: 14"),
    "no position": (edited(ImagePositionPatient=None), None, "state ImagePositionPatient", "28.dcm"),
    "no number": (edited(ImagePositionPatient=["1", "2"]), None, "DICOM files that can be read", "3 finite numbers"),
    "not HU": (edited(RescaleType="US"), None, "intensities in HU", "'US'"),
    "many frames": (edited(NumberOfFrames="2"), None, "one slice per file", "28.dcm with 2"),
    "short of pixels": (edited(PixelData=b"\1\2"), None, "DICOM files that can be read", "28.dcm"),
    "no pixels": (edited(PixelData=None), None, "DICOM files that can be read", "pixel"),
    "another file": (None, "notes.txt", "DICOM files and nothing else", "notes.txt"),
    "one slice": (None, "all", "2 to", "1 files"),
}


@pytest.mark.parametrize(("edit", "file", "expected", "got"), BAD_SERIES.values(), ids=BAD_SERIES.keys())
def test_a_series_that_is_no_lattice(tmp_path: Path, edit: Any, file: str | None, expected: str, got: str) -> None:
    folder = write_series(tmp_path / "ct", hu_of(asymmetric_labels()), OBLIQUE, edit or (lambda k, d: None))
    if file == "copy":
        (folder / "99.dcm").write_bytes((folder / "14.dcm").read_bytes())
    elif file == "notes.txt":
        (folder / file).write_text("no DICOM")
    elif file == "all":
        for path in sorted(folder.iterdir())[1:]:
            path.unlink()
    elif file is not None:
        (folder / file).unlink()
    with pytest.raises(AnatomyError) as caught:
        read_series(folder, "anatomy.ct.path")
    (problem,) = caught.value.problems
    assert problem.field == "anatomy.ct.path"
    assert expected in problem.expected
    assert got in problem.got


def test_a_series_beyond_memory_is_refused_before_its_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_series(tmp_path / "ct", hu_of(asymmetric_labels()), OBLIQUE, edited(PixelData=None))
    monkeypatch.setattr(readers, "available_bytes", lambda: 1000)
    with pytest.raises(ResourceError, match="f: expected an image that fits into"):
        read_series(folder, "f")


def test_without_the_extra_its_name_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_series(tmp_path / "ct", hu_of(asymmetric_labels()), OBLIQUE)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(AnatomyError, match=r"f: expected porefield\[dicom\] installed"):
        read_series(folder, "f")


def segments_of(labels: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Body, vein, aorta and cord; the body lies under all others. 18 x 15 pixels fill no whole bytes."""
    return [("body", labels > 0), ("vein", labels == 64), ("aorta", labels == 52), ("cord", labels == 79)]


def test_segments_lie_where_their_frames_say(tmp_path: Path) -> None:
    labels = asymmetric_labels()
    stored, affine = stored_as_turned(labels)
    image, overlaps = read_segmentation(write_segmentation(tmp_path / "seg.dcm", segments_of(stored), affine), "f")
    expected = np.select([labels == 64, labels == 52, labels == 79, labels > 0], [2, 3, 4, 1], 0)
    nib.save(nib.Nifti1Image(expected.astype(np.uint8)[:, :, 1:11], OBLIQUE), tmp_path / "same.nii")
    same = read_image(tmp_path / "same.nii", "f")
    np.testing.assert_array_equal(image.data, same.data)  # it ends with its segments: no frames outside of the body
    np.testing.assert_allclose(image.corner_mm, same.corner_mm + OBLIQUE[:3, 2], atol=1e-4)
    np.testing.assert_allclose(image.axes, same.axes, atol=1e-6)
    assert image.names == {1: "body", 2: "vein", 3: "aorta", 4: "cord"}
    assert overlaps == {(2, 1): 30, (3, 1): 60, (4, 1): 5}


def fractional(data_set: Dataset) -> None:
    data_set.SegmentationType = "FRACTIONAL"


def between(data_set: Dataset) -> None:
    place = data_set.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    place.ImagePositionPatient = [str(round(float(value) + 0.4, 6)) for value in place.ImagePositionPatient]


def unnamed(data_set: Dataset) -> None:
    del data_set.SegmentSequence[1]


def short(data_set: Dataset) -> None:
    data_set.NumberOfFrames = 2


BAD_SEGMENTS: dict[str, Any] = {
    "fractional": (fractional, "SegmentationType BINARY", "'FRACTIONAL'"),
    "between slices": (between, "slices", "seg.dcm with"),
    "unnamed": (unnamed, "a segment for each frame", "without segment 2"),
    "places": (short, "a place for each frame", "2 frames"),
}


@pytest.mark.parametrize(("edit", "expected", "got"), BAD_SEGMENTS.values(), ids=BAD_SEGMENTS.keys())
def test_segments_that_are_no_lattice(tmp_path: Path, edit: Any, expected: str, got: str) -> None:
    path = write_segmentation(tmp_path / "seg.dcm", segments_of(asymmetric_labels()), OBLIQUE, edit)
    with pytest.raises(AnatomyError, match=r"^f: ") as caught:
        read_segmentation(path, "f")
    assert expected in caught.value.problems[0].expected
    assert got in caught.value.problems[0].got


def test_a_plan_from_dicom_alone(tmp_path: Path) -> None:
    """The same scene as from the label map that the segments were made of, and the CT behind it."""
    labels = asymmetric_labels()
    write_series(tmp_path / "ct", *stored_as_turned(hu_of(labels)))
    stored, affine = stored_as_turned(labels)
    write_segmentation(tmp_path / "seg.dcm", segments_of(stored), affine)
    plan = scan_plan(tmp_path / "seg.dcm", OBLIQUE, [1.5, 2, 2.5])
    tissue_of = {"body": "liver", "vein": "blood", "aorta": "blood", "cord": "spinal_cord"}
    plan["anatomy"]["label_map"] |= {"names": "segments", "tissue_of": tissue_of}
    plan["anatomy"]["ct"] = {"path": "ct", "body_above_hu": -300}
    plan |= {"targets": ["vein"], "avoid": {}}
    scene = build_scene(load_plan(plan), base_dir=tmp_path)
    plan["anatomy"] = {"label_map": {**plan["anatomy"]["label_map"], "path": "labels.nii", "body": "labels.nii"}}
    plan["anatomy"]["label_map"]["names"] = {5: "body", 64: "vein", 52: "aorta", 79: "cord"}
    nib.save(nib.Nifti1Image(labels, OBLIQUE), tmp_path / "labels.nii")
    same = build_scene(load_plan(plan), base_dir=tmp_path)
    np.testing.assert_array_equal(named(scene), named(same))
    np.testing.assert_allclose(scene.grid.affine, same.grid.affine, atol=1e-4)
    np.testing.assert_array_equal(scene.structures["vein"], same.structures["vein"])
    assert scene.ct_hu is not None
    assert set(np.unique(scene.ct_hu[scene.structures["vein"]])) == {64 * 3}
    assert any("vein overlaps body by 0.225 ml" in note.message for note in scene.notes)
    assert scene.provenance["frame"]["shape"] == [15, 18, 12]


def named(scene: Scene) -> np.ndarray:
    return np.asarray([tissue.name for tissue in scene.tissues])[scene.tissue]


@pytest.mark.skipif(not SHARED, reason="POREFIELD_SHARED_DATA is not set: no CT to read")
def test_a_scanners_series_lies_on_its_label_map() -> None:
    """JPEG 2000; medians of tissues as a contrast-enhanced CT has them, far from where a flip would put them."""
    anatomy = Path(str(SHARED)) / "anatomy"
    ct = read_series(anatomy / "abdomen_1mm_ct_dicom", "f")
    labels = read_image(anatomy / "abdomen_1mm_labels.nii.gz", "f")
    np.testing.assert_allclose(ct.corner_mm, labels.corner_mm, atol=1e-4)
    assert ct.shape == labels.shape == (512, 512, 20)
    medians = {number: float(np.median(ct.data[labels.data == number])) for number in (5, 52)}
    assert 80 < medians[5] < 120  # liver
    assert 130 < medians[52] < 300  # aorta
