"""Range requests (RFC 9110, 14.2) that can't be answered, told before Starlette would in plain text."""

from __future__ import annotations

import re

from ..problems import ApiError

_RANGES = re.compile(r"\s*bytes\s*=\s*\d*-\d*\s*(,\s*\d*-\d*\s*)*", re.IGNORECASE)
_RANGE = re.compile(r"(\d*)-(\d*)")
MOST_DIGITS = 18


def check_range(stated: str, size: int) -> None:
    """Refuse a Range header that means nothing, or a part that a file of `size` bytes doesn't have.

    Raises:
        ApiError: 400, or 416 with the size in Content-Range.
    """
    ends = _RANGE.findall(stated) if _RANGES.fullmatch(stated) else []
    if not ends or not all(_has_meaning(first, last) for first, last in ends):
        detail = f"expected Range: bytes=FIRST-LAST; got {stated[:100]}"
        raise ApiError(400, "malformed-range", "The Range header can't be read", detail)
    if any(int(first) >= size if first else int(last) == 0 or size == 0 for first, last in ends):
        headers = {"Content-Range": f"bytes */{size}"}
        detail = f"The file has {size} bytes; got {stated[:100]}"
        raise ApiError(416, "range-not-satisfiable", "The file has no such part", detail, headers=headers)


def _has_meaning(first: str, last: str) -> bool:
    if max(len(first), len(last)) > MOST_DIGITS or not (first or last):
        return False
    return not (first and last) or int(first) <= int(last)
