"""Numbers and tables as the report prints them; everything that comes from a plan is escaped here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

NOTHING = "\N{EM DASH}"
_SPACE = "\N{NO-BREAK SPACE}"
LONG_TABLE_ROWS = 14
"""Tables longer than this may be broken across printed pages."""


class Html(str):
    """Text that is markup already and must not be escaped again."""

    __slots__ = ()


def finite(value: Any) -> float | None:
    """The value as a float, None for anything that is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def number(value: Any, digits: int = 3) -> str:
    """Significant digits, without exponents for ordinary sizes; large numbers keep all digits before the point."""
    x = finite(value)
    if x is None:
        return NOTHING
    if x == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(x)))
    if not -6 <= decimals <= digits + 3:
        return f"{x:.{max(digits - 1, 0)}e}"
    shown = f"{x:,.{max(decimals, 0)}f}"
    return shown.replace(",", "\N{NARROW NO-BREAK SPACE}" if abs(x) >= 10_000 else "")


def exact(value: Any) -> str:
    """A number that somebody chose, as they wrote it: 50, 1500, 0.35."""
    x = finite(value)
    return NOTHING if x is None else f"{x:g}" if abs(x) < 1e6 else number(x)


def scientific(value: Any) -> str:
    """Two digits and a power of ten."""
    x = finite(value)
    return NOTHING if x is None else f"{x:.1e}"


def percent(fraction: Any) -> str:
    """One decimal, never rounded up to 100 % nor down to 0 %: the last tenth matters here."""
    x = finite(fraction)
    if x is None:
        return NOTHING
    if x >= 1:
        return f"100{_SPACE}%"
    if x > 0.999:
        return f">{_SPACE}99.9{_SPACE}%"
    if 0 < x < 0.001:
        return f"<{_SPACE}0.1{_SPACE}%"
    return f"{math.floor(1000 * x + 1e-9) / 10:.1f}{_SPACE}%"


def cubic_cm(volume_mm3: Any) -> str:
    """A volume given in mm3, in cm3."""
    x = finite(volume_mm3)
    return NOTHING if x is None else number(x / 1000)


def text(value: Any) -> str:
    """Escaped for HTML, unless it is markup already."""
    if isinstance(value, Html):
        return value
    return NOTHING if value is None or value == "" else escape(str(value))


def table(
    caption: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    words: Sequence[int] = (0,),
    classes: Sequence[str] = (),
) -> Html:
    """A table; columns in `words` (negative ones from the end) are text, the others numbers; classes name the rows'."""
    left = {column % len(heads) for column in words}
    body = []
    for index, row in enumerate(rows):
        kind = classes[index] if index < len(classes) else ""
        body.append(f'<tr class="{escape(kind)}">' if kind else "<tr>")
        body += [_cell(i, value, "th" if i == 0 else "td", "row", left) for i, value in enumerate(row)]
        body.append("</tr>")
    size = "wide long" if body.count("</tr>") > LONG_TABLE_ROWS else "wide"
    head = "".join(_cell(i, value, "th", "col", left) for i, value in enumerate(heads))
    return Html(
        f'<div class="{size}"><table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _cell(index: int, value: Any, tag: str, scope: str, left: set[int]) -> str:
    kind = "" if index in left else ' class="n"'
    header = f' scope="{scope}"' if tag == "th" else ""
    return f"<{tag}{header}{kind}>{text(value)}</{tag}>"


def badge(words: str, kind: str) -> Html:
    """A small label; kind is 'good', 'bad', 'doubt' or 'plain'."""
    return Html(f'<span class="badge {escape(kind)}">{escape(words)}</span>')
