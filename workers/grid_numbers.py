"""The numbers of a result that depend on the voxels' size, and how far each may be from what infinitely fine voxels
would give.

f_h    the number on the plan's own voxels; f_rh on voxels r times as large, in the same box
U      = F max over r of |f_h - f_rh| / (r^p - 1)

This is the grid convergence index of P. J. Roache, "Verification of codes and calculations", AIAA Journal 36 (1998)
696-702: the error that Richardson's extrapolation expects for an assumed order p, times a factor of safety F = 3, his
for orders that are assumed and not observed. An order cannot be observed from a few grids here: conductors keep their
exact place between the voxels, and a number goes up and down by a little with how they lie. For the same reason two
ratios, and the larger of both answers: one difference alone is small by chance now and then. How often the true error
lies within U: docs/certificate.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from .summary import ZONES, AvoidMeasures, GridNumber, PulseSummary, RunSummary, TargetMeasures

RATIOS = (2.0, 1.5)
"""Of the voxels' edges. Cost 1/8 + 1/3.4 of the plan's own solves. Against finite elements (currents, volumes and
coverage of four cases at 0.8 to 1.5 mm, 115 numbers) U held 97 % of the true errors with both, 85 and 90 % with one."""
SAFETY = 3.0
"""With 1.25, as for orders that were observed, 85 %."""
ORDER = 2.0
"""Of the error: as measured where the exact solution is known (coaxial and spherical electrodes, tests/kernels)."""

NO_VALUE = "not known on all voxel sizes"
NOT_FOUND = "the structure has no voxels when they are larger"
AT_BOUND = "0 or 1 on all voxel sizes: the field's quantiles say by how much"
NONE_THERE = "nothing reaches it on any voxel size"
AT_EDGE = (
    "does not converge: the structure touches an edge of bare metal, where the field has no upper bound; smaller "
    "voxels give a larger number"
)

AT_STEPS = (
    "does not converge: where tissues meet, voxels make steps, whose corners raise and lower the field beside them "
    "whatever the voxels' size"
)

LARGEST = frozenset({"max", "max_v_per_cm"})
TAILS = LARGEST | {"min", "q01", "q02", "q05"}
"""The steps are a layer of half a voxel, which holds more than these shares of any structure worth naming."""

Pointer = str
"""JSON pointer (RFC 6901) into summary.json."""


def grid_numbers(
    own: RunSummary, others: Sequence[RunSummary], ratios: Sequence[float], unsettled: Mapping[str, str]
) -> dict[Pointer, GridNumber]:
    """Every number of a result with its uncertainty, or with the reason why it has none.

    Args:
        own: on the plan's voxels.
        others: on larger ones, their edges longer by `ratios`.
        unsettled: structure -> why its largest field, or both its largest and its smallest, do not converge.
    """
    found = dict(values_of(own))
    coarse = [dict(values_of(other)) for other in others]
    return {
        pointer: grid_number(pointer, value, [values.get(pointer) for values in coarse], ratios, unsettled)
        for pointer, value in found.items()
        if value is not None
    }


def grid_number(
    pointer: Pointer,
    value: float,
    coarser: list[float | None],
    ratios: Sequence[float],
    unsettled: Mapping[str, str],
) -> GridNumber:
    """One of them."""
    parts = [unescaped(part) for part in pointer.split("/")[1:]]
    known = [c for c in coarser if c is not None]
    reason, uncertainty = "", None
    unending = unsettled.get(parts[1], "")
    if len(known) < len(coarser):
        reason = NOT_FOUND if parts[0] in ("targets", "avoid") else NO_VALUE
    elif unending and parts[-1] in (LARGEST if unending == AT_EDGE else TAILS):
        reason = unending
    elif "coverage" in parts and value in (0.0, 1.0) and set(known) == {value}:
        reason = AT_BOUND
    elif value == 0 and set(known) == {0.0} and parts[0] != "pulses":
        reason = NONE_THERE
    else:
        uncertainty = grid_uncertainty(value, known, ratios)
    return GridNumber(value=value, coarser=coarser, uncertainty=uncertainty, reason=reason)


def grid_uncertainty(value: float, coarser: Sequence[float], ratios: Sequence[float]) -> float:
    """U of one number from what it is on larger voxels; see above."""
    return SAFETY * max(abs(value - other) / (r**ORDER - 1) for other, r in zip(coarser, ratios, strict=True))


def values_of(report: RunSummary) -> Iterator[tuple[Pointer, float | None]]:
    """The numbers of a result that the voxels' size may change, by where they stand in summary.json."""
    for index, pulse in enumerate(report.pulses):
        yield from ((pointer("pulses", index, *at), value) for at, value in _of_pulse(pulse))
    volumes = report.volumes_mm3
    yield pointer("volumes_mm3", "reversible"), volumes.reversible
    yield pointer("volumes_mm3", "irreversible"), volumes.irreversible
    for key, value in volumes.above_v_per_cm.items():
        yield pointer("volumes_mm3", "above_v_per_cm", key), value
    for name, target in report.targets.items():
        yield from ((pointer("targets", name, *at), value) for at, value in _of_target(target))
    for name, avoided in report.avoid.items():
        yield from ((pointer("avoid", name, *at), value) for at, value in _of_avoided(avoided))


def pointer(*parts: object) -> Pointer:
    """Keys and indices as a JSON pointer."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def unescaped(part: str) -> str:
    """One part of a JSON pointer as the key it stands for."""
    return part.replace("~1", "/").replace("~0", "~")


def _of_pulse(pulse: PulseSummary) -> Iterator[tuple[tuple[str, ...], float | None]]:
    if pulse.current_a is None:
        yield ("generator_current_a",), pulse.generator_current_a
    else:  # the current is given, and the voltage follows
        yield ("voltage_v",), pulse.voltage_v
    yield ("peak_power_w",), pulse.peak_power_w
    for name, value in pulse.currents_a.items():
        yield ("currents_a", name), value
    for name, value in pulse.electrode_potentials_v.items():
        if name not in (*pulse.anodes, *pulse.cathodes):  # the others' are given
            yield ("electrode_potentials_v", name), value


def _of_target(target: TargetMeasures) -> Iterator[tuple[tuple[str, ...], float | None]]:
    yield ("volume_mm3",), target.volume_mm3
    yield ("tissue_volume_mm3",), target.tissue_volume_mm3
    yield ("coverage", "reversible"), target.coverage.reversible
    yield ("coverage", "irreversible"), target.coverage.irreversible
    if target.coverage.band is not None:
        for zone in ZONES:
            share = getattr(target.coverage.band, zone).share
            for end in ("low", "high"):  # what is nominal is told above
                yield ("coverage", "band", zone, "share", end), getattr(share, end)
    for key, value in target.coverage.above_v_per_cm.items():
        yield ("coverage", "above_v_per_cm", key), value
    for key, value in target.field_v_per_cm.model_dump().items():
        yield ("field_v_per_cm", key), value


def _of_avoided(avoided: AvoidMeasures) -> Iterator[tuple[tuple[str, ...], float | None]]:
    yield ("volume_mm3",), avoided.volume_mm3
    yield ("tissue_volume_mm3",), avoided.tissue_volume_mm3
    yield ("max_v_per_cm",), avoided.max_v_per_cm
    yield ("volume_above_limit_mm3",), avoided.volume_above_limit_mm3
