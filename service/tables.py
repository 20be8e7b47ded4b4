"""What commands print for people: tables of a plan as understood, of a result, and of the tissue library."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..meshes.library import Value
from ..meshes.tissues import Tissue
from ..workers.describe import PlanDescription
from ..workers.grid_numbers import pointer
from ..workers.summary import ZONES, CoverageBand, RunSummary, TargetMeasures, Zone


def plan_tables(plan: PlanDescription) -> RenderableType:
    """A plan as it was understood."""
    grid = plan.grid
    size = " x ".join(str(n) for n in grid.shape)
    spacing = " x ".join(f"{h:g}" for h in grid.spacing_mm)
    head = f"grid {size} = {grid.voxels:,} voxels of {spacing} mm; about {plan.memory_bytes / 2**30:.2f} GiB of memory"
    tissues = plain_table("tissue", "law", "volume (mm3)", "reversible (V/cm)", "irreversible (V/cm)", "values")
    for t in plan.tissues:
        thresholds = (_number(t.reversible_v_per_cm), _number(t.irreversible_v_per_cm))
        verified = "verified" if t.verified else "some unverified"
        tissues.add_row(escape(t.name), t.law, f"{t.volume_mm3:,.0f}", *thresholds, verified)
    structures = plain_table("structure", "role", "volume (mm3)", "limit (V/cm)")
    for s in plan.structures:
        structures.add_row(escape(s.name), s.role, f"{s.volume_mm3:,.0f}", _number(s.limit_v_per_cm))
    electrodes = plain_table("electrode", "geometry in patient RAS mm")
    for electrode in plan.electrodes:
        electrodes.add_row(escape(electrode["name"]), _geometry(electrode))
    pulses = plain_table("pulse", "anode", "cathode", "floating", "voltage or current", "train")
    for p in plan.pulses:
        train = f"{p.count} x {p.width_us:g} us at {p.frequency_hz:g} Hz"
        ends = (_names(p.anodes), _names(p.cathodes), _names(p.floating))
        level = f"{p.current_a:g} A" if p.voltage_v is None else f"{p.voltage_v:g} V"
        pulses.add_row(escape(p.name), *ends, level, train)
    title = [Text(plan.title, style="bold")] if plan.title else []
    notes = [*_warnings(plan.warnings), *_notes(n.message for n in plan.notes if n.message not in plan.warnings)]
    return Group(*title, Text(head), tissues, structures, electrodes, pulses, *notes)


def result_tables(summary: RunSummary, where: str) -> RenderableType:
    """A result in short."""
    parts: list[RenderableType] = [_pulses(summary)]
    if summary.targets:
        parts.append(_targets(summary))
    if summary.avoid:
        table = plain_table("to spare", "volume (mm3)", "limit (V/cm)", "largest (V/cm)", "above limit (mm3)", "")
        for name, a in summary.avoid.items():
            verdict = {None: "unknown", True: "[red]exceeded[/]", False: "kept"}[a.exceeded]
            row = (_number(a.limit_v_per_cm), _number(a.max_v_per_cm), _number(a.volume_above_limit_mm3), verdict)
            table.add_row(escape(name), f"{a.volume_mm3:,.0f}", *row)
        parts.append(table)
    volumes = summary.volumes_mm3
    zones = f"reversible {_volume(volumes.reversible)}, irreversible {_volume(volumes.irreversible)}"
    parts += [Text(f"volumes: {zones}"), Text(_grid_check(summary))]
    total = summary.timings_s.get("total", 0.0)
    parts += [*_warnings(summary.warnings), Text(summary.disclaimer, style="dim")]
    parts.append(Text(f"{where} ({summary.device}, {total:.1f} s)", style="bold"))
    return Group(*parts)


def tissue_table(tissues: Iterable[Tissue]) -> RenderableType:
    """The tissue library."""
    table = plain_table("tissue", "law", "conductivity", "reversible (V/cm)", "irreversible (V/cm)", "sources")
    for t in tissues:
        numbers = ", ".join(f"{v.quantity} {_number(v.value)}" for v in t.conductivity)
        sources = "; ".join(dict.fromkeys(_source(v.source, v.verified) for v in t.values))
        thresholds = (_with_range(v) for v in t.thresholds)
        table.add_row(escape(t.name), t.law_name, escape(numbers), *thresholds, escape(sources))
    return table


def _with_range(value: Value) -> str:
    ends = "" if value.range is None else f" ({value.range.low:.0f} to {value.range.high:.0f})"
    return f"{_number(value.value)}{ends}"


def tissue_as_dict(tissue: Tissue) -> dict[str, Any]:
    """A tissue of the library for machines."""
    kept = {value.quantity: value.as_dict() for value in (*tissue.values, *tissue.thermal)}
    return {"law": tissue.law_name, "values": kept, "note": tissue.note, "verified": tissue.verified}


def print_table(content: RenderableType) -> None:
    """Print to stdout; piped output is not cut at 80 columns."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    console.print(content)


def _pulses(summary: RunSummary) -> Table:
    table = plain_table("pulse", "voltage (V)", "current (A)", "peak power (kW)", "generator", "solver")
    for i, p in enumerate(summary.pulses):
        fits = {None: "-", True: "fits", False: "[red]exceeded[/]"}[p.within_generator_limits]
        if p.voltage_at_current_limit_v is not None:
            fits += f", about {p.voltage_at_current_limit_v:.0f} V would fit"
        solver = "converged" if p.solver.status.value == "converged" else f"[red]{p.solver.status.value}[/]"
        power = None if p.peak_power_w is None else p.peak_power_w / 1e3
        level = f"{p.voltage_v:g}" if p.current_a is None else f"{p.voltage_v:.1f} for {p.current_a:g} A"
        current = _number(p.generator_current_a) + _plus_minus(summary, 1, "pulses", i, "generator_current_a")
        level += _plus_minus(summary, 1, "pulses", i, "voltage_v")
        row = (level, current, _number(power), fits, solver)
        table.add_row(escape(p.name), *row)
    return table


def _targets(summary: RunSummary) -> Table:
    heads = ("reversible", "over its range", "irreversible", "over its range")
    table = plain_table("target", "volume (mm3)", *heads, "min (V/cm)", "2 % (V/cm)", "median (V/cm)")
    for name, t in summary.targets.items():
        shares: list[str] = []
        for key in ZONES:
            share = _percent(getattr(t.coverage, key))
            shares += [share + _plus_minus(summary, 100, "targets", name, "coverage", key), _over_range(t, key)]
        field = t.field_v_per_cm
        fields = (_number(field.min), _number(field.q02), _number(field.median))
        table.add_row(escape(name), f"{t.volume_mm3:,.0f}", *shares, *fields)
    return table


def _over_range(target: TargetMeasures, zone: Zone) -> str:
    """'94.1 to 100 % at 500 to 350 V/cm': the share at the high and at the low end of the threshold."""
    if target.coverage.band is None:
        return ""
    band: CoverageBand = getattr(target.coverage.band, zone)
    at, share = band.threshold_v_per_cm, band.share
    if share.low is None or at.low is None:
        return ""
    low, high = _percent(share.high).removesuffix(" %"), _percent(share.low)
    shares = high if f"{low} %" == high else f"{low} to {high}"
    return f"{shares} at {_whole(at.high)} to {_whole(at.low)} V/cm"


def _whole(field_v_per_cm: float | None) -> str:
    return "-" if field_v_per_cm is None else f"{field_v_per_cm:.0f}"


def _plus_minus(summary: RunSummary, scale: float, *where: object) -> str:
    """The uncertainty of a number for the voxels' size, as it stands behind it; nothing where there is none."""
    check = summary.grid_check
    entry = check.numbers.get(pointer(*where)) if check is not None else None
    return "" if entry is None or not entry.uncertainty else f" +- {scale * entry.uncertainty:.2g}"


def _grid_check(summary: RunSummary) -> str:
    check = summary.grid_check
    if check is None:
        return "discretisation error not estimated: --check-grid does"
    if not check.done:
        return "discretisation error not known: the grid check could not be made"
    sizes = " and ".join(" x ".join(f"{h:.3g}" for h in other.spacing_mm) for other in check.coarser)
    return f"+-: for the voxels' size, from solves at {sizes} mm; order {check.order:g}, safety {check.safety_factor:g}"


def plain_table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i and column.endswith(")") else "left", overflow="fold")
    return table


def _geometry(electrode: dict[str, Any]) -> str:
    if electrode["kind"] == "needle":
        text = f"needle {electrode['diameter_mm']:g} mm, {electrode['exposed_mm']:g} mm bare"
        text += f" from {electrode['from_mm']:g} mm behind the tip" if electrode["from_mm"] else ""
        text += f", {electrode['shaft_mm']:g} mm shaft" if electrode["shaft_mm"] else ""
        text += f", {electrode['tip']} tip" if electrode["tip"] != "flat" else ""
        return f"{text}, tip at {_point(electrode['tip_mm'])}, towards {_point(electrode['direction'])}"
    if electrode["kind"] == "tube":
        bore = f", bore {electrode['inner_diameter_mm']:g} mm" if electrode["inner_diameter_mm"] else ", solid"
        text = f"tube {electrode['outer_diameter_mm']:g} mm{bore}, {electrode['length_mm']:g} mm long"
        return f"{text}, centre at {_point(electrode['centre_mm'])}, along {_point(electrode['axis'])}"
    size = " x ".join(f"{s:g}" for s in electrode["size_mm"])
    return f"plate {size} mm, centre at {_point(electrode['centre_mm'])}"


def _point(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{v:.4g}" for v in values) + ")"


def _names(names: Sequence[str]) -> str:
    return escape(", ".join(names)) or "-"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _volume(mm3: float | None) -> str:
    return "-" if mm3 is None else f"{mm3:,.0f} mm3"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _source(source: str, verified: bool) -> str:
    return source if verified else f"{source} (unverified)"


def _warnings(messages: Iterable[str]) -> list[Text]:
    return [Text(f"warning: {message}", style="yellow") for message in messages]


def _notes(messages: Iterable[str]) -> list[Text]:
    return [Text(f"note: {message}", style="dim") for message in messages]
