"""A run's maps as one labelled xarray Dataset: what result.zarr holds, in memory.

Coordinates x, y, z are millimetres along the grid's own axes; for a grid aligned with the patient they are patient RAS
millimetres. The full affine stands in the attributes, because labels along axes can't tell an oblique grid.
Voxel values are the mean over a voxel; nodes are its corners.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..kernels import coverage
from ..kernels.electrodes import Electrode, Needle, Plate, Tube
from ..kernels.sampling import FieldSamples
from ..kernels.solution import Solution
from ..meshes.scene import Scene
from ..meshes.voxels import VoxelGrid
from .measures import tissue_thresholds_v_per_m
from .summary import RunSummary

if TYPE_CHECKING:
    import xarray as xr

SPACE = ("x", "y", "z")
NODES = ("x_node", "y_node", "z_node")
ZONES = ("outside", "reversible", "irreversible", "electrode")
"""Values of the zone map; 'electrode' is metal or insulated shaft."""


def build_dataset(
    scene: Scene, solutions: Sequence[Solution], samples: FieldSamples, summary: RunSummary
) -> xr.Dataset:
    """All maps of a run with their coordinates and attributes."""
    import xarray as xr  # takes a second; workers of sweeps make no dataset

    variables = {
        **_tissue_maps(scene),
        **_field_maps(scene, solutions, summary.status.value),
        **_coverage_maps(scene, samples, summary.status.value),
    }
    dataset = xr.Dataset(variables, coords=_coordinates(scene))
    return dataset.assign_attrs(Conventions="CF-1.11", porefield=_description(scene, summary))


def zone_map(
    conducts: NDArray[np.bool_],
    tissue_fraction: NDArray[np.float32],
    reversible: NDArray[np.float32],
    irreversible: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """Class of each voxel by what most of it is (see ZONES); air is outside. All arrays of one shape."""
    zone = np.zeros(conducts.shape, np.uint8)
    zone[reversible >= 0.5] = 1
    zone[irreversible >= 0.5] = 2
    zone[tissue_fraction < 0.5] = 3
    zone[~conducts] = 0
    return zone


def _tissue_maps(scene: Scene) -> dict[str, Any]:
    names = [tissue.name.replace(" ", "_") for tissue in scene.tissues]
    attrs = {"long_name": "tissue", **_flags(names)}
    maps: dict[str, Any] = {"tissue": (SPACE, scene.tissue, attrs)}
    if scene.ct_hu is not None:
        attrs = {"long_name": "CT behind the anatomy, at the voxel centres", "units": "HU"}
        maps["ct_hu"] = (SPACE, scene.ct_hu, attrs)
    masks = [mask.astype(np.uint8) for mask in scene.structures.values()]
    structures = np.stack(masks) if masks else np.zeros((0, *scene.grid.shape), np.uint8)
    attrs = {"long_name": "voxels of targets and avoided structures", **_flags(("outside", "inside"))}
    return maps | {"structures": (("structure", *SPACE), structures, attrs)}


def _field_maps(scene: Scene, solutions: Sequence[Solution], status: str) -> dict[str, Any]:
    conducts = conducting(scene)
    pulses = np.stack([np.where(conducts, s.field_v_per_m, np.float32(0)) for s in solutions])
    conductivity = np.stack([s.conductivity_s_per_m for s in solutions]).astype(np.float32)
    potential = np.stack([s.potential_v.astype(np.float32) for s in solutions])
    about = {"solver_status": status, "comment": "root mean square over the voxel; 0 in air"}
    field = {"units": "V m-1", **about}
    return {
        "field_max_v_per_m": (SPACE, pulses.max(axis=0), {"long_name": "largest |E| over the pulses", **field}),
        "field_v_per_m": (("pulse", *SPACE), pulses, {"long_name": "|E| of each pulse", **field}),
        "potential_v": (
            ("pulse", *NODES),
            potential,
            {"long_name": "electric potential at the voxel corners", "units": "V", "solver_status": status},
        ),
        "conductivity_s_per_m": (
            ("pulse", *SPACE),
            conductivity,
            {"long_name": "conductivity in the field of the pulse", "units": "S m-1", "solver_status": status},
        ),
    }


def _coverage_maps(scene: Scene, samples: FieldSamples, status: str) -> dict[str, Any]:
    shape = scene.grid.shape
    reversible, irreversible = (
        coverage.voxel_fraction(samples, shape, thresholds[scene.tissue])
        for thresholds in tissue_thresholds_v_per_m(scene)
    )
    tissue_fraction = coverage.tissue_fraction(samples, scene.grid.kernel_grid)
    zone = zone_map(conducting(scene), tissue_fraction, reversible, irreversible)
    share = {"units": "1", "solver_status": status}
    of = "share of the voxel's tissue at or above its"
    return {
        "zone": (SPACE, zone, {"long_name": "zone of most of the voxel", "solver_status": status, **_flags(ZONES)}),
        "coverage_reversible": (SPACE, reversible, {"long_name": f"{of} reversible threshold", **share}),
        "coverage_irreversible": (SPACE, irreversible, {"long_name": f"{of} irreversible threshold", **share}),
        "tissue_fraction": (
            SPACE,
            tissue_fraction,
            {"long_name": "share of the voxel that is tissue, not metal, shaft or air", "units": "1"},
        ),
    }


def conducting(scene: Scene) -> NDArray[np.bool_]:
    """Voxels that are tissue, not air."""
    return ~np.asarray([tissue.insulating for tissue in scene.tissues])[scene.tissue]


def _coordinates(scene: Scene) -> dict[str, Any]:
    grid = scene.grid
    corner = axis_origin_mm(grid)
    coordinates: dict[str, Any] = {
        "pulse": ("pulse", _texts([p.name for p in scene.pulses]), {"long_name": "pulse train"}),
        "structure": ("structure", _texts(list(scene.structures)), {"long_name": "target or avoided structure"}),
    }
    for axis, (name, node) in enumerate(zip(SPACE, NODES, strict=True)):
        n, h = grid.shape[axis], grid.spacing_mm[axis]
        attrs = {"units": "mm", "long_name": f"voxel centre along the grid's axis {axis}", "axis": name.upper()}
        coordinates[name] = (name, corner[axis] + (np.arange(n) + 0.5) * h, attrs)
        attrs = {"units": "mm", "long_name": f"voxel corner along the grid's axis {axis}"}
        coordinates[node] = (node, corner[axis] + np.arange(n + 1) * h, attrs)
    return coordinates


def axis_origin_mm(grid: VoxelGrid) -> NDArray[np.float64]:
    """Low corner of the grid along its own axes (mm): patient coordinates when the axes are the patient's."""
    return np.asarray(grid.corner_mm) @ np.asarray(grid.axes)


def _texts(names: list[str]) -> NDArray[Any]:
    return np.asarray(names, dtype=np.dtypes.StringDType())


def _flags(names: Sequence[str]) -> dict[str, Any]:
    return {"flag_values": list(range(len(names))), "flag_meanings": " ".join(names)}


def _description(scene: Scene, summary: RunSummary) -> dict[str, Any]:
    return {
        "version": summary.porefield,
        "created": summary.created,
        "status": summary.status.value,
        "plan": scene.plan.model_dump_json(),
        "affine": scene.grid.affine.tolist(),
        "space": "RAS",
        "electrodes": [describe_electrode(n, e, scene.grid) for n, e in scene.electrodes.items()],
        "provenance": summary.provenance,
        "summary": summary.model_dump(mode="json"),
    }


def describe_electrode(name: str, electrode: Electrode, grid: VoxelGrid) -> dict[str, Any]:
    """An electrode's geometry in patient RAS mm, for JSON."""
    if isinstance(electrode, Needle):
        return {
            "name": name,
            "kind": "needle",
            "tip_mm": grid.to_patient_mm(np.asarray(electrode.tip_m)).tolist(),
            "direction": grid.direction_to_patient(np.asarray(electrode.direction)).tolist(),
            "diameter_mm": 2e3 * electrode.radius_m,
            "exposed_mm": 1e3 * electrode.exposed_m,
            "shaft_mm": 1e3 * electrode.shaft_m,
            "from_mm": 1e3 * electrode.ahead_m,
            "tip": electrode.tip,
            "tip_length_mm": 1e3 * electrode.profile.tip_length,
            "insulated_mm": [[1e3 * start, 1e3 * stop] for start, stop in electrode.insulation.spans_m],
        }
    if isinstance(electrode, Plate):
        return {
            "name": name,
            "kind": "plate",
            "centre_mm": grid.to_patient_mm(np.asarray(electrode.centre_m)).tolist(),
            "axes": grid.direction_to_patient(np.asarray(electrode.axes)).tolist(),
            "size_mm": [1e3 * s for s in electrode.size_m],
        }
    if isinstance(electrode, Tube):
        return {
            "name": name,
            "kind": "tube",
            "centre_mm": grid.to_patient_mm(np.asarray(electrode.centre_m)).tolist(),
            "axis": grid.direction_to_patient(np.asarray(electrode.axis)).tolist(),
            "inner_diameter_mm": 2e3 * electrode.inner_radius_m,
            "outer_diameter_mm": 2e3 * electrode.outer_radius_m,
            "length_mm": 1e3 * electrode.length_m,
        }
    raise TypeError(f"electrode {name}: expected a Needle, a Plate or a Tube, got {type(electrode).__name__}")
