"""The landing page and the conformance declaration of OGC API."""

from __future__ import annotations

from fastapi import APIRouter, Request

from ...workers.summary import DISCLAIMER
from ..context import Context
from .schemas import Conformance, Landing, Link
from .urls import base_of

router = APIRouter(tags=["service"])
_PROCESSES = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf"


@router.get("/", operation_id="landing")
def landing(request: Request, context: Context) -> Landing:
    """What this service is, and where everything starts."""
    base = base_of(request, context)
    links = [
        Link(href=f"{base}/", rel="self", type="application/json"),
        Link(href=f"{base}/processes", rel="http://www.opengis.net/def/rel/ogc/1.0/processes", type="application/json"),
        Link(href=f"{base}/jobs", rel="http://www.opengis.net/def/rel/ogc/1.0/job-list", type="application/json"),
        Link(
            href=f"{base}/conformance",
            rel="http://www.opengis.net/def/rel/ogc/1.0/conformance",
            type="application/json",
        ),
        Link(href=f"{base}/anatomies", rel="collection", type="application/json", title="uploads"),
        Link(href=f"{base}/openapi.json", rel="service-desc", type="application/vnd.oai.openapi+json;version=3.1"),
        Link(href=f"{base}/docs", rel="service-doc", type="text/html"),
    ]
    return Landing(title="porefield", description=f"Electroporation field planning. {DISCLAIMER}", links=links)


@router.get("/conformance", operation_id="conformance")
def conformance() -> Conformance:
    """Conformance classes."""
    classes = ("core", "ogc-process-description", "json", "oas30", "job-list", "dismiss")
    return Conformance(conformsTo=[f"{_PROCESSES}/{name}" for name in classes])
