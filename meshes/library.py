"""Values with their provenance, and the data files that hold them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

import yaml


class Status(StrEnum):
    """How a value came to us; the header of data/tissues.yaml defines the words."""

    READ = "read"
    READ_ABSTRACT = "read_abstract"
    SECONDHAND = "secondhand"
    COMPUTED = "computed"
    RECALL = "recall"
    ENGINEERING = "engineering"
    PLAN = "plan"
    """Set by the plan: the planner answers for it."""


class Confidence(StrEnum):
    """How far a value can be relied on."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    STATED = "stated"
    """Of a value that the plan sets."""


@dataclass(frozen=True)
class Range:
    """What nearly all patients, animals and publications lie within: two standard deviations to either side.

    Attributes:
        low, high: in the unit of its value; low is above 0.
        source, status, confidence, note: of the range, which need not be those of its value.
    """

    low: float
    high: float
    source: str
    status: Status
    confidence: Confidence
    note: str = ""

    @property
    def verified(self) -> bool:
        """As of a value."""
        return _verified(self.status, self.confidence)

    @property
    def log_sd(self) -> float:
        """Standard deviation of the value's logarithm, for which low and high are two of it off the middle."""
        return 0.25 * math.log(self.high / self.low)

    def scaled(self, factor: float, note: str) -> Range:
        """The same relative to another value."""
        return replace(self, low=self.low * factor, high=self.high * factor, note=note)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        kept = {"low": self.low, "high": self.high, "source": self.source, "status": self.status.value}
        return kept | {"confidence": self.confidence.value, "verified": self.verified, "note": self.note}


@dataclass(frozen=True)
class Value:
    """One number of a library.

    Attributes:
        quantity: what it is, with the unit at the end, such as `baseline_s_per_m`.
        value: in that unit; None where the quantity does not apply (no cells to permeabilise).
        source: publication or database in words; 'plan' for a value of the plan.
        sd: standard deviation that the source gives, same unit.
        note: anything to know before relying on it.
        range: within which it lies for nearly all patients; None where nobody says.
    """

    quantity: str
    value: float | None
    source: str
    status: Status
    confidence: Confidence
    sd: float | None = None
    note: str = ""
    range: Range | None = None

    @property
    def unit(self) -> str:
        """The unit in the usual notation; '' for a plain number or a law's name."""
        return next((unit for ending, unit in _UNITS if self.quantity.endswith(ending)), "")

    @property
    def verified(self) -> bool:
        """Found in its source, or set by the plan; see the header of data/tissues.yaml."""
        return _verified(self.status, self.confidence)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        kept = {"value": self.value, "unit": self.unit, "source": self.source, "status": self.status.value}
        kept |= {"confidence": self.confidence.value, "verified": self.verified, "sd": self.sd, "note": self.note}
        return kept if self.range is None else kept | {"range": self.range.as_dict()}


def _verified(status: Status, confidence: Confidence) -> bool:
    if status in (Status.READ, Status.READ_ABSTRACT, Status.PLAN):
        return True
    return status in (Status.SECONDHAND, Status.COMPUTED) and confidence is Confidence.HIGH


_UNITS = (
    ("_kg_per_m3", "kg/m3"),
    ("_j_per_kg_k", "J/(kg K)"),
    ("_w_per_m_k", "W/(m K)"),
    ("_w_per_m3", "W/m3"),
    ("_s_per_m", "S/m"),
    ("_v_per_cm", "V/cm"),
    ("_cm_per_v", "cm/V"),
    ("_per_k", "1/K"),
    ("_per_s", "1/s"),
    ("voltage_v", "V"),
    ("_mm", "mm"),
    ("_um", "um"),
    ("width_us", "us"),
    ("frequency_hz", "Hz"),
    ("_current_a", "A"),
)


@cache
def data_table(name: str) -> dict[str, Any]:
    """A YAML file of the package's data folder."""
    text = resources.files(__package__ or "porefield.meshes").joinpath("data", name).read_text(encoding="utf-8")
    return yaml.safe_load(text)


def read_value(quantity: str, entry: dict[str, Any] | None, sources: dict[str, str]) -> Value:
    """One entry of a data file; None stands for a quantity that does not apply."""
    if entry is None:
        return Value(quantity, None, "does not apply", Status.READ, Confidence.HIGH)
    return Value(
        quantity,
        float(entry["value"]),
        sources[entry["source"]],
        Status(entry["status"]),
        Confidence(entry["confidence"]),
        entry.get("sd"),
        entry.get("note", ""),
        _read_range(entry["range"], sources) if "range" in entry else None,
    )


def _read_range(entry: dict[str, Any], sources: dict[str, str]) -> Range:
    low, high = (float(end) for end in entry["value"])
    how = (Status(entry["status"]), Confidence(entry["confidence"]), entry.get("note", ""))
    return Range(low, high, sources[entry["source"]], *how)


def plan_value(quantity: str, value: float) -> Value:
    """A value that the plan sets."""
    return Value(quantity, value, "plan", Status.PLAN, Confidence.STATED)
