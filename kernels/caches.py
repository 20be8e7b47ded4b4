"""What the kernels keep between solves of one process."""

from __future__ import annotations

import jax

from .nested import couplings_of


def clear_kernels() -> None:
    """Forget compiled kernels and couplings; the next solve makes them anew, or reads them from the disk's cache."""
    couplings_of.cache_clear()
    jax.clear_caches()
