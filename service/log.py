"""Structured logs on stderr: JSON lines for machines, or a console format; every line of a job carries its id."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

SECRETS = ("authorization", "x-api-key", "cookie", "token", "key", "secret", "database_url")
"""Fields whose values never reach a log."""


def configure_logging(log_format: str) -> None:
    """Set up structlog and the standard library's loggers (uvicorn, sqlalchemy) for this process."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_secrets,
    ]
    # rich's tracebacks, the default where it is installed, show local variables: patients' plans and keys
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    last: Any = structlog.processors.JSONRenderer() if log_format == "json" else console
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, last] if log_format == "json" else [*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(processors=[*shared, _drop_meta, last])
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers[:] = []
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.error").setLevel(logging.INFO)
    silence_access_log()


def silence_access_log() -> None:
    """uvicorn's own line for each request shows whole URLs, capability URLs' tokens included; ours shows routes."""
    logging.getLogger("uvicorn.access").disabled = True


def logger() -> Any:
    """The service's logger."""
    return structlog.get_logger("porefield")


def hide_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank the values of fields that hold secrets."""
    return {name: "***" if name.lower() in SECRETS else value for name, value in event.items()}


def _drop_meta(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: value for name, value in event.items() if name not in ("_record", "_from_structlog")}
