"""A sweep in a folder, or below a prefix of an object store (places.py): the same objects by the same names.

    sweep.json               what was begun: plan, axes, versions; never changed (header)
    layout.json              what every point gives, and the dimensions
    records/000/000123.json  one finished point: state, measures, worker, seconds, error; a thousand to a folder
    maps.zarr/               one array per map over (dimensions, x, y, z); every point has chunks of its own
    journal/<driver>.jsonl   what drivers handed to workers, so that a later one can count attempts
    dataset.zarr/            all measures, labelled, made from the records (packed)
    points.parquet           the same as one table
    .driver, cancel          who runs it; that it is to stop

On an object store a journal is a row of objects (journal/<driver>/000000.jsonl), and dataset.zarr/current names the
hierarchy beside it that counts (object_place.py).

Workers write a point's maps first and its record last. A record appears whole or not at all; a point without one is
not finished, and writing its maps again does no harm.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.store import Store

from ...meshes.errors import PorefieldError
from ..publish import OutputExistsError
from ..sweep.model import Dim, Layout, MapVariable, PointRecord, PointState, Variable
from .columns import Columns, put_states
from .maps import create_maps
from .places import Place, Say, place_of
from .records import read_batches, read_record, record_key

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


class SweepStore:
    """One sweep, in a folder or on an object store; any number of workers may write their points at once."""

    def __init__(self, place: Place) -> None:
        """Open a sweep that `create` has made.

        Raises:
            PorefieldError: there is none, or the place can't be reached.
        """
        self.place = place
        header, layout = place.get("sweep.json"), place.get("layout.json")
        if header is None or layout is None:
            raise PorefieldError.of("sweep", "the directory of a sweep", place.url)
        self.header: dict[str, Any] = json.loads(header)
        told_layout = json.loads(layout)
        self.layout = _layout(told_layout["layout"])
        self.dims = tuple(Dim(d["name"], d["size"], d["coords"]) for d in told_layout["dims"])

    @staticmethod
    def open(url: str | Path) -> SweepStore:
        """Open a sweep by its directory or s3:// URL; see the constructor."""
        return SweepStore(place_of(url))

    @staticmethod
    def is_at(url: str | Path) -> bool:
        """Whether a sweep was begun there."""
        return place_of(url).exists("sweep.json")

    @staticmethod
    def check_new(url: str | Path) -> None:
        """Ask before a long preparation.

        Raises:
            OutputExistsError: a sweep is there already.
            PlaceError: the place can't be reached.
        """
        if SweepStore.is_at(url):
            raise OutputExistsError.of("out", "a new directory, or `resume` for a sweep that is there", str(url))

    @staticmethod
    def create(url: str | Path, header: Mapping[str, Any], layout: Layout, dims: Sequence[Dim]) -> SweepStore:
        """Lay out a new sweep, whole or not at all.

        Raises:
            OutputExistsError: something is there already.
            ResourceError: no room.
            PlaceError: the place can't be reached.
        """
        SweepStore.check_new(url)
        place = place_of(url)
        with place.created() as new:
            new.put("layout.json", _json({"layout": asdict(layout), "dims": [asdict(d) for d in dims]}))
            if layout.maps:
                with new.telling():
                    create_maps(new.zarr_store("maps.zarr"), layout, dims)
            new.put("sweep.json", _json(dict(header)))  # last: it makes a sweep of what is there
        return SweepStore(place)

    @property
    def url(self) -> str:
        return self.place.url

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
        with self.place.telling():
            for name, data in maps.items():
                self._maps[name][(*at, Ellipsis)] = data

    def write_record(self, record: PointRecord) -> None:
        """Make a point finished."""
        self.place.put(record_key(record.index), record.model_dump_json().encode())

    def read_record(self, index: int) -> PointRecord | None:
        """A finished point; None for one that is not, or whose record can't be read and is to be made again."""
        return read_record(self.place, index)

    def read_records(self) -> dict[int, PointRecord]:
        """All finished points by index; of a large sweep more than fits into memory."""
        return {record.index: record for batch in read_batches(self.place) for record in batch}

    def count(self) -> tuple[Counter[PointState], Counter[str]]:
        """How many finished points ended how, and why those that failed did."""
        states: Counter[PointState] = Counter()
        reasons: Counter[str] = Counter()
        for batch in read_batches(self.place):
            states.update(record.state for record in batch)
            reasons.update(record.error or "" for record in batch if record.state is PointState.FAILED)
        return states, reasons

    def read_states(self) -> NDArray[np.uint8]:
        """What became of each point, by numbers of `STATES` (columns.py); 0 for those that are not finished."""
        states = np.zeros(self.n, np.uint8)
        for batch in read_batches(self.place):
            put_states(states, batch)
        return states

    def remove_records(self, indices: Iterable[int]) -> None:
        """Make points unfinished."""
        self.place.delete(map(record_key, indices))

    def read_maps(self) -> xr.Dataset:
        """All maps, lazily; points without a record hold the fill value."""
        import xarray as xr  # with pandas it takes a second, and workers need neither

        if not self.layout.maps:
            return xr.Dataset()
        with self.place.telling():
            return xr.open_zarr(self.place.zarr_store("maps.zarr"), consolidated=False, chunks=None)

    # -- drivers -------------------------------------------------------------------------------------------------------

    def append_journal(self, driver: str, events: Sequence[Mapping[str, Any]]) -> None:
        """Note what is handed over, before it is.

        Raises:
            BusyError: the lease has gone to another driver.
        """
        self.place.append(f"journal/{driver}", "".join(json.dumps(event) + "\n" for event in events))

    def read_journal(self) -> list[dict[str, Any]]:
        """All events of all drivers, those of each in order, without a last line that was cut off."""
        events: list[dict[str, Any]] = []
        for line in (line for text in self.place.journals("journal") for line in text.splitlines()):
            try:
                events.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return events

    def lease(self, driver: str, say: Say = lambda _: None) -> AbstractContextManager[None]:
        """Be the only driver of the sweep, until the block ends or the process dies; `say` is told of a wait."""
        return self.place.lease(driver, say)

    def running(self) -> bool:
        """Whether a living driver is at the sweep."""
        return self.place.leased()

    def request_cancel(self) -> None:
        """Ask whoever runs the sweep to stop."""
        self.place.put("cancel", b"")

    def cancel_requested(self) -> bool:
        return self.place.exists("cancel")

    def clear_cancel(self) -> None:
        self.place.delete(["cancel"])

    # -- the whole -----------------------------------------------------------------------------------------------------

    def pack(self) -> list[str]:
        """Make dataset.zarr and points.parquet from the records; each replaces the former one at once.

        Returns:
            Where the two are.
        """
        from .tables import dataset_of, parquet_of

        columns = self._read_columns()
        dataset = dataset_of(self.header, self.layout, self.dims, columns)
        with self.place.replaced("dataset.zarr") as partial:
            write_dataset(dataset, partial)
        self.place.put("points.parquet", parquet_of(self.layout, self.dims, columns))
        return [self.place.publication("dataset.zarr"), self.place.location("points.parquet")]

    def dataset(self) -> xr.Dataset:
        """Measures and maps over the sweep's dimensions, lazily.

        Raises:
            PorefieldError: the sweep was never packed.
        """
        import xarray as xr

        packed = self.place.published("dataset.zarr")
        if packed is None:
            raise PorefieldError.of("sweep", "a sweep that has been run, or exported, once", self.url)
        with self.place.telling():
            return xr.open_zarr(packed, consolidated=False, chunks=None).merge(self.read_maps())

    def table(self) -> pd.DataFrame:
        """One row per point, as points.parquet has it, made from the records."""
        from .tables import table_of

        return table_of(self.layout, self.dims, self._read_columns())

    @cached_property
    def _maps(self) -> dict[str, zarr.Array[Any]]:
        """By name; kept, because opening one reads its metadata."""
        group = zarr.open_group(self.place.zarr_store("maps.zarr"), mode="r+")
        arrays = {name: group[name] for name in self.layout.maps}
        return {name: array for name, array in arrays.items() if isinstance(array, zarr.Array)}

    def _read_columns(self) -> Columns:
        columns = Columns(self.layout, self.n)
        for batch in read_batches(self.place):
            columns.add(batch)
        return columns


def open_sweep(url: str | Path) -> xr.Dataset:
    """All measures and maps of a sweep, labelled, lazily."""
    return SweepStore.open(url).dataset()


def write_dataset(dataset: xr.Dataset, store: Store | str) -> None:
    """Write a dataset as Zarr v3 into an empty store, one chunk for each variable."""
    root = zarr.open_group(store, mode="w", zarr_format=3, attributes=dict(dataset.attrs))
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


def _layout(data: Mapping[str, Any]) -> Layout:
    return Layout(
        measures={k: Variable(v["units"], v["long_name"], tuple(v["dims"])) for k, v in data["measures"].items()},
        coords=data["coords"],
        maps={k: MapVariable(**v) for k, v in data["maps"].items()},
        space=data["space"],
        attrs=data["attrs"],
    )


def _json(data: Any) -> bytes:
    return (json.dumps(data, indent=1, allow_nan=False) + "\n").encode()
