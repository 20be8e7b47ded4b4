"""A plan's conductors one by one: its electrodes, and every band of its probes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .plan_electrodes import ElectrodeSettings, PlateSettings, TubeSettings
from .plan_needles import Pose


@dataclass(frozen=True)
class Wire:
    """Bare metal between two distances behind the foremost point of a needle or probe.

    Attributes:
        pose: of the needle or probe. from_mm, to_mm: where metal begins and ends. length_mm: insulation included.
        others_mm: the other bands on it.
        extent_field: the field of the plan that says how long the metal is.
    """

    pose: Pose
    from_mm: float
    to_mm: float
    length_mm: float
    others_mm: tuple[tuple[float, float], ...]
    extent_field: str


@dataclass(frozen=True)
class Conductor:
    """One electrode as the kernels count them.

    Attributes:
        name: as the pulses call it. field: of the plan, such as `electrodes[1].plate`.
    """

    name: str
    field: str
    solid: Wire | PlateSettings | TubeSettings


def conductors(electrodes: Sequence[ElectrodeSettings]) -> list[Conductor]:
    """All of them, in the plan's order; a probe's bands in the order of its list."""
    return [c for i, settings in enumerate(electrodes) for c in _of(f"electrodes[{i}]", settings)]


def _of(field: str, settings: ElectrodeSettings) -> Iterator[Conductor]:
    if settings.needle is not None:
        needle, place = settings.needle, f"{field}.needle"
        length = needle.exposed_mm + needle.shaft_mm
        yield Conductor(settings.name, place, Wire(needle, 0.0, needle.exposed_mm, length, (), f"{place}.exposed_mm"))
    elif settings.probe is not None:
        probe, place = settings.probe, f"{field}.probe"
        for i, band in enumerate(probe.bands):
            others = tuple((b.from_mm, b.to_mm) for b in probe.bands if b is not band)
            extent = f"{place}.bands[{i}]"
            yield Conductor(band.name, place, Wire(probe, band.from_mm, band.to_mm, probe.length_mm, others, extent))
    elif settings.plate is not None:
        yield Conductor(settings.name, f"{field}.plate", settings.plate)
    else:
        assert settings.tube is not None
        yield Conductor(settings.name, f"{field}.tube", settings.tube)
