"""Freed memory is kept for the next step, in place of being handed back to the system.

XLA asks for a step's whole memory (130 bytes a node) and frees it when the step is through. glibc gets pieces of this
size from the system and gives them back at once, so that every step began with the system zeroing hundreds of megabytes
page by page: at 128^3 voxels 400,000 page faults and 0.8 of 2.9 s a solve.
"""

from __future__ import annotations

import ctypes
import functools
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
"""Of mallopt(3)."""
KEPT_BYTES = 2**31 - 1
"""Free memory at the heap's end beyond which it goes back to the system after all; the most that mallopt takes."""


@functools.cache
def keep_freed_memory() -> bool:
    """Ask the C library of this process to keep freed memory, once; whether it could be asked.

    One arena for all threads, because only the main one can hold blocks of this size. Only glibc has `mallopt`; other
    systems' allocators do as they do.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wanted = {M_ARENA_MAX: 1, M_MMAP_MAX: 0, M_TRIM_THRESHOLD: KEPT_BYTES}
    taken = [mallopt(option, value) for option, value in wanted.items()]
    return taken == [1] * len(wanted)
