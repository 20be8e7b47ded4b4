"""Tissues: a conductivity law, two thresholds, thermal values, each with its provenance.

The library is data/tissues.yaml; a plan's values go over it, one by one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from ..kernels.conductivity import ConductivityLaw
from .errors import PlanError, one_of
from .library import Confidence, Status, Value, data_table, plan_value, read_value
from .plan_tissues import Conductivity, TissueOverride

THRESHOLDS = ("reversible_v_per_cm", "irreversible_v_per_cm")
THERMAL = (
    "density_kg_per_m3",
    "specific_heat_j_per_kg_k",
    "thermal_conductivity_w_per_m_k",
    "perfusion_per_s",
    "metabolic_heat_w_per_m3",
)
GENERIC_THRESHOLDS_V_PER_CM = (400.0, 800.0)
"""For a tissue of the plan that names none: the usual thresholds of tumours."""
GENERIC_SOURCE = "generic tumour threshold"

_LAWS: TypeAdapter[Conductivity] = TypeAdapter(Conductivity)


@dataclass(frozen=True)
class Fibres:
    """Direction of a tissue's fibres (patient RAS, any length), and the conductivity along over that across them."""

    along: tuple[float, float, float]
    ratio: Value


@dataclass(frozen=True)
class Tissue:
    """One tissue.

    Attributes:
        name: as plans write it.
        law_name: which conductivity law, as plans write it.
        conductivity: the law's numbers, in the plan's units, with their provenance.
        thresholds: reversible and irreversible, V/cm, with their provenance.
        thermal: density, specific heat, thermal conductivity, perfusion and metabolic heat, where known.
        anisotropy: the fibres' direction and the ratio of conductivities, or None.
        alternatives: what other sources say of the same quantities; for reading, not used.
    """

    name: str
    law_name: str
    conductivity: tuple[Value, ...]
    thresholds: tuple[Value, Value]
    thermal: tuple[Value, ...] = ()
    alternatives: Mapping[str, Any] | None = None
    note: str = ""
    anisotropy: Fibres | None = None

    @property
    def law(self) -> ConductivityLaw:
        """The law as the kernels see it, SI units."""
        numbers = {value.quantity: value.value for value in self.conductivity}
        return _LAWS.validate_python({"law": self.law_name, **numbers}).to_kernel()

    @property
    def reversible_v_per_cm(self) -> float:
        """Reversible threshold, V/cm; infinite for a tissue without cells to permeabilise."""
        return _threshold(self.thresholds[0])

    @property
    def irreversible_v_per_cm(self) -> float:
        """Irreversible threshold, V/cm; infinite for a tissue without cells to permeabilise."""
        return _threshold(self.thresholds[1])

    @property
    def values(self) -> tuple[Value, ...]:
        """What a field solve and its coverage use: the law's numbers and the thresholds."""
        return self.conductivity + (() if self.anisotropy is None else (self.anisotropy.ratio,)) + self.thresholds

    @property
    def unverified(self) -> tuple[Value, ...]:
        """Those of `values` that nobody has found in their source."""
        return tuple(value for value in self.values if not value.verified)

    @property
    def verified(self) -> bool:
        return not self.unverified

    @property
    def assumed_thresholds(self) -> bool:
        """Neither library nor plan names a threshold: the generic one stands in."""
        return any(value.source == GENERIC_SOURCE for value in self.thresholds)

    @property
    def insulating(self) -> bool:
        """No current enters: air."""
        return self.law_name == "constant" and self.conductivity[0].value == 0


def load_tissues(overrides: Mapping[str, TissueOverride] | None = None) -> dict[str, Tissue]:
    """The library, with a plan's tissues over and beside it, by name.

    Raises:
        PlanError: a tissue beside the library without a conductivity; thresholds that end up in the wrong order.
    """
    tissues = dict(_library())
    for name, override in (overrides or {}).items():
        tissues[name] = _override(name, tissues.get(name), override, tissues)
    return tissues


@cache
def _library() -> Mapping[str, Tissue]:
    table = data_table("tissues.yaml")
    return {name: _read(name, entry, table["sources"]) for name, entry in table["tissues"].items()}


def _read(name: str, entry: dict[str, Any], sources: dict[str, str]) -> Tissue:
    numbers = [q for q in entry if q not in (*THRESHOLDS, *THERMAL, "law", "note", "alternatives")]
    reversible, irreversible = (read_value(q, entry[q], sources) for q in THRESHOLDS)
    return Tissue(
        name,
        entry["law"],
        tuple(read_value(q, entry[q], sources) for q in numbers),
        (reversible, irreversible),
        tuple(read_value(q, entry[q], sources) for q in THERMAL if q in entry),
        entry.get("alternatives"),
        entry.get("note", ""),
    )


def _override(name: str, base: Tissue | None, override: TissueOverride, known: Mapping[str, Tissue]) -> Tissue:
    if base is None:
        if override.conductivity is None:
            expected = f"a conductivity, because the library has no {name}; it has {one_of(known, name)}"
            raise PlanError.of(f"tissues.{name}.conductivity", expected, "nothing")
        low, high = (
            Value(q, v, GENERIC_SOURCE, Status.ENGINEERING, Confidence.LOW)
            for q, v in zip(THRESHOLDS, GENERIC_THRESHOLDS_V_PER_CM, strict=True)
        )
        base = Tissue(name, "constant", (), (low, high))
    if override.conductivity is not None:
        numbers = override.conductivity.model_dump(exclude={"law"})
        stated = tuple(plan_value(q, v) for q, v in numbers.items() if q != "temperature_per_k" or v)
        base = replace(base, law_name=override.conductivity.law, conductivity=stated)
    low, high = (
        plan_value(q, stated) if (stated := getattr(override, q)) is not None else value
        for q, value in zip(THRESHOLDS, base.thresholds, strict=True)
    )
    base = replace(base, thresholds=(low, high))
    if override.anisotropy is not None:
        ratio = plan_value("anisotropy_ratio", override.anisotropy.ratio)
        base = replace(base, anisotropy=Fibres(override.anisotropy.along, ratio))
    if base.reversible_v_per_cm > base.irreversible_v_per_cm:
        stated = THRESHOLDS[1] if override.irreversible_v_per_cm is not None else THRESHOLDS[0]
        relation = f"reversible ({base.reversible_v_per_cm:g}) below irreversible ({base.irreversible_v_per_cm:g})"
        raise PlanError.of(f"tissues.{name}.{stated}", relation, f"{getattr(override, stated):g}")
    return base


def _threshold(value: Value) -> float:
    return math.inf if value.value is None else value.value
