"""How much memory this process may still take."""

from __future__ import annotations

from math import prod
from pathlib import Path

from ..kernels.field import estimate_bytes
from .errors import ResourceError
from .voxels import VoxelGrid

MAX_VOXELS = 2**31 - 1
"""Voxels are numbered with 32 bits."""

_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
_UNKNOWN_BYTES = 8 << 30
"""Assumed where the system does not say."""


def available_bytes() -> int:
    """Free memory, bytes: what the system reports, within the limits of the container."""
    free = _system_bytes()
    for limit_file, usage_file in _CGROUPS:
        limit, usage = _number(limit_file), _number(usage_file)
        if limit is not None and usage is not None:
            free = min(free, max(limit - usage, 0))
    return free


def check_memory(grid: VoxelGrid, pulses: int, field: str) -> None:
    """Whether a solve fits, before anything large is allocated.

    Raises:
        ResourceError: naming the plan's field that decides the size.
    """
    voxels = prod(grid.shape)
    if voxels > MAX_VOXELS:
        raise ResourceError.of(field, f"at most {MAX_VOXELS:.3g} voxels", f"{_times(grid.shape)} = {voxels:.3g}")
    needed, free = estimate_bytes(grid.kernel_grid, pulses), available_bytes()
    if needed > free:
        expected = f"a solve that fits into {in_words(free)} of free memory"
        raise ResourceError.of(field, expected, f"{_times(grid.shape)} voxels, about {in_words(needed)}")


def in_words(size: int) -> str:
    """A size for people."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**28 else f"{size / 2**20:.1f} MiB"


def _system_bytes() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return _UNKNOWN_BYTES


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _number(path: str) -> int | None:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return None
