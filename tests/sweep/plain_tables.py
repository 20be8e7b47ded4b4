"""A sweep's dataset and table made the plain way, from all records at once: what the streamed ones have to equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from porefield.workers.sweep.model import Dim, Layout, PointRecord, PointState, Variable

STATES = ["pending", "done", "failed", "skipped"]
Records = Mapping[int, PointRecord]


def plain_dataset(header: Mapping[str, Any], layout: Layout, dims: Sequence[Dim], records: Records) -> xr.Dataset:
    shape, names = tuple(dim.size for dim in dims), tuple(dim.name for dim in dims)
    coords: dict[str, Any] = {}
    for dim in dims:
        coords |= {name: (dim.name, np.asarray(values), dict(attrs)) for name, (values, attrs) in dim.coords.items()}
    for name, labels in layout.coords.items():
        text = not labels or isinstance(labels[0], str)
        coords[name] = (name, np.asarray(labels, np.dtypes.StringDType()) if text else np.asarray(labels))
    variables: dict[str, Any] = {}
    for name, variable in layout.measures.items():
        attrs = {"units": variable.units, "long_name": variable.long_name}
        variables[name] = ((*names, *variable.dims), _measure(name, variable, layout, records, shape), attrs)
    state = _scatter({i: STATES.index(r.state) for i, r in records.items()}, shape, np.uint8, 0)
    flags = {"flag_values": [0, 1, 2, 3], "flag_meanings": " ".join(STATES)}
    variables["state"] = (names, state, {"long_name": "what became of the point", **flags})
    seconds = _scatter({i: r.seconds for i, r in records.items()}, shape, np.float64, np.nan)
    variables["seconds"] = (names, seconds, {"long_name": "time the point took", "units": "s"})
    attempts = _scatter({i: r.attempts for i, r in records.items()}, shape, np.int32, 0)
    variables["attempts"] = (names, attempts, {"long_name": "times the point was begun"})
    complete = len(records) == int(np.prod(shape))
    attrs = {"Conventions": "CF-1.11", "complete": complete, "sweep": dict(header), "layout": dict(layout.attrs)}
    return xr.Dataset(variables, coords, attrs)


def plain_table(layout: Layout, dims: Sequence[Dim], records: Records) -> pd.DataFrame:
    shape = tuple(dim.size for dim in dims)
    n = int(np.prod(shape))
    columns: dict[str, Any] = {"index": np.arange(n)}
    for dim, place in zip(dims, np.unravel_index(np.arange(n), shape), strict=True):
        columns |= {name: np.asarray(values)[place] for name, (values, _) in dim.coords.items()}
    for name, missing in {"state": "pending", "worker": "", "started": "", "error": None, "key": ""}.items():
        texts = [getattr(records[i], name) if i in records else missing for i in range(n)]
        columns[name] = pd.array([None if t is None else str(t) for t in texts], dtype="string")
    for name, dtype, missing in (
        ("attempts", np.int64, 0),
        ("seconds", np.float64, np.nan),
        ("batch", np.int64, 0),
        ("warm", np.bool_, False),
    ):
        columns[name] = _scatter({i: getattr(r, name) for i, r in records.items()}, (n,), dtype, missing)
    for name, variable in layout.measures.items():
        data = _measure(name, variable, layout, records, (n,)).reshape(n, -1)
        for k, labels in enumerate(product(*(layout.coords[d] for d in variable.dims))):
            texts = ", ".join(f"{label:g}" if isinstance(label, float) else label for label in labels)
            columns[f"{name}[{texts}]" if labels else name] = data[:, k]
    return pd.DataFrame(columns)


def _measure(name: str, variable: Variable, layout: Layout, records: Records, shape: tuple[int, ...]) -> NDArray[Any]:
    own = tuple(len(layout.coords[d]) for d in variable.dims)
    data = np.full((int(np.prod(shape)), *own), np.nan)
    for i, record in records.items():
        if record.state is PointState.DONE and record.measures.get(name) is not None:
            data[i] = np.asarray(record.measures[name], float).reshape(own)
    return data.reshape(*shape, *own)


def _scatter(values: Mapping[int, Any], shape: tuple[int, ...], dtype: Any, missing: Any) -> NDArray[Any]:
    data = np.full(int(np.prod(shape)), missing, dtype)
    for i, value in values.items():
        data[i] = value
    return data.reshape(shape)
