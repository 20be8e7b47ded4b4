"""A plan's pulse trains, conductor by conductor: its pulses, groups spelled out, or what its protocol stands for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from .conductors import Conductor, conductors, groups
from .errors import one_of
from .generators import Generator
from .model import LONGEST, refuse
from .parameters import numbers_of
from .plan_electrodes import MAX_VOLTAGE_V, ElectrodeSettings, Pulse
from .plan_protocols import ProtocolSettings
from .spacing import spacing_mm

DECIMALS = 1
"""Of voltages from V per cm: finer than any generator is set."""
MOST_TRAINS = 1000
"""Of a protocol: all pairs of 45 needles, where clinics have seven."""


@dataclass(frozen=True)
class Train:
    """One pulse train.

    Attributes:
        pulse: with the names of conductors only.
        spacing_mm: between anodes and cathodes, where it is defined.
        wires: the names that the plan calls its ends by: a group is one wire.
        asked_v: what the protocol's V per cm comes to; above the pulse's voltage_v where a generator caps it.
    """

    pulse: Pulse
    wires: tuple[str, ...]
    spacing_mm: float | None = None
    asked_v: float | None = None


def _name(text: str) -> str | None:
    """A pulse's name, or none where it would be longer than names are."""
    return text if len(text) <= LONGEST else None


class Wiring:
    """The names by which pulses and protocols call a plan's conductors."""

    def __init__(self, electrodes: Sequence[ElectrodeSettings]) -> None:
        self.electrodes = electrodes
        self.conductors: Mapping[str, Conductor] = {c.name: c for c in conductors(electrodes)}
        self.groups = groups(electrodes)

    @cached_property
    def _devices(self) -> Mapping[str, ElectrodeSettings]:
        return {settings.name: settings for settings in self.electrodes if settings.device is not None}

    @property
    def names(self) -> list[str]:
        """What pulses may name."""
        return [*self.conductors, *self.groups]

    @cached_property
    def known(self) -> frozenset[str]:
        """The same, to look names up in."""
        return frozenset(self.names)

    def members(self, name: str) -> tuple[str, ...]:
        """Conductors that a name stands for; KeyError for one that stands for none."""
        if name in self.conductors:
            return (name,)
        if name in self.groups:
            return self.groups[name]
        settings = next(settings for settings in self.electrodes if settings.name == name)
        return tuple(conductor.name for conductor in conductors((settings,)))

    def spelled_out(self, pulse: Pulse) -> Train:
        """A pulse of the plan, its groups as conductors."""
        anode, cathode = (
            tuple(member for name in side for member in self.members(name)) for side in (pulse.anode, pulse.cathode)
        )
        if (anode, cathode) == (pulse.anode, pulse.cathode):
            return Train(pulse, (*pulse.anode, *pulse.cathode))
        name = pulse.name or f"{'+'.join(pulse.anode)}-{'+'.join(pulse.cathode)}"
        named = pulse.model_copy(update={"anode": anode, "cathode": cathode, "name": name})
        return Train(named, (*pulse.anode, *pulse.cathode))

    def _spacing_mm(self, anode: Sequence[str], cathode: Sequence[str]) -> float | None:
        return spacing_mm([self.conductors[n] for n in anode], [self.conductors[n] for n in cathode])

    # -- protocols -----------------------------------------------------------------------------------------------------

    def trains(self, settings: ProtocolSettings, generator: Generator | None) -> Iterator[Train]:
        """What a protocol stands for; refuses, from within a validator of the plan, what it can't be applied to."""
        numbers = numbers_of(settings.values)
        highest = numbers.get("highest_voltage_v", MAX_VOLTAGE_V) if generator is None else generator.max_voltage_v
        for (one, other), prefix in itertools.product(self._pairs(settings), settings.protocol.trains):
            anode, cathode = self.members(one), self.members(other)
            spacing = self._spacing_mm(anode, cathode)
            asked = numbers.get(f"{prefix}voltage_v")
            if asked is None:
                if spacing is None:
                    expected = f"needles, or plates that face one another: {settings.name} is in V per cm of spacing"
                    refuse("protocol.electrodes", f"{expected}; or set voltage_v", f"{one} and {other}")
                asked = numbers[f"{prefix}ratio_v_per_cm"] * 0.1 * spacing
            pulse = Pulse(
                anode=anode,
                cathode=cathode,
                voltage_v=min(round(asked, DECIMALS), highest, MAX_VOLTAGE_V),
                count=round(numbers[f"{prefix}count"]),
                width_us=numbers[f"{prefix}width_us"],
                frequency_hz=numbers[f"{prefix}frequency_hz"],
                name=_name(f"{one}-{other} {prefix.rstrip('_')}".rstrip()),
            )
            yield Train(pulse, (one, other), spacing, asked)

    def _pairs(self, settings: ProtocolSettings) -> list[tuple[str, str]]:
        """Pairs of conductors or groups, in firing order."""
        names = list(settings.electrodes) or [electrode.name for electrode in self.electrodes]
        known = {*self.known, *(electrode.name for electrode in self.electrodes)}
        for i, name in enumerate(names):
            if name not in known:
                refuse(f"protocol.electrodes[{i}]", f"an electrode, {one_of(known, name)}", name)
        kind = settings.protocol.pairs
        if kind == "all":
            members = [member for name in names for member in self.members(name)]
            self._check_number(len(members) * (len(members) - 1) // 2 * len(settings.protocol.trains))
            pairs = list(itertools.combinations(members, 2))
        else:
            pairs = self._sides(names) if kind == "sides" else self._neighbours(names)
            self._check_number(len(pairs) * len(settings.protocol.trains))
        for one, other in pairs:
            both = {*self.members(one)} & {*self.members(other)}
            if both:
                refuse("protocol.electrodes", "electrodes that share no conductor", f"{one} and {other}")
        return pairs

    def _sides(self, names: Sequence[str]) -> list[tuple[str, str]]:
        if len(names) == 2 and not any(self._has_sides(name) for name in names):
            return [(names[0], names[1])]
        pairs: list[tuple[str, str]] = []
        for name in names:
            device = self._devices[name].device if name in self._devices else None
            sides = None if device is None else device.layout.sides
            if sides is None:
                expected = "devices with two sides (plates, rows, bipolar probes), or two electrodes"
                refuse("protocol.electrodes", expected, name if len(names) > 1 else f"{name} alone")
            pairs.append((f"{name}.{sides[0]}", f"{name}.{sides[1]}"))
        return pairs

    def _has_sides(self, name: str) -> bool:
        device = self._devices[name].device if name in self._devices else None
        return device is not None and device.layout.sides is not None

    def _neighbours(self, names: Sequence[str]) -> list[tuple[str, str]]:
        pairs: list[tuple[str, str]] = []
        for name in names:
            device = self._devices[name].device if name in self._devices else None
            if device is None or not device.layout.neighbours:
                refuse("protocol.electrodes", "devices with several needles: they state who is next to whom", name)
            pairs += [(f"{name}.{one}", f"{name}.{other}") for one, other in device.layout.neighbours]
        return pairs

    def _check_number(self, trains: int) -> None:
        if trains < 1:
            refuse("protocol.electrodes", "at least 2 electrodes", "fewer")
        if trains > MOST_TRAINS:
            refuse("protocol.electrodes", f"at most {MOST_TRAINS} pulse trains", str(trains))
