"""URLs as the client sees them."""

from __future__ import annotations

from fastapi import Request

from ..context import Services

API = "/v1"


def base_of(request: Request, context: Services) -> str:
    """URL of /v1, without a slash at the end: the public one where the server has one."""
    root = context.settings.public_url or str(request.base_url)
    return root.rstrip("/") + API
