"""From a solved scene to its summary: certificates, currents against the generator, measures, warnings."""

from __future__ import annotations

import functools
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from math import prod
from typing import Any

from ..kernels.sampling import FieldSamples
from ..kernels.solution import Solution, SolveStatus
from ..meshes.generators import Generator
from ..meshes.plan import Plan
from ..meshes.plan_tissues import OHM_M2_PER_OHM_CM2
from ..meshes.scene import Scene
from ..meshes.series import sheets_in
from ..meshes.tissues import Tissue
from .limits import generator_current_a
from .measures import finite, measure_avoided, measure_targets, measure_volumes
from .solve import currents_by_name, fits_generator, voltage_of
from .summary import (
    DISCLAIMER,
    AvoidMeasures,
    GridSummary,
    NoteSummary,
    PulseSummary,
    RunSummary,
    SheetSummary,
    SolverCertificate,
    worst_status,
)

LIBRARIES = ("porefield", "jax", "numpy", "scipy", "xarray", "zarr", "pydantic", "nibabel")


def summarise(
    scene: Scene,
    solutions: Sequence[Solution],
    samples: FieldSamples,
    fitting_v: Sequence[float | None],
) -> RunSummary:
    """The summary of a run; `fitting_v` is the voltage at the current limit of each pulse, where it was exceeded.

    Its timings are left to the caller, who is still taking them.
    """
    pulses = [summarise_pulse(scene, i, s, v) for i, (s, v) in enumerate(zip(solutions, fitting_v, strict=True))]
    avoid = measure_avoided(scene, samples)
    grid = scene.grid
    nx, ny, nz = grid.shape
    return RunSummary(
        porefield=version_of("porefield"),
        status=worst_status([pulse.solver.status for pulse in pulses]),
        disclaimer=DISCLAIMER,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        pulses=pulses,
        volumes_mm3=measure_volumes(scene, samples),
        targets=measure_targets(scene, samples),
        avoid=avoid,
        warnings=warnings_of(scene, pulses, avoid),
        notes=[NoteSummary(kind=note.kind, message=note.message) for note in scene.notes],
        tissues=[describe_tissue(tissue) for tissue in scene.tissues],
        contact_resistance_ohm_cm2=contacts_of(scene),
        sheets=[
            SheetSummary(
                between=[scene.tissues[sheet.holder].name, scene.tissues[sheet.other].name],
                resistance_ohm_cm2=sheet.resistance_ohm_m2 / OHM_M2_PER_OHM_CM2,
                layer=stated.layer,
                values=[{"name": value.quantity, **value.as_dict()} for value in stated.values],
            )
            for sheet, stated in zip(scene.sheets, sheets_in(scene.plan, scene.tissues), strict=True)
        ],
        generator=describe_generator(scene.generator),
        devices=describe_devices(scene.plan),
        protocol=None if scene.plan.protocol is None else scene.plan.protocol.describe(),
        grid=GridSummary(
            shape=(nx, ny, nz), spacing_mm=grid.spacing_mm, voxels=prod(grid.shape), affine=grid.affine.tolist()
        ),
        provenance=dict(scene.provenance),
        timings_s={},
        versions={"python": platform.python_version(), **{name: version_of(name) for name in LIBRARIES}},
        device=solutions[0].device,
    )


def summarise_pulse(scene: Scene, index: int, solution: Solution, fitting_v: float | None) -> PulseSummary:
    """One pulse; a solve that did not converge is held against no limit."""
    pulse = scene.pulses[index]
    currents = currents_by_name(scene, solution)
    potentials = dict(zip(scene.electrodes, solution.electrode_potentials_v, strict=True))
    drawn_a = generator_current_a(pulse, currents)
    return PulseSummary(
        name=pulse.name,
        anodes=list(pulse.anodes),
        cathodes=list(pulse.cathodes),
        voltage_v=voltage_of(scene, pulse, solution),
        current_a=pulse.current_a,
        count=pulse.count,
        width_us=pulse.width_us,
        frequency_hz=pulse.frequency_hz,
        spacing_mm=pulse.spacing_mm,
        currents_a={name: finite(a) for name, a in currents.items()},
        electrode_potentials_v={name: finite(v) for name, v in potentials.items()},
        generator_current_a=finite(drawn_a),
        peak_power_w=finite(sum(currents[name] * potentials[name] for name in currents)),
        within_generator_limits=fits_generator(scene, pulse, solution) if solution.converged else None,
        contact_drops_v=contact_drops(scene, solution),
        voltage_at_current_limit_v=fitting_v,
        solver=SolverCertificate(
            status=solution.status,
            relative_residual=finite(solution.relative_residual),
            tolerance=solution.tolerance,
            current_imbalance=finite(solution.current_imbalance),
            power_imbalance=finite(solution.power_imbalance),
            newton_steps=list(solution.newton_steps),
            cg_iterations=list(solution.cg_iterations),
            definite=solution.definite,
        ),
    )


def contacts_of(scene: Scene) -> dict[str, float]:
    """Contact resistance (ohm cm2) of the electrodes that have one."""
    found = dict(zip(scene.electrodes, scene.contact_ohm_m2 or (), strict=False))
    return {name: r / OHM_M2_PER_OHM_CM2 for name, r in found.items() if r}


def contact_drops(scene: Scene, solution: Solution) -> dict[str, float | None] | None:
    """Mean drop (V) over the contacts of the electrodes that have one; None where none has."""
    having = contacts_of(scene)
    if not having or solution.contact_drops_v is None:
        return None
    drops = dict(zip(scene.electrodes, solution.contact_drops_v, strict=True))
    return {name: finite(drops[name]) for name in having}


def warnings_of(scene: Scene, pulses: Sequence[PulseSummary], avoid: Mapping[str, AvoidMeasures]) -> list[str]:
    """What may change a reader's conclusions, the gravest first."""
    found = [
        f"pulse {pulse.name}: the solver did not converge ({pulse.solver.status}, residual "
        f"{_residual(pulse.solver.relative_residual)} against {pulse.solver.tolerance:.1e}): "
        "no number and no map of this result is to be relied on"
        for pulse in pulses
        if pulse.solver.status is not SolveStatus.CONVERGED
    ]
    found += [
        f"pulse {pulse.name}: the equations' matrix was not shown to be definite at the solution, so that another one "
        "may be near: solve on other voxels and compare"
        for pulse in pulses
        if pulse.solver.definite is False
    ]
    found += [over_current(pulse, scene.generator) for pulse in pulses if _too_much(pulse, scene.generator)]
    found += [over_voltage(pulse, scene.generator) for pulse in pulses if _too_high(pulse, scene.generator)]
    found += [
        f"{name}: {measured.max_v_per_cm:.0f} V/cm exceeds its limit of {measured.limit_v_per_cm:g} V/cm, in "
        f"{measured.volume_above_limit_mm3 or 0:.3g} mm3"
        for name, measured in avoid.items()
        if measured.exceeded and measured.max_v_per_cm is not None
    ]
    notes = [note for note in scene.notes if note.warning]
    # most values of tissues are unverified: a capped voltage or a bare shaft would be lost among them
    return found + [note.message for note in sorted(notes, key=lambda note: note.kind == "unverified_value")]


def over_current(pulse: PulseSummary, generator: Generator | None) -> str:
    """The warning of a pulse that draws more than the generator delivers."""
    assert generator is not None
    text = f"pulse {pulse.name}: {pulse.generator_current_a:.3g} A exceeds the {generator.max_current_a:g} A of "
    text += generator.title
    if pulse.voltage_at_current_limit_v is not None:
        text += f"; about {pulse.voltage_at_current_limit_v:.0f} V would draw what it delivers"
    return text


def over_voltage(pulse: PulseSummary, generator: Generator | None) -> str:
    """The warning of a pulse whose current takes more voltage than the generator has."""
    assert generator is not None
    return (
        f"pulse {pulse.name}: {pulse.current_a:g} A take {pulse.voltage_v:.0f} V, more than the "
        f"{generator.max_voltage_v:g} V of {generator.title}"
    )


def _too_high(pulse: PulseSummary, generator: Generator | None) -> bool:
    """Only of a prescribed current: of a prescribed voltage the plan's own remarks tell."""
    return generator is not None and pulse.current_a is not None and pulse.voltage_v > generator.max_voltage_v


def _too_much(pulse: PulseSummary, generator: Generator | None) -> bool:
    current_a = pulse.generator_current_a if pulse.current_a is None else pulse.current_a
    return generator is not None and current_a is not None and current_a > generator.max_current_a


def _residual(value: float | None) -> str:
    return "not a number" if value is None else f"{value:.1e}"


def describe_tissue(tissue: Tissue) -> dict[str, Any]:
    """A tissue with every value's provenance, for JSON."""
    return {
        "name": tissue.name,
        "law": tissue.law_name,
        "verified": tissue.verified,
        "insulating": tissue.insulating,
        "anisotropy": describe_fibres(tissue),
        "values": [{"name": value.quantity, **value.as_dict()} for value in tissue.values],
        "thermal": [{"name": value.quantity, **value.as_dict()} for value in tissue.thermal],
        "note": tissue.note,
    }


def describe_fibres(tissue: Tissue) -> dict[str, Any] | None:
    """A tissue's fibres, for JSON."""
    if tissue.anisotropy is None:
        return None
    return {"along": list(tissue.anisotropy.along), "ratio": tissue.anisotropy.ratio.value}


def describe_generator(generator: Generator | None) -> dict[str, Any] | None:
    """A generator and its limits, for JSON."""
    if generator is None:
        return None
    return {
        "name": generator.name,
        "title": generator.title,
        "max_voltage_v": generator.max_voltage_v,
        "max_current_a": generator.max_current_a,
        "limits": dict(generator.limits),
        "source": generator.source,
        "verified": generator.verified,
        "note": generator.note,
    }


def describe_devices(plan: Plan) -> list[dict[str, Any]]:
    """The plan's electrodes from the library, for JSON."""
    return [{"name": e.name, **e.device.describe()} for e in plan.electrodes if e.device is not None]


@functools.cache
def version_of(distribution: str) -> str:
    """Installed version of a library; 'unknown' when it runs from an unpacked tree without metadata."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"
