"""How maps of a sweep's points are stored: in chunks, by which codec, and how much of them is left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import zarr
from zarr.abc.store import Store
from zarr.codecs import BloscCodec

from ..sweep.model import Dim, Layout

CHUNK = 64
MAP_CODECS = {
    "uint8": BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle"),
    "float32": BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle"),
}
"""By the maps' type: the smallest result for less than a twentieth of a solve's time, of 20 candidates on zone
and |E| maps (benchmarks/test_compression.py; figures in docs/decisions/0008-compression.md). Readers find the codec in
each array's own metadata."""
MEASURED_SHARE = {"uint8": 0.034, "float32": 0.735}
"""Of a map's bytes that those codecs leave: the largest of the three plans measured there."""


def create_maps(store: Store | str, layout: Layout, dims: Sequence[Dim]) -> None:
    """Lay out a layout's maps over the sweep's dimensions and x, y, z; each point has chunks of its own."""
    root = zarr.create_group(store, zarr_format=3)
    space = tuple(len(layout.space[axis]) for axis in ("x", "y", "z"))
    for name, variable in layout.maps.items():
        root.create_array(
            name,
            shape=(*(dim.size for dim in dims), *space),
            chunks=(*(1 for _ in dims), *(min(n, CHUNK) for n in space)),
            dtype=variable.dtype,
            compressors=MAP_CODECS[variable.dtype],
            fill_value=255 if variable.dtype == "uint8" else float("nan"),
            dimension_names=(*(dim.name for dim in dims), "x", "y", "z"),
            attributes={"units": variable.units, "long_name": variable.long_name, **variable.attrs},
        )
    for axis, values in layout.space.items():
        array = root.create_array(
            axis, shape=(len(values),), dtype="float64", dimension_names=(axis,), attributes={"units": "mm"}
        )
        array[...] = np.asarray(values)
