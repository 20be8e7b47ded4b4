"""The page around the report's parts: the document's skeleton. No script, no link, nothing fetched."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape

from .report_format import Html
from .report_style import STYLE

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(title: str, parts: Iterable[str]) -> str:
    """A whole HTML document that needs nothing but itself."""
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,"><style>{STYLE}</style></head>\n'
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def section(heading: str, *parts: str) -> Html:
    """A part of the page under a heading; parts are markup."""
    return Html(f"<section><h2>{escape(heading)}</h2>{''.join(parts)}</section>")


def picture(png: bytes, alt: str, caption: str, kind: str = "") -> Html:
    """An inlined picture; `alt` says in words what it shows, `kind` is '', 'lead' or 'half'."""
    width, height = _png_size(png)
    data = base64.b64encode(png).decode("ascii")
    return Html(
        f'<figure class="{kind}"><img width="{width}" height="{height}" alt="{escape(alt)}" '
        f'src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _png_size(png: bytes) -> tuple[int, int]:
    """Width and height from the header chunk."""
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
