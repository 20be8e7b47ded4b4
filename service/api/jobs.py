"""Jobs: list, status, dismissal; and their events as a stream that can be taken up again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BeforeValidator

from ...meshes.errors import PorefieldError
from ..context import Caller, Context, Services, job_of
from ..jobs.model import JobEvent, JobStatus, Process
from ..problems import ApiError, WrongField, responses
from .schemas import JobList, Link, StatusInfo, status_info
from .urls import base_of


def _rfc3339(value: Any) -> Any:
    """A number is a time for pydantic, but not in this API."""
    if isinstance(value, str) and "T" not in value.upper():
        raise ValueError("expected a time such as 2026-01-31T12:00:00Z")
    return value


Time = Annotated[AwareDatetime, BeforeValidator(_rfc3339)]
router = APIRouter(tags=["jobs"])
KEEPALIVE_S = 15.0
EVENT = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "Number of the event; for Last-Event-ID."},
        "event": {"type": "string", "enum": ["status", "progress"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
        "retry": {"type": "integer"},
    },
}
"""An event as OpenAPI 3.2 describes streams."""
POLL_S, SLOWEST_POLL_S = 0.25, 1.0


@router.get("/jobs", operation_id="listJobs", responses=responses(401, 422, 429, 503))
def list_jobs(
    request: Request,
    context: Context,
    owner: Caller,
    status: Annotated[list[JobStatus] | None, Query(description="Only these states.")] = None,
    process: Annotated[list[Process] | None, Query(alias="processID", description="Only these processes.")] = None,
    since: Annotated[Time | None, Query(description="Submitted at this time or later.")] = None,
    until: Annotated[Time | None, Query(description="Submitted before this time.")] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="Jobs a page.")] = 50,
    cursor: Annotated[str | None, Query(max_length=500, description="From the link 'next'.")] = None,
) -> JobList:
    """The caller's jobs, newest first."""
    filters = {"status": status or (), "process": process or (), "since": since, "until": until}
    try:
        page = context.queue.list(owner, limit=limit, cursor=cursor, **filters)
    except PorefieldError as error:
        fields = [WrongField(pointer=f"query.{p.field}", expected=p.expected, got=p.got) for p in error.problems]
        title = "The request is not as the API describes it"
        raise ApiError(422, "invalid-request", title, str(error), errors=fields) from None
    base = base_of(request, context)
    links = [Link(href=f"{base}/jobs", rel="self", type="application/json")]
    if page.cursor is not None:
        link = request.url.include_query_params(cursor=page.cursor)
        links.append(Link(href=f"{base}/jobs?{link.query}", rel="next", type="application/json"))
    return JobList(jobs=[status_info(job, base) for job in page.jobs], links=links)


@router.get("/jobs/{job_id}", operation_id="getStatus", responses=responses(401, 404, 429, 503))
async def get_status(job_id: str, request: Request, context: Context, owner: Caller) -> StatusInfo:
    """Status of a job."""
    job = await run_in_threadpool(job_of, context, job_id, owner)
    return status_info(job, base_of(request, context))


@router.delete("/jobs/{job_id}", operation_id="dismiss", responses=responses(401, 404, 429, 503))
def dismiss(job_id: str, request: Request, context: Context, owner: Caller) -> StatusInfo:
    """Cancel a job that has not ended; remove one that has, with its result."""
    job = job_of(context, job_id, owner)
    base = base_of(request, context)
    if not job.status.final:
        return status_info(context.queue.cancel(job.id), base)
    remove_job(context, job.id, job.result_of or job.id)
    return status_info(job, base).model_copy(update={"message": "removed with its result", "links": []})


def remove_job(context: Services, job_id: str, result: str) -> None:
    """Forget an ended job; its result too, once no other job answers with it."""
    context.queue.delete(job_id)
    if not context.queue.result_in_use(result):
        context.results.remove(result)


@router.get(
    "/jobs/{job_id}/events",
    operation_id="followEvents",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {"itemSchema": EVENT}}, "description": "Server-sent events"},
        **responses(401, 404, 429, 503),
    },
)
async def follow_events(
    job_id: str,
    request: Request,
    context: Context,
    owner: Caller,
    last_event_id: Annotated[str | None, Header(description="Goes on after this event.")] = None,
) -> StreamingResponse:
    """A job's events from its first, or from `Last-Event-ID` on, until it has ended."""
    job = await run_in_threadpool(job_of, context, job_id, owner)
    after = int(last_event_id) if last_event_id and last_event_id.isdigit() and len(last_event_id) < 18 else 0
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(request, context, job.id, after), media_type="text/event-stream", headers=headers)


async def _events(request: Request, context: Services, job_id: str, after: int) -> AsyncIterator[bytes]:
    """Events as they come; a comment now and then keeps proxies from closing the connection."""
    yield b"retry: 2000\n\n"
    silent_s, poll_s = 0.0, POLL_S
    while not await request.is_disconnected() and not context.closing.is_set():
        events = await run_in_threadpool(context.queue.events, job_id, after)
        for event in events:
            after = event.number
            yield _encode(event)
        if events:
            silent_s, poll_s = 0.0, POLL_S
            continue
        job = await run_in_threadpool(context.queue.get, job_id)
        if job is None or job.status.final:
            if not await run_in_threadpool(context.queue.events, job_id, after, 1):
                return
            continue
        await asyncio.sleep(poll_s)
        silent_s, poll_s = silent_s + poll_s, min(1.3 * poll_s, SLOWEST_POLL_S)
        if silent_s >= KEEPALIVE_S:
            silent_s = 0.0
            yield b": still here\n\n"


def _encode(event: JobEvent) -> bytes:
    data = {"job": event.job_id, "at": event.created.isoformat(), **event.data}
    text = json.dumps(data, allow_nan=False)
    return f"id: {event.number}\nevent: {event.kind}\ndata: {text}\n\n".encode()
