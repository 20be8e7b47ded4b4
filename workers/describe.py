"""What a plan was understood to mean, without solving it: for `porefield validate` and for anyone about to queue it."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from ..kernels.field import estimate_bytes
from ..meshes.plan import Plan
from ..meshes.scene import Scene, build_scene
from .dataset import describe_electrode
from .summarise import describe_devices, describe_fibres, describe_generator
from .summary import GridSummary, NoteSummary


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StructureDescription(_Part):
    """A target or avoided structure in the grid."""

    name: str
    role: str
    volume_mm3: float
    limit_v_per_cm: float | None


class TissueDescription(_Part):
    """A tissue in the grid; the thresholds of one without cells to permeabilise are null."""

    name: str
    law: str
    volume_mm3: float
    reversible_v_per_cm: float | None
    irreversible_v_per_cm: float | None
    verified: bool
    anisotropy: dict[str, Any] | None


class PulseDescription(_Part):
    """One pulse train as it will be solved."""

    name: str
    anodes: list[str]
    cathodes: list[str]
    floating: list[str]
    voltage_v: float | None
    current_a: float | None
    count: int
    width_us: float
    frequency_hz: float
    spacing_mm: float | None = None


class PlanDescription(_Part):
    """The whole of it."""

    title: str
    grid: GridSummary
    memory_bytes: int
    tissues: list[TissueDescription]
    structures: list[StructureDescription]
    electrodes: list[dict[str, Any]]
    pulses: list[PulseDescription]
    generator: dict[str, Any] | None
    devices: list[dict[str, Any]]
    protocol: dict[str, Any] | None
    notes: list[NoteSummary]
    warnings: list[str]
    provenance: dict[str, Any]


def describe_plan(plan: Plan, *, base_dir: Path | None = None, anatomy: Path | None = None) -> PlanDescription:
    """Build the plan's scene, which checks all of it, and say what is in it.

    Raises:
        PorefieldError: as `build_scene` does.
    """
    return describe_scene(build_scene(plan, base_dir=base_dir, anatomy=anatomy))


def describe_scene(scene: Scene) -> PlanDescription:
    """What is in a scene."""
    grid = scene.grid
    nx, ny, nz = grid.shape
    return PlanDescription(
        title=scene.plan.title,
        grid=GridSummary(
            shape=(nx, ny, nz), spacing_mm=grid.spacing_mm, voxels=prod(grid.shape), affine=grid.affine.tolist()
        ),
        memory_bytes=estimate_bytes(grid.kernel_grid, len(scene.pulses)),
        tissues=_tissues(scene),
        structures=_structures(scene),
        electrodes=[describe_electrode(name, e, grid) for name, e in scene.electrodes.items()],
        pulses=_pulses(scene),
        generator=describe_generator(scene.generator),
        devices=describe_devices(scene.plan),
        protocol=None if scene.plan.protocol is None else scene.plan.protocol.describe(),
        notes=[NoteSummary(kind=note.kind, message=note.message) for note in scene.notes],
        warnings=[note.message for note in scene.notes if note.warning],
        provenance=dict(scene.provenance),
    )


def _tissues(scene: Scene) -> list[TissueDescription]:
    voxels = np.bincount(scene.tissue.reshape(-1), minlength=len(scene.tissues))
    return [
        TissueDescription(
            name=tissue.name,
            law=tissue.law_name,
            volume_mm3=int(n) * scene.grid.voxel_volume_mm3,
            reversible_v_per_cm=tissue.thresholds[0].value,
            irreversible_v_per_cm=tissue.thresholds[1].value,
            verified=tissue.verified,
            anisotropy=describe_fibres(tissue),
        )
        for tissue, n in zip(scene.tissues, voxels, strict=True)
    ]


def _structures(scene: Scene) -> list[StructureDescription]:
    found: list[StructureDescription] = []
    for name, mask in scene.structures.items():
        roles = [role for role, names in (("target", scene.targets), ("avoid", scene.avoid)) if name in names]
        volume_mm3 = int(np.count_nonzero(mask)) * scene.grid.voxel_volume_mm3
        limit = scene.avoid.get(name)
        role = " and ".join(roles)
        found.append(StructureDescription(name=name, role=role, volume_mm3=volume_mm3, limit_v_per_cm=limit))
    return found


def _pulses(scene: Scene) -> list[PulseDescription]:
    return [
        PulseDescription(
            name=pulse.name,
            anodes=list(pulse.anodes),
            cathodes=list(pulse.cathodes),
            floating=[n for n, v in zip(scene.electrodes, pulse.potentials_v, strict=True) if v is None],
            voltage_v=pulse.voltage_v,
            current_a=pulse.current_a,
            count=pulse.count,
            width_us=pulse.width_us,
            frequency_hz=pulse.frequency_hz,
            spacing_mm=pulse.spacing_mm,
        )
        for pulse in scene.pulses
    ]
