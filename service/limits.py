"""What one caller may ask for: requests a minute, and bytes in a body, counted before memory is spent."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import MEDIA_TYPE, ApiError

MOST_CALLERS = 10_000
"""Buckets kept; the one used longest ago goes first, full as it is by then."""


class Rates:
    """A token bucket for each caller: bursts of half a minute's requests, refilled steadily."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._burst, self._clock = per_minute / 60, max(per_minute / 2, 1.0), clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, caller: str) -> None:
        """Count a request.

        Raises:
            ApiError: 429 with Retry-After.
        """
        with self._lock:
            now = self._clock()
            tokens, last = self._buckets.pop(caller, (self._burst, now))
            tokens = min(self._burst, tokens + (now - last) * self._per_s)
            enough = tokens >= 1
            self._buckets[caller] = (tokens - 1 if enough else tokens, now)
            if len(self._buckets) > MOST_CALLERS:
                self._buckets.popitem(last=False)
        if not enough:
            wait_s = max(1, round((1 - tokens) / self._per_s))
            detail = f"More than {self._per_s * 60:g} requests a minute."
            raise ApiError(429, "too-many-requests", "Too many requests", detail, headers={"Retry-After": str(wait_s)})


class BodyLimit:
    """ASGI middleware: a body longer than the route's limit ends with 413, by its stated length or while it comes."""

    def __init__(self, app: ASGIApp, limit: Callable[[str], int]) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._limit(scope["path"])
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if not stated.isdigit() or int(stated) > most:
            await _refuse(scope, send, most)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise HTTPException(413, _words(most))
            return message

        await self._app(scope, counted, send)


def _words(most: int) -> str:
    return f"At most {most} bytes are taken here."


async def _refuse(scope: Scope, send: Send, most: int) -> None:
    error = ApiError(413, "body-too-large", "The body is too large", _words(most))
    body = json.dumps(error.problem(scope["path"]).model_dump(mode="json")).encode()
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 413, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
