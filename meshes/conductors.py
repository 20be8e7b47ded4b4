"""A plan's conductors one by one: its electrodes, every band of its probes, every needle or plate of its devices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .layouts import Part
from .plan_devices import DeviceSettings
from .plan_electrodes import ElectrodeSettings, PlateSettings, TubeSettings
from .plan_needles import Pose

Array = NDArray[np.float64]


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
        place_field: the field that says where it is.
        member: whether it is one of several of a device, so that a message has to say which.
    """

    name: str
    field: str
    solid: Wire | PlateSettings | TubeSettings
    place_field: str
    member: bool = False

    def told(self, where: str) -> str:
        """A place, and if need be whose it is."""
        return f"{where} of {self.name}" if self.member else where


def conductors(electrodes: Sequence[ElectrodeSettings]) -> list[Conductor]:
    """All of them, in the plan's order; a probe's bands and a device's needles in the order of their lists."""
    return [c for i, settings in enumerate(electrodes) for c in conductors_of(settings, f"electrodes[{i}]")]


def groups(electrodes: Sequence[ElectrodeSettings]) -> dict[str, tuple[str, ...]]:
    """Names that stand for several conductors on one wire, such as a row of needles."""
    return {
        f"{settings.name}.{group}": tuple(f"{settings.name}.{part}" for part in parts)
        for settings in electrodes
        if settings.device is not None
        for group, parts in settings.device.layout.groups.items()
    }


def conductors_of(settings: ElectrodeSettings, field: str = "") -> Iterator[Conductor]:
    """Those of one electrode of the plan, which `field` leads to."""
    if settings.needle is not None:
        needle, place = settings.needle, f"{field}.needle"
        length = needle.exposed_mm + needle.shaft_mm
        wire = Wire(needle, 0.0, needle.exposed_mm, length, (), f"{place}.exposed_mm")
        yield Conductor(settings.name, place, wire, f"{place}.tip_mm")
    elif settings.probe is not None:
        probe, place = settings.probe, f"{field}.probe"
        for i, band in enumerate(probe.bands):
            others = tuple((b.from_mm, b.to_mm) for b in probe.bands if b is not band)
            extent = f"{place}.bands[{i}]"
            wire = Wire(probe, band.from_mm, band.to_mm, probe.length_mm, others, extent)
            yield Conductor(band.name, place, wire, f"{place}.tip_mm")
    elif settings.plate is not None:
        yield Conductor(settings.name, f"{field}.plate", settings.plate, f"{field}.plate.centre_mm")
    elif settings.tube is not None:
        yield Conductor(settings.name, f"{field}.tube", settings.tube, f"{field}.tube.centre_mm")
    else:
        assert settings.device is not None
        yield from _of_device(settings.name, settings.device, f"{field}.device")


def _of_device(name: str, device: DeviceSettings, field: str) -> Iterator[Conductor]:
    """A device's needles and plates, each at its place in the patient."""
    frame, tips = device.frame, device.tips_mm
    place_field, parts = f"{field}.{device.place_field}", device.layout.parts
    for part in parts:
        full = f"{name}.{part.name}" if part.name else name
        tip = tips + np.asarray(part.at) @ frame[:2]
        if part.size is not None:
            yield Conductor(full, field, _plate(part, tip, frame), place_field, member=True)
            continue
        pose = Pose(
            tip_mm=_vector(tip),
            direction=_vector(frame[2]),
            diameter_mm=part.diameter,
            tip="conical" if part.tip else "flat",
            tip_length_mm=part.tip or None,
        )
        wire = Wire(pose, *part.bare, part.length, part.others, field)
        yield Conductor(full, field, wire, place_field, member=len(parts) > 1)


def _plate(part: Part, edge: Array, frame: Array) -> PlateSettings:
    """A plate whose foremost edge has its middle at `edge`."""
    assert part.size is not None
    height = part.bare[1] - part.bare[0]
    return PlateSettings(
        centre_mm=_vector(edge - (part.bare[0] + 0.5 * height) * frame[2]),
        normal=_vector(frame[0]),
        up=_vector(frame[2]),
        thickness_mm=part.size[0],
        width_mm=part.size[1],
        height_mm=height,
    )


def _vector(point: Array) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in point)
    return (x, y, z)
