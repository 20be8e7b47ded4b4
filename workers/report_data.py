"""What the report reads: one result directory, its maps turned so that their axes grow towards R, A and S.

Everything downstream (planes, pictures, tables) works on this one object and knows nothing of the store's layout or
of the axis order that the scan came in.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .store.run_store import open_result

Volume = NDArray[Any]
"""A map of shape (nx, ny, nz), axes growing towards R, A and S as nearly as the grid allows."""

SPACE = ("x", "y", "z")
METAL_ZONE = 3


class Thresholds(NamedTuple):
    """Field thresholds of one tissue, V/cm; None where the plan and the library have none."""

    tissue: str
    reversible_v_per_cm: float | None
    irreversible_v_per_cm: float | None

    @property
    def scale_top_v_per_cm(self) -> float:
        """Where the colour scale is clipped: twice the highest threshold, 1500 V/cm without any."""
        known = [t for t in (self.reversible_v_per_cm, self.irreversible_v_per_cm) if t]
        return 2.0 * max(known) if known else 1500.0


@dataclass(frozen=True)
class DrawnNeedle:
    """A needle, or one band of a probe, in patient millimetres; direction points from the shaft to the tip.

    Metal begins from_mm behind the tip. insulated_mm: (from, to) of the insulated parts of its shaft; None where an
    older store has none: then that is shaft_mm behind the metal. tip_length_mm: from foremost point to full diameter.
    """

    name: str
    tip_mm: NDArray[np.float64]
    direction: NDArray[np.float64]
    diameter_mm: float
    exposed_mm: float
    shaft_mm: float
    from_mm: float = 0.0
    tip: str = "flat"
    tip_length_mm: float = 0.0
    insulated_mm: tuple[tuple[float, float], ...] | None = None

    @property
    def to_mm(self) -> float:
        """Where metal ends, behind the tip."""
        return self.from_mm + self.exposed_mm

    @property
    def spans_mm(self) -> tuple[tuple[float, float], ...]:
        """The insulated parts."""
        if self.insulated_mm is not None:
            return self.insulated_mm
        return ((self.to_mm, self.to_mm + self.shaft_mm),) if self.shaft_mm > 0 else ()

    @property
    def spine_mm(self) -> NDArray[np.float64]:
        """Ends of the exposed part, shape (2, 3), the one nearer to the tip first."""
        return self.tip_mm - np.asarray([[self.from_mm], [self.to_mm]]) * self.direction

    def radius_mm(self, behind_mm: float) -> float:
        """Radius at a distance behind the tip."""
        radius, x = 0.5 * self.diameter_mm, min(behind_mm, self.tip_length_mm)
        if self.tip == "conical":
            return radius * x / self.tip_length_mm
        return math.sqrt(x * (2 * radius - x)) if self.tip == "rounded" else radius


@dataclass(frozen=True)
class DrawnPlate:
    """A rectangular block in patient millimetres; size_mm (width, height, thickness) is measured along its axes."""

    name: str
    centre_mm: NDArray[np.float64]
    axes: NDArray[np.float64]
    size_mm: NDArray[np.float64]

    @property
    def spine_mm(self) -> NDArray[np.float64]:
        """Ends of the middle line along the height, shape (2, 3)."""
        half = 0.5 * self.size_mm[1] * self.axes[1]
        return np.stack([self.centre_mm - half, self.centre_mm + half])


@dataclass(frozen=True)
class DrawnTube:
    """A cylinder in patient millimetres, solid where inner_diameter_mm is 0; axis is a unit vector."""

    name: str
    centre_mm: NDArray[np.float64]
    axis: NDArray[np.float64]
    inner_diameter_mm: float
    outer_diameter_mm: float
    length_mm: float

    @property
    def spine_mm(self) -> NDArray[np.float64]:
        """Ends of the axis, shape (2, 3)."""
        half = 0.5 * self.length_mm * self.axis
        return np.stack([self.centre_mm - half, self.centre_mm + half])


Drawn = DrawnNeedle | DrawnPlate | DrawnTube


@dataclass(frozen=True)
class Result:
    """A result directory opened for reporting.

    Attributes:
        summary: contents of summary.json.
        dataset: the store, not yet loaded, spatial axes in canonical order and direction.
        affine: (4, 4), canonical voxel centre index -> patient RAS mm.
        electrodes: in the plan's order.
        attributes: the store's own root attributes (version, plan, provenance ...).
        robustness: robustness.json of the study that this is the nominal plan of, once it has one.
    """

    summary: Mapping[str, Any]
    dataset: xr.Dataset
    affine: NDArray[np.float64]
    electrodes: tuple[Drawn, ...]
    attributes: Mapping[str, Any]
    robustness: Mapping[str, Any] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        nx, ny, nz = (int(self.dataset.sizes[d]) for d in self.dataset["tissue"].dims)
        return (nx, ny, nz)

    @property
    def spacing_mm(self) -> NDArray[np.float64]:
        return np.linalg.norm(self.affine[:3, :3], axis=0).astype(np.float64)

    @cached_property
    def plan(self) -> Mapping[str, Any]:
        """The plan as it was run; empty where the store has none."""
        plan = self.attributes.get("plan") or {}
        return json.loads(plan) if isinstance(plan, str) else plan

    @property
    def title(self) -> str:
        return str(self.plan.get("title") or self.summary.get("title") or "")

    @property
    def converged(self) -> bool:
        return self.summary.get("status") == "converged"

    @property
    def targets(self) -> Mapping[str, Any]:
        return self.summary.get("targets") or {}

    @property
    def avoided(self) -> Mapping[str, Any]:
        return self.summary.get("avoid") or {}

    @property
    def pulses(self) -> list[Mapping[str, Any]]:
        return list(self.summary.get("pulses") or [])

    @cached_property
    def tissue_names(self) -> tuple[str, ...]:
        """By the tissue map's values; the summary spells them as the plan does, the store without spaces."""
        stored = str(self.dataset["tissue"].attrs.get("flag_meanings", "")).split()
        stated = [str(t["name"]) for t in self.summary.get("tissues") or ()]
        return tuple(stated if len(stated) >= len(stored) else stored)

    @cached_property
    def tissue(self) -> Volume:
        return self.dataset["tissue"].to_numpy()

    @cached_property
    def ct_hu(self) -> Volume | None:
        """The CT behind the anatomy; None where the plan named none."""
        return self.dataset["ct_hu"].to_numpy() if "ct_hu" in self.dataset else None

    @cached_property
    def field_max_v_per_cm(self) -> Volume:
        return self.dataset["field_max_v_per_m"].to_numpy() / np.float32(100)

    @cached_property
    def metal(self) -> Volume:
        """Voxels that are metal or insulated shaft for the most part."""
        if "zone" not in self.dataset:
            return np.zeros(self.shape, bool)
        return self.dataset["zone"].to_numpy() == METAL_ZONE

    @cached_property
    def conducting(self) -> Volume:
        """Where a field means something: tissue, neither metal nor air."""
        inside = ~self.metal
        insulators = {t["name"] for t in self.summary.get("tissues") or () if t.get("insulating")} | {"air"}
        for index, name in enumerate(self.tissue_names):
            if name in insulators:
                inside &= self.tissue != index
        return inside

    def structure(self, name: str) -> Volume | None:
        """The named mask, or None when the store does not hold it."""
        if "structures" not in self.dataset or name not in self.dataset["structure"].to_numpy():
            return None
        return self.dataset["structures"].sel(structure=name).to_numpy() > 0

    def pulse_field_v_per_cm(self, index: int) -> Volume:
        return self.dataset["field_v_per_m"].isel(pulse=index).to_numpy() / np.float32(100)

    def position_mm(self, index: NDArray[np.float64] | tuple[float, ...]) -> NDArray[np.float64]:
        return self.affine[:3, :3] @ np.asarray(index, float) + self.affine[:3, 3]

    def index_of(self, position_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        offset = np.asarray(position_mm, np.float64) - self.affine[:3, 3]
        return np.linalg.inv(self.affine[:3, :3]) @ offset

    @cached_property
    def centre_index(self) -> tuple[int, int, int]:
        """The voxel that slices pass through: middle of the first target, else of all metal, else of the grid."""
        mask = next((m for name in self.targets if (m := self.structure(name)) is not None and m.any()), None)
        if mask is not None:
            centre = np.argwhere(mask).mean(axis=0)
        elif self.electrodes:
            centre = self.index_of(np.mean([e.spine_mm.mean(axis=0) for e in self.electrodes], axis=0))
        else:
            centre = (np.array(self.shape) - 1) / 2
        i, j, k = (int(np.clip(math.floor(c + 0.5), 0, n - 1)) for c, n in zip(centre, self.shape, strict=True))
        return (i, j, k)

    @cached_property
    def thresholds(self) -> Thresholds:
        """Of the tissue that fills most of the first target; of the tissue at the centre without a target."""
        mask = next((m for name in self.targets if (m := self.structure(name)) is not None and m.any()), None)
        index = np.bincount(self.tissue[mask]).argmax() if mask is not None else self.tissue[self.centre_index]
        name = self.tissue_names[int(index)] if int(index) < len(self.tissue_names) else "?"
        return thresholds_of(self.summary, name)


def thresholds_of(summary: Mapping[str, Any], tissue: str) -> Thresholds:
    """The thresholds that summary.json gives for the named tissue."""
    return Thresholds(
        tissue,
        tissue_value(summary, tissue, "reversible_v_per_cm"),
        tissue_value(summary, tissue, "irreversible_v_per_cm"),
    )


def tissue_values(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The values of one entry of summary.json's `tissues`, each a dict with at least `name` and `value`."""
    values = entry.get("values") or []
    if isinstance(values, Mapping):
        values = [{"name": k, **(v if isinstance(v, Mapping) else {"value": v})} for k, v in values.items()]
    return [dict(v) for v in values]


def tissue_value(summary: Mapping[str, Any], tissue: str, name: str) -> float | None:
    """One number of one tissue, or None where summary.json has none."""
    for entry in summary.get("tissues") or ():
        if entry.get("name") != tissue:
            continue
        if isinstance(entry.get(name), int | float):
            return float(entry[name])
        for value in tissue_values(entry):
            if value["name"] == name and isinstance(value.get("value"), int | float):
                return float(value["value"])
    return None


def read_result(result_dir: Path) -> Result:
    """Open a result directory.

    Raises:
        FileNotFoundError: the directory lacks summary.json or result.zarr.
        ValueError: the store lacks what the report stands on.
    """
    for name in ("summary.json", "result.zarr"):
        if not (result_dir / name).exists():
            raise FileNotFoundError(f"{result_dir}: expected a result directory, which holds {name}; it does not")
    summary = json.loads((result_dir / "summary.json").read_text(encoding="utf-8"))
    dataset = open_result(result_dir / "result.zarr")
    attributes = dataset.attrs.get("porefield")
    missing = [v for v in ("tissue", "field_max_v_per_m", "field_v_per_m") if v not in dataset]
    if missing or not isinstance(attributes, Mapping) or "affine" not in attributes:
        raise ValueError(
            f"{result_dir}: expected maps and attributes as porefield writes them, lacks {missing or 'affine'}"
        )
    dataset, affine = canonical(dataset, np.asarray(attributes["affine"], float))
    electrodes = tuple(drawn_electrode(e) for e in attributes.get("electrodes") or ())
    return Result(summary, dataset, affine, electrodes, attributes, _study_of(result_dir))


def _study_of(result_dir: Path) -> Mapping[str, Any] | None:
    """The estimates of the study whose `nominal` result this is, also while it is being written under another name."""
    estimates = result_dir.parent / "robustness.json"
    if not result_dir.name.lstrip(".").startswith("nominal") or not estimates.is_file():
        return None
    return json.loads(estimates.read_text(encoding="utf-8"))


def canonical(dataset: xr.Dataset, affine: NDArray[np.float64]) -> tuple[xr.Dataset, NDArray[np.float64]]:
    """Permute and flip the spatial axes so that they grow towards R, A and S as nearly as they can; lazy."""
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    order = max(itertools.permutations(range(3)), key=lambda p: sum(abs(cosines[a, p[a]]) for a in range(3)))
    turned = np.eye(4)
    flips: dict[str, slice] = {}
    turned[:3, 3] = affine[:3, 3]
    for patient_axis, grid_axis in enumerate(order):
        column = affine[:3, grid_axis]
        if column[patient_axis] < 0:
            turned[:3, 3] += column * (dataset.sizes[SPACE[grid_axis]] - 1)
            flips[SPACE[grid_axis]] = slice(None, None, -1)
            column = -column
        turned[:3, patient_axis] = column
    dataset = dataset.isel(flips).transpose(..., *(SPACE[a] for a in order), missing_dims="ignore")
    return dataset, turned


def drawn_electrode(entry: Mapping[str, Any]) -> Drawn:
    """One entry of the store's `electrodes` attribute."""
    if "tip_mm" in entry:
        return DrawnNeedle(
            entry["name"],
            np.asarray(entry["tip_mm"], float),
            np.asarray(entry["direction"], float) / np.linalg.norm(entry["direction"]),
            float(entry["diameter_mm"]),
            float(entry["exposed_mm"]),
            float(entry.get("shaft_mm") or 0.0),
            float(entry.get("from_mm") or 0.0),
            str(entry.get("tip") or "flat"),
            float(entry.get("tip_length_mm") or 0.0),
            tuple((float(a), float(b)) for a, b in entry["insulated_mm"]) if "insulated_mm" in entry else None,
        )
    if entry.get("kind") == "tube":
        return DrawnTube(
            entry["name"],
            np.asarray(entry["centre_mm"], float),
            np.asarray(entry["axis"], float) / np.linalg.norm(entry["axis"]),
            float(entry["inner_diameter_mm"]),
            float(entry["outer_diameter_mm"]),
            float(entry["length_mm"]),
        )
    return DrawnPlate(
        entry["name"],
        np.asarray(entry["centre_mm"], float),
        np.asarray(entry["axes"], float),
        np.asarray(entry["size_mm"], float),
    )
