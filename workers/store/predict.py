"""How much room a sweep will take, before it starts."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from math import prod
from pathlib import Path

from ...meshes.errors import ResourceError
from ..sweep.model import Layout
from .places import is_url

COMPRESSED = {"uint8": 0.02, "float32": 0.75}
"""Share of a map's bytes that is left by the store's codec; larger than measured on zone and |E| maps."""
RECORD_BYTES = 1500
BYTES_PER_NUMBER = 24
BLOCK_BYTES = 4096


@dataclass(frozen=True)
class StoragePrediction:
    """Bytes that a sweep's results will take, and in how many files."""

    records: int
    maps: int
    dataset: int
    files: int

    @property
    def total(self) -> int:
        return self.records + self.maps + self.dataset


def predict_bytes(layout: Layout, points: int) -> StoragePrediction:
    """The room that `points` points of a layout take, rounded up to blocks of the file system."""
    numbers = sum(prod(len(layout.coords[d]) for d in v.dims) for v in layout.measures.values())
    record = _blocks(RECORD_BYTES + BYTES_PER_NUMBER * numbers)
    space = [len(layout.space[axis]) for axis in ("x", "y", "z")] if layout.maps else [0]
    chunks = prod(-(-n // 64) for n in space)
    sizes = {"uint8": 1, "float32": 4}
    per_map = [_blocks(int(prod(space) * sizes[m.dtype] * COMPRESSED[m.dtype])) for m in layout.maps.values()]
    return StoragePrediction(
        records=record * points,
        maps=sum(per_map) * points,
        dataset=2 * 8 * numbers * points,
        files=points * (1 + chunks * len(layout.maps)),
    )


def check_room(out: str | Path, prediction: StoragePrediction) -> None:
    """Refuse a sweep whose results would not fit into their directory; of object stores there is nothing to ask.

    Raises:
        ResourceError: with what it needs and what is free.
    """
    if is_url(out):
        return
    folder = Path(out).expanduser().resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if prediction.total > free:
        expected = f"{prediction.total / 1e9:.1f} GB free for the sweep's results"
        raise ResourceError.of("out", expected, f"{free / 1e9:.1f} GB at {folder}")


def _blocks(size: int) -> int:
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES
