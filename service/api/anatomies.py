"""Anatomy: upload of label maps and masks, streamed, kept once for each content."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from ..context import Caller, Context, Services
from ..database.anatomies import Anatomy
from ..problems import not_found, responses
from .schemas import AnatomyInfo, AnatomyList, Link
from .urls import base_of

router = APIRouter(tags=["anatomy"])
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CURSOR = re.compile(r"^[0-9]{1,17}\.[0-9a-f]{64}$")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BODY = {
    "requestBody": {
        "required": True,
        "description": "The file's bytes: .nii, .nii.gz or .nrrd. Chunked transfer is taken.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "/anatomies",
    operation_id="uploadAnatomy",
    status_code=201,
    response_model=AnatomyInfo,
    openapi_extra=BODY,
    responses={
        200: {"model": AnatomyInfo, "description": "Known already"},
        **responses(401, 413, 415, 422, 429, 503, 507),
    },
)
async def upload_anatomy(
    request: Request,
    response: Response,
    context: Context,
    owner: Caller,
    filename: Annotated[str, Query(max_length=200, description="Name for people; plays no part in anything.")] = "",
    expected: Annotated[
        str | None,
        Header(
            alias="X-Content-SHA256",
            pattern="^[0-9a-fA-F]{64}$",
            description="Refused where the bytes have another hash.",
        ),
    ] = None,
) -> AnatomyInfo:
    """Upload a label map or a mask. The same bytes again give the same entry, and cost no room."""
    name = re.sub(r"[^\w.() +-]", "_", filename)[:200] or "unnamed"
    with context.anatomies.receiving() as upload:
        async for chunk in request.stream():
            if chunk:
                await run_in_threadpool(upload.write, chunk)
        anatomy, new = await run_in_threadpool(context.anatomies.keep, upload, owner, name, expected)
    response.status_code = 201 if new else 200
    info = anatomy_info(context, anatomy, base_of(request, context))
    response.headers["Location"] = info.links[0].href
    return info


@router.get("/anatomies", operation_id="listAnatomies", responses=responses(401, 422, 429, 503))
def list_anatomies(
    request: Request,
    context: Context,
    owner: Caller,
    limit: Annotated[int, Query(ge=1, le=500, description="Uploads a page.")] = 50,
    cursor: Annotated[str | None, Query(pattern=_CURSOR.pattern, description="From the link 'next'.")] = None,
) -> AnatomyList:
    """The caller's uploads, newest first."""
    base = base_of(request, context)
    found = context.anatomies.list(owner, _before(cursor), limit)
    links = [Link(href=f"{base}/anatomies", rel="self", type="application/json")]
    if len(found) == limit:
        last = found[-1]
        query = urlencode({"limit": limit, "cursor": f"{int(last.created.timestamp() * 1e6)}.{last.sha256}"})
        links.append(Link(href=f"{base}/anatomies?{query}", rel="next", type="application/json"))
    return AnatomyList(anatomies=[anatomy_info(context, a, base) for a in found], links=links)


def _before(cursor: str | None) -> tuple[datetime, str] | None:
    """(created, sha256) of the last upload of the page before."""
    if cursor is None:
        return None
    microseconds, sha256 = cursor.split(".")
    return EPOCH + timedelta(microseconds=int(microseconds)), sha256


@router.get("/anatomies/{sha256}", operation_id="getAnatomy", responses=responses(401, 404, 429, 503))
def get_anatomy(sha256: str, request: Request, context: Context, owner: Caller) -> AnatomyInfo:
    """One upload."""
    return anatomy_info(context, _found(context, sha256, owner), base_of(request, context))


@router.delete(
    "/anatomies/{sha256}",
    operation_id="deleteAnatomy",
    status_code=204,
    response_class=Response,
    responses=responses(401, 404, 429, 503),
)
def delete_anatomy(sha256: str, context: Context, owner: Caller) -> Response:
    """Forget an upload. Its file stays for as long as jobs that were submitted before still read it."""
    _found(context, sha256, owner)
    context.anatomies.remove(sha256, owner)
    return Response(status_code=204)


def _found(context: Context, sha256: str, owner: str) -> Anatomy:
    found = context.anatomies.get(sha256, owner) if _SHA256.fullmatch(sha256) else None
    if found is None:
        raise not_found("upload")
    return found


def anatomy_info(context: Services, anatomy: Anatomy, base: str) -> AnatomyInfo:
    """An upload as the API shows it."""
    facts = context.anatomies.facts(anatomy.sha256)
    return AnatomyInfo(
        sha256=anatomy.sha256,
        size_bytes=anatomy.size,
        filename=anatomy.filename,
        format=str(facts.get("format", "")),
        shape=list(facts.get("shape", ())),
        spacing_mm=list(facts.get("spacing_mm", ())),
        labels=int(facts.get("labels", 0)),
        created=anatomy.created,
        use=f"upload:{anatomy.sha256}",
        links=[Link(href=f"{base}/anatomies/{anatomy.sha256}", rel="self", type="application/json")],
    )
