"""What a plan may say about electrodes, pulses, their generator and what must be spared."""

from __future__ import annotations

import math

from pydantic import Field, model_validator

from .model import (
    LONGEST,
    Model,
    Name,
    NotNegative,
    Number,
    Positive,
    Vector,
    exactly_one,
    refuse,
)
from .plan_devices import DeviceSettings
from .plan_needles import NeedleSettings, ProbeSettings
from .shapes import orthonormal

MAX_VOLTAGE_V = 10_000.0
"""Above any generator for electroporation of tissue; a larger number is a slip of the pen."""


class PlateSettings(Model):
    """A rectangular plate of metal, bare all round."""

    centre_mm: Vector = Field(description="Middle of the block of metal, patient RAS mm.")
    normal: Vector = Field(description="Direction across the plate (of its thickness), any length.")
    up: Vector = Field(description="Direction of its height; made perpendicular to normal.")
    width_mm: Positive = Field(description="Edge perpendicular to normal and up, mm.")
    height_mm: Positive = Field(description="Edge along up, mm.")
    thickness_mm: Positive = Field(description="Edge along normal, mm.")

    @model_validator(mode="after")
    def _spans(self) -> PlateSettings:
        orthonormal(self.normal, self.up, ("normal", "up"))
        return self


class TubeSettings(Model):
    """A cylinder of metal, solid or hollow, bare all round; it may stick out of the solved region."""

    centre_mm: Vector = Field(description="Middle of the axis, patient RAS mm.")
    axis: Vector = Field(description="Direction of the axis, any length, either way.")
    inner_diameter_mm: NotNegative = Field(default=0.0, description="Diameter of the open bore, mm; 0 is a solid rod.")
    outer_diameter_mm: Positive = Field(description="Diameter of the metal, mm; larger than the bore.")
    length_mm: Positive = Field(description="From end to end, mm.")

    @model_validator(mode="after")
    def _has_metal(self) -> TubeSettings:
        if math.hypot(*self.axis) < 1e-9:
            refuse("axis", "a vector that is not zero", self.axis)
        if self.outer_diameter_mm <= self.inner_diameter_mm:
            refuse(
                "outer_diameter_mm", f"more than inner_diameter_mm {self.inner_diameter_mm:g}", self.outer_diameter_mm
            )
        return self

    @property
    def unit_axis(self) -> tuple[float, float, float]:
        """Unit vector of the axis, patient axes."""
        x, y, z = self.axis
        length = math.hypot(x, y, z)
        return (x / length, y / length, z / length)


class ElectrodeSettings(Model):
    """One conductor: a needle, a plate or a tube; or several: a probe's bands, the needles or plates of a device."""

    name: Name = Field(
        description="Name used by the pulses; they call a probe's electrodes by the names of its bands, and those of a "
        "device by this name, a dot and theirs, such as hex.centre."
    )
    needle: NeedleSettings | None = Field(default=None, description="A needle.")
    probe: ProbeSettings | None = Field(default=None, description="A needle with several electrodes on one shaft.")
    plate: PlateSettings | None = Field(default=None, description="A plate.")
    tube: TubeSettings | None = Field(default=None, description="A solid or hollow cylinder.")
    device: DeviceSettings | None = Field(default=None, description="A device of the electrode library.")
    contact_resistance_ohm_cm2: NotNegative = Field(
        default=0.0, description="Between its metal and the tissue, of a unit of area, ohm cm2."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> ElectrodeSettings:
        exactly_one(self, ("needle", "probe", "plate", "tube", "device"))
        if self.device is not None:
            longest = max(len(part.name) for part in self.device.layout.parts)
            if len(self.name) > LONGEST - 1 - longest:
                refuse("name", f"at most {LONGEST - 1 - longest} characters, for its conductors' names", self.name)
        return self


class Pulse(Model):
    """A train of equal pulses between two groups of electrodes; the others float."""

    anode: tuple[Name, ...] = Field(min_length=1, description="Electrodes at the pulse voltage.")
    cathode: tuple[Name, ...] = Field(min_length=1, description="Electrodes at 0 V.")
    voltage_v: Positive | None = Field(default=None, le=MAX_VOLTAGE_V, description="Voltage between them, V.")
    current_a: Positive | None = Field(
        default=None,
        description="Instead of voltage_v: what the generator delivers, A; the voltage is found that drives it.",
    )
    count: int = Field(default=8, ge=1, le=100_000, description="Number of pulses.")
    width_us: Positive = Field(default=100.0, description="Width of one pulse, microseconds.")
    frequency_hz: Positive = Field(default=1.0, description="Repetition frequency, Hz.")
    name: Name | None = Field(default=None, description="Name in results; from the electrodes' names by default.")

    @model_validator(mode="after")
    def _apart(self) -> Pulse:
        exactly_one(self, ("voltage_v", "current_a"))
        for field in ("anode", "cathode"):
            names: tuple[str, ...] = getattr(self, field)
            if len(set(names)) != len(names):
                refuse(field, "each electrode once", list(names))
        both = sorted(set(self.anode) & set(self.cathode))
        if both:
            refuse(
                "cathode",
                "no electrode that is an anode of the same pulse",
                ", ".join(both),
            )
        return self


class AvoidLimit(Model):
    """What a structure to be spared may see."""

    max_v_per_cm: Positive = Field(description="Largest acceptable field in the structure, V/cm.")


class GeneratorSettings(Model):
    """A pulse generator by its limits."""

    name: Name | None = Field(default=None, description="Name in reports.")
    max_voltage_v: Positive = Field(description="Largest voltage it delivers, V.")
    max_current_a: Positive = Field(description="Largest current it delivers, A.")
    max_width_us: Positive | None = Field(default=None, description="Longest pulse it delivers, microseconds.")
    max_count: int | None = Field(default=None, ge=1, description="Most pulses of one train.")
    max_frequency_hz: Positive | None = Field(default=None, description="Highest repetition frequency, Hz.")
    channels: int | None = Field(default=None, ge=1, description="Conductors that can be connected, each switched.")


class SolverSettings(Model):
    """When a solve counts as converged, and when it gives up."""

    tolerance: Number = Field(
        default=1e-7,
        gt=1e-12,
        lt=1e-2,
        description="Relative residual of the current balance at which a solve is converged.",
    )
    max_newton_steps: int = Field(default=60, ge=1, le=1000, description="Newton steps per nested grid.")
    check_grid: bool = Field(
        default=False,
        description="Solve on larger voxels too, and give every number an uncertainty for the voxels' size. For single "
        "plans: the points of a sweep are not checked.",
    )
