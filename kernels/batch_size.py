"""How many problems to solve side by side, from the memory that is free.

XLA's own analysis of the compiled step (temporaries, arguments and results, the donated potential counted once), on the
CPU, grows in proportion to the lanes: 167, 168, 171, 180 and 197 bytes for each node and lane at 96^3, 64^3, 48^3, 32^3
and 24^3 voxels, and as many for a solve by itself. tests/kernels/test_batch_size.py holds the formula to the analysis.
Most are taken in the residual at the start of a step, in double precision: differences, drops and flows along three
axes, and the laws of every node. XLA takes something else on a GPU; `RESERVE` has to cover the difference.
"""

from __future__ import annotations

import jax

from .grid import Grid
from .layout import level_layouts

BYTES_PER_NODE = 166
"""Of ramps; 158 where all laws are logistic (256^3)."""
BYTES_PER_NODE_AND_FLOATING = 12
"""10 at 48^3 for the first, 12 for the second."""
BYTES_PER_NODE_DIRECTIONAL = 53
"""More, where tissue is anisotropic or in series with contacts and sheets: 53 at 48^3 with both, 36 with the first."""
BYTES_BESIDE_NODES = 600_000
"""Links to electrodes, and the halos that small grids have more of: 0.48 to 0.65 MB with two needles, 20^3 to 96^3;
0.37 to 0.5 MB of a solve by itself; 0.8 MB with three needles."""
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
    """Memory (bytes) of the device for each problem of a batch."""
    each = BYTES_PER_NODE + BYTES_PER_NODE_AND_FLOATING * floating + BYTES_PER_NODE_DIRECTIONAL * directional
    return nodes * each + BYTES_BESIDE_NODES


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
