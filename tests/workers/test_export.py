"""Results as files: maps that overlay the scan, surfaces round what they say, in the space that they state."""

from __future__ import annotations

import gzip
import io
import struct
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import nrrd
import numpy as np
import pytest
from nibabel.affines import apply_affine

from porefield.meshes import ResourceError, build_scene, load_plan
from porefield.meshes.readers import read_image
from porefield.meshes.writers import Space
from porefield.workers import export, run_scene
from porefield.workers.export import ExportError, nifti_of, read_map, volume_bytes
from porefield.workers.store.run_store import open_maps, write_store
from porefield.workers.surfaces import field_surface, structure_surface, surface_bytes, zone_surface

from ..meshes.conftest import asymmetric_labels, ras_affine, scan_plan
from ..meshes.test_readers import ROTATIONS, stored_otherwise
from .linear_field import TINY_PLAN, LinearFieldSolver

OBLIQUE = ras_affine(ROTATIONS["oblique"])


@pytest.fixture(scope="module")
def solver() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        yield LinearFieldSolver().install(patch)


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory, solver: LinearFieldSolver) -> tuple[Path, Any]:
    """The store of a plan on an oblique scan whose axes are stored in another order, and the scan as nibabel has it."""
    folder = tmp_path_factory.mktemp("scan")
    path = folder / "labels.nii.gz"
    nib.save(nib.Nifti1Image(*stored_otherwise(asymmetric_labels(), OBLIQUE, (2, 0, 1), (True, False, True))), path)
    plan = scan_plan(path, OBLIQUE, [1.5, 1.0, 2.5])
    nib.save(nib.Nifti1Image(*stored_otherwise(hu(), OBLIQUE, (1, 0, 2), (False, True, True))), folder / "ct.nii")
    plan["anatomy"]["ct"] = {"path": str(folder / "ct.nii")}
    result = run_scene(build_scene(load_plan(plan)))
    write_store(result.dataset(), folder / "result.zarr")
    return folder / "result.zarr", nib.load(path)


def hu() -> np.ndarray:
    return asymmetric_labels().astype(np.int16) * 2 - 100


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory, solver: LinearFieldSolver) -> Path:
    path = tmp_path_factory.mktemp("phantom") / "result.zarr"
    write_store(run_scene(build_scene(load_plan(TINY_PLAN))).dataset(), path)
    return path


def loaded(content: bytes) -> Any:
    return nib.Nifti1Image.from_bytes(content)


@pytest.mark.parametrize("name", ["field_max_v_per_cm", "zone", "tissue", "coverage_reversible", "ct_hu"])
def test_a_nifti_overlays_the_scan(scan: tuple[Path, Any], name: str) -> None:
    store, image = scan
    found = loaded(volume_bytes(store, "x.nii", name))
    assert found.shape == image.shape == (12, 18, 15)
    np.testing.assert_array_equal(found.affine, image.affine)
    np.testing.assert_allclose(found.get_qform(), image.affine, atol=1e-4)
    # every voxel of the scan, wherever it lies, has the value of the solved voxel that holds its centre
    grid = read_map(store, name, frame="grid")
    assert grid is not None
    centres = apply_affine(image.affine, np.indices(image.shape).reshape(3, -1).T)
    index = np.floor(apply_affine(np.linalg.inv(grid.affine), centres) + 0.5 + 1e-3).astype(int)
    within = np.all((index >= 0) & (index < grid.data.shape), axis=1)
    assert 300 < within.sum() < within.size
    values = np.asarray(found.dataobj).reshape(-1)
    np.testing.assert_array_equal(values[within], grid.data[tuple(index[within].T)])
    assert set(values[~within]) == {{"tissue": 255, "ct_hu": -1024}.get(name, 0)}


def test_tissues_come_back_where_they_were(scan: tuple[Path, Any]) -> None:
    store, image = scan
    data = np.asarray(loaded(volume_bytes(store, "x.nii", "tissue")).dataobj)
    with open_maps(store) as maps:
        names = str(maps["tissue"].attrs["flag_meanings"]).split()
    cord = np.asarray(image.dataobj) == 79
    assert (data == names.index("spinal_cord")).sum() > 0
    inside = data != 255
    np.testing.assert_array_equal((data == names.index("spinal_cord"))[inside], cord[inside])


def test_a_nrrd_says_the_same(scan: tuple[Path, Any], tmp_path: Path) -> None:
    store, _ = scan
    (tmp_path / "zone.nrrd").write_bytes(volume_bytes(store, "zone.nrrd", "zone"))
    (tmp_path / "zone.nii.gz").write_bytes(volume_bytes(store, "zone.nii.gz", "zone"))
    one, other = read_image(tmp_path / "zone.nrrd", "f"), read_image(tmp_path / "zone.nii.gz", "f")
    np.testing.assert_array_equal(one.data, other.data)
    np.testing.assert_allclose(one.corner_mm, other.corner_mm, atol=1e-4)
    np.testing.assert_allclose(one.axes, other.axes, atol=1e-6)
    assert nrrd.read_header(io.BytesIO((tmp_path / "zone.nrrd").read_bytes()))["space"] == "left-posterior-superior"


def test_fields_in_volts_per_centimetre(phantom: Path) -> None:
    metres, centimetres = (loaded(volume_bytes(phantom, "x.nii", f"field_v_per_{u}", 1)) for u in ("m", "cm"))
    np.testing.assert_allclose(np.asarray(metres.dataobj) / 100, np.asarray(centimetres.dataobj), rtol=1e-6)
    assert loaded(gzip.decompress(nifti_of(phantom, "zone") or b"")).shape == (16, 12, 12)


def test_what_is_not_there(phantom: Path, scan: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExportError, match=r"map: expected a map of this result.*did you mean zone.*got zones"):
        volume_bytes(phantom, "x.nii", "zones")
    with pytest.raises(ExportError, match="pulse: expected a pulse from 0 to 1; got 2"):
        volume_bytes(phantom, "x.nii", "field_v_per_m", 2)
    with pytest.raises(ExportError, match="frame: expected grid"):
        volume_bytes(phantom, "x.nii", "zone", frame="scan")
    with pytest.raises(ExportError, match=r"structure: expected a target .* lump.*; got lumps"):
        structure_surface(phantom, "lumps")
    with pytest.raises(ExportError, match="above: expected something that reaches it; the most is 1"):
        field_surface(phantom, 1e5)
    monkeypatch.setattr(export, "available_bytes", lambda: 1000)
    with pytest.raises(ResourceError, match="frame: expected maps that fit"):
        volume_bytes(scan[0], "x.nii", "zone")


def volume_mm3(corners: np.ndarray) -> float:
    """Enclosed by triangles (n, 3, 3) that look outwards: the divergence theorem."""
    return float(np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6)


def test_a_field_surface_ends_where_the_field_does(phantom: Path) -> None:
    """|E| is 100 V/cm times x in voxels, in tissue: above 905 V/cm from x = 9.05 on, to the end of the block; air below
    z = 1 has none, so that the surface lies in the layer of voxels between, by the field beside it."""
    points, triangles = field_surface(phantom, 905)
    assert np.isclose(points[:, 0].min(), 9.05, atol=1e-3)
    np.testing.assert_allclose(points.max(axis=0), [16, 12, 12], atol=1e-5)
    assert 0.5 < points[:, 2].min() < 1.5
    volume = volume_mm3(points[triangles])
    assert np.isclose(volume, 6.95 * 12 * 11, rtol=0.05)  # needles fill no holes into it


def test_without_the_extra_its_name_is_told(phantom: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.measure", None)
    with pytest.raises(ExportError, match=r"to: expected porefield\[surfaces\] installed"):
        zone_surface(phantom, "reversible")


def test_surfaces_lie_round_their_voxels_on_an_oblique_scan(scan: tuple[Path, Any]) -> None:
    store, _ = scan
    points, triangles = structure_surface(store, "aorta")
    with open_maps(store) as maps:
        names = [str(name) for name in maps["structure"].to_numpy()]
        index = np.argwhere(maps["structures"].to_numpy()[names.index("aorta")])
        affine = np.asarray(maps.attrs["porefield"]["affine"])
    centres = apply_affine(affine, index)
    np.testing.assert_allclose(points.mean(axis=0), centres.mean(axis=0), atol=0.5)
    volume = len(index) * 1.5 * 1.0 * 2.5
    assert 0.7 * volume < volume_mm3(points[triangles]) < volume  # corners are rounded off, never the other way round


def test_stl_and_ply_state_their_space(phantom: Path) -> None:
    surface = zone_surface(phantom, "reversible")
    points, triangles = surface
    spaces: tuple[tuple[Space, int], ...] = (("RAS", 1), ("LPS", -1))
    for space, sign in spaces:
        stl = surface_bytes(surface, "x.stl", space, "zone")
        assert stl.startswith(f"SPACE={space} mm".encode())
        assert struct.unpack("<I", stl[80:84]) == (len(triangles),)
        records = np.frombuffer(stl[84:], [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")])
        np.testing.assert_allclose(records["corners"], points[triangles] * [sign, sign, 1], rtol=1e-6)
        assert np.isclose(volume_mm3(records["corners"].astype(float)), volume_mm3(points[triangles]), rtol=1e-5)
        header, _, body = surface_bytes(surface, "x.PLY", space, "zone").partition(b"end_header\n")
        assert f"comment SPACE={space}\n".encode() in header
        assert len(body) == 12 * len(points) + 13 * len(triangles)
        np.testing.assert_allclose(np.frombuffer(body[:12], "<f4"), points[0] * [sign, sign, 1], rtol=1e-6)


def test_a_result_that_did_not_converge_says_so(phantom: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_is_converged", lambda about: False)
    image = loaded(volume_bytes(phantom, "x.nii", "zone"))
    assert "NOT CONVERGED" in str(image.header["descrip"])
