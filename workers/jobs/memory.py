"""Keeping a worker's memory bounded over very many jobs: compiled kernels of each new grid stay otherwise for good."""

from __future__ import annotations

import ctypes
import gc
import os
from contextlib import suppress
from pathlib import Path

from ...kernels.caches import clear_kernels

SPARE_BYTES = 512 * 2**20
"""Growth after which caches are emptied. A new grid shape adds 6 to 130 MB (16^3 to 33 x 16 x 18, one thread); emptied,
all of it comes back, and a shape seen before takes 0.3 s to be read from the compilation cache on disk."""


class Keeper:
    """Watches a worker's memory between jobs."""

    def __init__(self, spare_bytes: int = SPARE_BYTES) -> None:
        self._spare = spare_bytes
        self._settled: int | None = None

    def settle(self) -> bool:
        """After a job: empty caches when they have grown too much; whether they were."""
        used = resident_bytes()
        if self._settled is None:
            self._settled = used
        if used <= self._settled + self._spare:
            return False
        evict_caches()
        self._settled = resident_bytes()
        return True


def evict_caches() -> None:
    """Give back what earlier jobs left behind: compiled kernels, couplings, and what the allocator holds on to."""
    clear_kernels()
    gc.collect()
    with suppress(OSError, AttributeError):  # glibc has it
        ctypes.CDLL(None).malloc_trim(0)


def resident_bytes() -> int:
    """Memory of this process; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
