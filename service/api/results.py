"""Results: the document, files, the Zarr store key by key, NIfTI, and capability URLs for viewers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse

from ...workers.export import NIFTI_MAPS, ExportError, nifti_of
from ...workers.summary import DISCLAIMER
from ..context import Caller, Context, Services, job_of
from ..jobs.model import Job, JobStatus
from ..problems import ApiError, not_found, responses
from ..results import STORE, etag, media_type
from .json_body import JsonRoute
from .ranges import check_range
from .schemas import Link, ResultDocument, Share, ShareRequest
from .urls import base_of

router = APIRouter(tags=["results"], route_class=JsonRoute)
shared = APIRouter(tags=["capability URLs"])
SUMMARIES = ("summary.json", "robustness.json")
NOT_READY = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/result-not-ready"
FILE = {200: {"content": {"application/octet-stream": {}}, "description": "The file"}, 206: {"description": "A range"}}
PAGE_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox"


@router.get("/jobs/{job_id}/results", operation_id="getResults", responses=responses(401, 404, 429, 503))
def get_results(job_id: str, request: Request, context: Context, owner: Caller) -> ResultDocument:
    """What a job found."""
    return result_document(context, _ended_well(context, job_id, owner), base_of(request, context))


def result_document(context: Services, job: Job, base: str) -> ResultDocument:
    """The summary of a successful job, with links to everything else."""
    summary: dict[str, Any] = {}
    for name in SUMMARIES:
        path = context.results.file(job, name)
        if path is not None:
            summary = json.loads(path.read_text(encoding="utf-8"))
    url = f"{base}/jobs/{job.id}"
    names = [name for name in context.results.names(job) if context.results.file(job, name) is not None]
    links = [Link(href=f"{url}/files/{name}", rel="item", type=media_type(Path(name)), title=name) for name in names]
    return ResultDocument(
        jobID=job.id,
        processID=job.process,
        cached=job.result_of is not None,
        disclaimer=DISCLAIMER,
        summary=summary,
        store=f"{url}/{STORE}",
        files=links,
    )


@router.get(
    "/jobs/{job_id}/files/{name:path}",
    operation_id="getFile",
    response_class=FileResponse,
    responses={**FILE, **responses(400, 401, 404, 416, 429, 503)},
)
def get_file(job_id: str, name: str, request: Request, context: Context, owner: Caller) -> Response:
    """A file of a result: report.html, summary.json, coverage.png, points.parquet ..."""
    return _file(request, context, _ended_well(context, job_id, owner), name)


@router.api_route(
    "/jobs/{job_id}/result.zarr/{key:path}",
    methods=["GET", "HEAD"],
    operation_id="getStoreKey",
    response_class=FileResponse,
    responses={**FILE, **responses(400, 401, 404, 416, 429, 503)},
    include_in_schema=False,
)
def get_store_key(job_id: str, key: str, request: Request, context: Context, owner: Caller) -> Response:
    """A key of the result's Zarr store; ranges, ETag and If-None-Match work."""
    return _file(request, context, _ended_well(context, job_id, owner), f"{STORE}/{key}")


@router.get(
    "/jobs/{job_id}/nifti/{name}",
    operation_id="getNifti",
    response_class=FileResponse,
    responses={200: FILE[200], **responses(401, 404, 422, 429, 503, 507)},
)
def get_nifti(
    job_id: str,
    name: str,
    context: Context,
    owner: Caller,
    pulse: Annotated[int | None, Query(ge=0, description="For maps of each pulse: which, from 0.")] = None,
    frame: Annotated[
        Literal["scan", "grid"] | None,
        Query(description="On the scan's own voxels, the default where there is a scan, or on those of the solve."),
    ] = None,
) -> Response:
    """A map as NIfTI (.nii.gz) on the scan's own voxels: zone, field_max_v_per_cm, coverage_reversible ..."""
    job = _ended_well(context, job_id, owner)
    variable = name.removesuffix(".gz").removesuffix(".nii")
    if variable not in NIFTI_MAPS:
        raise not_found(f"map; there are {', '.join(NIFTI_MAPS)}")
    try:
        data = nifti_of(context.results.of(job) / STORE, variable, pulse, frame)
    except ExportError as error:
        raise ApiError(422, "no-such-frame", "The result has no such voxels", str(error)) from None
    if data is None:
        raise not_found("map in this result")
    disposition = {"Content-Disposition": f'attachment; filename="{variable}.nii.gz"'}
    return Response(data, media_type="application/gzip", headers=disposition)


@router.post(
    "/jobs/{job_id}/links",
    operation_id="shareResult",
    status_code=201,
    responses=responses(400, 401, 404, 413, 415, 422, 429, 503),
)
def share_result(job_id: str, share: ShareRequest, request: Request, context: Context, owner: Caller) -> Share:
    """A capability URL: whoever has it may read this job's result until it expires."""
    job = _ended_well(context, job_id, owner)
    expires_s = datetime.now(UTC).timestamp() + min(share.expires_s, context.settings.link_s)
    url = f"{base_of(request, context)}/shared/{context.links.token(job.id, expires_s)}"
    return Share(href=f"{url}/report.html", store=f"{url}/{STORE}", expires=datetime.fromtimestamp(expires_s, UTC))


@shared.api_route(
    "/shared/{token}/{name:path}",
    methods=["GET", "HEAD"],
    operation_id="getShared",
    response_class=FileResponse,
    responses={**FILE, **responses(400, 404, 416, 503)},
    include_in_schema=False,
)
def get_shared(token: str, name: str, request: Request, context: Context) -> Response:
    """A file or a store's key of a shared result."""
    job_id = context.links.job_of(token)
    job = None if job_id is None else context.queue.get(job_id)
    if job is None or job.status is not JobStatus.SUCCESSFUL:
        raise not_found("link, or it has expired")
    return _file(request, context, job, name)


def _ended_well(context: Services, job_id: str, owner: str) -> Job:
    """A job with a result.

    Raises:
        ApiError: 404 as OGC API has it for a job without one.
    """
    job = job_of(context, job_id, owner)
    if job.status is not JobStatus.SUCCESSFUL:
        detail = f"The job is {job.status}; it has no result{'' if job.status.final else ' yet'}."
        raise ApiError(404, "result-not-ready", "No result", detail)
    return job


def _file(request: Request, context: Services, job: Job, name: str) -> Response:
    path = context.results.file(job, name)
    try:
        found = None if path is None else path.stat()
    except FileNotFoundError:  # dismissed at this moment
        found = None
    if path is None or found is None:
        raise not_found("file in this result")
    tag = etag(found)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if path.suffix == ".html":
        headers["Content-Security-Policy"] = PAGE_POLICY
    if tag in [t.strip().removeprefix("W/") for t in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    if "range" in request.headers and "if-range" not in request.headers:
        check_range(request.headers["range"], found.st_size)
    return FileResponse(path, media_type=media_type(path), headers=headers, stat_result=found)
