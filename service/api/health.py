"""Whether the server lives, whether it is ready, and its metrics; none of it needs an API key."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from ..context import Context

router = APIRouter(tags=["operations"])


class Health(BaseModel):
    """One word, and what is not well."""

    status: Literal["ok", "not ready"]
    problems: dict[str, str] = {}


@router.get("/health/live", operation_id="live")
def live() -> Health:
    """The process answers."""
    return Health(status="ok")


@router.get("/health/ready", operation_id="ready", responses={503: {"model": Health, "description": "Not ready"}})
def ready(context: Context, request: Request) -> Response:
    """Database, data folder and workers can do their work."""
    problems = dict(context.problems())
    health = Health(status="not ready" if problems else "ok", problems=problems)
    return JSONResponse(health.model_dump(), 503 if problems else 200)


@router.get(
    "/metrics",
    operation_id="metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus text"}},
)
def metrics(context: Context) -> Response:
    """Prometheus metrics."""
    return Response(context.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
