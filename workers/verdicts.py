"""Verdicts of a result that lie within the uncertainty of its voxels: covered or not, spared or not, within the
generator's limits or not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from ..meshes.scene import Scene
from .grid_numbers import AT_BOUND, AT_EDGE, AT_STEPS, ORDER, Pointer, pointer
from .summary import GridNumber, RunSummary, Undecided

SMALLEST_STEP = 0.25
"""Of the plan's spacing: what is not decided by then has no margin to speak of."""

Numbers = Mapping[Pointer, GridNumber]


def undecided_verdicts(scene: Scene, report: RunSummary, numbers: Numbers) -> list[Undecided]:
    """Every verdict that other voxels may turn round, with what to do."""
    return [*_covered(scene, report, numbers), *_spared(scene, report, numbers), *_delivered(scene, report, numbers)]


def _covered(scene: Scene, report: RunSummary, numbers: Numbers) -> Iterator[Undecided]:
    """A target is covered whole or not: by its share and, where that is all of it on all voxel sizes, by the lowest
    hundredth of its field; unless steps make that too low, and coverage on all voxel sizes is certain all the more."""
    for name in report.targets:
        question, share = f"{name}: covered whole", pointer("targets", name, "coverage", "reversible")
        found = numbers.get(share)
        if found is None:
            continue
        if found.reason != AT_BOUND:
            yield from _if_within(question, share, found, 1.0, scene)
            continue
        low = pointer("targets", name, "field_v_per_cm", "q01")
        used = np.unique(scene.tissue[scene.structures[name]])
        thresholds = [t for t in (scene.tissues[i].reversible_v_per_cm for i in used) if math.isfinite(t)]
        if found.value == 1 and thresholds and low in numbers and numbers[low].reason != AT_STEPS:
            yield from _if_within(question, low, numbers[low], max(thresholds), scene)


def _spared(scene: Scene, report: RunSummary, numbers: Numbers) -> Iterator[Undecided]:
    """An avoided structure is above its limit or not: by its largest field; where that does not converge, by the volume
    above the limit, and by what all voxel sizes say."""
    for name, avoided in report.avoid.items():
        question, limit = f"{name}: spared", avoided.limit_v_per_cm
        where, above = (pointer("avoid", name, key) for key in ("max_v_per_cm", "volume_above_limit_mm3"))
        largest, volume = numbers.get(where), numbers.get(above)
        if largest is None:
            continue
        if avoided.exceeded and (largest.reason == AT_EDGE or (volume is not None and _surely_some(volume))):
            continue
        if (
            largest.reason == AT_STEPS
            and not avoided.exceeded
            and all(c is None or c <= limit for c in largest.coarser)
        ):
            continue
        yield from _if_within(question, where, largest, limit, scene)


def _surely_some(volume: GridNumber) -> bool:
    return volume.uncertainty is not None and volume.value > volume.uncertainty


def _delivered(scene: Scene, report: RunSummary, numbers: Numbers) -> Iterator[Undecided]:
    generator = scene.generator
    if generator is None:
        return
    for index, pulse in enumerate(report.pulses):
        given, limit = pulse.voltage_v <= generator.max_voltage_v, generator.max_current_a
        key, what = "generator_current_a", "current"
        if pulse.current_a is not None:
            given, limit = pulse.current_a <= generator.max_current_a, generator.max_voltage_v
            key, what = "voltage_v", "voltage"
        where = pointer("pulses", index, key)
        if given and where in numbers:
            yield from _if_within(
                f"pulse {pulse.name}: within the generator's {what}", where, numbers[where], limit, scene
            )


def _if_within(question: str, where: Pointer, found: GridNumber, limit: float, scene: Scene) -> Iterator[Undecided]:
    uncertainty, margin = found.uncertainty, abs(found.value - limit)
    if uncertainty is not None and margin > uncertainty:
        return
    if uncertainty is None:
        advice = f"no uncertainty to hold it against, its number {found.reason}"
    elif uncertainty == 0:
        return
    else:
        advice = _finer(scene, margin / uncertainty)
    yield Undecided(
        question=question, pointer=where, value=found.value, uncertainty=uncertainty, limit=limit, advice=advice
    )


def _finer(scene: Scene, share: float) -> str:
    """The spacing at which the uncertainty would be the margin, as far as that may be foretold."""
    step = share ** (1 / ORDER)
    spacing = min(scene.grid.spacing_mm)
    if step < SMALLEST_STEP:
        return f"no margin to speak of: grid.spacing_mm {spacing * SMALLEST_STEP:.2g} would not settle it either"
    return f"solve with grid.spacing_mm of about {0.95 * step * spacing:.2g}"
