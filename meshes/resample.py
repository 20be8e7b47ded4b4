"""Labels from the scan's lattice to the solve grid, along common axes.

majority  the label that fills most of the solve voxel's volume, from exact overlaps of boxes; of labels that fill
          equally much, the smallest number
nearest   the label of the scan voxel in which the solve voxel's centre lies

Both clip to the scan: a solve voxel that sticks out takes what is inside.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint16]
Triple = tuple[float, float, float]
Box = tuple[slice, ...]

TIE = 1e-4
"""Shares of a voxel closer than this are equal: rounding must not choose between labels."""


def resample(
    labels: Labels,
    spacing_mm: Triple,
    start_mm: Triple,
    to_shape: tuple[int, int, int],
    to_spacing_mm: Triple,
    method: Literal["majority", "nearest"],
) -> Labels:
    """Labels on the solve grid.

    Args:
        labels: on the scan's lattice, shape (nx, ny, nz).
        spacing_mm: of the scan.
        start_mm: low corner of the solve grid from the scan's low corner, along the axes.
        to_shape: voxels of the solve grid.
        to_spacing_mm: of the solve grid.

    Returns:
        Labels of shape to_shape.
    """
    spans = [
        _span(n, h, start, m, to_h)
        for n, h, start, m, to_h in zip(labels.shape, spacing_mm, start_mm, to_shape, to_spacing_mm, strict=True)
    ]
    if method == "nearest":
        x, y, z = ((_centres(*span) / span[1]).astype(int).clip(0, span[0] - 1) for span in spans)
        return labels[np.ix_(x, y, z)]
    weights = [_overlaps(*span) for span in spans]
    used = [np.flatnonzero(w.any(axis=0)) for w in weights]
    slab = labels[np.ix_(*used)]
    return _majority(slab, [w[:, u] for w, u in zip(weights, used, strict=True)])


Span = tuple[int, float, float, int, float]


def _span(n: int, h: float, start: float, m: int, to_h: float) -> Span:
    return n, h, start, m, to_h


def _centres(n: int, h: float, start: float, m: int, to_h: float) -> NDArray[np.float64]:
    return start + (np.arange(m, dtype=np.float64) + 0.5) * to_h


def _overlaps(n: int, h: float, start: float, m: int, to_h: float) -> NDArray[np.float32]:
    """Share of each solve voxel's length that lies in each scan voxel, shape (m, n); rows sum to 1."""
    low = start + np.arange(m)[:, None] * to_h
    edge = np.arange(n)[None, :] * h
    overlap = np.clip(np.minimum(low + to_h, edge + h) - np.maximum(low, edge), 0, None)
    overlap[overlap < TIE * min(h, to_h)] = 0
    outside = overlap.sum(axis=1) == 0
    nearest = (_centres(n, h, start, m, to_h) / h).astype(int).clip(0, n - 1)
    overlap[outside, nearest[outside]] = 1
    return (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)


def _majority(labels: Labels, weights: list[NDArray[np.float32]]) -> Labels:
    shape = tuple(len(w) for w in weights)
    best = np.full(shape, -1.0, np.float32)
    chosen = np.zeros(shape, np.uint16)
    for label in np.unique(labels):
        share, reach = _share(labels == label, weights)
        larger = share > best[reach] + TIE
        best[reach][larger] = share[larger]
        chosen[reach][larger] = label
    return chosen


def _share(found: NDArray[np.bool_], weights: list[NDArray[np.float32]]) -> tuple[NDArray[np.float32], Box]:
    """Share of each solve voxel that `found` fills, within the slices of the solve grid that it can reach."""
    box = tuple(_span_of(np.asarray(found.any(axis=tuple(a for a in range(3) if a != axis)))) for axis in range(3))
    reach = tuple(_span_of(np.asarray(w[:, s].any(axis=1))) for w, s in zip(weights, box, strict=True))
    share = found[box].astype(np.float32)
    for axis, (w, rows, columns) in enumerate(zip(weights, reach, box, strict=True)):
        share = np.moveaxis(np.tensordot(w[rows, columns], share, axes=(1, axis)), 0, axis)
    return share, reach


def _span_of(flags: NDArray[np.bool_]) -> slice:
    places = np.flatnonzero(flags)
    return slice(int(places[0]), int(places[-1]) + 1)
