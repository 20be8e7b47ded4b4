"""What a plan may say about tissues: a conductivity law and two thresholds, over or beside the library.

Fields stand in V/cm, as in the clinic's tables; the kernels' laws are in V/m.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ..kernels.conductivity import ConductivityLaw, check_monotonic
from .errors import one_of
from .layers import CONDUCTIVITY, THICKNESS, load_layers
from .library import Value, plan_value
from .model import Model, Name, NotNegative, Positive, Vector, exactly_one, refuse

THRESHOLDS = ("reversible_v_per_cm", "irreversible_v_per_cm")
RANGES = {"reversible_v_per_cm": "reversible_range_v_per_cm", "irreversible_v_per_cm": "irreversible_range_v_per_cm"}
"""Where a plan states the range of a threshold."""
V_PER_M = 100.0
"""V/m in 1 V/cm."""
OHM_M2_PER_OHM_CM2 = 1e-4
MOST_ANISOTROPIC = 1000.0
"""Above any tissue's ratio (muscle below its beta dispersion: 4 to 15); a larger number is a slip of the pen."""


class _Law(Model):
    temperature_per_k: NotNegative = Field(
        default=0.0, description="Relative rise of the conductivity per kelvin, 1/K."
    )

    def to_kernel(self) -> ConductivityLaw:
        """The law in SI units."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _is_monotonic(self) -> _Law:
        try:
            check_monotonic(self.to_kernel())
        except ValueError as error:
            refuse(
                "",
                f"a law whose E sigma(E) increases with E ({error})",
                self.model_dump(exclude_defaults=True),
            )
        return self


class _Rise(_Law):
    baseline_s_per_m: Positive = Field(description="Conductivity of the intact tissue, S/m.")
    permeabilised_s_per_m: Positive = Field(description="Conductivity of the fully permeabilised tissue, S/m.")


class _Between(_Rise):
    start_v_per_cm: NotNegative = Field(description="Field where the conductivity starts to rise, V/cm.")
    end_v_per_cm: Positive = Field(description="Field where the rise is complete, V/cm; above start_v_per_cm.")

    @model_validator(mode="before")
    @classmethod
    def _in_order(cls, data: object) -> object:
        if isinstance(data, dict):
            start, end = data.get("start_v_per_cm"), data.get("end_v_per_cm")
            if isinstance(start, int | float) and isinstance(end, int | float) and not start < end:
                refuse("end_v_per_cm", f"more than start_v_per_cm ({start})", end)
        return data


class Constant(_Law):
    """The same conductivity at any field."""

    law: Literal["constant"] = "constant"
    conductivity_s_per_m: NotNegative = Field(description="Conductivity, S/m; 0 is an insulator.")

    def to_kernel(self) -> ConductivityLaw:
        return ConductivityLaw.constant(self.conductivity_s_per_m, self.temperature_per_k)


class Ramp(_Between):
    """Straight from the baseline at the start to the permeabilised value at the end."""

    law: Literal["ramp"] = "ramp"

    def to_kernel(self) -> ConductivityLaw:
        return ConductivityLaw.ramp(
            self.baseline_s_per_m,
            self.permeabilised_s_per_m,
            self.start_v_per_cm * V_PER_M,
            self.end_v_per_cm * V_PER_M,
            self.temperature_per_k,
        )


class SmoothedStep(_Between):
    """A step rounded to a continuous second derivative, known as flc2hs."""

    law: Literal["smoothed_step", "flc2hs"] = "smoothed_step"

    def to_kernel(self) -> ConductivityLaw:
        return ConductivityLaw.smoothed_step(
            self.baseline_s_per_m,
            self.permeabilised_s_per_m,
            self.start_v_per_cm * V_PER_M,
            self.end_v_per_cm * V_PER_M,
            self.temperature_per_k,
        )


class Sel(_Between):
    """Sel's asymmetric sigmoid (Sel et al., IEEE Trans Biomed Eng 52:816, 2005)."""

    law: Literal["sel"] = "sel"
    steepness: Positive = Field(
        default=8.0, description="C of Sel's formula; the sigmoid's width is (end - start) / C."
    )
    delay: Positive = Field(default=10.0, description="D of Sel's formula.")

    def to_kernel(self) -> ConductivityLaw:
        return ConductivityLaw.sel(
            self.baseline_s_per_m,
            self.permeabilised_s_per_m,
            self.start_v_per_cm * V_PER_M,
            self.end_v_per_cm * V_PER_M,
            self.steepness,
            self.delay,
            self.temperature_per_k,
        )


class Logistic(_Rise):
    """A symmetric sigmoid round a midpoint."""

    law: Literal["logistic"] = "logistic"
    midpoint_v_per_cm: NotNegative = Field(description="Field where half of the rise is done, V/cm.")
    width_v_per_cm: Positive = Field(description="Scale of the sigmoid, V/cm: 1 / (1 + exp(-(E - midpoint) / width)).")

    def to_kernel(self) -> ConductivityLaw:
        return ConductivityLaw.logistic(
            self.baseline_s_per_m,
            self.permeabilised_s_per_m,
            self.midpoint_v_per_cm * V_PER_M,
            self.width_v_per_cm * V_PER_M,
            self.temperature_per_k,
        )


class Gompertz(_Rise):
    """exp(-displacement exp(-rate E)) of the rise (Neal et al., IEEE Trans Biomed Eng 59:1076, 2012)."""

    law: Literal["gompertz"] = "gompertz"
    displacement: Positive = Field(default=3.053, description="Displacement along the field axis, no unit.")
    rate_cm_per_v: Positive = Field(default=0.00233, description="Growth rate, cm/V.")

    def to_kernel(self) -> ConductivityLaw:
        return ConductivityLaw.gompertz(
            self.baseline_s_per_m,
            self.permeabilised_s_per_m,
            self.displacement,
            self.rate_cm_per_v / V_PER_M,
            self.temperature_per_k,
        )


Conductivity = Annotated[
    Constant | Ramp | SmoothedStep | Sel | Logistic | Gompertz,
    Field(discriminator="law"),
]


class Anisotropy(Model):
    """Fibres: the conductivity along them is a multiple of that across them, which is what the law states.

    The law's fields hold for fields across the fibres; along them the conductivity rises at fields lower by the square
    root of the ratio. Thresholds of permeabilisation hold for |E| in any direction.
    """

    along: Vector = Field(description="Direction of the fibres, patient RAS, any length; an axis of the solve's grid.")
    ratio: Positive | None = Field(
        default=None,
        le=MOST_ANISOTROPIC,
        description="Conductivity along the fibres over that across them; the library's where it states one.",
    )

    @model_validator(mode="after")
    def _has_direction(self) -> Anisotropy:
        if math.hypot(*self.along) < 1e-9:
            refuse("along", "a vector that is not zero", self.along)
        return self


class SheetSettings(Model):
    """A thin resistive layer wherever two tissues touch, such as the horny layer of skin.

    It has a resistance, a thickness and a conductivity, or the name of one of the library's layers, over which
    thickness and conductivity go one by one.
    """

    between: tuple[Name, Name] = Field(
        description="The two tissues. The layer's resistance lies in the first voxels of the one named first."
    )
    resistance_ohm_cm2: Positive | None = Field(default=None, description="Resistance of a unit of area, ohm cm2.")
    thickness_um: Positive | None = Field(default=None, description="Instead: thickness, micrometres,")
    conductivity_s_per_m: Positive | None = Field(default=None, description="and conductivity, S/m.")
    layer: Name | None = Field(
        default=None, description="Instead: a layer of the library by name, such as stratum_corneum."
    )

    @model_validator(mode="after")
    def _has_resistance(self) -> SheetSettings:
        if self.layer is not None:
            layers = load_layers()
            if self.layer not in layers:
                refuse("layer", f"a layer of the library, {one_of(layers, self.layer)}", self.layer)
            exactly_one(self, ("resistance_ohm_cm2", "layer"))
        else:
            self._check_numbers()
        if self.between[0] == self.between[1]:
            refuse("between[1]", "another tissue than the first", self.between[1])
        return self

    def _check_numbers(self) -> None:
        exactly_one(self, ("resistance_ohm_cm2", "thickness_um", "layer"))
        if (self.thickness_um is None) != (self.conductivity_s_per_m is None):
            missing, given = ("conductivity_s_per_m", "thickness_um"), ("thickness_um", "conductivity_s_per_m")
            field, other = missing if self.conductivity_s_per_m is None else given
            refuse(field, f"a value beside {other}", "nothing")

    @property
    def values(self) -> tuple[Value, ...]:
        """Thickness and conductivity with their provenance; nothing where the plan states the resistance."""
        if self.resistance_ohm_cm2 is not None:
            return ()
        library = load_layers()[self.layer].values if self.layer is not None else (None, None)
        found: list[Value] = []
        for quantity, value in zip((THICKNESS, CONDUCTIVITY), library, strict=True):
            stated = getattr(self, quantity)
            if stated is not None:
                value = plan_value(quantity, stated)
            assert value is not None
            found.append(value)
        return tuple(found)

    @property
    def ohm_m2(self) -> float:
        """Resistance of a unit of area, ohm m2."""
        if self.resistance_ohm_cm2 is not None:
            return self.resistance_ohm_cm2 * OHM_M2_PER_OHM_CM2
        thickness_um, conductivity_s_per_m = (value.value for value in self.values)
        assert thickness_um is not None
        assert conductivity_s_per_m is not None
        return thickness_um * 1e-6 / conductivity_s_per_m


class TissueOverride(Model):
    """What the plan says of one tissue; whatever it leaves out comes from the library."""

    conductivity: Conductivity | None = Field(
        default=None,
        description="Conductivity law; needed for a tissue that the library does not have.",
    )
    reversible_v_per_cm: Positive | None = Field(
        default=None,
        description="Field from which the tissue counts as reversibly permeabilised, V/cm.",
    )
    irreversible_v_per_cm: Positive | None = Field(
        default=None,
        description="Field from which the tissue counts as irreversibly permeabilised, V/cm.",
    )
    reversible_range_v_per_cm: tuple[Positive, Positive] | None = Field(
        default=None,
        description="Low and high end of what reversible_v_per_cm may be, V/cm; the library's, relative to the value, "
        "without.",
    )
    irreversible_range_v_per_cm: tuple[Positive, Positive] | None = Field(
        default=None, description="The same for irreversible_v_per_cm, V/cm."
    )

    anisotropy: Anisotropy | None = Field(default=None, description="Fibres; isotropic without.")

    @model_validator(mode="after")
    def _thresholds_in_order(self) -> TissueOverride:
        for field in RANGES.values():
            ends = getattr(self, field)
            if ends is not None and not ends[0] < ends[1]:
                refuse(f"{field}[1]", f"more than the low end ({ends[0]:g})", ends[1])
        low, high = self.reversible_v_per_cm, self.irreversible_v_per_cm
        if low is not None and high is not None and low > high:
            refuse("irreversible_v_per_cm", f"at least reversible_v_per_cm ({low:g})", high)
        return self
