"""The directory of a sweep.

    sweep.json               what was begun: plan, axes, versions; never changed (header)
    layout.json              what every point gives, and the dimensions
    records/000/000123.json  one finished point: state, measures, worker, seconds, error; a thousand to a folder
    maps.zarr/               one array per map over (dimensions, x, y, z); every point has chunks of its own
    journal/<driver>.jsonl   what drivers handed to workers, so that a later one can count attempts
    dataset.zarr/            all measures, labelled, made from the records (packed)
    points.parquet           the same as one table
    .driver, cancel          who runs it; that it is to stop

Workers write a point's maps first and its record last. A record appears whole or not at all; a point without one is
not finished, and writing its maps again does no harm.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import zarr
from numpy.typing import NDArray
from pydantic import ValidationError
from zarr.codecs import BloscCodec

from ...meshes.errors import PorefieldError
from ..publish import OutputExistsError, published_directory
from ..sweep.model import Dim, Layout, MapVariable, PointRecord, Variable
from .files import is_locked, locked, told, write_atomic
from .tables import dataset_of, table_of

CHUNK = 64
PER_FOLDER = 1000
READERS = 8
MAP_CODEC = BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle")


class SweepStore:
    """One sweep on disk; any number of workers may write their points at once."""

    def __init__(self, folder: Path) -> None:
        """Open a sweep that `create` has made.

        Raises:
            PorefieldError: there is none.
        """
        self.folder = folder.expanduser().resolve()
        if not (self.folder / "layout.json").is_file():
            raise PorefieldError.of("sweep", "the directory of a sweep", str(folder))
        self.header: dict[str, Any] = json.loads((self.folder / "sweep.json").read_text(encoding="utf-8"))
        told_layout = json.loads((self.folder / "layout.json").read_text(encoding="utf-8"))
        self.layout = _layout(told_layout["layout"])
        self.dims = tuple(Dim(d["name"], d["size"], d["coords"]) for d in told_layout["dims"])

    @staticmethod
    def open(url: str | Path) -> SweepStore:
        """Open a sweep; see the constructor."""
        return SweepStore(Path(url))

    @staticmethod
    def create(url: str | Path, header: Mapping[str, Any], layout: Layout, dims: Sequence[Dim]) -> SweepStore:
        """Lay out a new sweep, whole or not at all.

        Raises:
            OutputExistsError: something is there already.
            ResourceError: no room.
        """
        folder = Path(url).expanduser().resolve()
        if (folder / "sweep.json").exists():
            raise OutputExistsError.of("out", "a new directory, or `resume` for a sweep that is there", str(folder))
        with published_directory(folder) as partial:
            _write_json(partial / "sweep.json", dict(header))
            _write_json(partial / "layout.json", {"layout": asdict(layout), "dims": [asdict(d) for d in dims]})
            (partial / "records").mkdir()
            (partial / "journal").mkdir()
            if layout.maps:
                _create_maps(partial / "maps.zarr", layout, dims)
        return SweepStore(folder)

    @property
    def url(self) -> str:
        return str(self.folder)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(dim.size for dim in self.dims)

    @property
    def n(self) -> int:
        return int(np.prod(self.shape))

    # -- points, written by workers ------------------------------------------------------------------------------------

    def write_maps(self, index: int, maps: Mapping[str, NDArray[Any]]) -> None:
        """Write a point's maps into its own chunks; again for the same point replaces them."""
        at = tuple(int(i) for i in np.unravel_index(index, self.shape))
        try:
            for name, data in maps.items():
                array = self._maps[name]
                assert isinstance(array, zarr.Array)
                array[(*at, Ellipsis)] = data
        except OSError as error:
            raise told(error, self.folder) from error

    def write_record(self, record: PointRecord) -> None:
        """Make a point finished."""
        write_atomic(self._record_path(record.index), record.model_dump_json().encode())

    def read_record(self, index: int) -> PointRecord | None:
        """A finished point; None for one that is not, or whose record can't be read and is to be made again."""
        try:
            return PointRecord.model_validate_json(self._record_path(index).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def read_records(self) -> dict[int, PointRecord]:
        """All finished points by index."""
        paths = [path for folder in _folders(self.folder / "records") for path in folder.glob("[0-9]*.json")]
        with ThreadPoolExecutor(READERS) as pool:
            records = pool.map(lambda path: self.read_record(int(path.stem)), paths)
            return {record.index: record for record in records if record is not None}

    def remove_records(self, indices: Iterable[int]) -> None:
        """Make points unfinished."""
        for index in indices:
            self._record_path(index).unlink(missing_ok=True)

    def read_maps(self) -> xr.Dataset:
        """All maps, lazily; points without a record hold the fill value."""
        if not self.layout.maps:
            return xr.Dataset()
        return xr.open_zarr(str(self.folder / "maps.zarr"), consolidated=False, chunks=None)

    # -- drivers -------------------------------------------------------------------------------------------------------

    def append_journal(self, driver: str, events: Sequence[Mapping[str, Any]]) -> None:
        """Note what was handed over; of interest only when someone dies, so not flushed to disk each time."""
        text = "".join(json.dumps(event) + "\n" for event in events)
        with (self.folder / "journal" / f"{driver}.jsonl").open("a", encoding="utf-8") as file:
            file.write(text)

    def read_journal(self) -> list[dict[str, Any]]:
        """All events of all drivers, without a last line that was cut off."""
        events: list[dict[str, Any]] = []
        for path in sorted((self.folder / "journal").glob("*.jsonl"), key=os.path.getmtime):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    events.append(json.loads(line))
                except json.JSONDecodeError:
                    continue
        return events

    def lease(self, driver: str) -> AbstractContextManager[None]:
        """Be the only driver of the sweep, until the block ends or the process dies."""
        return locked(self.folder / ".driver", driver)

    def running(self) -> bool:
        """Whether a living driver is at the sweep."""
        return is_locked(self.folder / ".driver")

    def request_cancel(self) -> None:
        """Ask whoever runs the sweep to stop."""
        (self.folder / "cancel").touch()

    def cancel_requested(self) -> bool:
        return (self.folder / "cancel").exists()

    def clear_cancel(self) -> None:
        (self.folder / "cancel").unlink(missing_ok=True)

    # -- the whole -----------------------------------------------------------------------------------------------------

    def pack(self) -> None:
        """Make dataset.zarr and points.parquet from the records; each replaces the former one in one rename."""
        records = self.read_records()
        with published_directory(self.folder / "dataset.zarr", overwrite=True) as partial:
            dataset = dataset_of(self.header, self.layout, self.dims, records)
            write_dataset(dataset, partial)
        path = self.folder / "points.parquet"
        partial = path.with_name(f".{path.name}.partial")
        try:
            table_of(self.layout, self.dims, records).to_parquet(partial, index=False)
            os.replace(partial, path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise told(error, path) from error

    def dataset(self) -> xr.Dataset:
        """Measures and maps over the sweep's dimensions, lazily.

        Raises:
            PorefieldError: the sweep was never packed.
        """
        path = self.folder / "dataset.zarr"
        if not path.is_dir():
            raise PorefieldError.of("sweep", "a sweep that has been run, or exported, once", str(self.folder))
        return xr.open_zarr(str(path), consolidated=False, chunks=None).merge(self.read_maps())

    def table(self) -> pd.DataFrame:
        """One row per point, as points.parquet has it, made from the records."""
        return table_of(self.layout, self.dims, self.read_records())

    @cached_property
    def _maps(self) -> zarr.Group:
        return zarr.open_group(str(self.folder / "maps.zarr"), mode="r+")

    def _record_path(self, index: int) -> Path:
        return self.folder / "records" / f"{index // PER_FOLDER:03d}" / f"{index:06d}.json"


def open_sweep(url: str | Path) -> xr.Dataset:
    """All measures and maps of a sweep, labelled, lazily."""
    return SweepStore.open(url).dataset()


def write_dataset(dataset: xr.Dataset, path: Path) -> None:
    """Write a dataset as Zarr v3 into an empty directory, one chunk for each variable."""
    root = zarr.open_group(str(path), mode="w", zarr_format=3, attributes=dict(dataset.attrs))
    for name, variable in dataset.variables.items():
        data = variable.to_numpy()
        array = root.create_array(
            str(name),
            shape=data.shape,
            dtype=data.dtype,
            chunks=tuple(max(n, 1) for n in data.shape),
            dimension_names=tuple(map(str, variable.dims)),
            attributes=dict(variable.attrs),
        )
        if data.size:
            array[...] = data


def _create_maps(path: Path, layout: Layout, dims: Sequence[Dim]) -> None:
    root = zarr.create_group(str(path), zarr_format=3)
    space = tuple(len(layout.space[axis]) for axis in ("x", "y", "z"))
    for name, variable in layout.maps.items():
        root.create_array(
            name,
            shape=(*(dim.size for dim in dims), *space),
            chunks=(*(1 for _ in dims), *(min(n, CHUNK) for n in space)),
            dtype=variable.dtype,
            compressors=MAP_CODEC,
            fill_value=255 if variable.dtype == "uint8" else float("nan"),
            dimension_names=(*(dim.name for dim in dims), "x", "y", "z"),
            attributes={"units": variable.units, "long_name": variable.long_name, **variable.attrs},
        )
    for axis, values in layout.space.items():
        array = root.create_array(
            axis, shape=(len(values),), dtype="float64", dimension_names=(axis,), attributes={"units": "mm"}
        )
        array[...] = np.asarray(values)


def _layout(data: Mapping[str, Any]) -> Layout:
    return Layout(
        measures={k: Variable(v["units"], v["long_name"], tuple(v["dims"])) for k, v in data["measures"].items()},
        coords=data["coords"],
        maps={k: MapVariable(**v) for k, v in data["maps"].items()},
        space=data["space"],
        attrs=data["attrs"],
    )


def _folders(path: Path) -> Iterator[Path]:
    return (entry for entry in path.iterdir() if entry.is_dir())


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")
