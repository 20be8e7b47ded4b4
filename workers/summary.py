"""What a run says in numbers: the model behind summary.json, and its one schema.

Volumes in mm3, fields in V/cm, as clinicians read them; currents in A. A number that does not exist (the coverage of
a target that is all metal) is null, never NaN, so that every JSON reader takes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..kernels.solution import SolveStatus

DISCLAIMER = (
    "Research software, not a medical device. Computed from the given segmentation and from published tissue values "
    "that vary between patients; not validated for clinical decisions."
)

Fraction = Annotated[float, Field(ge=0, le=1)]
FieldKey = str
"""A threshold in V/cm written as the plan has it, such as "400": JSON keys are text."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SolverCertificate(_Part):
    """Whether to believe a pulse's field: recomputed after the solve, not what the iteration hoped for."""

    status: SolveStatus
    relative_residual: float | None = Field(description="nodal current imbalance over what the electrodes push in")
    tolerance: float
    current_imbalance: float | None = Field(description="|sum of currents| / largest |current|")
    power_imbalance: float | None = Field(description="|sum V I - dissipated power| / dissipated power")
    newton_steps: list[int] = Field(description="per nested grid, coarsest first")
    cg_iterations: list[int] = Field(description="per nested grid, coarsest first")
    definite: bool | None = Field(
        default=None,
        description="whether the equations' matrix was shown to be positive definite at the solution: no other one is "
        "near; false: not shown; null: not examined",
    )


class PulseSummary(_Part):
    """One pulse train: what flows, what it takes of the generator, and how far to trust it."""

    name: str
    anodes: list[str]
    cathodes: list[str]
    voltage_v: float = Field(description="as the plan has it, or the one found that drives current_a")
    current_a: float | None = Field(default=None, description="A, where the plan prescribes the current; else null")
    count: int | None
    width_us: float | None
    frequency_hz: float | None
    spacing_mm: float | None = Field(
        default=None, description="between anodes and cathodes, where a protocol makes the pulse; else null"
    )
    currents_a: dict[str, float | None] = Field(description="out of each electrode into the tissue, A")
    electrode_potentials_v: dict[str, float | None] = Field(description="floating electrodes included")
    generator_current_a: float | None = Field(description="what the generator delivers: the sum over the anodes, A")
    peak_power_w: float | None = Field(description="sum of V I over the electrodes")
    within_generator_limits: bool | None = Field(description="null without a generator, or when not converged")
    contact_drops_v: dict[str, float | None] | None = Field(
        default=None, description="mean over each electrode's contact resistance; null where the plan has none"
    )
    voltage_at_current_limit_v: float | None = Field(
        description="only where the current limit is exceeded: the voltage at which the same pulse draws the limit or "
        "up to 1 % less, found by solving again; at most the generator's voltage limit"
    )
    solver: SolverCertificate


class Volumes(_Part):
    """Over all tissue of the grid, metal and insulated shafts excluded, air never included; null for a failed solve."""

    reversible: float | None = Field(description="mm3 at or above each tissue's own reversible threshold")
    irreversible: float | None = Field(description="mm3 at or above each tissue's own irreversible threshold")
    above_v_per_cm: dict[FieldKey, float | None]


End = Literal["low", "nominal", "high"]
Zone = Literal["reversible", "irreversible"]
Verdict = Literal["whole", "depends_on_threshold", "not_whole"]
ENDS: tuple[End, ...] = ("low", "nominal", "high")
ZONES: tuple[Zone, ...] = ("reversible", "irreversible")


class Band(_Part):
    """A number at the low end, the nominal value and the high end of a threshold's range."""

    low: float | None
    nominal: float | None
    high: float | None


class CoverageBand(_Part):
    """How far coverage depends on where in its range the threshold lies: publications spread by factors."""

    tissue: str | None = Field(description="that fills most of the target; null for a target that is all metal")
    threshold_v_per_cm: Band = Field(description="of that tissue; null where it has no cells to permeabilise")
    share: Band = Field(
        description="0 to 1: of the target's tissue, each at or above its own threshold, all of them at the same end"
    )
    verdict: Verdict | None = Field(
        description="whole: covered whole even at the high end; not_whole: not even at the low end; null: no share"
    )


class CoverageBands(_Part):
    """For both thresholds."""

    reversible: CoverageBand
    irreversible: CoverageBand


class TargetCoverage(_Part):
    """Shares (0 to 1) of the target's tissue at or above thresholds; null for a target that is all metal."""

    reversible: Fraction | None
    irreversible: Fraction | None
    band: CoverageBands | None = Field(
        default=None, description="the same over the thresholds' ranges; null in results before there were any"
    )
    above_v_per_cm: dict[FieldKey, Fraction | None]


class FieldQuantiles(_Part):
    """Volume-weighted quantiles of |E| (maximum over the pulses) in V/cm."""

    min: float | None
    q01: float | None
    q02: float | None
    q05: float | None
    median: float | None
    max: float | None


class Histogram(_Part):
    """The field-volume histogram: the share of the target at or above each field."""

    field_v_per_cm: list[float]
    fraction_at_or_above: list[Fraction]


class TargetMeasures(_Part):
    """One target."""

    volume_mm3: float = Field(description="as segmented: number of voxels x volume of a voxel")
    tissue_volume_mm3: float = Field(description="without metal and shafts: what the shares refer to")
    coverage: TargetCoverage
    field_v_per_cm: FieldQuantiles
    histogram: Histogram


class AvoidMeasures(_Part):
    """One avoided structure, against the plan's limit for it."""

    volume_mm3: float
    tissue_volume_mm3: float
    limit_v_per_cm: float
    max_v_per_cm: float | None
    volume_above_limit_mm3: float | None
    exceeded: bool | None = Field(description="null when the field there is not known: all metal, or a failed solve")


class NoteSummary(_Part):
    """What a reader must know about how the result was made."""

    kind: str
    message: str


class SheetSummary(_Part):
    """A thin resistive layer between two tissues."""

    between: list[str] = Field(description="the layer's resistance lies in the first voxels of the one named first")
    resistance_ohm_cm2: float
    layer: str | None = Field(default=None, description="of the library, where the plan names one")
    values: list[dict[str, Any]] = Field(
        default=[], description="thickness and conductivity with their sources; none where the plan has the resistance"
    )


class GridNumber(_Part):
    """A number of this result, what it is on larger voxels, and how far it may be off for that reason."""

    value: float
    coarser: list[float | None] = Field(description="the same on each of the larger voxels, in their order")
    uncertainty: float | None = Field(
        description="value +- this, in the value's unit; null where there is none to give"
    )
    reason: str = Field(description="why there is no uncertainty; empty where there is one")


class Undecided(_Part):
    """A verdict that other voxels may turn round."""

    question: str = Field(description="such as 'tumour: covered whole'")
    pointer: str = Field(description="JSON pointer into this file: the number that it hangs on")
    value: float
    uncertainty: float | None = Field(description="null: the number does not converge, or has no uncertainty")
    limit: float = Field(description="what the number is held against, in its unit")
    advice: str


class CoarserGrid(_Part):
    """Larger voxels that the plan was solved on too, in the same box."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    ratio: float = Field(description="of the voxels' edges to those of the plan, the smallest of those that differ")


class GridCheck(_Part):
    """How far the numbers may be off because voxels have a size; nothing about tissue values or the segmentation."""

    done: bool = Field(description="false: it could not be made, `notes` say why")
    spacing_mm: tuple[float, float, float] = Field(description="of this result")
    coarser: list[CoarserGrid]
    order: float = Field(description="assumed: errors fall as spacing ** order")
    safety_factor: float
    method: str = Field(description="how uncertainties come about, in words")
    numbers: dict[str, GridNumber] = Field(description="by JSON pointer (RFC 6901) into this file")
    undecided: list[Undecided]
    notes: list[str]


class GridSummary(_Part):
    """The voxels of the solve."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    voxels: int
    affine: list[list[float]] = Field(description="voxel centre index -> patient RAS mm, 4 x 4")


class RunSummary(_Part):
    """summary.json of one run."""

    porefield: str = Field(description="version that computed it")
    status: SolveStatus = Field(description="the worst of the pulses: anything but 'converged' is not to be relied on")
    disclaimer: str
    created: str = Field(description="ISO 8601, UTC")
    pulses: list[PulseSummary]
    volumes_mm3: Volumes
    targets: dict[str, TargetMeasures]
    avoid: dict[str, AvoidMeasures]
    warnings: list[str]
    notes: list[NoteSummary]
    tissues: list[dict[str, Any]] = Field(description="each tissue in use: law, thresholds, source and confidence")
    contact_resistance_ohm_cm2: dict[str, float] = Field(default={}, description="of electrodes that have one")
    sheets: list[SheetSummary] = Field(default=[], description="resistive layers between tissues in the grid")
    generator: dict[str, Any] | None
    devices: list[dict[str, Any]] = Field(
        default=[], description="electrodes from the library: pose, and each number with its source and status"
    )
    protocol: dict[str, Any] | None = Field(
        default=None, description="what stands for the pulses: each number with its source and status"
    )
    grid: GridSummary
    grid_check: GridCheck | None = Field(
        default=None, description="null: nobody asked for it, and the discretisation error of this result is unknown"
    )
    provenance: dict[str, Any]
    timings_s: dict[str, float]
    versions: dict[str, str]
    device: str


def band_verdict(share: Band) -> Verdict | None:
    """Whether all of a target is covered at every threshold of the band, at some, or at none."""
    if share.low is None or share.high is None:
        return None
    return "whole" if share.high >= 1 else "depends_on_threshold" if share.low >= 1 else "not_whole"


def worst_status(statuses: Sequence[SolveStatus]) -> SolveStatus:
    """The status of a run from those of its pulses, of which there is at least one."""
    return max(statuses, key=(SolveStatus.CONVERGED, SolveStatus.OUT_OF_ITERATIONS, SolveStatus.STAGNATED).index)
