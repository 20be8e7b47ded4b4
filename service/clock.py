"""The time, as something that is handed in: tests let leases run out without waiting."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Gives the time now, in UTC and aware of it."""


def utc_now() -> datetime:
    """The machine's clock. Servers that share a database need clocks that agree much better than a lease is long."""
    return datetime.now(UTC)
