"""A coarse nested grid's potential on the next finer grid: trilinear, and along the near field round needles.

Beside a needle the potential is far from linear between nodes, and what interpolation makes of it there is nearly all
of the residual that the finer grid begins with. With F the needle's near field, which the finer grid has for its links,
and I trilinear interpolation from the coarse nodes, phi = V + (I phi - V) F / I F: exact where phi - V is F times a
constant, and as good as I where F is linear.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .links import NearField

Array = NDArray[np.float64]


def interpolate(coarse: Array, shape: tuple[int, int, int], near: Sequence[NearField], volts: Array) -> Array:
    """A coarse potential (V, over its nodes) on the nodes of a grid of half the voxel size.

    Args:
        shape: of the finer nodes. near: of the needles, on the finer nodes. volts: of each electrode.
    """
    out = halved(coarse, shape)
    for field in near:
        follow(out, field, float(volts[field.electrode]))
    return out


def halved(x: Array, shape: tuple[int, int, int]) -> Array:
    """Trilinear interpolation to twice as many nodes, less one or two, along each axis."""
    for axis, n in enumerate(shape):
        size = list(x.shape)
        size[axis] = n
        out = np.empty(size)
        to, of = np.moveaxis(out, axis, 0), np.moveaxis(x, axis, 0)
        ahead = to[1::2]
        to[::2] = of[: (n + 1) // 2]
        np.add(of[: len(ahead)], of[1 : len(ahead) + 1], out=ahead)
        ahead *= 0.5
        x = out
    return x


def follow(out: Array, near: NearField, volt: float) -> None:
    """Make an interpolated potential (of fine nodes) one along a near field, as far as that reaches."""
    # from the first to the last node that both grids have
    first, last = ([-(-s.start // 2) for s in near.box], [(s.stop - 1) // 2 for s in near.box])
    if any(a > b for a, b in zip(first, last, strict=True)):
        return
    x, y, z = (slice(2 * a, 2 * b + 1) for a, b in zip(first, last, strict=True))
    inner = tuple(slice(s.start - b.start, s.stop - b.start) for s, b in zip((x, y, z), near.box, strict=True))
    f, share = near.f[inner], near.share[inner]
    between = halved(f[::2, ::2, ::2].astype(np.float64), f.shape)
    ratio = np.where(between > 0, f / np.where(between > 0, between, 1), 1)
    out[x, y, z] += share * (ratio - 1) * (out[x, y, z] - volt)
