"""The scene of a plan: tissue on a voxel grid, electrodes, structures and pulses, ready for the kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernels.electrodes import Electrode
from ..kernels.problem import Factors, FieldProblem, Sheet
from .errors import GeometryError, PlanError, Problem, one_of
from .generators import Generator, choose_generator
from .legend import Legend, check_names, legend_of
from .memory import check_memory
from .notes import Note
from .painting import index_tissues, paint
from .placement import check_apart, check_in_tissue, place
from .plan import Plan
from .plan_electrodes import Pulse
from .remarks import remarks
from .scan import open_scan
from .series import absent_sheets, axis_factors, contacts_ohm_m2, place_sheets
from .sources import Source, open_phantom
from .tissues import Tissue, load_tissues
from .tubes import check_resolved
from .voxels import VoxelGrid
from .window import solve_grid

PROBE_V = 1.0
"""Voltage of a pulse whose current is prescribed, until the voltage that drives it is known. So little that tissue
stays at rest: one linear solve tells its resistance."""


@dataclass(frozen=True)
class PulseSetup:
    """One pulse train with the potential of every electrode.

    Attributes:
        name: unique among the plan's pulses.
        voltage_v, current_a: what the plan prescribes; the other one is None.
        potentials_v: in the order of the scene's electrodes: anodes at voltage_v (at PROBE_V where the current is
            prescribed), cathodes at 0, None floats.
        spacing_mm: between anodes and cathodes, of the trains of a protocol.
    """

    name: str
    anodes: tuple[str, ...]
    cathodes: tuple[str, ...]
    voltage_v: float | None
    count: int
    width_us: float
    frequency_hz: float
    potentials_v: tuple[float | None, ...]
    current_a: float | None = None
    spacing_mm: float | None = None


@dataclass(frozen=True, eq=False)
class Scene:
    """A plan on its anatomy.

    Attributes:
        plan: what was asked for.
        grid: voxels of the solve and their place in the patient.
        tissue: index into `tissues` for each voxel, uint8, shape grid.shape.
        tissues: those that occur in the grid.
        structures: voxels of every target and every avoided structure by name, bool, shape grid.shape.
        targets: names of the targets, in the plan's order.
        avoid: limit of every avoided structure that has voxels in the grid, V/cm.
        electrodes: by name, in metres along the grid's axes.
        pulses: in the plan's order.
        generator: the plan's, or None.
        notes: what a reader of the result must know.
        provenance: input files with their hashes, and how the grid was made.
        axis_factors: factors on the conductivity of each tissue along the grid's axes; None where all is isotropic.
        contact_ohm_m2: of each electrode; None where there is none.
        sheets: resistive layers between tissues that occur in the grid.
        ct_hu: the scan behind the anatomy, HU at the voxels' centres; None where the plan names none.
    """

    plan: Plan
    grid: VoxelGrid
    tissue: NDArray[np.uint8]
    tissues: tuple[Tissue, ...]
    structures: Mapping[str, NDArray[np.bool_]]
    targets: tuple[str, ...]
    avoid: Mapping[str, float]
    electrodes: Mapping[str, Electrode]
    pulses: tuple[PulseSetup, ...]
    generator: Generator | None
    notes: tuple[Note, ...]
    provenance: Mapping[str, Any]
    axis_factors: tuple[Factors, ...] | None = None
    contact_ohm_m2: tuple[float, ...] | None = None
    sheets: tuple[Sheet, ...] = ()
    ct_hu: NDArray[np.int16] | None = None

    def problem(self, pulse_index: int) -> FieldProblem:
        """The kernels' problem of one pulse; where it prescribes the current, at PROBE_V."""
        return FieldProblem(
            self.grid.kernel_grid,
            self.tissue,
            tuple(tissue.law for tissue in self.tissues),
            tuple(self.electrodes.values()),
            self.pulses[pulse_index].potentials_v,
            axis_factors=self.axis_factors,
            contact_ohm_m2=self.contact_ohm_m2,
            sheets=self.sheets,
        )


def build_scene(plan: Plan, *, base_dir: Path | None = None, anatomy: Path | None = None) -> Scene:
    """Put a plan on its anatomy.

    Args:
        plan: checked by itself.
        base_dir: where the plan's relative paths start; the folder of its file by default.
        anatomy: the label map, or a folder to look for the plan's files in, named for this run.

    Raises:
        PlanError: a tissue, structure or generator that does not exist.
        AnatomyError: a file that cannot be used.
        GeometryError: electrodes outside the tissue or touching; a target without voxels.
        ResourceError: too large for the memory that is free.
    """
    return SceneBuilder(plan, base_dir=base_dir, anatomy=anatomy).build(plan)


class SceneBuilder:
    """Scenes of many variants of one plan: files are read, and the grid is chosen, once, for the first.

    A variant with other electrodes, shapes, tissues or pulses is solved on the same voxels as the first; one with
    another `grid` or another source of anatomy is built from scratch.
    """

    def __init__(
        self, plan: Plan, *, base_dir: Path | None = None, anatomy: Path | None = None, most_voxels: int | None = None
    ) -> None:
        """Read the plan's anatomy, and choose the grid; see `build_scene` for arguments and errors.

        Args:
            most_voxels: a larger grid is a PlanError, here and in `build`.
        """
        self._base_dir, self._anatomy, self._most_voxels = base_dir or plan.folder, anatomy, most_voxels
        self._plan = plan
        tissues = load_tissues(plan.tissues)
        _check_tissue_names(plan, tissues)
        choose_generator(plan.generator)
        self._source = _open(plan, tissues, self._base_dir, anatomy)
        legend = legend_of(plan, self._source)
        check_names(plan, self._source, legend, tissues)
        self._grid, self._grid_notes = solve_grid(plan, self._source, legend)
        voxels = prod(self._grid.shape)
        if most_voxels is not None and voxels > most_voxels:
            raise PlanError.of("grid.spacing_mm", f"at most {most_voxels} voxels", str(voxels))
        self._codes: NDArray[np.uint16] | None = None
        self._ct_hu: NDArray[np.int16] | None = None

    def build(self, plan: Plan) -> Scene:
        """The scene of a variant; errors as `build_scene`."""
        if plan.grid != self._plan.grid or not _same_source(plan, self._plan):
            where: dict[str, Any] = {"base_dir": self._base_dir, "anatomy": self._anatomy}
            return SceneBuilder(plan, **where, most_voxels=self._most_voxels).build(plan)
        check_memory(self._grid, len(plan.trains), "grid.spacing_mm")
        if self._codes is None:
            self._codes = self._source.on_grid(self._grid, plan.grid.resampling)
            self._ct_hu = self._source.ct_on_grid(self._grid)
        return replace(self._scene(plan, self._grid, self._codes), ct_hu=self._ct_hu)

    def build_coarser(self, ratio: float) -> Scene:
        """The first plan in the same box with voxels about `ratio` times as large, to tell what the voxels' size does.

        Electrodes stay exactly where they are. Targets that have no voxels any more are left out of it.

        Raises:
            PorefieldError: as `build_scene`; electrodes that larger voxels do not resolve.
        """
        grid = self._grid.coarser(ratio)
        codes = self._source.on_grid(grid, self._plan.grid.resampling)
        return self._scene(self._plan, grid, codes, need_targets=False)

    def _scene(self, plan: Plan, grid: VoxelGrid, source_codes: NDArray[np.uint16], need_targets: bool = True) -> Scene:
        tissues = load_tissues(plan.tissues)
        _check_tissue_names(plan, tissues)
        generator = choose_generator(plan.generator)
        source = self._source
        legend = legend_of(plan, source)
        check_names(plan, source, legend, tissues)
        codes = paint(plan, source_codes, legend, grid)
        tissue, used = index_tissues(codes, legend, tissues)
        electrodes = {conductor.name: place(conductor, grid) for conductor in plan.conductors}
        notes = [*self._grid_notes]
        air = np.asarray([t.insulating for t in used])[tissue]
        notes += check_in_tissue(plan.conductors, grid, air)
        notes += check_resolved(plan.conductors, grid, air)
        notes += absent_sheets(plan, used, tissue)
        notes += check_apart(plan.conductors, tuple(electrodes.values()), max(grid.spacing_mm))
        structures = _structures(plan, legend, codes, need_targets)
        return Scene(
            plan=plan,
            grid=grid,
            tissue=tissue,
            tissues=used,
            structures=structures,
            targets=tuple(name for name in plan.targets if name in structures),
            avoid={name: limit.max_v_per_cm for name, limit in plan.avoid.items() if name in structures},
            electrodes=electrodes,
            pulses=_pulses(plan),
            generator=generator,
            notes=(*source.notes, *notes, *remarks(plan, used, structures, generator)),
            provenance=_provenance(plan, source, grid),
            axis_factors=axis_factors(used, grid),
            contact_ohm_m2=contacts_ohm_m2(plan),
            sheets=place_sheets(plan, used),
        )


def _same_source(plan: Plan, other: Plan) -> bool:
    one, two = plan.anatomy, other.anatomy
    return (one.phantom, one.label_map, one.masks, one.ct) == (two.phantom, two.label_map, two.masks, two.ct)


def _open(plan: Plan, tissues: Mapping[str, Tissue], folder: Path | None, anatomy: Path | None) -> Source:
    if plan.anatomy.phantom is not None:
        return open_phantom(plan.anatomy.phantom)
    return open_scan(plan.anatomy, tissues.keys(), folder, anatomy)


def _check_tissue_names(plan: Plan, tissues: Mapping[str, Tissue]) -> None:
    stated = [(f"anatomy.add[{i}].tissue", shape.tissue) for i, shape in enumerate(plan.anatomy.add)]
    stated += [(f"sheets[{i}].between[{j}]", n) for i, s in enumerate(plan.sheets) for j, n in enumerate(s.between)]
    if plan.anatomy.phantom is not None:
        stated.insert(0, ("anatomy.phantom.tissue", plan.anatomy.phantom.tissue))
    problems = [
        Problem(field, f"a tissue, {one_of(tissues, name)}", name) for field, name in stated if name not in tissues
    ]
    if problems:
        raise PlanError(problems)


def _structures(
    plan: Plan, legend: Legend, codes: NDArray[np.uint16], need_targets: bool
) -> dict[str, NDArray[np.bool_]]:
    """Voxels of targets and avoided structures; an avoided one without voxels is left out, a target if it may be."""
    structures: dict[str, NDArray[np.bool_]] = {}
    for name in dict.fromkeys((*plan.targets, *plan.avoid)):
        members = np.zeros(len(legend.entries), bool)
        members[list(legend.codes(name))] = True
        mask = members[codes]
        if mask.any():
            structures[name] = mask
        elif need_targets and name in plan.targets:
            field = f"targets[{plan.targets.index(name)}]"
            raise GeometryError.of(field, "a structure with voxels in the solved region", f"{name}, which has none")
    return structures


def _pulses(plan: Plan) -> tuple[PulseSetup, ...]:
    trains, conductors = plan.trains, [conductor.name for conductor in plan.conductors]
    names = [t.pulse.name or f"{'+'.join(t.pulse.anode)}-{'+'.join(t.pulse.cathode)}" for t in trains]
    setups: list[PulseSetup] = []
    for i, train in enumerate(trains):
        pulse = train.pulse
        earlier = names[:i].count(names[i])
        name = names[i] if not earlier else f"{names[i]} ({earlier + 1})"
        setups.append(
            PulseSetup(
                name,
                pulse.anode,
                pulse.cathode,
                pulse.voltage_v,
                pulse.count,
                pulse.width_us,
                pulse.frequency_hz,
                tuple(_potential_v(pulse, name) for name in conductors),
                pulse.current_a,
                train.spacing_mm,
            )
        )
    return tuple(setups)


def _potential_v(pulse: Pulse, electrode: str) -> float | None:
    if electrode in pulse.anode:
        return PROBE_V if pulse.voltage_v is None else pulse.voltage_v
    return 0.0 if electrode in pulse.cathode else None


def _provenance(plan: Plan, source: Source, grid: VoxelGrid) -> dict[str, Any]:
    made = {
        "shape": list(grid.shape),
        "spacing_mm": list(grid.spacing_mm),
        "affine": grid.affine.tolist(),
        "resampling": plan.grid.resampling if plan.anatomy.phantom is None else None,
    }
    markups = {"markups": list(plan.markups)} if plan.markups else {}
    return {**source.provenance, **markups, "grid": made}
