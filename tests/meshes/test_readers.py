"""Label maps in the patient's own orientation, and files that cannot be used."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import nrrd
import numpy as np
import pytest

from porefield.meshes import AnatomyError, ResourceError, readers
from porefield.meshes.readers import read_image

from .conftest import SPACING, asymmetric_labels, ras_affine

ROTATIONS = {
    "straight": np.eye(3),
    "oblique": np.linalg.qr(np.array([[0.96, -0.2, 0.1], [0.25, 0.93, -0.2], [-0.05, 0.23, 0.97]]))[0] * [-1, -1, 1],
    "45 degrees": np.array([[1, -1, 0], [1, 1, 0], [0, 0, 2**0.5]]) / 2**0.5,
}


def stored_otherwise(
    labels: np.ndarray, affine: np.ndarray, order: tuple[int, ...], flips: tuple[bool, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """The same voxels in the patient, with axes in another order and some of them reversed."""
    data, turned = np.transpose(labels, order), affine.copy()
    turned[:, :3] = affine[:, list(order)]
    for axis, flip in enumerate(flips):
        if flip:
            turned[:, 3] += turned[:, axis] * (data.shape[axis] - 1)
            turned[:, axis] *= -1
            data = np.flip(data, axis)
    return data, turned


@pytest.mark.parametrize("rotation", ROTATIONS.values(), ids=ROTATIONS.keys())
def test_axis_orders_and_flips_leave_no_trace(rotation: np.ndarray, write_nifti: Callable[..., Path]) -> None:
    labels, affine = asymmetric_labels(), ras_affine(rotation)
    first = read_image(write_nifti(labels, affine), "f")
    for order in itertools.permutations(range(3)):
        for flips in itertools.product((False, True), repeat=3):
            again = read_image(write_nifti(*stored_otherwise(labels, affine, order, flips), "b.nii"), "f")
            np.testing.assert_array_equal(again.data, first.data)
            np.testing.assert_allclose(again.axes, first.axes, atol=1e-6)
            np.testing.assert_allclose(again.corner_mm, first.corner_mm, atol=1e-4)
            np.testing.assert_allclose(again.spacing_mm, first.spacing_mm, rtol=1e-6)


@pytest.mark.parametrize("rotation", ROTATIONS.values(), ids=ROTATIONS.keys())
def test_voxels_stay_where_the_affine_puts_them(rotation: np.ndarray, write_nifti: Callable[..., Path]) -> None:
    labels, affine = asymmetric_labels(), ras_affine(rotation)
    image = read_image(write_nifti(*stored_otherwise(labels, affine, (2, 0, 1), (True, False, True))), "f")
    where = np.argwhere(labels == 79).mean(axis=0)
    expected_mm = (affine @ [*where, 1])[:3]
    found = np.argwhere(image.data == 79).mean(axis=0)
    np.testing.assert_allclose(
        image.corner_mm + image.axes @ ((found + 0.5) * image.spacing_mm), expected_mm, atol=1e-4
    )


def test_straight_axes_are_exact(write_nifti: Callable[..., Path]) -> None:
    image = read_image(write_nifti(asymmetric_labels(), ras_affine()), "f")
    np.testing.assert_array_equal(image.axes, np.eye(3))
    np.testing.assert_array_equal(image.spacing_mm, SPACING)
    np.testing.assert_allclose(image.corner_mm, ras_affine()[:3, 3] - SPACING / 2, atol=1e-12)
    assert image.provenance["shape"] == [18, 15, 12]
    assert len(image.provenance["sha256"]) == 64


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("left-posterior-superior", (-1, -1, 1)),
        ("LPS", (-1, -1, 1)),
        ("right-anterior-superior", (1, 1, 1)),
        ("LAS", (-1, 1, 1)),
    ],
)
def test_nrrd_by_its_declared_space(tmp_path: Path, write_nifti: Callable[..., Path], space: str, signs: Any) -> None:
    labels, affine = asymmetric_labels(), ras_affine(ROTATIONS["oblique"])
    in_space = np.diag([*signs, 1]) @ affine
    header = {"space": space, "space directions": in_space[:3, :3].T, "space origin": in_space[:3, 3]}
    nrrd.write(str(tmp_path / "labels.nrrd"), labels, header)
    image, same = read_image(tmp_path / "labels.nrrd", "f"), read_image(write_nifti(labels, affine), "f")
    np.testing.assert_array_equal(image.data, same.data)
    np.testing.assert_allclose(image.corner_mm, same.corner_mm, atol=1e-4)
    np.testing.assert_allclose(image.axes, same.axes, atol=1e-6)


def test_metres_become_millimetres(tmp_path: Path) -> None:
    affine = ras_affine()
    affine[:3] /= 1000
    image = nib.Nifti1Image(asymmetric_labels(), affine)
    image.header.set_xyzt_units("meter")
    nib.save(image, tmp_path / "m.nii")
    np.testing.assert_allclose(read_image(tmp_path / "m.nii", "f").spacing_mm, SPACING, rtol=1e-6)


def test_missing_orientation_is_told(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(asymmetric_labels(), None), tmp_path / "plain.nii")
    assert "states no orientation" in read_image(tmp_path / "plain.nii", "f").notes[0]


def with_affine(change: Callable[[np.ndarray], Any]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        affine = ras_affine()
        change(affine)
        content = bytearray(nib.Nifti1Image(asymmetric_labels(), ras_affine()).to_bytes())
        content[252:256] = np.array([0, 1], "<i2").tobytes()  # qform_code, sform_code
        content[280:328] = affine[:3].astype("<f4").tobytes()  # srow_x, srow_y, srow_z
        (folder / "bad.nii").write_bytes(content)
        return folder / "bad.nii"

    return write


def saved(data: np.ndarray, affine: np.ndarray | None = None, name: str = "x.nii") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        nib.save(nib.Nifti1Image(data, ras_affine() if affine is None else affine), folder / name)
        return folder / name

    return write


def raw(content: bytes, name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def cut(name: str, keep: float) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        noise = np.random.default_rng(1).integers(0, 9, (30, 30, 30)).astype(np.uint8)
        nib.save(nib.Nifti1Image(noise, ras_affine()), folder / name)
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * keep)])
        return folder / name

    return write


def cut_nrrd(folder: Path) -> Path:
    path = folder / "x.nrrd"
    header = {"space": "RAS", "space directions": np.eye(3), "space origin": np.zeros(3)}
    nrrd.write(str(path), asymmetric_labels(), header)
    path.write_bytes(path.read_bytes()[:-40])
    return path


def nrrd_with(**header: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        nrrd.write(str(folder / "x.nrrd"), asymmetric_labels(), header)
        return folder / "x.nrrd"

    return write


DIRECTIONS = {"space directions": np.eye(3), "space origin": np.zeros(3)}

BAD = {
    "no file": (lambda folder: folder / "no.nii", "a NIfTI or NRRD file", "does not exist"),
    "not an image": (raw(b"hello" * 100, "x.nii.gz"), "complete NIfTI", "x.nii.gz"),
    "text as nifti": (raw(b"hello" * 100, "x.nii"), "complete NIfTI", "x.nii"),
    "empty": (raw(b"", "x.nii.gz"), "complete NIfTI", "x.nii.gz"),
    "gzip of nothing": (raw(gzip.compress(b"x"), "x.nii.gz"), "complete NIfTI", "x.nii.gz"),
    "not nrrd": (raw(b"hello" * 100, "x.nrrd"), "complete NIfTI", "x.nrrd"),
    "truncated": (cut("x.nii", 0.6), "complete NIfTI", "x.nii"),
    "truncated gz": (cut("x.nii.gz", 0.6), "complete NIfTI", "x.nii.gz"),
    "truncated nrrd": (cut_nrrd, "complete NIfTI", "x.nrrd"),
    "four axes": (saved(np.zeros((4, 4, 4, 2), np.uint8)), "a three-dimensional image", "4 x 4 x 4 x 2"),
    "two axes": (saved(np.zeros((4, 4), np.uint8)), "a three-dimensional image", "4 x 4"),
    "fractions": (saved(np.full((4, 4, 4), 1.5, np.float32)), "a map of whole numbers", "1.5 at voxel (0, 0, 0)"),
    "nan voxels": (saved(np.full((4, 4, 4), np.nan)), "a map of whole numbers", "nan"),
    "negative": (saved(np.full((4, 4, 4), -3, np.int16)), "labels from 0 to 65534", "-3"),
    "too large": (saved(np.full((4, 4, 4), 70000, np.int32)), "labels from 0 to 65534", "70000"),
    "nan affine": (with_affine(lambda a: a.__setitem__((0, 3), np.nan)), "affine", "not finite"),
    "zero axis": (with_affine(lambda a: a.__setitem__((slice(3), 1), 0)), "affine", "singular"),
    "flat axes": (with_affine(lambda a: a.__setitem__((slice(3), 1), a[:3, 0])), "affine", "singular"),
    "sheared": (with_affine(lambda a: a.__setitem__((0, 2), 0.3)), "perpendicular", "sheared"),
    "nrrd without space": (nrrd_with(spacings=[1, 1, 1]), "states its space", "none"),
    "nrrd scanner space": (nrrd_with(space="scanner-xyz", **DIRECTIONS), "states its space", "scanner-xyz"),
    "nrrd in cm": (nrrd_with(space="RAS", **DIRECTIONS, **{"space units": ["cm"] * 3}), "NRRD in mm", "cm"),
}  # fmt: skip


@pytest.mark.parametrize(("write", "expected", "got"), BAD.values(), ids=BAD.keys())
def test_unusable_file_is_refused_by_field(tmp_path: Path, write: Any, expected: str, got: str) -> None:
    with pytest.raises(AnatomyError) as caught:
        read_image(write(tmp_path), "anatomy.label_map.path")
    (problem,) = caught.value.problems
    assert problem.field == "anatomy.label_map.path"
    assert expected in problem.expected
    assert got in problem.got


def test_whole_floats_are_labels(write_nifti: Callable[..., Path]) -> None:
    image = read_image(write_nifti(asymmetric_labels().astype(np.float64), ras_affine()), "f")
    np.testing.assert_array_equal(image.data, asymmetric_labels())


def test_image_beyond_memory_is_refused_before_reading(
    monkeypatch: pytest.MonkeyPatch, write_nifti: Callable[..., Path]
) -> None:
    monkeypatch.setattr(readers, "available_bytes", lambda: 1000)
    with pytest.raises(ResourceError, match=r"f: expected an image that fits into .* got 18 x 15 x 12 voxels"):
        read_image(write_nifti(asymmetric_labels(), ras_affine()), "f")
