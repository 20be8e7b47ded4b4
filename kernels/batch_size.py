"""How many problems to solve side by side, from the memory that is free.

XLA's own analysis of the compiled step (temporaries, arguments and results, what is donated once), on the CPU, grows in
proportion to the lanes: 131, 152 and 180 bytes for each node and lane at 64^3, 48 x 24 x 20 and 20^3 voxels; of a solve
by itself 139 at 64^3. tests/kernels/test_batch_size.py holds the formula to the analysis. XLA takes something
else on a GPU; `RESERVE` has to cover the difference.
"""

from __future__ import annotations

import jax

from .grid import Grid
from .layout import level_layouts

BYTES_PER_NODE = 134
BYTES_PER_NODE_AND_FLOATING = 25
BYTES_PER_NODE_DIRECTIONAL = 30
"""More, where tissue is anisotropic or in series with contacts and sheets: 29 at 48^3 with both, 23 with the first."""
BYTES_BESIDE_NODES, BYTES_BESIDE_AND_FLOATING = 550_000, 100_000
"""Links to electrodes on all levels, and the halos that small grids have more of, with two needles; and with one that
floats beside them."""
RESERVE = 0.25
"""Share of the free memory that is left alone."""
MOST = 64
"""Beyond it a device is busy, and a batch lasts as long as its slowest member."""


def batch_size(free_bytes: int, nodes: int, floating: int = 0, most: int = MOST, directional: bool = False) -> int:
    """How many problems fit, at least 1, rounded down to a power of two.

    So rounded, a little more or less of free memory neither compiles another step nor changes a bit of the results.

    Args:
        nodes: of the finest grid, see `padded_nodes`.
        floating: electrodes that float.
        directional: whether problems are other than FieldProblem.plain.
    """
    fitting = most_lanes(free_bytes, nodes, floating, directional)
    return 2 ** (max(1, min(fitting, most)).bit_length() - 1)


def most_lanes(free_bytes: int, nodes: int, floating: int = 0, directional: bool = False) -> int:
    """How many problems fit, beside the reserve; may be 0."""
    return int(free_bytes * (1 - RESERVE)) // lane_bytes(nodes, floating, directional)


def lane_bytes(nodes: int, floating: int = 0, directional: bool = False) -> int:
    """Memory (bytes) of the device for each problem of a batch, or for one by itself."""
    each = BYTES_PER_NODE + BYTES_PER_NODE_AND_FLOATING * floating + BYTES_PER_NODE_DIRECTIONAL * directional
    return nodes * each + BYTES_BESIDE_NODES + BYTES_BESIDE_AND_FLOATING * floating


def padded_nodes(grid: Grid) -> int:
    """Nodes of a grid as the solver pads it."""
    return level_layouts(grid.shape)[0][0].n


def free_device_bytes() -> int | None:
    """Free memory (bytes) of the device that solves; None where it is the machine's own, as on a CPU."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        return None
    stats = device.memory_stats()
    if not stats or "bytes_limit" not in stats:
        raise RuntimeError(f"{device.device_kind}: expected a device that tells its memory, got {stats}")
    return stats["bytes_limit"] - stats["bytes_in_use"]
