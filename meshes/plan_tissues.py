"""What a plan may say about tissues: a conductivity law and two thresholds, over or beside the library.

Fields stand in V/cm, as in the clinic's tables; the kernels' laws are in V/m.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ..kernels.conductivity import ConductivityLaw, check_monotonic
from .model import Model, NotNegative, Positive, refuse

V_PER_M = 100.0
"""V/m in 1 V/cm."""


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

    @model_validator(mode="after")
    def _thresholds_in_order(self) -> TissueOverride:
        low, high = self.reversible_v_per_cm, self.irreversible_v_per_cm
        if low is not None and high is not None and low > high:
            refuse("irreversible_v_per_cm", f"at least reversible_v_per_cm ({low:g})", high)
        return self
