"""Numbers and tables as the report prints them; everything that comes from a plan is escaped here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

NOTHING = "\N{EM DASH}"


class Html(str):
    """Text that is markup already and must not be escaped again."""

    __slots__ = ()


def finite(value: Any) -> float | None:
    """The value as a float, None for anything that is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def number(value: Any, digits: int = 3) -> str:
    """Significant digits without exponents for ordinary sizes; whole numbers above 10^digits stay whole."""
    x = finite(value)
    if x is None:
        return NOTHING
    if x == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(x)))
    if not -6 <= decimals <= digits + 3:
        return f"{x:.{max(digits - 1, 0)}e}"
    return f"{x:,.{max(decimals, 0)}f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def scientific(value: Any) -> str:
    x = finite(value)
    return NOTHING if x is None else f"{x:.1e}"


def percent(fraction: Any) -> str:
    """One decimal, never rounded up to 100 % nor down to 0 %: the last tenth matters here."""
    x = finite(fraction)
    if x is None:
        return NOTHING
    if x >= 1:
        return "100 %"
    if x > 0.999:
        return "> 99.9 %"
    if 0 < x < 0.001:
        return "< 0.1 %"
    return f"{math.floor(1000 * x + 1e-9) / 10:.1f} %"


def cubic_cm(volume_mm3: Any) -> str:
    x = finite(volume_mm3)
    return NOTHING if x is None else number(x / 1000)


def text(value: Any) -> str:
    """Escaped for HTML, unless it is markup already."""
    if value is None or value == "":
        return NOTHING
    return value if isinstance(value, Html) else escape(str(value))


def table(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[Any]], *, words: int = 1, classes: Sequence[str] = ()
) -> Html:
    """A table whose first `words` columns are text and whose others are numbers; classes name each row's CSS class."""

    def cells(tag: str, values: Sequence[Any]) -> str:
        kinds = ["" if i < words else ' class="n"' for i in range(len(values))]
        first = ' scope="row"' if tag == "td" else ' scope="col"'
        marks = ["th" if i == 0 and tag == "td" else tag for i in range(len(values))]
        return "".join(
            f"<{m}{k}{first if m == 'th' else ''}>{text(v)}</{m}>" for m, k, v in zip(marks, kinds, values, strict=True)
        )

    body = [
        f'<tr class="{escape(classes[i])}">{cells("td", row)}</tr>' if i < len(classes) and classes[i]
        else f"<tr>{cells('td', row)}</tr>"
        for i, row in enumerate(rows)
    ]
    return Html(
        f'<div class="wide"><table><caption>{escape(caption)}</caption><thead><tr>{cells("th", heads)}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def badge(words: str, kind: str) -> Html:
    """A small label; kind is 'good', 'bad', 'doubt' or 'plain'."""
    return Html(f'<span class="badge {escape(kind)}">{escape(words)}</span>')
