"""A sweep's records as one labelled dataset, and as one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..sweep.model import Dim, Layout, PointRecord, PointState, Variable

STATES = (PointState.PENDING, PointState.DONE, PointState.FAILED, PointState.SKIPPED)
"""Values of the variable `state`, by number."""


def dataset_of(
    header: Mapping[str, Any], layout: Layout, dims: Sequence[Dim], records: Mapping[int, PointRecord]
) -> xr.Dataset:
    """Measures over the sweep's dimensions; nan where a point is not done or a number does not exist."""
    shape, names = tuple(dim.size for dim in dims), tuple(dim.name for dim in dims)
    finished = list(records.values())
    index = np.asarray([record.index for record in finished], int)
    coords: dict[str, Any] = {}
    for dim in dims:
        coords |= {name: (dim.name, np.asarray(values), dict(attrs)) for name, (values, attrs) in dim.coords.items()}
    coords |= {name: (name, _labels(values)) for name, values in layout.coords.items()}
    variables: dict[str, Any] = {}
    for name, variable in layout.measures.items():
        data = _measure(name, variable, layout, finished, index, shape)
        attrs = {"units": variable.units, "long_name": variable.long_name}
        variables[name] = ((*names, *variable.dims), data, attrs)
    flags = {"flag_values": list(range(len(STATES))), "flag_meanings": " ".join(STATES)}
    state = _scatter([STATES.index(r.state) for r in finished], index, shape, np.uint8, 0)
    variables["state"] = (names, state, {"long_name": "what became of the point", **flags})
    seconds = _scatter([r.seconds for r in finished], index, shape, np.float64, np.nan)
    variables["seconds"] = (names, seconds, {"long_name": "time the point took", "units": "s"})
    attempts = _scatter([r.attempts for r in finished], index, shape, np.int32, 0)
    variables["attempts"] = (names, attempts, {"long_name": "times the point was begun"})
    complete = len(finished) == int(np.prod(shape))
    attrs = {"Conventions": "CF-1.11", "complete": complete, "sweep": dict(header), "layout": dict(layout.attrs)}
    return xr.Dataset(variables, coords, attrs)


def table_of(layout: Layout, dims: Sequence[Dim], records: Mapping[int, PointRecord]) -> pd.DataFrame:
    """One row per point, finished or not: index, place, values, state, measures (`name[label, label]`)."""
    shape = tuple(dim.size for dim in dims)
    n = int(np.prod(shape))
    places = np.unravel_index(np.arange(n), shape)
    columns: dict[str, Any] = {"index": np.arange(n)}
    for dim, place in zip(dims, places, strict=True):
        columns |= {name: np.asarray(values)[place] for name, (values, _) in dim.coords.items()}
    finished = [records[i] for i in sorted(records)]
    index = np.asarray([r.index for r in finished], int)
    texts = {"state": str(PointState.PENDING), "worker": "", "started": "", "error": None, "key": ""}
    for name, missing in texts.items():
        column = np.full(n, missing, object)
        column[index] = [getattr(r, name) if name != "state" else str(r.state) for r in finished]
        columns[name] = pd.array(column, dtype="string")
    columns["attempts"] = _scatter([r.attempts for r in finished], index, (n,), np.int64, 0)
    columns["seconds"] = _scatter([r.seconds for r in finished], index, (n,), np.float64, np.nan)
    columns["batch"] = _scatter([r.batch for r in finished], index, (n,), np.int64, 0)
    columns["warm"] = _scatter([r.warm for r in finished], index, (n,), np.bool_, False)
    for name, variable in layout.measures.items():
        data = _measure(name, variable, layout, finished, index, (n,)).reshape(n, -1)
        for k, label in enumerate(_column_names(name, variable, layout)):
            columns[label] = data[:, k]
    return pd.DataFrame(columns)


def columns_of(layout: Layout, measures: Mapping[str, Any]) -> dict[str, float]:
    """One point's measures by the columns that `table_of` gives them; nan for a number that does not exist."""
    columns: dict[str, float] = {}
    for name, variable in layout.measures.items():
        values = np.asarray(measures[name], float).reshape(-1)
        columns |= dict(zip(_column_names(name, variable, layout), values.tolist(), strict=True))
    return columns


def _measure(
    name: str,
    variable: Variable,
    layout: Layout,
    finished: Sequence[PointRecord],
    index: NDArray[np.int64],
    shape: tuple[int, ...],
) -> NDArray[np.float64]:
    own = tuple(len(layout.coords[d]) for d in variable.dims)
    data = np.full((int(np.prod(shape)), *own), np.nan)
    done = [(i, r.measures[name]) for i, r in zip(index, finished, strict=True) if r.measures.get(name) is not None]
    for i, value in done:
        data[i] = np.asarray(value, float).reshape(own)  # None becomes nan
    return data.reshape(*shape, *own)


def _scatter(
    values: Sequence[Any], index: NDArray[np.int64], shape: tuple[int, ...], dtype: Any, missing: Any
) -> NDArray[Any]:
    data = np.full(int(np.prod(shape)), missing, dtype)
    data[index] = values
    return data.reshape(shape)


def _column_names(name: str, variable: Variable, layout: Layout) -> Iterator[str]:
    for labels in product(*(layout.coords[d] for d in variable.dims)):
        yield f"{name}[{', '.join(_text(label) for label in labels)}]" if labels else name


def _text(label: Any) -> str:
    return f"{label:g}" if isinstance(label, float) else str(label)


def _labels(values: Sequence[Any]) -> NDArray[Any]:
    text = any(isinstance(v, str) for v in values) or not values
    return np.asarray(values, dtype=np.dtypes.StringDType()) if text else np.asarray(values)
