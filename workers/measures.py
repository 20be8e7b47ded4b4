"""Measures of one plan from its volume-weighted field samples: zones, targets, avoided structures.

Each sample is held against the thresholds of its own tissue. Air and other insulators have none, so they are in no
zone; metal and insulated shafts have no samples at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..kernels import coverage
from ..kernels.sampling import FieldSamples
from ..meshes.library import Value
from ..meshes.scene import Scene
from .summary import (
    ENDS,
    ZONES,
    AvoidMeasures,
    Band,
    CoverageBand,
    CoverageBands,
    End,
    FieldQuantiles,
    Histogram,
    TargetCoverage,
    TargetMeasures,
    Volumes,
    Zone,
    band_verdict,
)

MM3_PER_M3 = 1e9
V_PER_M_PER_V_PER_CM = 100.0
QUANTILES = (0.0, 0.01, 0.02, 0.05, 0.5, 1.0)
HISTOGRAM_STEPS = 200
HISTOGRAM_REACH = 1.5
"""Top of the histogram over the highest threshold."""


def tissue_thresholds_v_per_m(scene: Scene) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Reversible and irreversible threshold (V/m) of each of the scene's tissues; infinite for insulators."""
    values = np.asarray(
        [
            (math.inf, math.inf) if t.insulating else (t.reversible_v_per_cm, t.irreversible_v_per_cm)
            for t in scene.tissues
        ],
        np.float32,
    ).reshape(-1, 2)
    values = values * np.float32(V_PER_M_PER_V_PER_CM)
    return values[:, 0], values[:, 1]


def threshold_bands_v_per_m(scene: Scene) -> dict[Zone, dict[End, NDArray[np.float32]]]:
    """Low end, nominal value and high end (V/m) of each of the scene's tissues' thresholds; infinite for insulators."""
    return {
        zone: {
            end: np.asarray(
                [math.inf if t.insulating else _end_v_per_cm(t.thresholds[i], end) for t in scene.tissues], np.float32
            )
            * np.float32(V_PER_M_PER_V_PER_CM)
            for end in ENDS
        }
        for i, zone in enumerate(ZONES)
    }


def _end_v_per_cm(threshold: Value, end: End) -> float:
    if threshold.value is None:
        return math.inf
    if threshold.range is None or end == "nominal":
        return threshold.value
    return threshold.range.low if end == "low" else threshold.range.high


def measure_volumes(scene: Scene, samples: FieldSamples) -> Volumes:
    """Volumes (mm3) of the reversible and irreversible zones and above the plan's thresholds, in the whole grid."""
    reversible, irreversible = tissue_thresholds_v_per_m(scene)
    fixed = [key * V_PER_M_PER_V_PER_CM for key in scene.plan.thresholds_v_per_cm]
    lowest = min(float(reversible.min()), float(irreversible.min()), *fixed)
    # not "keep >= lowest": a field that is not a number must reach the sums and make them null
    samples = subset(samples, ~(samples.field_v_per_m + samples.spread_v_per_m < lowest))
    tissue = scene.tissue.reshape(-1)[samples.voxel]
    return Volumes(
        reversible=_volume_mm3(samples, reversible[tissue]),
        irreversible=_volume_mm3(samples, irreversible[tissue]),
        above_v_per_cm={
            threshold_key(key): _volume_mm3(samples, threshold)
            for key, threshold in zip(scene.plan.thresholds_v_per_cm, fixed, strict=True)
        },
    )


def measure_targets(scene: Scene, samples: FieldSamples, *, histogram: bool = True) -> dict[str, TargetMeasures]:
    """Coverage, field quantiles and, unless it is not wanted, field-volume histogram of every target."""
    return {name: measure_target(scene, samples, name, histogram=histogram) for name in scene.targets}


def measure_target(scene: Scene, samples: FieldSamples, name: str, *, histogram: bool = True) -> TargetMeasures:
    """One target; shares and quantiles refer to its tissue, metal left out."""
    mask = scene.structures[name]
    inside = subset(samples, samples.in_voxels(mask))
    tissue = scene.tissue.reshape(-1)[inside.voxel]
    bands = threshold_bands_v_per_m(scene)
    reversible, irreversible = (_band(inside, tissue, bands[zone], scene) for zone in ZONES)
    known = bool(np.isfinite(inside.field_v_per_m).all())
    quantiles = coverage.quantiles_v_per_m(inside, QUANTILES) / V_PER_M_PER_V_PER_CM * (1 if known else math.nan)
    edges = histogram_edges_v_per_cm(scene) if histogram else []
    return TargetMeasures(
        volume_mm3=_voxels_mm3(scene, mask),
        tissue_volume_mm3=coverage.volume_m3(inside) * MM3_PER_M3,
        coverage=TargetCoverage(
            reversible=reversible.share.nominal,
            irreversible=irreversible.share.nominal,
            band=CoverageBands(reversible=reversible, irreversible=irreversible),
            above_v_per_cm={
                threshold_key(key): _fraction(inside, key * V_PER_M_PER_V_PER_CM)
                for key in scene.plan.thresholds_v_per_cm
            },
        ),
        field_v_per_cm=FieldQuantiles(
            **dict(zip(("min", "q01", "q02", "q05", "median", "max"), map(finite, quantiles), strict=True))
        ),
        histogram=_histogram(inside, edges),
    )


def _band(
    inside: FieldSamples, tissue: NDArray[np.uint8], thresholds: Mapping[End, NDArray[np.float32]], scene: Scene
) -> CoverageBand:
    """A target's coverage at both ends of its tissues' thresholds and between; `tissue` is that of each sample."""
    share = Band(**{end: _fraction(inside, thresholds[end][tissue]) for end in ENDS})
    volumes = np.bincount(tissue, inside.volume_m3, len(scene.tissues))
    main = int(volumes.argmax())
    return CoverageBand(
        tissue=scene.tissues[main].name if volumes[main] > 0 else None,
        threshold_v_per_cm=Band(
            **{end: finite(thresholds[end][main] / V_PER_M_PER_V_PER_CM) if volumes[main] > 0 else None for end in ENDS}
        ),
        share=share,
        verdict=band_verdict(share),
    )


def measure_avoided(scene: Scene, samples: FieldSamples) -> dict[str, AvoidMeasures]:
    """Largest field and volume above its limit of every avoided structure."""
    return {name: measure_avoided_one(scene, samples, name, limit) for name, limit in scene.avoid.items()}


def measure_avoided_one(scene: Scene, samples: FieldSamples, name: str, limit_v_per_cm: float) -> AvoidMeasures:
    """One avoided structure; exceeded when any of its samples lies above the limit."""
    mask = scene.structures[name]
    inside = subset(samples, samples.in_voxels(mask))
    largest = finite(inside.field_v_per_m.max() / V_PER_M_PER_V_PER_CM) if len(inside.voxel) else None
    exceeded = None if largest is None else largest > limit_v_per_cm
    above_mm3 = _volume_mm3(inside, limit_v_per_cm * V_PER_M_PER_V_PER_CM) if exceeded is not False else 0.0
    return AvoidMeasures(
        volume_mm3=_voxels_mm3(scene, mask),
        tissue_volume_mm3=coverage.volume_m3(inside) * MM3_PER_M3,
        limit_v_per_cm=limit_v_per_cm,
        max_v_per_cm=largest,
        volume_above_limit_mm3=above_mm3,
        exceeded=exceeded,
    )


def subset(samples: FieldSamples, select: NDArray[np.bool_]) -> FieldSamples:
    """Some of the samples, so that several measures of one structure need not search all of them each time."""
    index = np.flatnonzero(select)  # few of many: searched for once, not once for each array
    return FieldSamples(
        voxel=samples.voxel.take(index),
        field_v_per_m=samples.field_v_per_m.take(index),
        spread_v_per_m=samples.spread_v_per_m.take(index),
        volume_m3=samples.volume_m3.take(index),
    )


def histogram_edges_v_per_cm(scene: Scene) -> list[float]:
    """The same round edges for all targets: from 0 to 1.5 times the highest threshold in use."""
    thresholds: Iterable[float] = (
        *scene.plan.thresholds_v_per_cm,
        *(t.irreversible_v_per_cm for t in scene.tissues if math.isfinite(t.irreversible_v_per_cm)),
    )
    step = _round_up(HISTOGRAM_REACH * max(thresholds) / HISTOGRAM_STEPS)
    return [i * step for i in range(HISTOGRAM_STEPS + 1)]


def threshold_key(threshold_v_per_cm: float) -> str:
    """A threshold as a JSON key: 400.0 -> "400"."""
    return f"{threshold_v_per_cm:.12g}"


def finite(value: float) -> float | None:
    """The number, or None for nan and infinity, which JSON does not have."""
    return float(value) if math.isfinite(value) else None


def _round_up(step: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= step * (1 - 1e-9))


def _histogram(samples: FieldSamples, edges_v_per_cm: Sequence[float]) -> Histogram:
    if not len(edges_v_per_cm) or not np.isfinite(samples.field_v_per_m).all() or not len(samples.voxel):
        return Histogram(field_v_per_cm=[], fraction_at_or_above=[])
    shares = coverage.cumulative_histogram(samples, np.asarray(edges_v_per_cm) * V_PER_M_PER_V_PER_CM)
    return Histogram(field_v_per_cm=list(edges_v_per_cm), fraction_at_or_above=np.clip(shares, 0, 1).tolist())


def _fraction(samples: FieldSamples, threshold_v_per_m: NDArray[np.float32] | float) -> float | None:
    share = finite(coverage.fraction_at_or_above(samples, threshold_v_per_m))
    return None if share is None else min(max(share, 0.0), 1.0)


def _volume_mm3(samples: FieldSamples, threshold_v_per_m: NDArray[np.float32] | float) -> float | None:
    return finite(coverage.volume_at_or_above_m3(samples, threshold_v_per_m) * MM3_PER_M3)


def _voxels_mm3(scene: Scene, mask: NDArray[np.bool_]) -> float:
    return int(np.count_nonzero(mask)) * scene.grid.voxel_volume_mm3
