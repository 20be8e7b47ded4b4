"""The result store: one Zarr v3 hierarchy that xarray opens and image viewers read. The only module that knows zarr.

    result.zarr/                      consolidated; CF-style variables with named dimensions, chunks of 64 voxels, zstd
    result.zarr/ome/<map>/0, 1, ...   OME-Zarr 0.5 multiscale images of the maps worth looking at, axes z, y, x

Viewers read neither bool nor float64 maps, so there are none; and scale and translation only, so the affine is kept
in the root's attributes.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

CHUNK = 64
VIEWED = ("field_max_v_per_m", "zone")
"""Maps that also become OME-Zarr images."""
COARSEST = 64
"""Voxels along the longest axis at which the image pyramid ends."""
ZSTD_LEVEL = 3


def write_store(dataset: xr.Dataset, path: Path, *, check: Callable[[], None] = lambda: None) -> None:
    """Write a dataset (dataset.py) as a new store.

    Args:
        check: called between arrays; whatever it raises stops the writing.

    Raises:
        OSError: as the file system says it, half written: publish.py removes it.
    """
    root = zarr.create_group(str(path), zarr_format=3, attributes=dict(dataset.attrs))
    for name, variable in dataset.variables.items():
        check()
        _write_array(root, str(name), variable.to_numpy(), tuple(map(str, variable.dims)), variable.attrs)
    for name in VIEWED:
        check()
        _write_image(root, dataset, name)
    consolidate(path)


def consolidate(path: Path) -> None:
    """Put a store's metadata in one place: over HTTP, readers can't list what there is."""
    with warnings.catch_warnings():
        # zarr warns that consolidated metadata is not in the specification of v3; readers without it ignore it
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        zarr.consolidate_metadata(str(path))


def open_result(path: Path | str) -> xr.Dataset:
    """Open a store, or the result directory around it, lazily.

    Raises:
        FileNotFoundError: no store there.
    """
    path = Path(path)
    store = path if path.name.endswith(".zarr") else path / "result.zarr"
    if not (store / "zarr.json").is_file():
        raise FileNotFoundError(f"expected a result store at {store}, found none")
    return xr.open_zarr(str(store), consolidated=True, chunks=None)


def open_maps(path: Path) -> xr.Dataset:
    """A Zarr store of labelled maps, lazily."""
    return xr.open_zarr(str(path), consolidated=False, chunks=None)


def read_summary(directory: Path | str) -> dict[str, Any]:
    """summary.json of a result directory."""
    return json.loads((Path(directory) / "summary.json").read_text(encoding="utf-8"))


def _write_array(
    group: zarr.Group, name: str, data: NDArray[Any], dims: tuple[str, ...], attributes: Mapping[str, Any]
) -> None:
    spatial = data.shape[-3:] if data.ndim >= 3 else data.shape
    chunks = (1,) * (data.ndim - len(spatial)) + tuple(min(n, CHUNK) if data.ndim >= 3 else n for n in spatial)
    array = group.create_array(
        name,
        shape=data.shape,
        dtype=data.dtype,
        chunks=tuple(max(c, 1) for c in chunks),
        compressors=ZstdCodec(level=ZSTD_LEVEL),
        dimension_names=dims,
        attributes=dict(attributes),
    )
    if data.size:
        array[...] = data


def _write_image(root: zarr.Group, dataset: xr.Dataset, name: str) -> None:
    """One OME-Zarr 0.5 multiscale image: z, y, x as the specification asks, halved until it is small."""
    classes = "flag_values" in dataset[name].attrs
    levels = _pyramid(dataset[name].to_numpy(), classes=classes)
    spacing = [float(dataset[f"{d}_node"][1] - dataset[f"{d}_node"][0]) for d in ("z", "y", "x")]
    origin = [float(dataset[d][0]) for d in ("z", "y", "x")]
    group = root.create_group(f"ome/{name}")
    datasets = []
    for level, data in enumerate(levels):
        factor = 2**level
        _write_array(group, str(level), np.ascontiguousarray(data.transpose(2, 1, 0)), ("z", "y", "x"), {})
        scale = [h * factor for h in spacing]
        # a coarse voxel is centred between the fine ones that it covers
        shift = [o + 0.5 * h * (factor - 1) for o, h in zip(origin, spacing, strict=True)]
        transformations = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": shift}]
        datasets.append({"path": str(level), "coordinateTransformations": transformations})
    axes = [{"name": n, "type": "space", "unit": "millimeter"} for n in ("z", "y", "x")]
    multiscale = {"name": name, "axes": axes, "datasets": datasets, "type": "mode" if classes else "mean"}
    group.attrs.put({"ome": {"version": "0.5", "multiscales": [multiscale]}})


def _pyramid(data: NDArray[Any], *, classes: bool) -> list[NDArray[Any]]:
    levels = [data]
    while max(levels[-1].shape) > COARSEST:
        levels.append(_most_frequent(levels[-1]) if classes else _mean(levels[-1]))
    return levels


def _blocks(data: NDArray[Any]) -> NDArray[Any]:
    """The 8 voxels under each coarse one, shape (8, coarse shape); odd axes repeat their last plane."""
    data = np.pad(data, [(0, n % 2) for n in data.shape], mode="edge")
    nx, ny, nz = (n // 2 for n in data.shape)
    return data.reshape(nx, 2, ny, 2, nz, 2).transpose(1, 3, 5, 0, 2, 4).reshape(8, nx, ny, nz)


def _mean(data: NDArray[Any]) -> NDArray[Any]:
    return _blocks(data).mean(axis=0, dtype=np.float32).astype(data.dtype)


def _most_frequent(data: NDArray[Any]) -> NDArray[Any]:
    blocks = _blocks(data)
    values = np.unique(data)
    counts = np.stack([np.count_nonzero(blocks == v, axis=0) for v in values])
    return values[counts.argmax(axis=0)]
