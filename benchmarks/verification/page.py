"""docs/verification.md from the cases and their figures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from porefield.kernels.cases.case import Case, Figure, fitted_order

Figures = dict[str, Any]
"""{case: {spacing in mm: {figure: value}}}."""
MINUS = "\u2212"
TEMPLATE = Path(__file__).with_name("page.md")
"""The words. `{{table}}` under a heading stands for the cases of that group, `{{summary}}` for how the bars are met."""


def page(cases: Sequence[Case], figures: Figures) -> str:
    sections = TEMPLATE.read_text(encoding="utf-8").split("\n## ")
    told = {c.group for c in cases} - {section.split("\n")[0] for section in sections if "{{table}}" in section}
    if told:
        raise ValueError(f"page.md: expected a section with a table for each group, got none for {sorted(told)}")
    for i, section in enumerate(sections):
        members = [c for c in cases if c.group == section.split("\n")[0] and c.name in figures]
        if members:
            by_spacing = groupby(members, key=lambda c: c.spacings_mm)
            tables = [table(list(some), figures) for _, some in by_spacing]
            sections[i] = section.replace("{{table}}", "\n\n".join([*tables, said_of(members)]))
    return "\n## ".join(sections).replace("{{summary}}", summary(cases, figures))


def table(cases: Sequence[Case], figures: Figures) -> str:
    spacings = cases[0].spacings_mm
    orders = any(f.norm for case in cases for f in case.figures())
    heads = ["case", "figure", "should be", *(f"at {h:g} mm" for h in spacings), *(["order"] if orders else [])]
    lines = [row(heads), row(["---"] * len(heads))]
    for case in cases:
        for i, f in enumerate(case.figures()):
            values = [figures[case.name][f"{h:g}"][f.name] for h in spacings]
            errors = [f.error(v) for v in values]
            order = fitted_order(spacings, errors) if f.norm else math.nan
            cells = [cell(f, v, e) for v, e in zip(values, errors, strict=True)]
            first = case.title if i == 0 else ""
            last = [f"{order:.2f}" if math.isfinite(order) else ""] if orders else []
            lines.append(row([first, f.name, should_be(f), *cells, *last]))
    return "\n".join(lines)


def row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def should_be(f: Figure) -> str:
    if f.norm:
        return "0"
    digits = f"{f.reference:.6g} {f.unit.replace('2', '²').replace('3', '³')}".rstrip()
    return digits + (f" ± {percent(f.uncertainty)}" if f.uncertainty >= 1e-5 else "")


def cell(f: Figure, value: float, error: float) -> str:
    """The figure and its error; for a norm the error alone."""
    if f.norm:
        return percent(error)
    signed = "exact" if abs(error) < 1e-6 else ("+" if error > 0 else MINUS) + percent(abs(error))
    return f"{value:.5g} ({signed})" if f.reference else signed.replace("exact", "below 0.0001 %")


def percent(share: float) -> str:
    """Two significant digits."""
    digits = max(0, min(4, 1 - math.floor(math.log10(max(100 * share, 1e-4)))))
    return f"{100 * share:.{digits}f} %"


def said_of(cases: Sequence[Case]) -> str:
    """Where the references come from and what is promised, each once."""
    sources = dict.fromkeys(case.source for case in cases)
    bars = dict.fromkeys(f.why for case in cases for f in case.figures() if f.bars)
    return "Reference: " + "; ".join(sources) + "." + "".join(f" Bar: {why}." for why in bars)


def promises(cases: Sequence[Case], figures: Figures) -> Iterator[tuple[Case, Figure, float, float, float]]:
    """Case, figure, spacing (mm), bar and error of every bar."""
    for case in cases:
        for f in case.figures():
            for spacing, bar in f.bars.items():
                if case.name in figures:
                    error = f.error(figures[case.name][f"{spacing:g}"][f.name])
                    yield case, f, spacing, bar, error


def broken_bars(cases: Sequence[Case], figures: Figures) -> list[str]:
    return [
        f"BAR: {case.name}, {f.name} at {spacing:g} mm: {100 * error:+.3f} %, promised {100 * bar:g} %"
        for case, f, spacing, bar, error in promises(cases, figures)
        if not abs(error) <= bar
    ]


def summary(cases: Sequence[Case], figures: Figures) -> str:
    """How many bars there are, and which are not met."""
    count = sum(1 for _ in promises(cases, figures))
    broken = broken_bars(cases, figures)
    if not broken:
        return f"{len(figures)} cases; all {count} bars are met."
    return f"{len(figures)} cases; {len(broken)} of {count} bars are **not** met:\n\n" + "\n".join(
        f"- {line.removeprefix('BAR: ')}" for line in broken
    )
