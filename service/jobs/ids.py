"""Ids that grow with time: UUID version 7 (RFC 9562, section 5.7), as 32 hexadecimal digits.

48 bits  milliseconds since 1970
4 bits   version, 7
12 bits  the millisecond's fraction (section 6.2, method 3)
2 bits   variant
62 bits  random
"""

from __future__ import annotations

import re
import secrets
import threading
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
FRACTION_BITS, RANDOM_BITS = 12, 62


FORM = re.compile(r"[0-9a-f]{32}")


def is_id(text: str) -> bool:
    """Whether a text may be an id; they come from URLs, and PostgreSQL takes no NUL."""
    return FORM.fullmatch(text) is not None


class Ids:
    """Makes ids; each sorts after all that were made before here, also while the clock stands still or goes back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def make(self, now: datetime) -> str:
        """The next id, 32 hexadecimal digits."""
        milliseconds, rest = divmod((now - EPOCH) // MICROSECOND, 1000)
        ticks = (milliseconds << FRACTION_BITS) | (rest << FRACTION_BITS) // 1000
        with self._lock:
            self._last = ticks = max(ticks, self._last + 1)
        stamp, fraction = divmod(ticks, 1 << FRACTION_BITS)
        value = (stamp << 80) | (0x7 << 76) | (fraction << 64) | (0b10 << RANDOM_BITS) | secrets.randbits(RANDOM_BITS)
        return f"{value:032x}"
