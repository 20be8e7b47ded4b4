"""The top of the report: is the target covered, is anything at risk, is the generator able. Numbers, no advice."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from .report_data import Result
from .report_format import Html, cubic_cm, exact, finite, number, text
from .report_tables import delivered_a, spoken
from .report_uncertainty import number_at, percent_at, undecided


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
    cards = [target_card(result, name, target) for name, target in result.targets.items()]
    if not cards:
        cards.append(
            card("Target", "none named", ("The plan names no target, so there is no coverage to judge.",), "plain")
        )
    cards += [spared_card(result), generator_card(result)]
    return Html(f'<div class="cards">{"".join(cards)}</div>')


def target_card(result: Result, name: str, target: Mapping[str, Any]) -> Html:
    """How much of one target is covered, and what its weakest part sees."""
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
    lines = [f"of its {cubic_cm(volume)} cm\N{SUPERSCRIPT THREE} reach the reversible threshold{level}."]
    if share < 1:
        lines.append(f"Below it: {number(missing)} mm\N{SUPERSCRIPT THREE}.")
    low, lowest = (number_at(result, field.get(k), "targets", name, "field_v_per_cm", k) for k in ("min", "q01"))
    lines.append(f"Field: minimum {low}, lowest 1 % under {lowest} V/cm.")
    killed = (target.get("coverage") or {}).get("irreversible")
    killed = percent_at(result, killed, "targets", name, "coverage", "irreversible")
    lines.append(f"At or above the irreversible threshold: {killed}.")
    doubts = undecided(result, f"{name}: covered whole")
    bar = f'<div class="meter"><i style="width:{100 * share:.2f}%"></i></div>'
    answer = f"covered: {percent_at(result, share, 'targets', name, 'coverage', 'reversible')}"
    return card(heading, answer, [lines[0], *doubts, *lines[1:]], "good" if share >= 1 and not doubts else "doubt", bar)


def spared_card(result: Result) -> Html:
    """The largest field in each structure to spare."""
    if not result.avoided:
        return card("To spare", "none named", ("The plan names no structure to spare.",), "plain")
    over = [name for name, found in result.avoided.items() if found.get("exceeded")]
    doubts = [line for name in result.avoided for line in undecided(result, f"{name}: spared")]
    lines = doubts + [
        f"{spoken(name)}: at most {number_at(result, found.get('max_v_per_cm'), 'avoid', name, 'max_v_per_cm')} V/cm, "
        f"limit {exact(found.get('limit_v_per_cm'))}."
        for name, found in result.avoided.items()
    ]
    answer = f"above the limit: {', '.join(map(spoken, over))}" if over else "all within their limits"
    return card("To spare", answer, lines, "bad" if over else "doubt" if doubts else "good")


def generator_card(result: Result) -> Html:
    """Whether the generator delivers what the plan asks."""
    generator = result.summary.get("generator")
    verdicts = [pulse.get("within_generator_limits") for pulse in result.pulses]
    amperes = [(a, i) for i, pulse in enumerate(result.pulses) if (a := delivered_a(pulse)) is not None]
    highest, doubts = "", undecided(result, "pulse ")
    if amperes:
        most, index = max(amperes)
        highest = f"Largest current {number_at(result, most, 'pulses', index, 'generator_current_a')} A."
    if generator is None or not verdicts or any(v is None for v in verdicts):
        return card("Generator", "not judged", ("The plan names no generator.", highest), "plain")
    over = [str(p.get("name")) for p in result.pulses if p.get("within_generator_limits") is False]
    title = generator.get("title") or spoken(generator.get("name", ""))
    limits = f"{title}: {exact(generator.get('max_voltage_v'))} V, {exact(generator.get('max_current_a'))} A."
    unsure = "Its limits are unverified." if generator.get("verified") is False else ""
    answer = f"exceeded by {', '.join(over)}" if over else "within its limits"
    return card(
        "Generator", answer, [*doubts, limits, highest, unsure], "bad" if over else "doubt" if doubts else "good"
    )


def card(heading: str, answer: str, lines: tuple[str, ...] | list[str], kind: str, bar: str = "") -> Html:
    """One boxed question with its answer; kind is 'good', 'bad', 'doubt' or 'plain', `bar` is markup."""
    body = "".join(f"<p>{text(line)}</p>" for line in lines if line)
    answered = f'<div class="answer">{escape(answer)}</div>{bar}{body}'
    return Html(f'<div class="card {kind}"><h3>{escape(heading)}</h3>{answered}</div>')


def warnings(result: Result) -> Html:
    """What may change a reader's conclusions."""
    found = [str(w) for w in result.summary.get("warnings") or ()]
    if not found:
        return Html('<div class="notes none"><h2>Warnings</h2>None.</div>')
    return Html(f'<div class="notes"><h2>Warnings</h2><ul>{"".join(f"<li>{escape(w)}</li>" for w in found)}</ul></div>')
