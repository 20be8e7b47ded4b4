"""How much room a sweep will take, before it starts."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from ...meshes.errors import ResourceError
from ..sweep.model import Layout
from .maps import CHUNK, MEASURED_SHARE
from .places import is_url

MARGIN = {"uint8": 1.5, "float32": 1.1}
"""Over what maps were measured to take: zones of other plans are more or less ragged, while most bits of |E| are noise
in every plan. At other voltages they took up to 1.13 and 1.01 times as much."""
RECORD_BYTES = 1500
BYTES_PER_NUMBER = 24
BLOCK_BYTES = 4096
WHOLE_BYTES_PER_NUMBER = 8 + 10
"""Of the dataset, uncompressed, and of the table, where Parquet adds an index of up to 17 bits to each."""
WHOLE_BYTES_PER_POINT = 250
"""Key (64), start (29), worker, error, journal (up to 120)."""
COLUMN_BYTES = 700
"""Of a column in a Parquet file without rows (measured: 656)."""
OTHER_VARIABLES = 12
"""State, seconds and so on, and the coordinates of a few dimensions."""
OTHER_FILES = 16
"""sweep.json, layout.json (a few blocks each), coordinates of the maps, and the like."""


@dataclass(frozen=True)
class StoragePrediction:
    """Bytes that a sweep's results will take, and in how many files.

    Attributes:
        records, maps: of all points.
        dataset: dataset and table, with the small files beside them.
    """

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
    columns, variables = numbers + OTHER_VARIABLES, len(layout.measures) + len(layout.coords) + OTHER_VARIABLES
    per_point = WHOLE_BYTES_PER_NUMBER * columns + WHOLE_BYTES_PER_POINT
    whole_files = 2 * variables + OTHER_FILES  # of Zarr metadata and one chunk each
    space = [len(layout.space[axis]) for axis in ("x", "y", "z")] if layout.maps else [0]
    chunks = prod(-(-n // CHUNK) for n in space)
    return StoragePrediction(
        records=_blocks(RECORD_BYTES + BYTES_PER_NUMBER * numbers) * points,
        maps=sum(_map_bytes(m.dtype, prod(space), chunks) for m in layout.maps.values()) * points,
        dataset=per_point * points + COLUMN_BYTES * columns + BLOCK_BYTES * whole_files,
        files=(1 + chunks * len(layout.maps)) * points + whole_files,
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


def _map_bytes(dtype: str, voxels: int, chunks: int) -> int:
    """Each chunk is a file, which may fill little of its last block."""
    share = MEASURED_SHARE[dtype] * MARGIN[dtype]
    return int(share * voxels * np.dtype(dtype).itemsize) + chunks * BLOCK_BYTES


def _blocks(size: int) -> int:
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES
