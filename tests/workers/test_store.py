"""The store on disk: what xarray and image viewers find in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

from porefield.workers import RunResult, open_result
from porefield.workers.store.run_store import write_store


@pytest.fixture
def store(result: RunResult, tmp_path: Path) -> Path:
    path = tmp_path / "result.zarr"
    write_store(result.dataset(), path)
    return path


def metadata(node: Path) -> dict[str, Any]:
    """A group's or array's own metadata, as any reader finds it."""
    return json.loads((node / "zarr.json").read_text())


def multiscale(store: Path, name: str) -> dict[str, Any]:
    (found,) = metadata(store / "ome" / name)["attributes"]["ome"]["multiscales"]
    return found


def test_xarray_reads_back_what_was_computed(result: RunResult, store: Path) -> None:
    written, computed = xr.open_zarr(store, chunks=None), result.dataset()
    assert set(written.variables) == set(computed.variables)
    for name, variable in computed.variables.items():
        assert written[name].dims == variable.dims
        np.testing.assert_array_equal(written[name].to_numpy(), variable.to_numpy())
        assert written[name].attrs == json.loads(json.dumps(variable.attrs))
    assert written["field_v_per_m"].sel(pulse="A-B", x=3.5, y=6.5, z=4.5).item() == pytest.approx(3.5e4)
    assert written.attrs["porefield"] == json.loads(json.dumps(computed.attrs["porefield"]))


def test_store_is_version_3_consolidated_and_has_no_types_that_viewers_refuse(store: Path) -> None:
    root = zarr.open_group(store, mode="r")
    assert root.metadata.zarr_format == 3
    assert root.metadata.consolidated_metadata is not None
    for name, array in root.arrays():
        if array.ndim >= 3:
            assert array.dtype in (np.uint8, np.float32), name
        assert metadata(store / name)["dimension_names"], name
    assert json.loads((store / "zarr.json").read_text())["attributes"]["Conventions"].startswith("CF")


def test_chunks_are_64_voxels_and_one_pulse(tmp_path: Path, result: RunResult) -> None:
    dataset = result.dataset()
    wide = dataset.pad(x=(0, 84), mode="edge").pad(x_node=(0, 84), mode="edge")
    wide["x"] = np.arange(100) + 0.5
    wide["x_node"] = np.arange(101.0)
    for name in wide.data_vars:
        wide[name] = wide[name].astype(dataset[name].dtype)
    write_store(wide, tmp_path / "wide.zarr")
    root = zarr.open_group(tmp_path / "wide.zarr", mode="r")
    assert {name: array.chunks for name, array in root.arrays()}["field_v_per_m"] == (1, 64, 12, 12)
    levels = multiscale(tmp_path / "wide.zarr", "field_max_v_per_m")["datasets"]
    assert [level["path"] for level in levels] == ["0", "1"]


@pytest.mark.parametrize("name", ["field_max_v_per_m", "zone"])
def test_ome_images_say_where_their_voxels_are(store: Path, result: RunResult, name: str) -> None:
    assert metadata(store / "ome" / name)["attributes"]["ome"]["version"] == "0.5"
    image_meta = multiscale(store, name)
    assert [(a["name"], a["type"], a["unit"]) for a in image_meta["axes"]] == [
        (n, "space", "millimeter") for n in ("z", "y", "x")
    ]
    first = image_meta["datasets"][0]
    scale, translation = first["coordinateTransformations"]
    assert scale == {"type": "scale", "scale": [1.0, 1.0, 1.0]}
    assert translation == {"type": "translation", "translation": [0.5, 0.5, 0.5]}
    image = zarr.open_array(store / "ome" / name / first["path"], mode="r")
    np.testing.assert_array_equal(image[...], result.dataset()[name].to_numpy().transpose(2, 1, 0))
    assert metadata(store / "ome" / name / "0")["dimension_names"] == ["z", "y", "x"]


def test_pyramids_keep_classes_whole_and_positions_true(tmp_path: Path) -> None:
    x = np.arange(130) + 0.5
    field = np.broadcast_to(x[:, None, None], (130, 3, 2)).astype(np.float32)
    zone = (field > 65).astype(np.uint8) * 2
    space = ("x", "y", "z")
    axes: dict[str, Any] = {"x": x, "y": np.arange(3) * 2.0, "z": np.arange(2) * 1.0}
    nodes = {"x_node": np.arange(131.0), "y_node": np.arange(4) * 2.0 - 1, "z_node": np.arange(3) - 0.5}
    maps = {"field_max_v_per_m": (space, field), "zone": (space, zone, {"flag_values": [0, 1, 2]})}
    write_store(xr.Dataset(maps, coords=axes | nodes), tmp_path / "r.zarr")
    levels = multiscale(tmp_path / "r.zarr", "field_max_v_per_m")["datasets"]
    assert len(levels) == 3
    for level, entry in enumerate(levels):
        scale, shift = (t[k] for t, k in zip(entry["coordinateTransformations"], ("scale", "translation"), strict=True))
        image = np.asarray(zarr.open_array(tmp_path / "r.zarr/ome/field_max_v_per_m" / entry["path"], mode="r")[...])
        where = shift[2] + scale[2] * np.arange(image.shape[2])
        assert scale == [2**level, 2 * 2**level, 2**level]
        # the field is its own position: coarse voxels hold it where their transformation puts them
        np.testing.assert_allclose(image[0, 0, :-1], where[:-1])
        coarse = np.asarray(zarr.open_array(tmp_path / "r.zarr/ome/zone" / entry["path"], mode="r")[...])
        assert set(np.unique(coarse)) == {0, 2}


def test_opening_what_is_no_result_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected a result store at"):
        open_result(tmp_path)


def test_check_stops_the_writing(result: RunResult, tmp_path: Path) -> None:
    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        write_store(result.dataset(), tmp_path / "r.zarr", check=stop)
