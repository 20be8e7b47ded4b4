"""Finished points' records: where they lie in a sweep, and reading very many of them without keeping any."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from pydantic import ValidationError

from ..sweep.model import PointRecord
from .places import Place

FOLDER = "records"
PER_FOLDER = 1000
MOST_AT_ONCE = 64
"""Records that one thread reads in a row: handing each one over by itself costs as much as reading a file does."""


def record_key(index: int) -> str:
    """Where a point's record lies."""
    return f"{FOLDER}/{index // PER_FOLDER:03d}/{index:06d}.json"


def read_record(place: Place, index: int) -> PointRecord | None:
    """A finished point; None for one that is not, or whose record can't be read and is to be made again."""
    return _read(place, record_key(index))


def read_batches(place: Place) -> Iterator[list[PointRecord]]:
    """All finished points, some at a time, so that no more than these need be in memory.

    Reads ahead of whoever iterates by twice as many batches as the place takes gets at once.
    """
    keys = [key for key in place.list(FOLDER) if key.endswith(".json")]
    size = max(1, min(MOST_AT_ONCE, len(keys) // place.readers))  # few records are shared among all threads

    def read(start: int) -> list[PointRecord]:
        found = (_read(place, key) for key in keys[start : start + size])
        return [record for record in found if record is not None]

    waiting: deque[Future[list[PointRecord]]] = deque()
    with ThreadPoolExecutor(place.readers) as pool:
        for start in range(0, len(keys), size):
            waiting.append(pool.submit(read, start))
            if len(waiting) > 2 * place.readers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _read(place: Place, key: str) -> PointRecord | None:
    data = place.get(key)
    try:
        return None if data is None else PointRecord.model_validate_json(data)
    except ValidationError:
        return None
