"""What the routes work with: one object, made by `create_app` and reached through the request."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import Engine

from .anatomy_store import AnatomyStore
from .database.keys import authenticate
from .jobs.model import Job
from .jobs.queue import JobQueue
from .limits import Rates
from .links import Links
from .metrics import Metrics
from .problems import ApiError, not_found
from .results import Results
from .settings import ServiceSettings

ACCEPTED_AT_ONCE = 4
"""Submissions that are looked at at the same time. They take the interpreter for milliseconds each, and turns at the
database anyway; without a bound they hold all threads that could answer something else meanwhile."""
LOCAL = "local"
"""The owner of everything on an unprotected server."""
_BEARER = HTTPBearer(auto_error=False, scheme_name="bearer", description="API key as `Authorization: Bearer KEY`.")


@dataclass(frozen=True)
class Services:
    """Everything that routes need."""

    settings: ServiceSettings
    queue: JobQueue
    engine: Engine
    anatomies: AnatomyStore
    results: Results
    links: Links
    rates: Rates
    metrics: Metrics
    problems: Callable[[], Mapping[str, str]] = dict
    """What keeps the server from doing its work, by part; nothing when all is well."""
    accepting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(ACCEPTED_AT_ONCE))
    """Held while a submission is checked and written."""
    closing: threading.Event = field(default_factory=threading.Event)
    """Set when the server shuts down: streams end, so that their clients take them up again elsewhere."""


async def services(request: Request) -> Services:
    """The app's services. Async though it waits for nothing: FastAPI hands plain functions to a thread."""
    return request.app.state.services


Context = Annotated[Services, Depends(services)]


async def caller(
    request: Request,
    context: Context,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
) -> str:
    """Whose jobs and uploads a request may see: the id of its API key. Counts against the caller's rate.

    Raises:
        ApiError: 401 without a valid key where one is needed, 429 for too many requests.
    """
    address = request.client.host if request.client else "unknown"
    if not context.settings.protected:
        context.rates.take(address)
        return LOCAL
    secret = bearer.credentials if bearer else None
    key = await run_in_threadpool(authenticate, context.engine, secret) if secret else None
    if key is None:
        context.rates.take(address)  # so that guessing is slow
        detail = "No API key came with the request." if not secret else "The API key is not valid, or was revoked."
        raise ApiError(401, "unauthorized", "Not authorised", detail, headers={"WWW-Authenticate": "Bearer"})
    context.rates.take(key.id)
    return key.id


Caller = Annotated[str, Depends(caller)]


def job_of(context: Services, job_id: str, owner: str | None) -> Job:
    """A job that the caller may see.

    Raises:
        ApiError: 404 for all others.
    """
    job = context.queue.get(job_id, owner)
    if job is None:
        raise not_found("job")
    return job


def digest(*parts: Any) -> str:
    """SHA-256 of plain data, whatever the order of keys."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def version() -> str:
    """Of porefield."""
    return metadata.version("porefield")
