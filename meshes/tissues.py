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
from .library import Confidence, Range, Status, Value, data_table, plan_value, read_value
from .plan_tissues import RANGES, THRESHOLDS, Conductivity, TissueOverride
from .ranges import kept_range, ranged

RATIO = "anisotropy_ratio"
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
        fibre_ratio: the library's ratio, for a tissue whose law holds across its fibres; the plan says how they run.
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
    fibre_ratio: Value | None = None

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
        ratio = self.fibre_ratio if self.anisotropy is None else self.anisotropy.ratio
        return self.conductivity + (() if ratio is None else (ratio,)) + self.thresholds

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
    return {name: _read(name, table) for name in table["tissues"]}


def _read(name: str, table: Mapping[str, Any]) -> Tissue:
    entry, sources = _complete(name, table["tissues"]), table["sources"]
    others = (*THRESHOLDS, *THERMAL, RATIO, "law", "note", "alternatives", "like")
    numbers = [q for q in entry if q not in others]
    reversible, irreversible = (ranged(read_value(q, entry[q], sources), name) for q in THRESHOLDS)
    return Tissue(
        name,
        entry["law"],
        tuple(ranged(read_value(q, entry[q], sources), name) for q in numbers),
        (reversible, irreversible),
        tuple(read_value(q, entry[q], sources) for q in THERMAL if q in entry),
        entry.get("alternatives"),
        entry.get("note", ""),
        fibre_ratio=read_value(RATIO, entry[RATIO], sources) if RATIO in entry else None,
    )


def _complete(name: str, entries: Mapping[str, Any]) -> dict[str, Any]:
    """An entry with what it takes over from the tissue that it is `like`: there measured, here an assumption."""
    entry = entries[name]
    if "like" not in entry:
        return entry
    other = entry["like"]
    taken = {q: v for q, v in _complete(other, entries).items() if q not in ("note", "alternatives", "like")}
    return {q: _assumed(v, other) if isinstance(v, dict) else v for q, v in taken.items()} | entry


def _assumed(value: dict[str, Any], other: str) -> dict[str, Any]:
    how = {"status": Status.ENGINEERING, "confidence": Confidence.LOW, "note": f"as {other.replace('_', ' ')}"}
    kept = {k: v for k, v in value.items() if k != "sd"} | how
    return kept | {"range": value["range"] | how} if "range" in value else kept


def _override(name: str, base: Tissue | None, override: TissueOverride, known: Mapping[str, Tissue]) -> Tissue:
    if base is None:
        base = _new(name, override, known)
    if override.conductivity is not None:
        numbers = override.conductivity.model_dump(exclude={"law"})
        stated = tuple(plan_value(q, v) for q, v in numbers.items() if q != "temperature_per_k" or v)
        stated = tuple(ranged(value, name) for value in stated)
        base = replace(base, law_name=override.conductivity.law, conductivity=stated)
    low, high = (_threshold_of(name, value, override) for value in base.thresholds)
    base = replace(base, thresholds=(low, high))
    if override.anisotropy is not None:
        base = replace(base, anisotropy=_fibres(name, base, override))
    if base.reversible_v_per_cm > base.irreversible_v_per_cm:
        stated = THRESHOLDS[1] if override.irreversible_v_per_cm is not None else THRESHOLDS[0]
        relation = f"reversible ({base.reversible_v_per_cm:g}) below irreversible ({base.irreversible_v_per_cm:g})"
        raise PlanError.of(f"tissues.{name}.{stated}", relation, f"{getattr(override, stated):g}")
    return base


def _new(name: str, override: TissueOverride, known: Mapping[str, Tissue]) -> Tissue:
    """A tissue beside the library, before the plan's values: generic thresholds."""
    if override.conductivity is None:
        expected = f"a conductivity, because the library has no {name}; it has {one_of(known, name)}"
        raise PlanError.of(f"tissues.{name}.conductivity", expected, "nothing")
    low, high = (
        ranged(Value(q, v, GENERIC_SOURCE, Status.ENGINEERING, Confidence.LOW), name)
        for q, v in zip(THRESHOLDS, GENERIC_THRESHOLDS_V_PER_CM, strict=True)
    )
    return Tissue(name, "constant", (), (low, high))


def _threshold_of(name: str, library: Value, override: TissueOverride) -> Value:
    """A threshold as the plan has it over the library, with its range."""
    quantity, ends = library.quantity, getattr(override, RANGES[library.quantity])
    stated = getattr(override, quantity)
    value = library if stated is None else kept_range(plan_value(quantity, stated), library)
    if stated is not None and value.range is None:
        value = ranged(value, name)  # the library says that the tissue has no cells, the plan that it has
    if ends is None:
        return value
    low, high = ends
    if value.value is None or not low <= value.value <= high:
        expected = f"two fields with {quantity} ({'none' if value.value is None else f'{value.value:g}'}) between them"
        raise PlanError.of(f"tissues.{name}.{RANGES[quantity]}", expected, f"{low:g} to {high:g}")
    return replace(value, range=Range(low, high, "plan", Status.PLAN, Confidence.STATED))


def _fibres(name: str, base: Tissue, override: TissueOverride) -> Fibres:
    assert override.anisotropy is not None
    along, ratio = override.anisotropy.along, override.anisotropy.ratio
    if ratio is not None:
        return Fibres(along, plan_value(RATIO, ratio))
    if base.fibre_ratio is None:
        with_ratio = ", ".join(t.name for t in _library().values() if t.fibre_ratio is not None)
        expected = f"a value, because the library states one for {with_ratio} only, whose laws hold across the fibres"
        raise PlanError.of(f"tissues.{name}.anisotropy.ratio", expected, "nothing")
    return Fibres(along, base.fibre_ratio)


def _threshold(value: Value) -> float:
    return math.inf if value.value is None else value.value
