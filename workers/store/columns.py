"""All points of a sweep as columns, filled from batches of records: what its dataset and table are made of.

A number takes 8 bytes here. As objects, 100,000 records of 54 numbers took 0.9 GB.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..sweep.model import Layout, PointRecord, PointState

STATES = (PointState.PENDING, PointState.DONE, PointState.FAILED, PointState.SKIPPED)
"""Values of the variable `state`, by number."""
CODES = {state: code for code, state in enumerate(STATES)}


class Columns:
    """One entry for each of a sweep's n points, in C-order over its dimensions; finished ones are added.

    Attributes:
        state: (n,) uint8, numbers of `STATES`; 0 for points that are not finished.
        attempts, batch: (n,) int; 0 there.
        seconds: (n,) float64; nan there.
        warm: (n,) bool; False there.
        measures: name -> (n, length of each of its dims) float64; nan where a point is not done, or a number does not
            exist.
    """

    def __init__(self, layout: Layout, n: int) -> None:
        self.state = np.zeros(n, np.uint8)
        self.attempts = np.zeros(n, np.int32)
        self.batch = np.zeros(n, np.int64)
        self.seconds = np.full(n, np.nan)
        self.warm = np.zeros(n, np.bool_)
        self.measures = {
            name: np.full((n, *(len(layout.coords[d]) for d in v.dims)), np.nan) for name, v in layout.measures.items()
        }
        self._worker, self._error = _Repeated(n, ""), _Repeated(n, None)
        self._started, self._key = (np.full(n, "", np.dtypes.StringDType()) for _ in range(2))

    def __len__(self) -> int:
        return len(self.state)

    def add(self, records: Sequence[PointRecord]) -> None:
        """Fill in finished points; none of the records is kept."""
        at = _indices(records)
        self.state[at] = [CODES[r.state] for r in records]
        self.attempts[at] = [r.attempts for r in records]
        self.batch[at] = [r.batch for r in records]
        self.seconds[at] = [r.seconds for r in records]
        self.warm[at] = [r.warm for r in records]
        self._worker.put(at, [r.worker for r in records])
        self._error.put(at, [r.error for r in records])
        self._started[at] = [r.started for r in records]
        self._key[at] = [r.key for r in records]
        for name, data in self.measures.items():
            told = [r for r in records if r.measures.get(name) is not None]
            if told:
                values = np.asarray([r.measures[name] for r in told], float)  # None becomes nan
                data[_indices(told)] = values.reshape(len(told), *data.shape[1:])

    def texts(self, rows: slice) -> dict[str, NDArray[Any]]:
        """State, worker, start, error and key of some points, arrays of objects; error is None where there is none."""
        return {
            "state": np.asarray([str(state) for state in STATES], object)[self.state[rows]],
            "worker": self._worker.get(rows),
            "started": self._started[rows].astype(object),
            "error": self._error.get(rows),
            "key": self._key[rows].astype(object),
        }


class _Repeated:
    """A column of texts of which many are the same: each is kept once."""

    def __init__(self, n: int, missing: str | None) -> None:
        self._codes = np.zeros(n, np.int32)
        self._code_of: dict[str | None, int] = {missing: 0}

    def put(self, at: NDArray[np.int64], texts: Sequence[str | None]) -> None:
        self._codes[at] = [self._code_of.setdefault(text, len(self._code_of)) for text in texts]

    def get(self, rows: slice) -> NDArray[Any]:
        return np.asarray([*self._code_of], object)[self._codes[rows]]


def put_states(states: NDArray[np.uint8], records: Sequence[PointRecord]) -> None:
    """Note what became of finished points.

    Args:
        states: (n,) numbers of `STATES`.
    """
    states[_indices(records)] = [CODES[r.state] for r in records]


def counts_of(states: NDArray[np.uint8]) -> dict[PointState, int]:
    """How many points are finished in which way; ways that no point took are left out."""
    return {STATES[code]: int((states == code).sum()) for code in np.unique(states) if code}


def _indices(records: Sequence[PointRecord]) -> NDArray[np.int64]:
    return np.fromiter((r.index for r in records), np.int64, len(records))
