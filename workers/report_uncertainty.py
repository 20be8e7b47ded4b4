"""Numbers with what the voxels' size may do to them, as the report prints them: 96.5 +- 1.7 %."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .grid_numbers import pointer
from .report_data import Result
from .report_format import Html, finite, number, percent, text

_PM = "\N{NO-BREAK SPACE}\N{PLUS-MINUS SIGN}\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
UNSETTLED = "\N{DAGGER}"
"""Behind numbers that do not converge; the certificate says what it means."""


def grid_check(result: Result) -> Mapping[str, Any] | None:
    """The grid check, where one was made."""
    check = result.summary.get("grid_check")
    return check if isinstance(check, Mapping) and check.get("done") else None


def grid_entry(result: Result, *where: object) -> Mapping[str, Any]:
    """What the check says of the number at a place of summary.json; empty where it says nothing."""
    check = grid_check(result) or {}
    return (check.get("numbers") or {}).get(pointer(*where)) or {}


def number_at(result: Result, value: Any, *where: object, scale: float = 1.0, digits: int = 3) -> str:
    """A number times `scale`, with its uncertainty; both to the uncertainty's two digits, that one rounded up."""
    x, entry = finite(value), grid_entry(result, *where)
    mark = _mark(entry)
    uncertainty = finite(entry.get("uncertainty"))
    if x is None or not uncertainty:
        return number(None if x is None else x * scale, digits) + (mark if x is not None else "")
    u = uncertainty * scale
    decimals = 1 - math.floor(math.log10(u))
    step = 10.0**-decimals
    shown = f"{x * scale:,.{max(decimals, 0)}f}"
    shown = shown.replace(",", "\N{NARROW NO-BREAK SPACE}" if abs(x * scale) >= 10_000 else "")
    return f"{shown.replace('-', MINUS)}{_PM}{math.ceil(u / step - 1e-9) * step:.{max(decimals, 0)}f}"


def percent_at(result: Result, value: Any, *where: object) -> str:
    """A share in per cent with its uncertainty; the share is rounded down, the uncertainty up."""
    x, uncertainty = finite(value), finite(grid_entry(result, *where).get("uncertainty"))
    if x is None or not uncertainty:
        return percent(value)
    u = 100 * uncertainty
    decimals = max(1, 1 - math.floor(math.log10(u))) if u < 0.1 else 1
    step = 10.0**-decimals
    share = math.floor(100 * x / step + 1e-9) * step
    return f"{share:.{decimals}f}{_PM}{math.ceil(u / step - 1e-9) * step:.{decimals}f}\N{NO-BREAK SPACE}%"


def undecided(result: Result, *questions: str) -> list[Html]:
    """A line for each of the verdicts of which one begins with one of these words and that other voxels may turn."""
    found = (grid_check(result) or {}).get("undecided") or ()
    return [
        Html(f"<b>Undecided at this spacing</b> ({text(u.get('question'))}): {text(u.get('advice'))}.")
        for u in found
        if str(u.get("question", "")).startswith(questions)
    ]


def _mark(entry: Mapping[str, Any]) -> str:
    return UNSETTLED if str(entry.get("reason", "")).startswith("does not converge") else ""
