"""Notes on a plan that do not stop it: values nobody verified, limits exceeded, names without voxels."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .generators import Generator
from .notes import Note
from .plan import Plan
from .remarks_devices import remarks_on_devices
from .series import sheets_in
from .tissues import Tissue


def remarks(
    plan: Plan, tissues: Sequence[Tissue], structures: Collection[str], generator: Generator | None
) -> list[Note]:
    """All of them.

    Args:
        plan: checked.
        tissues: those in the grid.
        structures: targets and avoided structures that have voxels in the grid.
        generator: the plan's.
    """
    return [
        *_unverified(tissues, generator),
        *_unverified_layers(plan, tissues),
        *_generic_thresholds(plan, tissues),
        *_absent(plan, structures),
        *_idle(plan),
        *_over_limit(plan, generator),
        *remarks_on_devices(plan, generator),
    ]


def _unverified(tissues: Sequence[Tissue], generator: Generator | None) -> list[Note]:
    notes: list[Note] = []
    for tissue in tissues:
        if tissue.unverified:
            what = ", ".join(f"{value.quantity} ({value.status.value})" for value in tissue.unverified)
            notes.append(Note("unverified_value", f"{tissue.name}: unverified {what}", warning=True))
    if generator is not None and not generator.verified:
        text = f"{generator.title}: its limits were not checked against the maker's data"
        notes.append(Note("unverified_generator", text))
    return notes


def _unverified_layers(plan: Plan, tissues: Sequence[Tissue]) -> list[Note]:
    notes: dict[str, Note] = {}
    for sheet in sheets_in(plan, tissues):
        doubtful = [value for value in sheet.values if not value.verified]
        if sheet.layer is not None and doubtful:
            what = ", ".join(f"{value.quantity} ({value.status.value})" for value in doubtful)
            notes[sheet.layer] = Note("unverified_value", f"{sheet.layer}: unverified {what}", warning=True)
    return list(notes.values())


def _generic_thresholds(plan: Plan, tissues: Sequence[Tissue]) -> list[Note]:
    notes: list[Note] = []
    for tissue in tissues:
        if tissue.assumed_thresholds and tissue.name in plan.tissues:
            text = f"{tissue.name}: no thresholds in the plan, {tissue.reversible_v_per_cm:g} and "
            text += f"{tissue.irreversible_v_per_cm:g} V/cm assumed"
            notes.append(Note("generic_thresholds", text, warning=True))
    return notes


def _absent(plan: Plan, structures: Collection[str]) -> list[Note]:
    text = "to be spared, has no voxels in the solved region: nothing is measured in it"
    return [
        Note("avoided_structure_absent", f"{name}, {text}", warning=True)
        for name in plan.avoid
        if name not in structures
    ]


def _idle(plan: Plan) -> list[Note]:
    used = {name for train in plan.trains for name in (*train.pulse.anode, *train.pulse.cathode)}
    return [
        Note("electrode_not_pulsed", f"electrode {electrode.name} is in no pulse: it floats throughout")
        for electrode in plan.conductors
        if electrode.name not in used
    ]


def _over_limit(plan: Plan, generator: Generator | None) -> list[Note]:
    if generator is None:
        return []
    too_much = [
        Note(
            "current_above_generator",
            f"pulses[{i}].current_a is {pulse.current_a:g} A; {generator.title} delivers {generator.max_current_a:g} A",
            warning=True,
        )
        for i, pulse in enumerate(plan.pulses)
        if pulse.current_a is not None and pulse.current_a > generator.max_current_a
    ]
    return too_much + [
        Note(
            "voltage_above_generator",
            f"pulses[{i}].voltage_v is {pulse.voltage_v:g} V; {generator.title} delivers {generator.max_voltage_v:g} V",
            warning=True,
        )
        for i, pulse in enumerate(plan.pulses)
        if pulse.voltage_v is not None and pulse.voltage_v > generator.max_voltage_v
    ]
