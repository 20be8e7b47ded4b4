"""The report's tables: targets, spared structures, volumes, currents, tissues, certificates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .report_data import Result, tissue_values
from .report_format import Html, badge, cubic_cm, exact, finite, number, scientific, table, text
from .report_uncertainty import number_at, percent_at

MOST_ELECTRODE_COLUMNS = 6
"""Above this, currents are listed in one column: a table has to fit on paper, and seven columns print small."""

QUANTITIES = {
    "baseline_s_per_m": "conductivity at rest",
    "permeabilised_s_per_m": "conductivity, permeabilised",
    "conductivity_s_per_m": "conductivity",
    "start_v_per_cm": "rise begins at",
    "end_v_per_cm": "rise ends at",
    "midpoint_v_per_cm": "midpoint of the rise",
    "width_v_per_cm": "width of the rise",
    "reversible_v_per_cm": "reversible threshold",
    "irreversible_v_per_cm": "irreversible threshold",
    "temperature_per_k": "rise with temperature",
    "anisotropy_ratio": "conductivity along the fibres over that across, which the law states",
}
_UNITS = ("_s_per_m", "_v_per_cm", "_cm_per_v", "_per_k")


def spoken(name: object) -> str:
    """A name as the plan writes it, with spaces for underscores."""
    return str(name).replace("_", " ")


def targets_table(result: Result) -> Html:
    """Coverage and the low end of the field, which decides."""
    heads = ("Target", "volume, cm\N{SUPERSCRIPT THREE}", "reversible", "irreversible", "minimum")
    heads += ("lowest 1 %", "lowest 2 %", "lowest 5 %", "median", "maximum")
    rows = []
    for name, target in result.targets.items():
        field, share = target.get("field_v_per_cm") or {}, target.get("coverage") or {}
        at = ("targets", name)
        volume = number_at(result, target.get("volume_mm3"), *at, "volume_mm3", scale=1e-3)
        shares = [percent_at(result, share.get(k), *at, "coverage", k) for k in ("reversible", "irreversible")]
        quantiles = [
            number_at(result, field.get(k), *at, "field_v_per_cm", k)
            for k in ("min", "q01", "q02", "q05", "median", "max")
        ]
        rows.append((spoken(name), volume, *shares, *quantiles))
    return table("Targets: share at or above each threshold; quantiles of |E| in V/cm", heads, rows)


def avoided_table(result: Result) -> Html:
    """The largest field in each structure to spare, against the plan's limit."""
    heads = ("Structure to spare", "volume, cm\N{SUPERSCRIPT THREE}", "limit, V/cm", "maximum |E|, V/cm")
    heads += ("above the limit, mm\N{SUPERSCRIPT THREE}", "finding")
    rows, classes = [], []
    for name, found in result.avoided.items():
        exceeded = bool(found.get("exceeded"))
        measured = finite(found.get("max_v_per_cm")) is not None
        mark = badge("limit exceeded", "bad") if exceeded else badge("within its limit", "good")
        numbers = [exact(found.get("limit_v_per_cm"))]
        for key in ("max_v_per_cm", "volume_above_limit_mm3"):
            numbers.append(number_at(result, found.get(key), "avoid", name, key))
        known = result.converged and measured
        rows.append(
            (spoken(name), cubic_cm(found.get("volume_mm3")), *numbers, mark if known else badge("no result", "doubt"))
        )
        classes.append("bad" if exceeded else "")
    return table("Largest field against the plan's limit", heads, rows, words=(0, -1), classes=classes)


def volumes_table(result: Result) -> Html:
    """Volume of each zone in the whole grid, and the share of every target."""
    volumes = result.summary.get("volumes_mm3") or {}
    names = list(result.targets)
    heads = ("At or above", "tissue in the grid, cm\N{SUPERSCRIPT THREE}", *(f"of {spoken(n)}" for n in names))
    rows: list[tuple[Any, ...]] = []
    for key in ("reversible", "irreversible"):
        shares = [
            percent_at(result, (result.targets[n].get("coverage") or {}).get(key), "targets", n, "coverage", key)
            for n in names
        ]
        volume = number_at(result, volumes.get(key), "volumes_mm3", key, scale=1e-3)
        rows.append((f"each tissue's own {key} threshold", volume, *shares))
    fixed: Mapping[str, Any] = volumes.get("above_v_per_cm") or {}
    for key in sorted(fixed, key=lambda k: float(k)):
        shares = [
            percent_at(
                result,
                ((result.targets[n].get("coverage") or {}).get("above_v_per_cm") or {}).get(key),
                *("targets", n, "coverage", "above_v_per_cm", key),
            )
            for n in names
        ]
        volume = number_at(result, fixed[key], "volumes_mm3", "above_v_per_cm", key, scale=1e-3)
        rows.append((f"{key} V/cm", volume, *shares))
    return table("Volumes, metal excluded", heads, rows)


def currents_table(result: Result) -> Html:
    """Every electrode's current in every pulse; positive flows from the electrode into the tissue."""
    names = [e.name for e in result.electrodes] or list((result.pulses or [{}])[0].get("currents_a") or {})
    wide = len(names) <= MOST_ELECTRODE_COLUMNS
    currents = tuple(f"{n}, A" for n in names) if wide else ("currents, A",)
    heads = ("Pulse", "train", "voltage, V", *currents, "delivered, A", "peak power, kW", "generator")
    rows, classes = [], []
    for index, pulse in enumerate(result.pulses):
        flow: Mapping[str, Any] = pulse.get("currents_a") or {}
        cells = [current(flow.get(n)) for n in names]
        listed = ", ".join(f"{n}\N{NO-BREAK SPACE}{c}" for n, c in zip(names, cells, strict=True))
        power = finite(pulse.get("peak_power_w"))
        rows.append(
            (
                pulse_title(pulse),
                train(pulse),
                voltage(result, index, pulse),
                *(cells if wide else [listed]),
                number_at(result, delivered_a(pulse), "pulses", index, "generator_current_a"),
                number_at(result, power, "pulses", index, "peak_power_w", scale=1e-3),
                generator_mark(pulse),
            )
        )
        classes.append("bad" if pulse.get("within_generator_limits") is False else "")
    caption = "Currents, positive out of the electrode into the tissue"
    listing = () if wide else (3,)  # a line of 16 needles wraps, or all of the page would be printed small
    return table(caption, heads, rows, words=(0, 1, *listing, -1), classes=classes)


def pulse_title(pulse: Mapping[str, Any]) -> Html:
    """The pulse's name, and from where to where it flows unless the name says so."""
    name = str(pulse.get("name", ""))
    anodes, cathodes = ([str(e) for e in pulse.get(side) or ()] for side in ("anodes", "cathodes"))
    spacing = finite(pulse.get("spacing_mm"))
    apart = "" if spacing is None else f"<br><small>{text(f'{spacing:.3g} mm')} apart</small>"
    if name.startswith(f"{'+'.join(anodes)}-{'+'.join(cathodes)}"):
        return Html(text(name) + apart)
    path = f"{' + '.join(anodes)} \N{RIGHTWARDS ARROW} {' + '.join(cathodes)}"
    return Html(f"{text(name)}<br><small>{text(path)}</small>{apart}")


def voltage(result: Result, index: int, pulse: Mapping[str, Any]) -> Html:
    """As the plan has it; where it prescribes the current, the one that was found, and says so."""
    prescribed = finite(pulse.get("current_a"))
    if prescribed is None:
        return Html(text(exact(pulse.get("voltage_v"))))
    found = number_at(result, pulse.get("voltage_v"), "pulses", index, "voltage_v")
    return Html(f"{text(found)}<br><small>found for {prescribed:g} A</small>")


def current(value: Any) -> str:
    """Amperes to two decimals; what the solver leaves of a floating electrode's zero is zero."""
    x = finite(value)
    if x is None:
        return number(None)
    if abs(x) >= 1e5:
        return scientific(x)
    return "0" if abs(x) < 5e-4 else f"{x:.2f}".replace("-", "\N{MINUS SIGN}")


def train(pulse: Mapping[str, Any]) -> str:
    """'8 x 100 us at 1 Hz'."""
    count, width, rate = (finite(pulse.get(k)) for k in ("count", "width_us", "frequency_hz"))
    if count is None or width is None:
        return ""
    at = "" if rate is None else f" at {rate:g} Hz"
    whole = f"{count:g} \N{MULTIPLICATION SIGN} {width:g} \N{MICRO SIGN}s{at}"
    return whole.replace(" ", "\N{NO-BREAK SPACE}")


def delivered_a(pulse: Mapping[str, Any]) -> float | None:
    """What the generator delivers: as stated, else the sum over the anodes."""
    stated = finite(pulse.get("generator_current_a"))
    if stated is not None:
        return stated
    flow = pulse.get("currents_a") or {}
    parts = [finite(flow.get(name)) for name in pulse.get("anodes") or ()]
    known = [p for p in parts if p is not None]
    return sum(known) if known and len(known) == len(parts) else None


def generator_mark(pulse: Mapping[str, Any]) -> Html:
    """Whether the generator is able, and if not, which voltage would fit."""
    within, fitting = pulse.get("within_generator_limits"), finite(pulse.get("voltage_at_current_limit_v"))
    if within is None:
        return badge("not judged", "plain")
    if within:
        return badge("within limits", "good")
    hint = f" <small>about {fitting:.0f} V would fit</small>" if fitting is not None else ""
    return Html(badge("exceeds limits", "bad") + hint)


def tissues_table(result: Result) -> Html:
    """Every value that entered the solve, with where it comes from."""
    heads = ("Tissue", "quantity", "value", "unit", "verified", "source")
    rows, classes = [], []
    for entry in result.summary.get("tissues") or ():
        law = f" ({spoken(entry['law'])})" if isinstance(entry.get("law"), str) else ""
        for index, value in enumerate(tissue_values(entry)):
            tissue = text(spoken(entry.get("name", "")) + law) if index == 0 else ""
            quantity = QUANTITIES.get(str(value["name"]), _without_unit(str(value["name"])))
            rows.append((Html(tissue), quantity, *provenance_cells(value)))
            classes.append(" ".join(("first",) * (index == 0) + ("doubt",) * (not value.get("verified"))))
    return table("Tissues as solved", heads, rows, words=(0, 1, 3, 4, 5), classes=classes)


def provenance_cells(value: Mapping[str, Any]) -> tuple[Html, Html, Html, Html]:
    """A value, its unit, whether it is verified, and its source."""
    unit = text(value.get("unit")) if value.get("unit") else ""
    return _value(value), Html(unit), _status(value), _source(value)


def series_table(result: Result) -> Html | None:
    """Contacts and sheets, and what drops over the contacts in each pulse; None without any."""
    contacts = result.summary.get("contact_resistance_ohm_cm2") or {}
    sheets = result.summary.get("sheets") or ()
    if not contacts and not sheets:
        return None
    drops = {str(p.get("name", "")): p.get("contact_drops_v") or {} for p in result.pulses}
    heads = ("In series with tissue", "resistance, \N{OHM SIGN} cm\N{SUPERSCRIPT TWO}", "mean drop, V")
    rows: list[tuple[Any, ...]] = []
    for name, resistance in contacts.items():
        known = [(pulse, finite(of.get(name))) for pulse, of in drops.items()]
        cells = [f"{pulse}: {number(abs(v))}" for pulse, v in known if v is not None]
        rows.append((f"contact of {name}", exact(resistance), "; ".join(cells)))
    for sheet in sheets:
        one, other = (spoken(name) for name in sheet.get("between") or ("", ""))
        name = spoken(sheet.get("layer") or "sheet")
        made = "; ".join(
            f"{exact(v.get('value'))} {v.get('unit')}{'' if v.get('verified') else ' (unverified)'}"
            for v in sheet.get("values") or ()
        )
        of = f"<br><small>{text(made)}</small>" if made else ""
        where = Html(f"{text(f'{name} between {one} and {other}, in {one}')}{of}")
        rows.append((where, exact(sheet.get("resistance_ohm_cm2")), ""))
    return table("Contact resistances and thin sheets", heads, rows, words=(0, 2))


def _without_unit(name: str) -> str:
    for unit in _UNITS:
        name = name.removesuffix(unit)
    return spoken(name)


def _value(value: Mapping[str, Any]) -> Html:
    known, spread = finite(value.get("value")), finite(value.get("sd"))
    if known is None:
        return Html(text(value.get("value")))
    shown = text(exact(known) + (f" \N{PLUS-MINUS SIGN} {exact(spread)}" if spread is not None else ""))
    ends = value.get("range") or {}
    if ends:
        shown += f"<br><small>{number(ends.get('low'))} to {number(ends.get('high'))}</small>"
    return Html(shown)


def _source(value: Mapping[str, Any]) -> Html:
    note, ends = value.get("note"), value.get("range") or {}
    lines = [text(value.get("source")), *([f"<small>{text(note)}</small>"] if note else [])]
    if ends.get("source") and ends["source"] != value.get("source"):
        doubt = "" if ends.get("verified") else ", unverified"
        why = f": {ends['note']}" if ends.get("note") else ""
        lines.append(f"<small>range: {text(ends['source'])}{text(why) if why else ''}{doubt}</small>")
    return Html("<br>".join(lines))


def _status(value: Mapping[str, Any]) -> Html:
    how = ", ".join(str(value[k]).replace("_", " ").lower() for k in ("status", "confidence") if value.get(k))
    mark = "\N{CHECK MARK} verified" if value.get("verified") else badge("unverified", "doubt")
    return Html(f"{mark} <small>{text(how) if how else ''}</small>")
