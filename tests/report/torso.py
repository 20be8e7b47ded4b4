"""A synthetic result directory, as a run would write it, with an anatomy that no mirror image of it resembles."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

TISSUES = ("air", "fat", "muscle", "liver", "tumour", "blood", "bone_cortical", "spinal_cord")
NEEDLES = {
    "A": {"tip_mm": (14.0, -2.0, -14.0), "exposed_mm": 30.0},
    "B": {"tip_mm": (34.0, -2.0, -14.0), "exposed_mm": 30.0},
    "C": {"tip_mm": (24.0, 12.0, -14.0), "exposed_mm": 20.0},
}
DIRECTION = np.array([0.0, 0.0, -1.0])
PULSES = (("A-B", "A", "B", 1500.0), ("B-C", "B", "C", 1300.0), ("A-C", "A", "C", 1300.0))
MARK_MM = (50.0, 34.0, 30.0)
"""Centre of the bone cube that marks the patient's right, front and top corner."""


def grid_positions_mm(affine: NDArray[np.float64], shape: tuple[int, int, int]) -> NDArray[np.float64]:
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def tissue_at(points: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Index into TISSUES for patient positions (..., 3): a torso seen from nowhere twice the same."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    body = ((x - 10) / 46) ** 2 + ((y - 0) / 38) ** 2 < 1
    tissue = np.where(body, 1, 0)
    tissue[((x - 10) / 42) ** 2 + ((y - 0) / 34) ** 2 < 1] = 2
    tissue[((x - 26) / 24) ** 2 + ((y - 4) / 22) ** 2 + ((z - 2) / 30) ** 2 < 1] = 3
    tissue[np.hypot(x - 38, y - 10 + 0.2 * z) < 3.2] = 5
    tissue[np.hypot(x + 4, y + 20) < 9] = 6
    tissue[np.hypot(x + 4, y + 22) < 4] = 7
    tissue[np.linalg.norm(points - np.array([24.0, 3.0, 2.0]), axis=-1) < 9.5] = 4
    tissue[np.abs(points - np.array(MARK_MM)).max(axis=-1) < 4] = 6
    return tissue.astype(np.uint8)


def line_potential(points: NDArray[np.float64], tip_mm: Any, exposed_mm: float) -> NDArray[np.float64]:
    """Potential of a uniformly charged segment, up to a factor: what a thin needle's field looks like."""
    centre = np.asarray(tip_mm) - 0.5 * exposed_mm * DIRECTION
    offset = points - centre
    along = offset @ DIRECTION
    across = np.maximum(np.linalg.norm(offset - along[..., None] * DIRECTION, axis=-1), 0.9)
    half = 0.5 * exposed_mm
    return np.arcsinh((half - along) / across) + np.arcsinh((half + along) / across)


def pulse_field(points: NDArray[np.float64], pulse: tuple[str, str, str, float]) -> NDArray[np.float32]:
    """|E| in V/m of one needle pair in a homogeneous medium, roughly; shape as points without its last axis."""
    _, anode, cathode, voltage_v = pulse
    step_mm, gradient = 0.25, []
    for axis in np.eye(3):
        ends = []
        for sign in (1, -1):
            at = points + sign * step_mm * axis
            ends.append(line_potential(at, **NEEDLES[anode]) - line_potential(at, **NEEDLES[cathode]))
        gradient.append((ends[0] - ends[1]) / (2 * step_mm))
    return (np.linalg.norm(gradient, axis=0) * voltage_v / 7.5 * 1000).astype(np.float32)


def metal_at(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    metal = np.zeros(points.shape[:-1], bool)
    for needle in NEEDLES.values():
        offset = points - np.asarray(needle["tip_mm"])
        along = offset @ -DIRECTION
        across = np.linalg.norm(offset + along[..., None] * DIRECTION, axis=-1)
        metal |= (across < 0.9) & (along > 0) & (along < needle["exposed_mm"])
    return metal


def tissue_entry(name: str) -> dict[str, Any]:
    constant = name in ("air", "bone_cortical")
    value = {"source": "a paper, 2001", "status": "READ", "confidence": "high", "verified": True}
    doubtful = {"source": "memory", "status": "RECALL", "confidence": "low", "verified": False}
    return {
        "name": name,
        "law": "constant" if constant else "ramp",
        "insulating": name == "air",
        "verified": name != "blood",
        "values": [
            {"name": "baseline_s_per_m", "value": 0.0 if name == "air" else 0.1, "unit": "S/m", **value},
            {"name": "permeabilised_s_per_m", "value": 0.4, "unit": "S/m", **(doubtful if name == "blood" else value)},
            {"name": "reversible_v_per_cm", "value": 400.0, "unit": "V/cm", **value},
            {"name": "irreversible_v_per_cm", "value": 700.0, "unit": "V/cm", **value},
        ],
    }


def summary_of(field_v_per_cm: NDArray[Any], tumour: NDArray[np.bool_], cord: NDArray[np.bool_]) -> dict[str, Any]:
    inside = field_v_per_cm[tumour]
    edges = np.linspace(0, 2000, 101)
    solver = {
        "status": "converged",
        "relative_residual": 3.2e-7,
        "tolerance": 1e-6,
        "current_imbalance": 2e-9,
        "power_imbalance": 4e-5,
        "newton_steps": [3, 3, 2],
        "cg_iterations": [21, 24, 19],
    }
    return {
        "porefield": "0.1.0",
        "status": "converged",
        "disclaimer": "porefield computes fields; it does not advise, and it is no medical device.",
        "pulses": [
            {
                "name": name,
                "anodes": [anode],
                "cathodes": [cathode],
                "voltage_v": voltage_v,
                "currents_a": {n: {anode: 12.3, cathode: -12.3}.get(n, 0.0) for n in NEEDLES},
                "electrode_potentials_v": {n: {anode: voltage_v, cathode: 0.0}.get(n, 512.0) for n in NEEDLES},
                "peak_power_w": 12.3 * voltage_v,
                "within_generator_limits": name != "B-C",
                "voltage_at_current_limit_v": 1210.0 if name == "B-C" else None,
                "solver": solver,
            }
            for name, anode, cathode, voltage_v in PULSES
        ],
        "volumes_mm3": {
            "reversible": 21234.5,
            "irreversible": 8123.4,
            "above_v_per_cm": {"400": 21234.5, "700": 8123.4},
        },
        "targets": {
            "tumour": {
                "volume_mm3": float(tumour.sum()) * 3.375,
                "coverage": {
                    "reversible": float((inside >= 400).mean()),
                    "irreversible": float((inside >= 700).mean()),
                    "above_v_per_cm": {"400": float((inside >= 400).mean())},
                },
                "field_v_per_cm": dict(
                    zip(
                        ("min", "q01", "q02", "q05", "median", "max"),
                        (float(np.quantile(inside, q)) for q in (0, 0.01, 0.02, 0.05, 0.5, 1)),
                        strict=True,
                    )
                ),
                "histogram": {
                    "field_v_per_cm": edges.tolist(),
                    "fraction_at_or_above": [float((inside >= e).mean()) for e in edges],
                },
            }
        },
        "avoid": {
            "spinal_cord": {
                "volume_mm3": float(cord.sum()) * 3.375,
                "limit_v_per_cm": 100.0,
                "max_v_per_cm": float(field_v_per_cm[cord].max()),
                "volume_above_limit_mm3": 12.0,
                "exceeded": bool(field_v_per_cm[cord].max() > 100),
            }
        },
        "warnings": ["pulse 'B-C': 54.2 A exceeds the generator's 50 A"],
        "notes": [{"kind": "unverified", "message": "blood: permeabilised_s_per_m is unverified"}],
        "tissues": [tissue_entry(name) for name in TISSUES],
        "generator": {"name": "cliniporator_vitae", "max_voltage_v": 3000.0, "max_current_a": 50.0, "source": "maker"},
        "grid": {"shape": [1, 1, 1], "spacing_mm": [1.5, 1.5, 1.5]},
        "provenance": {
            "inputs": [{"path": "labels.nii.gz", "sha256": "0123456789abcdef" * 4}],
            "created": "2026-01-01T00:00:00Z",
        },
        "timings_s": {"solve": 12.3, "total": 15.0},
        "versions": {"porefield": "0.1.0", "jax": "0.10.2"},
        "device": "cpu",
    }


def dataset_of(affine: NDArray[np.float64], shape: tuple[int, int, int]) -> xr.Dataset:
    points = grid_positions_mm(affine, shape)
    tissue, metal = tissue_at(points), metal_at(points)
    pulses = np.stack([pulse_field(points, pulse) for pulse in PULSES])
    pulses[:, metal] = 0
    field = pulses.max(axis=0)
    zone = np.where(metal, 3, np.where(field >= 7e4, 2, np.where(field >= 4e4, 1, 0))).astype(np.uint8)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    space = ("x", "y", "z")
    maps = {
        "tissue": (space, tissue, {"flag_values": list(range(len(TISSUES))), "flag_meanings": " ".join(TISSUES)}),
        "field_max_v_per_m": (space, field, {"units": "V/m"}),
        "field_v_per_m": (("pulse", *space), pulses, {"units": "V/m"}),
        "zone": (space, zone),
        "tissue_fraction": (space, np.where(metal | (tissue == 0), 0, 1).astype(np.float32)),
        "structures": (("structure", *space), np.stack([tissue == 4, tissue == 7]).astype(np.uint8)),
    }
    coordinates: dict[str, Any] = {d: np.arange(n) * h for d, n, h in zip(space, shape, spacing, strict=True)}
    coordinates |= {"pulse": [p[0] for p in PULSES], "structure": ["tumour", "spinal_cord"]}
    dataset = xr.Dataset(maps, coords=coordinates)
    needle = {"kind": "needle", "direction": DIRECTION.tolist(), "diameter_mm": 1.8, "shaft_mm": 60.0}
    electrodes = [
        {"name": n, **needle, "tip_mm": list(g["tip_mm"]), "exposed_mm": g["exposed_mm"]} for n, g in NEEDLES.items()
    ]
    plan = json.dumps({"title": "A synthetic torso", "targets": ["tumour"], "electrodes": list(NEEDLES)})
    dataset.attrs = {
        "Conventions": "CF-1.11",
        "porefield": {"version": "0.1.0", "plan": plan, "affine": affine.tolist(), "electrodes": electrodes},
    }
    return dataset


def straight_affine(spacing_mm: float = 3.0) -> NDArray[np.float64]:
    affine = np.diag([spacing_mm] * 3 + [1.0])
    affine[:3, 3] = (-40.0, -42.0, -36.0)
    return affine


Edit = Callable[[dict[str, Any], dict[str, Any]], None]


def write_torso(
    path: Path,
    affine: NDArray[np.float64] | None = None,
    shape: tuple[int, int, int] = (34, 28, 24),
    edit: Edit | None = None,
) -> Path:
    """Write a result directory; edit(summary, the store's own attributes) may change either."""
    path.mkdir(exist_ok=True)
    dataset = dataset_of(straight_affine() if affine is None else affine, shape)
    tissue = dataset["tissue"].to_numpy()
    field_v_per_cm = dataset["field_max_v_per_m"].to_numpy() / 100
    summary = summary_of(field_v_per_cm, tissue == 4, tissue == 7)
    if edit is not None:
        edit(summary, dataset.attrs["porefield"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.to_zarr(path / "result.zarr", mode="w", zarr_format=3, consolidated=True)
    (path / "summary.json").write_text(json.dumps(summary))
    return path
