"""The top of the report: is the target covered, is anything at risk, is the generator able. Numbers, no advice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

from .report_band import band_of, band_sentence, band_table
from .report_data import Result
from .report_format import Html, cubic_cm, exact, finite, number, percent, table, text
from .report_tables import delivered_a, spoken
from .report_uncertainty import UNSETTLED, grid_check, number_at, percent_at, undecided

MOST_TARGETS, MOST_SPARED, MOST_PULSES, MOST_DOUBTS, MOST_WARNINGS = 2, 6, 4, 2, 3
"""Told on the first page, which has to stay one; the rest follows in full."""


def banner(result: Result) -> Html:
    """Red and first when the solve did not converge; nothing otherwise."""
    if result.converged:
        return Html("")
    status = spoken(result.summary.get("status", "unknown"))
    return Html(
        '<div class="banner" role="alert"><strong>The solve did not converge: no verdict.</strong>'
        f"Status: {escape(status)}. The fields below are not a result and must not be used; they are shown to find out "
        "why. Currents, volumes and coverage are withheld.</div>"
    )


def verdict(result: Result) -> Html:
    """One card per target, one for what is to be spared, one for the generator; none without a converged solve."""
    if not result.converged:
        return Html("")
    targets = list(result.targets.items())
    cards = [target_card(result, name, target) for name, target in targets[:MOST_TARGETS]]
    if not cards:
        cards.append(
            card("Target", "none named", ("The plan names no target, so there is no coverage to judge.",), "plain")
        )
    others = ""
    if len(targets) > MOST_TARGETS:
        others = ", ".join(
            f"{spoken(name)} {percent((target.get('coverage') or {}).get('reversible'))}"
            for name, target in targets[MOST_TARGETS:]
        )
        others = card("More targets", "see Volumes", (f"Covered: {others}.",), "plain")
    stack = f'<div class="stack">{others}{spared_card(result)}{generator_card(result)}</div>'
    return Html(f'<div class="cards">{"".join(cards)}{stack}</div>')


def target_card(result: Result, name: str, target: Mapping[str, Any]) -> Html:
    """How much of one target is covered, how surely, and what its weakest part sees."""
    share = finite((target.get("coverage") or {}).get("reversible"))
    heading = f"Target: {spoken(name)}"
    if share is None:
        return card(heading, "covered: no result", ("The target holds no tissue outside the metal.",), "doubt")
    tissue, reversible, _ = result.thresholds
    level = (
        f" ({exact(reversible)} V/cm in {spoken(tissue)})" if reversible and name == next(iter(result.targets)) else ""
    )
    volume = finite(target.get("tissue_volume_mm3")) or finite(target.get("volume_mm3")) or 0.0
    missing = (1 - share) * volume
    field = target.get("field_v_per_cm") or {}
    first = f"of its {cubic_cm(volume)} cm\N{SUPERSCRIPT THREE} reach the reversible threshold{level}"
    first += f"; {number(missing)} mm\N{SUPERSCRIPT THREE} do not." if share < 1 else "."
    low, lowest = (number_at(result, field.get(k), "targets", name, "field_v_per_cm", k) for k in ("min", "q01"))
    bands = band_table(result, name, target)
    killed = (target.get("coverage") or {}).get("irreversible")
    killed = percent_at(result, killed, "targets", name, "coverage", "irreversible")
    doubts = undecided(result, f"{name}: covered whole")
    lines = [
        first,
        band_sentence(target),
        bands or f"At or above the irreversible threshold: {killed}.",
        f"Field: minimum {low}, lowest 1 % under {lowest} V/cm.",
        *(doubts or [_voxels(result)]),
        _robustness(result, name),
    ]
    bar = f'<div class="meter"><i style="width:{100 * share:.2f}%"></i></div>'
    answer = f"covered: {percent_at(result, share, 'targets', name, 'coverage', 'reversible')}"
    return card(heading, answer, lines, _target_kind(target, share, bool(doubts)), bar)


def _target_kind(target: Mapping[str, Any], share: float, undecided_by_voxels: bool) -> str:
    found = band_of(target, "reversible").get("verdict")
    if found == "not_whole" and not undecided_by_voxels:
        return "bad"
    return "good" if share >= 1 and found in (None, "whole") and not undecided_by_voxels else "doubt"


def _voxels(result: Result) -> str:
    if grid_check(result) is None:
        return "Voxels' size: its effect was not estimated (porefield run --check-grid)."
    return f"Voxels' size: \N{PLUS-MINUS SIGN} as told, which turns no verdict; {UNSETTLED} does not converge."


def _robustness(result: Result, name: str) -> str:
    found = ((result.robustness or {}).get("whole") or {}).get(name) or {}
    value, low, high = (finite(found.get(key)) for key in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return ""
    return (
        f"Placement errors and spread of tissue: covered whole in {100 * value:.0f} % of {found.get('points')} draws "
        f"(95 % interval {100 * low:.0f} to {100 * high:.0f} %)."
    )


def spared_card(result: Result) -> Html:
    """The largest field in each structure to spare, its limit, and how far it is off."""
    if not result.avoided:
        return card("At risk", "none named", ("The plan names no structure to spare.",), "plain")
    over = [name for name, found in result.avoided.items() if found.get("exceeded")]
    unknown = [name for name, found in result.avoided.items() if finite(found.get("max_v_per_cm")) is None]
    doubts = [line for name in result.avoided for line in undecided(result, f"{name}: spared")]
    worst = sorted(result.avoided.items(), key=lambda item: _share_of_limit(item[1]), reverse=True)
    rows = [_margin_row(result, name, found) for name, found in worst[:MOST_SPARED]]
    heads = ("V/cm", "limit", "largest", "margin")
    margins = table("To spare, the nearest to its limit first", heads, rows)
    more = f"And {len(worst) - MOST_SPARED} more, below." if len(worst) > MOST_SPARED else ""
    answer = f"above the limit: {', '.join(map(spoken, over[:MOST_SPARED]))}" if over else "all within their limits"
    if unknown and not over:
        answer = f"no result: {', '.join(map(spoken, unknown[:MOST_SPARED]))}"
    kind = "bad" if over else "doubt" if doubts or unknown else "good"
    return card("At risk", answer, [*doubts[:MOST_DOUBTS], margins, more, _chance(result)], kind)


def _share_of_limit(found: Mapping[str, Any]) -> float:
    largest, limit = finite(found.get("max_v_per_cm")), finite(found.get("limit_v_per_cm"))
    return math.inf if largest is None or not limit else largest / limit


def _margin_row(result: Result, name: str, found: Mapping[str, Any]) -> tuple[str, ...]:
    largest, limit = finite(found.get("max_v_per_cm")), finite(found.get("limit_v_per_cm"))
    margin: str = "unknown"
    if largest is not None and limit:
        away = limit - largest
        part = f"<br><small>{100 * abs(away) / limit:.0f} % of it</small>"
        margin = Html(f"{abs(away):.0f} {'left' if away >= 0 else 'over'}{part}")
    shown = number_at(result, found.get("max_v_per_cm"), "avoid", name, "max_v_per_cm")
    return spoken(name), exact(limit), shown, margin


def _chance(result: Result) -> str:
    found = (result.robustness or {}).get("exceeded") or {}
    told = [(name, finite(p.get("value"))) for name, p in found.items()]
    chances = ", ".join(f"{spoken(name)} {100 * p:.0f} %" for name, p in told[:MOST_SPARED] if p is not None)
    return f"Above the limit in a share of the draws: {chances}." if chances else ""


def generator_card(result: Result) -> Html:
    """Whether the generator delivers what the plan asks, the pulse that asks most of it, and what would fit."""
    generator = result.summary.get("generator")
    verdicts = [pulse.get("within_generator_limits") for pulse in result.pulses]
    doubts = undecided(result, "pulse ")
    if generator is None or not verdicts or any(v is None for v in verdicts):
        return card("Generator", "not judged", ("The plan names no generator.", _most_current(result)), "plain")
    over = [pulse for pulse in result.pulses if pulse.get("within_generator_limits") is False]
    title = generator.get("title") or spoken(generator.get("name", ""))
    limits = f"{title}: {exact(generator.get('max_voltage_v'))} V, {exact(generator.get('max_current_a'))} A."
    unsure = "Its limits are unverified." if generator.get("verified") is False else ""
    names = ", ".join(str(p.get("name")) for p in over[:MOST_PULSES])
    more = f" and {len(over) - MOST_PULSES} more" if len(over) > MOST_PULSES else ""
    answer = f"exceeded by {names}{more}" if over else "within its limits"
    kind = "bad" if over else "doubt" if doubts else "good"
    fits = [_would_fit(pulse, generator) for pulse in over[:MOST_PULSES]]
    lines = [*doubts[:MOST_DOUBTS], limits, _worst(result, generator), *fits, unsure]
    return card("Generator", answer, lines, kind)


def _most_current(result: Result) -> str:
    amperes = [(a, i) for i, pulse in enumerate(result.pulses) if (a := delivered_a(pulse)) is not None]
    if not amperes:
        return ""
    most, index = max(amperes)
    return f"Largest current {number_at(result, most, 'pulses', index, 'generator_current_a')} A."


def _worst(result: Result, generator: Mapping[str, Any]) -> str:
    """'Most is asked by A-C: 2400 V (80 % of the limit), 41.2 A (82 %).'"""
    most_v, most_a = finite(generator.get("max_voltage_v")), finite(generator.get("max_current_a"))
    if not most_v or not most_a:
        return _most_current(result)
    asked = [((finite(p.get("voltage_v")) or 0.0) / most_v, (delivered_a(p) or 0.0) / most_a) for p in result.pulses]
    index = max(range(len(asked)), key=lambda i: max(asked[i]))
    pulse, (of_v, of_a) = result.pulses[index], asked[index]
    shown = number_at(result, delivered_a(pulse), "pulses", index, "generator_current_a")
    voltage = number_at(result, pulse.get("voltage_v"), "pulses", index, "voltage_v", digits=4)
    return (
        f"Most is asked by {pulse.get('name')}: {voltage} V ({100 * of_v:.0f} % of the limit), "
        f"{shown} A ({100 * of_a:.0f} %)."
    )


def _would_fit(pulse: Mapping[str, Any], generator: Mapping[str, Any]) -> str:
    fitting, limit = finite(pulse.get("voltage_at_current_limit_v")), finite(generator.get("max_voltage_v"))
    if fitting is not None:
        return f"{pulse.get('name')}: about {fitting:.0f} V would just fit."
    asked = finite(pulse.get("voltage_v"))
    if asked is not None and limit is not None and asked > limit:
        return f"{pulse.get('name')}: {exact(limit)} V is the most it gives; the current fits."
    return ""


def card(heading: str, answer: str, lines: tuple[str, ...] | list[str], kind: str, bar: str = "") -> Html:
    """One boxed question with its answer; kind is 'good', 'bad', 'doubt' or 'plain', `bar` is markup."""
    body = "".join(line if _is_block(line) else f"<p>{text(line)}</p>" for line in lines if line)
    answered = f'<div class="answer">{escape(answer)}</div>{bar}{body}'
    return Html(f'<div class="card {kind}"><h3>{escape(heading)}</h3>{answered}</div>')


def _is_block(line: str) -> bool:
    return isinstance(line, Html) and line.startswith("<div")


def warnings(result: Result, most: int | None = None, heading: str = "Warnings") -> Html:
    """What may change a reader's conclusions, the gravest first; of more than `most` the first, and how many follow."""
    found = [str(w) for w in result.summary.get("warnings") or ()]
    if not found:
        return Html('<div class="notes none"><h2>Warnings</h2>None.</div>')
    if most is not None:
        found = _unverified_as_one(result, found)
    shown = found if most is None else found[:most]
    items = "".join(f"<li><span>{escape(w)}</span></li>" for w in shown)
    more = f"<p>And {len(found) - len(shown)} more, on the next page.</p>" if len(shown) < len(found) else ""
    return Html(f'<div class="notes"><h2>{heading}</h2><ul>{items}</ul>{more}</div>')


def _unverified_as_one(result: Result, found: list[str]) -> list[str]:
    """One line for all unverified values, of which each tissue may have some: they would shrink the page's picture."""
    notes = result.summary.get("notes") or ()
    kinds = {str(note.get("message")): note.get("kind") for note in notes}
    unverified = [w for w in found if kinds.get(w) == "unverified_value"]
    if len(unverified) < 2:
        return found
    names = ", ".join(spoken(w.split(": unverified")[0]) for w in unverified)
    others = [w for w in found if w not in unverified]
    return [*others, f"Unverified values, see Tissues: {names}"]


def all_warnings(result: Result) -> Html:
    """All of them, where the first page does not tell each."""
    found = [str(w) for w in result.summary.get("warnings") or ()]
    all_told = len(found) <= MOST_WARNINGS and _unverified_as_one(result, found) == found
    return Html("") if all_told else warnings(result, None, "All warnings")
