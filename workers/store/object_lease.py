"""One driver at a time on an object store: a lease object that its holder renews, and that runs out when it dies.

All writes to it are conditional on what was last read (If-None-Match, If-Match), so of two that try only one succeeds.
Nobody's clock decides who holds it: whoever finds it held watches for `LEASE_S` whether it is renewed. A holder that
was cut off for longer may find that someone else took over; it hears of it at its next renewal.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from .files import BusyError
from .object_client import errors_told
from .places import PlaceError, Say

if TYPE_CHECKING:
    from obstore.store import S3Store

LEASE_S = 30.0
"""How long a driver that was killed blocks the next one, counted from when that one looks."""
BEATS = 6
"""Renewals within a lease: some may come late or fail."""


@dataclass(frozen=True)
class Held:
    """What the lease object says.

    Attributes:
        token: of one holding; `holder` is for people.
        until: by the holder's clock; only `is_held` goes by it.
        version: what the next write is conditional on.
    """

    holder: str
    token: str
    free: bool
    until: datetime
    version: str


class ObjectLease:
    """The lease at `key`; a context manager that holds it.

    Raises:
        BusyError: on entering: someone else renews it.
        PlaceError: the store can't be reached, or does not know conditional writes.
    """

    def __init__(self, client: S3Store, url: str, key: str, holder: str, say: Say) -> None:
        self._client, self._url, self._key, self._holder, self._say = client, url, key, holder, say
        self._token = secrets.token_hex(8)
        self._beat = 0
        self._version = ""
        self._lost_to: str | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="sweep-lease", daemon=True)

    def __enter__(self) -> Self:
        self._acquire()
        self._check_store()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()
        if self._lost_to is None:
            # it runs out by itself, and what ended the block is worth more than this
            with suppress(PlaceError):
                self._write(self._version, free=True)

    def check(self) -> None:
        """Raises BusyError when someone has taken over."""
        if self._lost_to is not None:
            got = f"{self._url}, taken over by {self._lost_to} while this driver was cut off for over {LEASE_S:g} s"
            raise BusyError.of("out", "a sweep that nobody else is running", got)

    def _acquire(self) -> None:
        held = read(self._client, self._url, self._key)
        if held is not None and not held.free:
            held = self._watch(held)
        if not self._write(held.version if held else None):
            raise self._busy(read(self._client, self._url, self._key))

    def _watch(self, held: Held) -> Held | None:
        """Until it is free, or has not been renewed for as long as it lasts."""
        self._say(f"{held.holder} was at the sweep: waiting up to {LEASE_S:g} s to see whether it still is")
        deadline_s = time.monotonic() + LEASE_S
        while time.monotonic() < deadline_s:
            time.sleep(LEASE_S / (4 * BEATS))
            now = read(self._client, self._url, self._key)
            if now is None or now.free:
                return now
            if now.version != held.version:
                raise self._busy(now)
        return held

    def _busy(self, held: Held | None) -> BusyError:
        other = held.holder if held else "another process"
        return BusyError.of("out", "a sweep that nobody else is running", f"{self._url}, run by {other}")

    def _check_store(self) -> None:
        """Refuse a store that ignores conditions: two drivers would both believe to be alone."""
        expected = "an object store with conditional writes (If-None-Match, If-Match)"
        for version in (None, '"00000000000000000000000000000000"'):
            if self._put(version, free=False) is not None:
                raise PlaceError.of("out", expected, f"{self._url}, whose store overwrites in spite of them")

    def _keep(self) -> None:
        while not self._done.wait(LEASE_S / BEATS):
            try:
                self._write(self._version)
            except PlaceError:
                continue  # whether the lease is still ours shows when the store answers again
            if self._lost_to is not None:
                return

    def _write(self, version: str | None, *, free: bool = False) -> bool:
        """Renew, take or release; whether it is ours."""
        written = self._put(version, free=free)
        if written is None:
            # Someone else's, or ours: a write that was answered too late is repeated by the client, and then refused.
            held = read(self._client, self._url, self._key)
            if held is None or held.token != self._token:
                self._lost_to = held.holder if held else "nobody known"
                return False
            written = held.version
        self._version = written
        return True

    def _put(self, version: str | None, *, free: bool) -> str | None:
        """The new version; None when the lease is not as expected: there (None), or at `version`."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        self._beat += 1  # no two contents are equal, so that no two versions (hashes of it) are
        until = datetime.now(UTC) + timedelta(seconds=LEASE_S)
        content = {
            "holder": self._holder,
            "token": self._token,
            "beat": self._beat,
            "free": free,
            "until": until.isoformat(timespec="seconds"),
        }
        mode: Any = "create" if version is None else {"e_tag": version}
        try:
            with errors_told(self._url):
                return self._client.put(self._key, json.dumps(content).encode(), mode=mode)["e_tag"]
        except (AlreadyExistsError, PreconditionError):
            return None


def read(client: S3Store, url: str, key: str) -> Held | None:
    """The lease; None where nobody ever took one.

    Raises:
        PlaceError: the store can't be reached, or something else lies there.
    """
    try:
        with errors_told(url):
            answer = client.get(key)
            data = bytes(answer.bytes())
    except FileNotFoundError:
        return None
    try:
        content = json.loads(data)
        until = datetime.fromisoformat(content["until"])
        return Held(content["holder"], content["token"], content["free"], until, answer.meta["e_tag"] or "")
    except (ValueError, KeyError, TypeError):
        raise PlaceError.of("out", f"the lease of a sweep at {url}/{key}", f"{data[:80]!r}") from None


def is_held(held: Held | None, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> bool:
    """Whether a lease is held, as far as clocks of different machines can tell."""
    return held is not None and not held.free and now() < held.until
