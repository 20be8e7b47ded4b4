"""The report of a study: one self-contained page, made from the study's directory alone."""

from __future__ import annotations

from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..figures_style import png
from ..report import DISCLAIMER, as_yaml, when, without_nulls
from ..report_data import Result, canonical, read_result
from ..report_format import NOTHING, Html, number, percent, table
from ..report_page import page, picture, section
from ..report_tables import spoken
from ..report_verdict import card
from ..store.files import write_atomic
from ..store.run_store import open_maps
from .estimates import Measure, Proportion
from .figures import (
    distributions_figure,
    headline,
    probability_figure,
    settling_figure,
    shares_figure,
    told_measure,
)
from .summary import RobustnessSummary


def write_robustness_report(study: Path) -> None:
    """Write report.html and probability.png into a study's directory, each whole or not at all.

    Raises:
        FileNotFoundError: the directory lacks robustness.json, probability.zarr or nominal/.
    """
    summary = RobustnessSummary.model_validate_json((study / "robustness.json").read_bytes())
    nominal = read_result(study / "nominal")
    maps, _ = canonical(open_maps(study / "probability.zarr"), np.asarray(nominal.attributes["affine"], float))
    lead = png(probability_figure(nominal, maps["probability_reversible"].to_numpy(), summary))
    write_atomic(study / "probability.png", lead)
    write_atomic(study / "report.html", report_html(summary, nominal, lead, volumes(nominal, maps)).encode("utf-8"))


def volumes(nominal: Result, maps: object) -> dict[str, list[float]]:
    """Volume (mm3) of tissue covered with at least 5, 50 and 95 % probability, by kind of coverage."""
    voxel_mm3 = float(np.prod(nominal.spacing_mm))
    found: dict[str, list[float]] = {}
    for kind in ("reversible", "irreversible"):
        probability: NDArray[np.float32] = maps[f"probability_{kind}"].to_numpy()  # type: ignore[index]
        found[kind] = [float(np.count_nonzero(probability >= level)) * voxel_mm3 for level in (0.05, 0.5, 0.95)]
    return found


def report_html(summary: RobustnessSummary, nominal: Result, lead: bytes, covered: dict[str, list[float]]) -> str:
    """The page."""
    return page(
        f"{summary.title or 'Electroporation plan'}: robustness",
        (
            header(summary),
            verdict(summary),
            shortfall(summary),
            _map_section(summary, lead, covered),
            _distributions(summary),
            _shares(summary),
            section("How far the estimates have settled", *_settling(summary)),
            section("What varies", _WORDS, factors_table(summary)),
            provenance(summary, nominal),
            Html(f'<div class="disclaimer"><p><b>{escape(DISCLAIMER)}</b> {escape(summary.disclaimer)}</p></div>'),
        ),
    )


_WORDS = Html(
    "<p>All factors vary independently of one another. Highlighted spreads were not verified against a source: the "
    "probabilities above hold as far as these assumptions do.</p>"
)


def header(summary: RobustnessSummary) -> Html:
    """Title, when and by what it was computed, and on how many points it rests."""
    dot = " \N{MIDDLE DOT} "
    words = [
        f"computed {escape(when(summary.created))}",
        f"porefield {escape(summary.porefield)}",
        f"{summary.points['total']} points, {summary.draws} of them independent draws",
        "research software, not a medical device",
    ]
    title = escape(summary.title or "Electroporation plan")
    return Html(f'<header><h1>Robustness: {title}</h1><p class="meta">{dot.join(words)}</p></header>')


def verdict(summary: RobustnessSummary) -> Html:
    """One card per target, one for each avoided structure, one for the generator."""
    cards: list[Html] = []
    whole = percent(summary.settings["whole"])
    for target, found in summary.whole.items():
        coverage = summary.measure(f"target_coverage_reversible[{target}]")
        lines = [
            f"covered whole, that is {whole} of it or more ({_interval(found)}).",
            f"Covered share: {percent(coverage.planned)} as planned, {percent(coverage.mean)} on average, "
            f"{percent(coverage.quantiles['0.05'])} or less in one draw of twenty.",
        ]
        answer = f"in {percent(found.value)} of the draws"
        cards.append(card(f"Target: {spoken(target)}", answer, lines, _kind(found.value)))
    for name, found in summary.exceeded.items():
        lines = [f"above its limit somewhere ({_interval(found)})."]
        within = None if found.value is None else 1 - found.value
        cards.append(card(f"To spare: {spoken(name)}", f"in {percent(found.value)} of the draws", lines, _kind(within)))
    if summary.within_limits:
        least = min(summary.within_limits.items(), key=lambda item: item[1].value if item[1].value is not None else 2)
        lines = [f"within the generator's limits; least likely for {least[0]} ({_interval(least[1])})."]
        answer = f"in {percent(least[1].value)} of the draws"
        cards.append(card("Generator", answer, lines, _kind(least[1].value)))
    return Html(f'<div class="cards">{"".join(cards)}</div>')


def shortfall(summary: RobustnessSummary) -> Html:
    """What a reader must know of draws without a result."""
    missing = summary.draws - summary.draws_with_result
    if not missing and not summary.failures:
        return Html('<div class="notes none"><h2>Draws without a result</h2>None.</div>')
    reasons = "".join(f"<li>{n} times: {escape(reason)}</li>" for reason, n in summary.failures.items())
    words = (
        f"{missing} of {summary.draws} draws have no result and count in no probability: what they would have shown "
        "is unknown."
    )
    return Html(f'<div class="notes"><h2>Draws without a result</h2><p>{words}</p><ul>{reasons}</ul></div>')


def _map_section(summary: RobustnessSummary, lead: bytes, covered: dict[str, list[float]]) -> Html:
    caption = (
        "Colour: the share of the draws in which most of the voxel's tissue reaches its reversible threshold. "
        "Electrodes are drawn where the plan has them; in the draws they lie beside. Voxels that are metal in a draw "
        "do not count in it."
    )
    alt = f"Slices with anatomy, electrodes and probability of coverage. {headline(summary)}."
    rows = [(spoken(kind), *(number(v / 1000) for v in values)) for kind, values in covered.items()]
    heads = ("zone", "likely in 5 % of draws (cm\N{SUPERSCRIPT THREE})", "in 50 %", "in 95 %")
    return section("Probability of coverage", picture(lead, alt, caption, "lead"), table("Volume covered", heads, rows))


def _distributions(summary: RobustnessSummary) -> Html:
    caption = (
        "Solid: median; dotted: 5 and 95 % of the draws lie below; dashed: the plan as it stands. "
        f"{summary.draws_with_result} draws."
    )
    image = png(distributions_figure(summary.measures))
    rows = [measure_row(measure) for measure in summary.measures]
    heads = ("measure", "unit", "as planned", "mean", "standard deviation", "5 %", "50 %", "95 %")
    return section(
        "Distributions",
        picture(image, "Histograms of the measures over the draws.", caption),
        table("Measures over the draws", heads, rows, words=(0, 1)),
    )


def measure_row(measure: Measure) -> tuple[object, ...]:
    """One line of the table of distributions; shares in percent."""
    numbers = [measure.planned, measure.mean, measure.sd, *(measure.quantiles[q] for q in ("0.05", "0.5", "0.95"))]
    if measure.unit == "1":
        shown = [percent(v) for v in numbers]
        return (measure.label, "%", *(s.removesuffix("%").strip() for s in shown))
    return (measure.label, measure.unit.replace("mm3", "mm\N{SUPERSCRIPT THREE}"), *(number(v) for v in numbers))


def _shares(summary: RobustnessSummary) -> Html:
    words = (
        "<p>Sobol indices: the share of a measure's variance that goes when a group is known (first order), and the "
        "share that stays while only it is unknown (total). Bars: 95 % by bootstrap. Estimates below zero or above one "
        "are noise: more samples narrow it.</p>"
    )
    figure = shares_figure(summary.measures, summary.groups)
    if figure is None:
        return section("What the spread is due to", "<p>No measure varies, so there is nothing to share out.</p>")
    rows = [
        (m.label if i == 0 else "", s.group, _pair(s.first, s.first_conf), _pair(s.total, s.total_conf))
        for m in summary.measures
        if any(s.total is not None for s in m.shares)
        for i, s in enumerate(m.shares)
    ]
    constant = [m.label for m in summary.measures if all(s.total is None for s in m.shares)]
    note = f"<p>No shares, because they do not vary: {escape(', '.join(constant))}.</p>" if constant else ""
    listed = table("Indices", ("measure", "group", "first order", "total"), rows, words=(0, 1))
    details = f"<details><summary>All indices as a table</summary>{listed}</details>"
    alt = "First-order and total Sobol indices of each group for each measure."
    return section("What the spread is due to", words, picture(png(figure), alt, ""), note, details)


def _settling(summary: RobustnessSummary) -> list[Html]:
    caption = (
        "The same estimates from the first base samples only. An interval that still covers the answer you would act "
        "on, or a curve that still moves, asks for more samples."
    )
    figure = png(settling_figure(summary))
    parts = [picture(figure, "Estimates against the number of base samples.", caption)]
    measure = told_measure(summary.measures)
    if measure is None:
        parts.append(Html("<p>No share of the variance is shown, because neither coverage nor current varies.</p>"))
    return parts


def factors_table(summary: RobustnessSummary) -> Html:
    """Every factor with its distribution and source."""
    rows = [(f["group"], f["field"], f["words"], f["source"]) for f in summary.factors]
    classes = ["" if f["verified"] else "doubt" for f in summary.factors]
    heads = ("group", "field of the plan", "how", "where that is known from")
    return table("Uncertain factors", heads, rows, words=(0, 1, 2, 3), classes=classes)


def provenance(summary: RobustnessSummary, nominal: Result) -> Html:
    """Settings, counts, input and plan."""
    origin = nominal.summary.get("provenance") or nominal.attributes.get("provenance") or {}
    told = {"settings": summary.settings, "points": summary.points}
    plan = as_yaml(without_nulls(summary.plan))
    return section(
        "Provenance",
        f"<p><b>Study</b></p><pre>{escape(as_yaml(told))}</pre>",
        f"<p><b>Input and grid</b></p><pre>{escape(as_yaml(origin))}</pre>" if origin else "",
        f"<p>The plan as it stands has a report of its own in nominal/.</p><details><summary>The plan</summary>"
        f"<pre>{escape(plan)}</pre></details>",
    )


def _interval(found: Proportion) -> str:
    if found.low is None or found.high is None:
        return "no draw has a result"
    return f"95 % interval {percent(found.low)} to {percent(found.high)}, {found.points} draws"


def _pair(value: float | None, conf: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f} \N{PLUS-MINUS SIGN} {conf or 0:.2f}"


def _kind(probability: float | None) -> str:
    if probability is None:
        return "doubt"
    return "good" if probability >= 0.95 else "doubt" if probability >= 0.5 else "bad"
