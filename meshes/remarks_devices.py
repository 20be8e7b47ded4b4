"""Notes on a plan's devices, its protocol and what its generator can't do."""

from __future__ import annotations

from collections.abc import Iterator

from .generators import Generator
from .library import Value
from .notes import Note
from .plan import Plan
from .trains import Train

ROUNDED_V = 0.1
"""Voltages from V per cm are rounded to this."""


def remarks_on_devices(plan: Plan, generator: Generator | None) -> list[Note]:
    """All of them."""
    return [*_devices(plan), *_protocol(plan, generator), *_beyond(plan, generator)]


def _devices(plan: Plan) -> Iterator[Note]:
    alike: dict[str, list[str]] = {}
    for i, electrode in enumerate(plan.electrodes):
        settings = electrode.device
        if settings is None:
            continue
        unverified = _unverified(settings.values)
        if unverified:  # four equal needles share one note
            alike.setdefault(f"{settings.device.title}: unverified {unverified}", []).append(electrode.name)
        for value in settings.values:
            sizes = settings.device.parameters[value.quantity].sizes
            if sizes and value.value not in sizes:
                made = ", ".join(f"{size:g}" for size in sizes)
                text = f"electrodes[{i}].device.set.{value.quantity} is {value.value:g}; "
                yield Note("size_not_listed", text + f"{settings.device.title} is listed with {made}")
    for text, names in alike.items():
        yield Note("unverified_device", f"{', '.join(names)}, {text}")


def _unverified(values: tuple[Value, ...]) -> str:
    return ", ".join(f"{v.quantity} {v.value:g} ({v.status.value})" for v in values if not v.verified)


def _protocol(plan: Plan, generator: Generator | None) -> Iterator[Note]:
    settings = plan.protocol
    if settings is None:
        return
    unverified = _unverified(settings.values)
    if unverified:
        yield Note("unverified_protocol", f"protocol {settings.name}: unverified {unverified}")
    spacing = settings.protocol.spacing_mm
    trains = plan.trains
    yield from (_cap(train, generator) for train in trains if _capped(train))
    outside = [
        f"{train.pulse.name} {train.spacing_mm:.3g} mm"
        for train in trains
        if spacing and train.spacing_mm is not None and not spacing[0] <= train.spacing_mm <= spacing[1]
    ]
    if spacing and outside:
        text = f"protocol {settings.name} is for spacings of {spacing[0]:g} to {spacing[1]:g} mm: {', '.join(outside)}"
        yield Note("spacing_unusual", text, warning=True)


def _capped(train: Train) -> bool:
    voltage_v = train.pulse.voltage_v
    return train.asked_v is not None and voltage_v is not None and train.asked_v > voltage_v + ROUNDED_V


def _cap(train: Train, generator: Generator | None) -> Note:
    voltage_v = train.pulse.voltage_v or 0.0
    of = "that the protocol goes to" if generator is None else f"of {generator.title}"
    text = f"pulse {train.pulse.name}: {train.asked_v:.0f} V asked for, capped at the {voltage_v:g} V {of}"
    if train.spacing_mm is not None:
        text += f": {10 * voltage_v / train.spacing_mm:.0f} V/cm over {train.spacing_mm:.3g} mm"
    return Note("voltage_capped", text, warning=True)


def _beyond(plan: Plan, generator: Generator | None) -> Iterator[Note]:
    """Widths, numbers, rates and channels that the generator does not have; voltage and current are told elsewhere."""
    if generator is None:
        return
    trains = plan.trains
    pulses = [train.pulse for train in trains]
    wires = {name for train in trains for name in train.wires}
    for words, most, asked, unit in (
        ("pulses as wide as", generator.max_width_us, max(p.width_us for p in pulses), " us"),
        ("trains of", generator.max_count, max(p.count for p in pulses), " pulses"),
        ("pulses at", generator.max_frequency_hz, max(p.frequency_hz for p in pulses), " Hz"),
        ("connections to", generator.channels, len(wires), " conductors"),
    ):
        if most is not None and asked > most:
            text = f"the plan asks for {words} {asked:g}{unit}; {generator.title} goes to {most:g}{unit}"
            yield Note("beyond_generator", text, warning=True)
