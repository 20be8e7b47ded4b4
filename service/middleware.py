"""What every response carries and every request leaves in the log and in the metrics."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .log import logger
from .metrics import Metrics

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Cross-origin reading of results is wanted: viewers are other pages. What may read is said by CORS and keys."""
QUIET = ("/health/", "/metrics")


class Observe:
    """Adds security headers and a request id, times the request, and writes one line of log."""

    def __init__(self, app: ASGIApp, metrics: Callable[[], Metrics]) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500
        request_id = uuid.uuid4().hex[:12]
        structlog.contextvars.bind_contextvars(request=request_id)

        async def completed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                headers["X-Request-ID"] = request_id
                seconds = time.perf_counter() - started
                route = getattr(scope.get("route"), "path", "unknown")
                self._metrics().request_seconds.labels(scope["method"], route, str(status)).observe(seconds)
            await send(message)

        try:
            await self._app(scope, receive, completed)
        finally:
            if not scope["path"].startswith(QUIET):
                route = getattr(scope.get("route"), "path", None)
                milliseconds = round(1e3 * (time.perf_counter() - started), 1)
                # the route, not the path: a capability URL's token is a secret
                logger().info("request", method=scope["method"], route=route, status=status, ms=milliseconds)
            structlog.contextvars.clear_contextvars()
