"""What the kernels keep between solves of one process: couplings, and compiled programs within what may be mapped.

XLA maps each kernel of a program by itself: a compiled Newton step takes 500 to 600 of the 65,530 mappings that Linux
grants a process. Beyond them it crashes, after some 120 shapes of grids.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import jax

from .coarse_links import links_of
from .nested import couplings_of

compiled: dict[Any, Any] = {}
"""Newton steps by what they were compiled for."""
count = 0
"""How many were compiled."""

SHARE = 0.5
"""Of the mappings that are granted, from which on programs are forgotten: one more step and what else a process maps
fit well into the rest."""
MAPS, LIMIT = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")


def make_room() -> bool:
    """Forget all compiled programs if they take much of what may be mapped; whether it was so. Those in use live on
    until they are through. Elsewhere than on Linux nothing is known of such a bound, and nothing forgotten."""
    if not (MAPS.is_file() and LIMIT.is_file()):
        return False
    with MAPS.open("rb") as lines:
        mapped = sum(1 for _ in lines)
    if mapped <= SHARE * int(LIMIT.read_text()):
        return False
    forget_programs()
    return True


def forget_programs() -> None:
    """Forget compiled programs; the next solve makes them anew, or reads them from the disk's cache."""
    compiled.clear()
    jax.clear_caches()
    gc.collect()


def clear_kernels() -> None:
    """Forget compiled programs and couplings."""
    forget_couplings()
    forget_programs()


def forget_couplings() -> None:
    """Have the next solve find electrodes' couplings anew, as if they had moved."""
    couplings_of.cache_clear()
    links_of.cache_clear()
