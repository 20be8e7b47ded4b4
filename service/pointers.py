"""JSON pointers (RFC 6901) of the fields that porefield's errors name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_STEP = re.compile(r"[^.\[\]]+")


def pointer(field: str, data: Any = None) -> str:
    """A dotted path as a JSON pointer: electrodes[1].needle.tip_mm -> /electrodes/1/needle/tip_mm.

    Args:
        data: what the path leads into. Keys may have dots and brackets themselves: `axes[0].fields.grid.spacing_mm` may
            end with the one key "grid.spacing_mm". The longest key that fits is meant.
    """
    steps: list[str] = []
    while field:
        rest = field.removeprefix(".") if steps else field
        step = (_key(rest, data) or _key(field, data)) if isinstance(data, Mapping) else None
        if step is None:
            found = _STEP.search(rest)
            if found is None:
                break
            step, field = found[0], rest[found.end() :].removeprefix("]")
        else:
            field = (rest if rest.startswith(step) else field)[len(step) :]
        data = _inside(data, step)
        steps.append(step)
    return joined(steps)


def joined(steps: Iterable[Any]) -> str:
    """Keys and indices as a JSON pointer."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def _key(field: str, table: Mapping[str, Any]) -> str | None:
    """The longest key that a path begins with."""
    fitting = [
        key for key in table if key and field.startswith(key) and field[len(key) : len(key) + 1] in ("", ".", "[")
    ]
    return max(fitting, key=len, default=None)


def _inside(data: Any, step: str) -> Any:
    if isinstance(data, Mapping):
        return data.get(step)
    if isinstance(data, list) and step.isdecimal() and step.isascii() and len(step) < 10 and int(step) < len(data):
        return data[int(step)]
    return None
