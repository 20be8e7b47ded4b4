"""Coverage measures from volume-weighted field samples (sampling.py): volumes, fractions, quantiles, histograms.

A sample with field e and spread s counts as uniformly distributed over e - s .. e + s, so volumes change smoothly with
the threshold and with the electrodes' positions, not in steps of whole voxels. Quantiles take the samples as points.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .grid import Grid
from .sampling import FieldSamples

Select = NDArray[np.bool_] | None
"""Which samples count: one bool each, or None for all."""


def share_at_or_above(samples: FieldSamples, threshold_v_per_m: ArrayLike) -> NDArray[np.float32]:
    """For each sample the share (0 to 1) of its volume with |E| at or above the threshold (one, or one per sample)."""
    above = samples.field_v_per_m - np.asarray(threshold_v_per_m, np.float32)
    spread = np.maximum(samples.spread_v_per_m, np.float32(1e-3))
    return np.clip(0.5 + 0.5 * above / spread, 0, 1).astype(np.float32)


def volume_at_or_above_m3(samples: FieldSamples, threshold_v_per_m: ArrayLike, select: Select = None) -> float:
    """Tissue volume (m3) with |E| at or above a threshold (V/m)."""
    weight = samples.volume_m3 * share_at_or_above(samples, threshold_v_per_m)
    return float(np.sum(weight if select is None else weight[select], dtype=np.float64))


def volume_m3(samples: FieldSamples, select: Select = None) -> float:
    """Tissue volume (m3) of the samples."""
    return float(np.sum(samples.volume_m3 if select is None else samples.volume_m3[select], dtype=np.float64))


def fraction_at_or_above(samples: FieldSamples, threshold_v_per_m: ArrayLike, select: Select = None) -> float:
    """Share (0 to 1) of the tissue volume with |E| at or above a threshold; nan where nothing was selected."""
    whole = volume_m3(samples, select)
    return volume_at_or_above_m3(samples, threshold_v_per_m, select) / whole if whole > 0 else float("nan")


def quantiles_v_per_m(samples: FieldSamples, q: Sequence[float], select: Select = None) -> NDArray[np.float64]:
    """|E| (V/m) below which a share q of the volume lies; q = 0 and 1 are the smallest and the largest sample."""
    e, w = _selected(samples, select)
    if not len(e):
        return np.full(len(q), np.nan)
    order = np.argsort(e)
    e, w = e[order].astype(np.float64), w[order].astype(np.float64)
    middle = (np.cumsum(w) - 0.5 * w) / np.sum(w)
    return np.where(np.asarray(q) <= 0, e[0], np.where(np.asarray(q) >= 1, e[-1], np.interp(q, middle, e)))


def cumulative_histogram(samples: FieldSamples, edges_v_per_m: ArrayLike, select: Select = None) -> NDArray[np.float64]:
    """The field-volume histogram: share of the volume at or above each field (V/m), in the order given."""
    return np.asarray([fraction_at_or_above(samples, float(e), select) for e in np.atleast_1d(edges_v_per_m)])


def voxel_fraction(
    samples: FieldSamples, shape: tuple[int, int, int], threshold_v_per_m: ArrayLike
) -> NDArray[np.float32]:
    """Share of each voxel's tissue at or above a threshold (one, or one per voxel); 0 in voxels without tissue."""
    threshold = np.broadcast_to(np.asarray(threshold_v_per_m, np.float32), shape).reshape(-1)
    weight = samples.volume_m3 * share_at_or_above(samples, threshold[samples.voxel])
    n = int(np.prod(shape))
    above = np.bincount(samples.voxel, weight, n)
    whole = np.bincount(samples.voxel, samples.volume_m3, n)
    return np.divide(above, whole, out=np.zeros(n), where=whole > 0).reshape(shape).astype(np.float32)


def tissue_fraction(samples: FieldSamples, grid: Grid) -> NDArray[np.float32]:
    """Share of each voxel that is tissue: 1 away from metal and air."""
    whole = np.bincount(samples.voxel, samples.volume_m3, int(np.prod(grid.shape))) / grid.voxel_volume_m3
    return np.minimum(whole, 1).reshape(grid.shape).astype(np.float32)


def _selected(samples: FieldSamples, select: Select) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if select is None:
        return samples.field_v_per_m, samples.volume_m3
    return samples.field_v_per_m[select], samples.volume_m3[select]
