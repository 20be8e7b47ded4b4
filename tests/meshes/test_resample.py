"""Majority and nearest labels, against hand-computed cases."""

from __future__ import annotations

import numpy as np

from porefield.meshes.resample import resample


def line(labels: list[int], h: float, start: float, m: int, to_h: float, method: str = "majority") -> list[int]:
    data = np.asarray(labels, np.uint16).reshape(-1, 1, 1)
    out = resample(data, (h, 1, 1), (start, 0, 0), (m, 1, 1), (to_h, 1, 1), method)  # pyright: ignore[reportArgumentType]
    return out[:, 0, 0].tolist()


def test_majority_along_a_line() -> None:
    # Voxels of 2 mm: 1 up to 4 mm, 3 up to 10 mm, then 2. In 5 mm: 4 mm of 1 and 1 mm of 3; only 3; only 2; only 2.
    assert line([1, 1, 3, 3, 3, 2, 2, 2, 2, 2], 2, 0, 4, 5) == [1, 3, 2, 2]


def test_majority_counts_volume_not_voxels() -> None:
    # From 0.5 to 3.5: label 7 fills 0.5 .. 1 and 3 .. 3.5 (1 mm in two voxels), label 4 fills 1 .. 3 (2 mm).
    assert line([7, 4, 4, 7], 1, 0.5, 1, 3) == [4]


def test_equal_shares_go_to_the_smallest_number() -> None:
    assert line([9, 2], 1, 0, 1, 2) == [2]
    assert line([2, 9], 1, 0, 1, 2) == [2]


def test_nearest_takes_the_centre() -> None:
    assert line([1, 2, 3, 4, 5], 2, 0, 2, 5, "nearest") == [2, 4]


def test_refining_repeats() -> None:
    assert line([1, 2, 3], 2, 0, 6, 1) == [1, 1, 2, 2, 3, 3]
    assert line([1, 2, 3], 2, 0, 6, 1, "nearest") == [1, 1, 2, 2, 3, 3]


def test_a_voxel_beyond_the_scan_takes_what_is_inside() -> None:
    assert line([1, 2], 2, 0, 2, 3) == [1, 2]
    assert line([1, 2], 2, 0, 3, 3) == [1, 2, 2]


def test_majority_in_three_dimensions_by_brute_force() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 4, (7, 6, 5)).astype(np.uint16)
    fine = np.repeat(np.repeat(np.repeat(labels, 4, 0), 6, 1), 10, 2)  # to 0.5 mm from 2 x 3 x 5 mm
    got = resample(labels, (2, 3, 5), (1, 0.5, 0), (4, 5, 7), (3, 3.5, 3.5), "majority")
    for index in np.ndindex(*got.shape):
        low = np.round((np.array([1, 0.5, 0]) + np.array(index) * [3, 3.5, 3.5]) / 0.5).astype(int)
        high = np.round((np.array([1, 0.5, 0]) + (np.array(index) + 1) * [3, 3.5, 3.5]) / 0.5).astype(int)
        block = fine[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
        counts = np.bincount(block.ravel(), minlength=4)
        assert got[index] == counts.argmax(), (index, counts)


def test_mirrored_labels_give_mirrored_majorities() -> None:
    labels = np.random.default_rng(5).integers(0, 3, (12, 10, 8)).astype(np.uint16)
    there = resample(labels, (1, 1, 2), (0, 0, 0), (9, 10, 5), (4 / 3, 1, 3.2), "majority")
    back = resample(labels[::-1], (1, 1, 2), (0, 0, 0), (9, 10, 5), (4 / 3, 1, 3.2), "majority")
    np.testing.assert_array_equal(there, back[::-1])
