"""Errors as problem details (RFC 9457): one shape for all, each wrong field by JSON pointer (RFC 6901).

{"type": "/problems/invalid-inputs", "title": "...", "status": 422, "detail": "...", "instance": "/v1/...",
 "errors": [{"pointer": "/inputs/pulses/0/voltage_v", "expected": "...", "got": "..."}]}
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from ..meshes.errors import PorefieldError, ResourceError
from .database.engine import DatabaseError
from .log import logger
from .pointers import joined, pointer

MEDIA_TYPE = "application/problem+json"
METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
STARLETTES = {413: ("body-too-large", "The body is too large")}
"""Kinds and titles of errors that come as Starlette's. (Python has changed its words for 413.)"""
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
MOST_TOLD = 100
"""Of the things that are wrong with one request: nobody mends more at once, and a request may have thousands."""


def _as_utf8(text: Any) -> Any:
    """Halves of surrogate pairs, which JSON may escape but no response can hold, as they were escaped."""
    return text.encode("utf-8", "backslashreplace").decode() if isinstance(text, str) else text


Text = Annotated[str, BeforeValidator(_as_utf8)]


class WrongField(BaseModel):
    """One thing that is wrong with a request."""

    pointer: Text = Field(description="JSON pointer into the request's body, or the name of a parameter or header.")
    expected: Text
    got: Text


class Problem(BaseModel):
    """Problem details as RFC 9457 has them."""

    type: str = Field(description="Kind of problem, a stable path.")
    title: str
    status: int
    detail: Text = ""
    instance: Text = Field(default="", description="Path of the request.")
    errors: list[WrongField] = Field(
        default=[], description=f"What is wrong where; may be empty. At most {MOST_TOLD} of more."
    )


class ApiError(Exception):
    """A request that ends with a problem.

    Args:
        kind: last part of the problem's type, such as 'not-found'.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        title: str,
        detail: str = "",
        *,
        errors: Iterable[WrongField] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status, self.kind, self.title, self.detail = status, kind, title, detail
        self.errors, self.headers = list(errors), dict(headers or {})
        super().__init__(f"{status} {kind}: {detail or title}")

    def problem(self, instance: str) -> Problem:
        return Problem(
            type=f"/problems/{self.kind}",
            title=self.title,
            status=self.status,
            detail=self.detail,
            instance=instance,
            errors=self.errors,
        )


def not_found(what: str) -> ApiError:
    """Nothing there, or nothing that this key may see."""
    return ApiError(404, "not-found", "Not found", f"There is no such {what}.")


def invalid_inputs(error: PorefieldError, inputs: Any = None) -> ApiError:
    """What porefield refuses, field by field.

    Args:
        inputs: what the fields are of.
    """
    told = error.problems[:MOST_TOLD]
    fields = [WrongField(pointer="/inputs" + pointer(p.field, inputs), expected=p.expected, got=p.got) for p in told]
    lines = [str(problem) for problem in told]
    if len(told) < len(error.problems):
        lines.append(f"and {len(error.problems) - len(told)} more")
    return ApiError(422, "invalid-inputs", "The inputs can't be executed", "\n".join(lines), errors=fields)


def job_problem(error: Mapping[str, Any], job_url: str, inputs: Any = None) -> dict[str, Any]:
    """The problem details of a failed job, from what its worker or the runner told about its inputs."""
    fields = [
        WrongField(pointer="/inputs" + pointer(p["field"], inputs), expected=p["expected"], got=p["got"])
        for p in error.get("problems", ())[:MOST_TOLD]
    ]
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", str(error.get("kind", "failed"))).removesuffix("-Error").lower()
    return Problem(
        type=f"/problems/job/{kind}",
        title="The job failed",
        status=507 if error.get("kind") == "ResourceError" else 422 if fields else 500,
        detail=str(error.get("message", "")),
        instance=job_url,
        errors=fields,
    ).model_dump(mode="json")


def install(app: FastAPI) -> None:
    """Turn every error of an app into problem details."""

    @app.exception_handler(ApiError)
    async def told(request: Request, error: ApiError) -> JSONResponse:
        return respond(request, error)

    @app.exception_handler(PorefieldError)
    async def refused(request: Request, error: PorefieldError) -> JSONResponse:
        body = getattr(request.state, "json_body", None)
        refusal = invalid_inputs(error, body.get("inputs") if isinstance(body, dict) else None)
        if isinstance(error, DatabaseError):
            logger().error("database out of reach", reason=str(error))
            detail = "The server can't reach its database; try again."
            refusal = ApiError(503, "unavailable", "Not available for now", detail, headers={"Retry-After": "5"})
        elif isinstance(error, ResourceError):
            refusal = ApiError(507, "no-room", "The server has no room for it", str(error))
        return respond(request, refusal)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        return respond(request, _malformed(error))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        status = HTTPStatus(error.status_code)
        kind, title = STARLETTES.get(status, (status.phrase.lower().replace(" ", "-"), status.phrase))
        headers = dict(error.headers or {})
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(_methods(request))
        return respond(request, ApiError(status, kind, title, str(error.detail), headers=headers))

    @app.exception_handler(OSError)
    async def disk(request: Request, error: OSError) -> JSONResponse:
        if error.errno not in NO_ROOM:
            return await unexpected(request, error)
        logger().error("no room on the disk", path=request.url.path, reason=os.strerror(error.errno or 0))
        return respond(request, ApiError(507, "no-room", "The server has no room for it", "Its disk is full."))

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        logger().error("unexpected error", path=request.url.path, exc_info=error)
        detail = "The server failed; its log says why."
        return respond(request, ApiError(500, "internal-error", "Internal server error", detail))


def _methods(request: Request) -> list[str]:
    """What the path takes: several routes may share it."""
    routes = request.app.routes
    scopes = {method: {**request.scope, "method": method} for method in METHODS}
    return [method for method, scope in scopes.items() if any(r.matches(scope)[0] is Match.FULL for r in routes)]


def respond(request: Request, error: ApiError) -> JSONResponse:
    """The response of an error."""
    body = error.problem(request.url.path).model_dump(mode="json")
    return JSONResponse(body, error.status, headers=error.headers, media_type=MEDIA_TYPE)


def _malformed(error: RequestValidationError) -> ApiError:
    found = error.errors()
    if any(e["type"] == "json_invalid" for e in found):
        reason = "; ".join(str(e.get("ctx", {}).get("error", e["msg"])) for e in found)
        return ApiError(400, "malformed-json", "The body is not JSON", reason)
    fields = [
        WrongField(pointer=_where(e["loc"]), expected=e["msg"], got=_shown(e.get("input"))) for e in found[:MOST_TOLD]
    ]
    return ApiError(422, "invalid-request", "The request is not as the API describes it", errors=fields)


def _where(location: tuple[Any, ...]) -> str:
    """`body` stands for the body's pointer, everything else for a parameter's name."""
    if location and location[0] == "body":
        return joined(location[1:])
    return ".".join(map(str, location))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:199] + "\N{HORIZONTAL ELLIPSIS}"


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    for status, text in (
        (400, "The request can't be read"),
        (401, "No API key, or one that is not valid"),
        (404, "Nothing there, or nothing that this key may see"),
        (409, "It does not fit the present state"),
        (413, "More than this server takes"),
        (415, "Not the media type that is taken here"),
        (416, "The file has no such part"),
        (422, "Understood, but wrong; `errors` says where"),
        (429, "Too many requests or jobs; see Retry-After"),
        (503, "Not for now; see Retry-After"),
        (507, "The server has no room"),
    )
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Documented problems of a route."""
    return {status: RESPONSES[status] for status in statuses}
