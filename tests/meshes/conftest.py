"""Plans and label maps small enough to know by heart."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

PHANTOM = {
    "anatomy": {
        "phantom": {"size_mm": [24, 20, 16], "tissue": "liver"},
        "add": [{"tissue": "tumour", "sphere": {"centre_mm": [12, 10, 8], "radius_mm": 3}}],
    },
    "grid": {"spacing_mm": 1.0},
    "electrodes": [
        {"name": "A", "needle": {"tip_mm": [7, 10, 4], "direction": [0, 0, -2], "diameter_mm": 1.2, "exposed_mm": 8}},
        {"name": "B", "needle": {"tip_mm": [17, 10, 4], "direction": [0, 0, -1], "diameter_mm": 1.2, "exposed_mm": 8}},
    ],
    "pulses": [{"anode": ["A"], "cathode": ["B"], "voltage_v": 1000}],
    "targets": ["tumour"],
}


@pytest.fixture
def phantom_plan() -> dict[str, Any]:
    """A phantom of liver with a tumour between two needles, as plain data to spoil."""
    return copy.deepcopy(PHANTOM)


def asymmetric_labels() -> np.ndarray:
    """18 x 15 x 12 voxels: liver everywhere but an empty rim, and three structures that no mirror or rotation of the
    block maps onto themselves."""
    labels = np.zeros((18, 15, 12), np.uint8)
    labels[1:-1, 1:-1, 1:-1] = 5
    labels[3:6, 4:9, 2:4] = 64
    labels[10:15, 2:4, 5:11] = 52
    labels[12, 11, 2:7] = 79
    return labels


SPACING = np.array([1.5, 2.0, 2.5])


def ras_affine(rotation: np.ndarray | None = None) -> np.ndarray:
    """Voxel centres to RAS mm of `asymmetric_labels`, optionally rotated."""
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if rotation is None else rotation) * SPACING
    affine[:3, 3] = [-40.25, 12.5, 100.75]
    return affine


def scan_plan(path: Path, affine: np.ndarray, spacing_mm: Any = 1.0) -> dict[str, Any]:
    """A plan with two needles at the same voxels of the scan wherever it lies in the patient."""

    def at(*index: float) -> list[float]:
        return (affine @ [*index, 1.0])[:3].tolist()

    way = (affine[:3, 2] / np.linalg.norm(affine[:3, 2])).tolist()
    needles = [
        {"name": n, "needle": {"tip_mm": tip, "direction": way, "diameter_mm": 1.2, "exposed_mm": 10}}
        for n, tip in (("A", at(6.6, 6, 8)), ("B", at(10, 10, 8)))
    ]
    return {
        "anatomy": {"label_map": {"path": str(path), "names": "totalsegmentator", "background": "fat"}},
        "grid": {"spacing_mm": spacing_mm, "margin_mm": 3},
        "electrodes": needles,
        "pulses": [{"anode": ["A"], "cathode": ["B"], "voltage_v": 700}],
        "targets": ["portal_vein_and_splenic_vein"],
        "avoid": {"spinal_cord": {"max_v_per_cm": 400}, "aorta": {"max_v_per_cm": 400}},
    }


@pytest.fixture
def write_nifti(tmp_path: Path) -> Callable[..., Path]:
    """Write labels and an affine; returns the path."""

    def write(data: np.ndarray, affine: np.ndarray, name: str = "labels.nii.gz") -> Path:
        path = tmp_path / name
        nib.save(nib.Nifti1Image(data, affine), path)
        return path

    return write
