"""Processes: what can be executed, its JSON Schemas, and execution, at once or in the background."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from ...meshes.errors import PlanError, Problem
from ...workers.jobs.inputs import check_inputs, uploads_of
from ...workers.jobs.schemas import inputs_schema, outputs_schema
from ..context import Caller, Context, Services, digest, version
from ..jobs.model import BATCH, INTERACTIVE, Job, JobStatus, NewJob, Process
from ..jobs.queue import KeyReusedError, QueueFullError
from ..problems import MEDIA_TYPE, ApiError, invalid_inputs, not_found, responses
from .json_body import JsonRoute
from .results import result_document
from .schemas import Execution, Link, ProcessDescription, ProcessList, ProcessSummary, ResultDocument, StatusInfo
from .schemas import status_info as status_info_of
from .urls import base_of

router = APIRouter(tags=["processes"], route_class=JsonRoute)
POLL_S = 0.05
MOST_KEY_LENGTH = 200
TITLES = {
    Process.PLAN: ("Field and coverage of a plan", "Solves a plan and measures coverage, fields and currents."),
    Process.SWEEP: ("Sweep over variants of a plan", "Computes many variants of one plan into one labelled dataset."),
    Process.ROBUSTNESS: ("Robustness of a plan", "Probability of coverage under placement errors and tissue spread."),
}


@router.get("/processes", operation_id="listProcesses", responses=responses(401, 429, 503))
def list_processes(request: Request, context: Context, owner: Caller) -> ProcessList:
    """All processes."""
    base = base_of(request, context)
    summaries = [ProcessSummary(**_summary(process, base)) for process in Process]
    return ProcessList(processes=summaries, links=[Link(href=f"{base}/processes", rel="self")])


@router.get("/processes/{process_id}", operation_id="describeProcess", responses=responses(401, 404, 429, 503))
def describe_process(process_id: str, request: Request, context: Context, owner: Caller) -> ProcessDescription:
    """A process with the JSON Schema of its inputs and outputs."""
    process = _process(process_id)
    return ProcessDescription(
        **_summary(process, base_of(request, context)),
        inputs={"inputs": {"title": TITLES[process][0], "schema": inputs_schema(process.value)}},
        outputs={"summary": {"title": "What was found", "schema": outputs_schema(process.value)}},
    )


@router.post(
    "/processes/{process_id}/execution",
    operation_id="execute",
    status_code=201,
    response_model=StatusInfo,
    responses={
        200: {"model": ResultDocument, "description": "Finished while the request waited (Prefer: wait=SECONDS)"},
        **responses(400, 401, 404, 409, 413, 415, 422, 429, 503, 507),
    },
)
async def execute(
    process_id: str,
    execution: Execution,
    request: Request,
    context: Context,
    owner: Caller,
    prefer: Annotated[str | None, Header(description="'wait=SECONDS' waits for the result; else asynchronous.")] = None,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=MOST_KEY_LENGTH,
            description="Makes retries safe: the same key and body give the same job.",
        ),
    ] = None,
) -> Response:
    """Accept a job. With `Prefer: wait=SECONDS` the answer is the result where it is there in time, else the job."""
    process = _process(process_id)
    async with context.accepting:
        job, created = await run_in_threadpool(_accept, context, process, execution, owner, idempotency_key)
    base = base_of(request, context)
    wait_s = min(_wait_s(prefer), context.settings.sync_wait_s)
    if wait_s:
        job = await _wait(context, request, job, wait_s)
    headers = {"Location": f"{base}/jobs/{job.id}"}
    if wait_s:
        headers["Preference-Applied"] = f"wait={wait_s:g}"
    if wait_s and job.status is JobStatus.SUCCESSFUL:
        document = await run_in_threadpool(result_document, context, job, base)
        return JSONResponse(document.model_dump(mode="json"), 200, headers)
    if wait_s and job.status is JobStatus.FAILED and job.error is not None:
        return JSONResponse(job.error, job.error["status"], headers, media_type=MEDIA_TYPE)
    return JSONResponse(status_info_of(job, base).model_dump(mode="json"), 201 if created else 200, headers)


def new_job(
    context: Services, process: Process, execution: Execution, owner: str, idempotency_key: str | None
) -> NewJob:
    """Check an execution and turn it into a job to submit.

    Raises:
        ApiError: 422 with the fields that are wrong.
    """
    limits = context.settings
    check_inputs(process.value, execution.inputs, most_voxels=limits.max_voxels, most_points=limits.max_points)
    uploads = uploads_of(process.value, execution.inputs)
    missing = [(field, sha) for field, sha in uploads.items() if context.anatomies.get(sha, owner) is None]
    if missing:
        problems = (Problem(field, "an upload of this key", sha) for field, sha in missing)
        raise invalid_inputs(PlanError(problems), execution.inputs)
    shas = tuple(sorted(set(uploads.values())))
    body = execution.model_dump(mode="json")
    return NewJob(
        owner=owner,
        process=process,
        inputs=execution.inputs,
        inputs_hash=digest(process.value, execution.inputs, shas, version()),
        priority=INTERACTIVE if process is Process.PLAN else BATCH,
        anatomies=shas,
        idempotency_key=idempotency_key,
        body_hash=digest(process.value, body),
        retain_s=execution.retain_s or limits.retain_s,
    )


def _accept(
    context: Services, process: Process, execution: Execution, owner: str, idempotency_key: str | None
) -> tuple[Job, bool]:
    new = new_job(context, process, execution, owner, idempotency_key)
    try:
        return context.queue.submit(new, most_unfinished=context.settings.max_unfinished_jobs)
    except KeyReusedError as error:
        raise ApiError(409, "idempotency-key-reused", "The key was used for another request", str(error)) from None
    except QueueFullError as error:
        headers = {"Retry-After": "30"}
        raise ApiError(429, "too-many-jobs", "Too many unfinished jobs", str(error), headers=headers) from None


async def _wait(context: Services, request: Request, job: Job, wait_s: float) -> Job:
    """The job when it has ended, when the time is up, or when the client has gone."""
    deadline = time.monotonic() + wait_s
    while not job.status.final and time.monotonic() < deadline and not await request.is_disconnected():
        await asyncio.sleep(POLL_S)
        found = await run_in_threadpool(context.queue.get, job.id)
        if found is None:
            raise not_found("job")
        job = found
    return job


def _wait_s(prefer: str | None) -> float:
    """Seconds of `wait=`; a bare `wait` means as long as the server allows; 0 for anything else."""
    if prefer is None or "respond-async" in prefer:
        return 0.0
    found = re.search(r"\bwait\b(?:\s*=\s*\"?(\d{1,6}(?:\.\d{1,3})?))?", prefer)
    if found is None:
        return 0.0
    return float(found[1]) if found[1] else float("inf")


def _process(process_id: str) -> Process:
    try:
        return Process(process_id)
    except ValueError:
        raise not_found("process") from None


def _summary(process: Process, base: str) -> dict[str, Any]:
    title, description = TITLES[process]
    url = f"{base}/processes/{process.value}"
    links = [
        Link(href=url, rel="self", type="application/json"),
        Link(href=f"{url}/execution", rel="http://www.opengis.net/def/rel/ogc/1.0/execute", type="application/json"),
    ]
    return {"id": process, "version": version(), "title": title, "description": description, "links": links}
