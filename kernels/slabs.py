"""Work over a grid's planes in slabs that fit a core's cache, shared out among threads."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from .program_cache import compiler_threads

SLAB_NODES = 2**17
"""Nodes of a slab, or one plane: what is worked out on the way is to fit a core's cache."""


class Scratch:
    """Arrays of one thread for what is worked out on the way, used again for each slab, so that no slab asks for memory
    and threads never get each other's."""

    def __init__(self) -> None:
        self.kept: dict[str, NDArray[np.float64]] = {}

    def array(self, name: str, *shape: int) -> NDArray[np.float64]:
        """An array that holds anything; the last one of that name is no longer to be used."""
        size = math.prod(shape)
        if name not in self.kept or len(self.kept[name]) < size:
            self.kept[name] = np.empty(size)
        return self.kept[name][:size].reshape(shape)


def for_slabs(planes: int, plane_nodes: int, work: Callable[[slice, Scratch], None]) -> None:
    """Have `work` done on some planes at a time, by as many threads as there are."""
    each = max(1, SLAB_NODES // plane_nodes)
    slabs = [slice(i, min(i + each, planes)) for i in range(0, planes, each)]
    threads = min(compiler_threads(), len(slabs))

    def share(first: int) -> None:
        scratch = Scratch()
        for slab in slabs[first::threads]:
            work(slab, scratch)

    if threads == 1:
        share(0)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(share, range(threads)))
