"""A sweep's columns as one labelled dataset, and as one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import xarray as xr
from numpy.typing import NDArray
from pyarrow.parquet import ParquetWriter

from ..sweep.model import Dim, Layout, Variable
from .columns import STATES, Columns

ROWS_AT_ONCE = 1 << 16
"""Rows of a Parquet row group: what is in memory a second time while a table is written."""


def dataset_of(header: Mapping[str, Any], layout: Layout, dims: Sequence[Dim], columns: Columns) -> xr.Dataset:
    """Measures over the sweep's dimensions, as views of the columns."""
    shape, names = tuple(dim.size for dim in dims), tuple(dim.name for dim in dims)
    coords: dict[str, Any] = {}
    for dim in dims:
        coords |= {name: (dim.name, np.asarray(values), dict(attrs)) for name, (values, attrs) in dim.coords.items()}
    coords |= {name: (name, _labels(values)) for name, values in layout.coords.items()}
    variables: dict[str, Any] = {}
    for name, variable in layout.measures.items():
        data = columns.measures[name]
        attrs = {"units": variable.units, "long_name": variable.long_name}
        variables[name] = ((*names, *variable.dims), data.reshape(*shape, *data.shape[1:]), attrs)
    flags = {"flag_values": list(range(len(STATES))), "flag_meanings": " ".join(STATES)}
    state = columns.state.reshape(shape)
    variables["state"] = (names, state, {"long_name": "what became of the point", **flags})
    seconds = columns.seconds.reshape(shape)
    variables["seconds"] = (names, seconds, {"long_name": "time the point took", "units": "s"})
    attempts = columns.attempts.reshape(shape)
    variables["attempts"] = (names, attempts, {"long_name": "times the point was begun"})
    complete = bool(columns.state.all())
    attrs = {"Conventions": "CF-1.11", "complete": complete, "sweep": dict(header), "layout": dict(layout.attrs)}
    return xr.Dataset(variables, coords, attrs)


def table_of(layout: Layout, dims: Sequence[Dim], columns: Columns) -> pd.DataFrame:
    """One row per point, finished or not: index, place, values, state, measures (`name[label, label]`)."""
    return _rows(layout, dims, columns, slice(0, len(columns)))


def parquet_of(layout: Layout, dims: Sequence[Dim], columns: Columns) -> bytes:
    """The content of a Parquet file that holds the table of `table_of`, which is not made as a whole."""
    file, writer = BytesIO(), None
    for start in range(0, len(columns), ROWS_AT_ONCE):
        frame = _rows(layout, dims, columns, slice(start, min(start + ROWS_AT_ONCE, len(columns))))
        schema = None if writer is None else writer.schema
        rows = pa.Table.from_pandas(frame, schema, preserve_index=False)
        writer = writer or ParquetWriter(file, rows.schema)
        writer.write_table(rows)
    if writer is not None:
        writer.close()
    return file.getvalue()


def columns_of(layout: Layout, measures: Mapping[str, Any]) -> dict[str, float]:
    """One point's measures by the columns that `table_of` gives them; nan for a number that does not exist."""
    columns: dict[str, float] = {}
    for name, variable in layout.measures.items():
        values = np.asarray(measures[name], float).reshape(-1)
        columns |= dict(zip(_column_names(name, variable, layout), values.tolist(), strict=True))
    return columns


def _rows(layout: Layout, dims: Sequence[Dim], columns: Columns, rows: slice) -> pd.DataFrame:
    index = np.arange(rows.start, rows.stop)
    places = np.unravel_index(index, tuple(dim.size for dim in dims))
    found: dict[str, Any] = {"index": index}
    for dim, place in zip(dims, places, strict=True):
        found |= {name: np.asarray(values)[place] for name, (values, _) in dim.coords.items()}
    found |= {name: pd.array(texts, dtype="string") for name, texts in columns.texts(rows).items()}
    found["attempts"] = columns.attempts[rows].astype(np.int64)
    found |= {"seconds": columns.seconds[rows], "batch": columns.batch[rows], "warm": columns.warm[rows]}
    for name, variable in layout.measures.items():
        data = columns.measures[name][rows].reshape(len(index), -1)
        found |= {label: data[:, k] for k, label in enumerate(_column_names(name, variable, layout))}
    return pd.DataFrame(found)


def _column_names(name: str, variable: Variable, layout: Layout) -> Iterator[str]:
    for labels in product(*(layout.coords[d] for d in variable.dims)):
        yield f"{name}[{', '.join(_text(label) for label in labels)}]" if labels else name


def _text(label: Any) -> str:
    return f"{label:g}" if isinstance(label, float) else str(label)


def _labels(values: Sequence[Any]) -> NDArray[Any]:
    text = any(isinstance(v, str) for v in values) or not values
    return np.asarray(values, dtype=np.dtypes.StringDType()) if text else np.asarray(values)
