"""Measures against samples counted by hand: in the closed-form field every voxel at x has 100 x V/cm (conftest.py)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from porefield.kernels.sampling import FieldSamples
from porefield.meshes import Scene, build_scene, load_plan
from porefield.workers import RunResult, run_scene
from porefield.workers.measures import (
    histogram_edges_v_per_cm,
    measure_avoided,
    measure_target,
    measure_volumes,
    threshold_key,
    tissue_thresholds_v_per_m,
)


def samples_of(voxels: list[int], fields_v_per_cm: Sequence[float], volume_mm3: float = 1.0) -> FieldSamples:
    n = len(voxels)
    return FieldSamples(
        np.asarray(voxels, np.int32),
        np.asarray(fields_v_per_cm, np.float32) * 100,
        np.zeros(n, np.float32),
        np.full(n, volume_mm3 * 1e-9, np.float32),
    )


def voxel_of(scene: Scene, tissue: str, count: int) -> list[int]:
    index = [t.name for t in scene.tissues].index(tissue)
    return np.flatnonzero(scene.tissue.reshape(-1) == index)[:count].tolist()


def test_each_sample_is_held_against_its_own_tissue(scene: Scene) -> None:
    # thresholds: block 400 and 800 V/cm, lump 600 and 1200 V/cm
    voxels = voxel_of(scene, "block", 4) + voxel_of(scene, "lump", 4)
    fields = [300, 500, 700, 900, 500, 700, 900, 1300]
    volumes = measure_volumes(scene, samples_of(voxels, fields, volume_mm3=2.0))
    assert volumes.reversible == pytest.approx(2 * (3 + 3), rel=1e-6)
    assert volumes.irreversible == pytest.approx(2 * (1 + 1), rel=1e-6)
    assert volumes.above_v_per_cm == pytest.approx({"400": 2 * (3 + 4), "800": 2 * (1 + 2)}, rel=1e-6)


def test_target_coverage_and_quantiles_by_hand(scene: Scene) -> None:
    inside = voxel_of(scene, "lump", 4)
    measured = measure_target(
        scene, samples_of(inside + voxel_of(scene, "block", 3), [500, 700, 900, 1300, 1, 1, 1]), "lump"
    )
    assert measured.coverage.reversible == pytest.approx(0.75)
    assert measured.coverage.irreversible == pytest.approx(0.25)
    assert measured.coverage.above_v_per_cm == pytest.approx({"400": 1.0, "800": 0.5})
    assert measured.field_v_per_cm.min == pytest.approx(500)
    assert measured.field_v_per_cm.median == pytest.approx(800)
    assert measured.field_v_per_cm.max == pytest.approx(1300)
    assert measured.volume_mm3 == pytest.approx(64.0)
    assert measured.tissue_volume_mm3 == pytest.approx(4.0)


def test_coverage_over_the_band_of_thresholds_by_hand(tiny_plan: dict[str, Any]) -> None:
    ends = {"reversible_range_v_per_cm": [450, 800], "irreversible_range_v_per_cm": [1000, 1400]}
    tiny_plan["tissues"]["lump"] |= ends
    scene = build_scene(load_plan(tiny_plan))
    voxels = voxel_of(scene, "lump", 4)
    measured = measure_target(scene, samples_of(voxels, [500, 700, 900, 1300]), "lump")
    assert measured.coverage.band is not None
    reversible, irreversible = measured.coverage.band.reversible, measured.coverage.band.irreversible
    assert (reversible.share.low, reversible.share.nominal, reversible.share.high) == pytest.approx((1.0, 0.75, 0.5))
    assert (irreversible.share.low, irreversible.share.nominal) == pytest.approx((0.25, 0.25))
    assert (reversible.tissue, reversible.threshold_v_per_cm.high) == ("lump", pytest.approx(800))
    assert (reversible.verdict, irreversible.verdict) == ("depends_on_threshold", "not_whole")
    assert measured.coverage.reversible == reversible.share.nominal
    whole = measure_target(scene, samples_of(voxels, [801] * 4), "lump").coverage.band
    assert whole is not None
    assert whole.reversible.verdict == "whole"
    none = measure_target(scene, samples_of([], []), "lump").coverage.band
    assert none is not None
    assert (none.reversible.verdict, none.reversible.tissue) == (None, None)


def test_histogram_falls_from_one_to_zero_over_round_edges(scene: Scene) -> None:
    measured = measure_target(scene, samples_of(voxel_of(scene, "lump", 4), [500, 701, 900, 1300]), "lump")
    edges, shares = measured.histogram.field_v_per_cm, measured.histogram.fraction_at_or_above
    assert edges == histogram_edges_v_per_cm(scene)
    assert edges[-1] >= 1.5 * 1200
    assert shares[0] == 1
    assert shares[-1] == 0
    assert shares[edges.index(700)] == pytest.approx(0.75)
    assert shares == sorted(shares, reverse=True)


def test_a_target_that_is_all_metal_has_null_measures(scene: Scene) -> None:
    measured = measure_target(scene, samples_of([], []), "lump")
    assert measured.coverage.reversible is None
    assert measured.field_v_per_cm.median is None
    assert measured.histogram.field_v_per_cm == []
    assert measured.tissue_volume_mm3 == 0


def test_avoided_structure_by_hand(scene: Scene) -> None:
    voxels = voxel_of(scene, "block", 3)
    measured = measure_avoided(scene, samples_of(voxels, [100, 1600, 1700], volume_mm3=3))["block"]
    assert measured.exceeded
    assert measured.max_v_per_cm == pytest.approx(1700)
    assert measured.volume_above_limit_mm3 == pytest.approx(6)
    kept = measure_avoided(scene, samples_of(voxels, [100, 200, 300]))["block"]
    assert (kept.exceeded, kept.volume_above_limit_mm3) == (False, 0)


def test_a_field_that_is_not_a_number_has_no_measures(scene: Scene) -> None:
    nan = float("nan")
    broken = samples_of(voxel_of(scene, "block", 3) + voxel_of(scene, "lump", 3), [nan, 500, 900, nan, 500, 900])
    volumes = measure_volumes(scene, broken)
    assert (volumes.reversible, volumes.irreversible, volumes.above_v_per_cm["400"]) == (None, None, None)
    avoided = measure_avoided(scene, broken)["block"]
    assert (avoided.exceeded, avoided.max_v_per_cm, avoided.volume_above_limit_mm3) == (None, None, None)
    target = measure_target(scene, broken, "lump")
    assert (target.coverage.reversible, target.field_v_per_cm.min, target.histogram.field_v_per_cm) == (None, None, [])


def test_air_is_in_no_zone(scene: Scene) -> None:
    reversible, irreversible = tissue_thresholds_v_per_m(scene)
    air = [t.name for t in scene.tissues].index("air")
    assert math.isinf(reversible[air])
    assert math.isinf(irreversible[air])
    volumes = measure_volumes(scene, samples_of(voxel_of(scene, "air", 5), [5000] * 5))
    assert (volumes.reversible, volumes.irreversible) == (0, 0)


def test_linear_field_gives_exact_subvoxel_volumes(tiny_plan: dict[str, Any], linear_field: object) -> None:
    tiny_plan["thresholds_v_per_cm"] = [725, 750, 775]
    scene = build_scene(load_plan(tiny_plan))
    summary = run_scene(scene).summary
    # at 1000 V the field is 100 V/cm a voxel: 400 V/cm is x = 4, 600 V/cm x = 6, sharp to a fraction of a voxel
    volumes = summary["volumes_mm3"]["above_v_per_cm"]
    assert volumes["725"] - volumes["750"] == pytest.approx(volumes["750"] - volumes["775"], rel=1e-4)
    air = [t.name for t in scene.tissues].index("air")
    layer = np.count_nonzero(scene.tissue[7] != air)
    assert volumes["725"] - volumes["775"] == pytest.approx(0.5 * layer, rel=1e-4)
    # the lump spans x = 6 .. 10: all of it lies above 600 V/cm, three quarters above 700
    covered = summary["targets"]["lump"]["coverage"]
    assert covered["reversible"] == pytest.approx(1.0)
    assert covered["above_v_per_cm"]["725"] == pytest.approx(1 - 1.25 / 4, rel=1e-4)


def test_threshold_keys_are_plain_numbers() -> None:
    assert [threshold_key(t) for t in (400.0, 62.5, 1000)] == ["400", "62.5", "1000"]


def test_zones_of_a_run(result: RunResult) -> None:
    volumes = result.summary["volumes_mm3"]
    assert volumes["reversible"] > volumes["irreversible"] > 0
