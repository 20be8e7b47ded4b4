"""The web application, put together from its parts; nothing is opened at import.

app = create_app(load_settings())          # everything from the settings: database, runner, workers
app = create_app(settings, start_runner=False)
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.middleware.cors import CORSMiddleware

from .api import anatomies, health, jobs, landing, processes, results
from .api.urls import API
from .compose import Parts, compose
from .context import version
from .limits import BodyLimit
from .middleware import Observe
from .problems import Problem, install
from .settings import ServiceSettings

DESCRIPTION = """Electroporation field planning as a service: send anatomy and a plan, follow the job, read the map.
Research software, not a medical device.

Processes, jobs and results follow OGC API - Processes, Part 1; errors are problem details (RFC 9457). The maps of a
result are a Zarr store over HTTP: `xarray.open_zarr("<url>/v1/jobs/<id>/result.zarr")`.
"""
DOCS_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net; img-src 'self' data: https://fastapi.tiangolo.com"
)


def create_app(settings: ServiceSettings, *, parts: Parts | None = None, start_runner: bool = True) -> FastAPI:
    """The application.

    Args:
        parts: in place of those that the settings describe.
        start_runner: whether this process runs jobs too.

    Raises:
        PorefieldError: settings that must not be started, a database that can't be used.
    """
    settings.check()
    parts = parts or compose(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if start_runner and settings.workers:
            parts.runner.start()
        try:
            yield
        finally:
            parts.services.closing.set()
            await run_in_threadpool(parts.close)

    app = FastAPI(
        title="porefield",
        version=version(),
        description=DESCRIPTION,
        lifespan=lifespan,
        openapi_url=f"{API}/openapi.json" if settings.openapi else None,
        docs_url=f"{API}/docs" if settings.openapi else None,
        redoc_url=None,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    app.state.services = parts.services
    install(app)
    for router in (landing.router, processes.router, jobs.router, results.router, results.shared, anatomies.router):
        app.include_router(router, prefix=API)
    app.include_router(health.router)
    _describe(app, settings.protected)
    app.add_middleware(BodyLimit, limit=_body_limit(settings))
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "HEAD", "POST", "DELETE", "OPTIONS"],
        allow_headers=[
            "Authorization",
            "Content-Type",
            "Range",
            "If-None-Match",
            "Prefer",
            "Idempotency-Key",
            "Last-Event-ID",
            "X-Content-SHA256",
        ],
        expose_headers=[
            "Content-Range",
            "Content-Length",
            "Accept-Ranges",
            "ETag",
            "Location",
            "Retry-After",
            "Preference-Applied",
            "X-Request-ID",
        ],
        max_age=3600,
    )
    app.add_middleware(Observe, metrics=lambda: parts.services.metrics)
    return app


def _body_limit(settings: ServiceSettings):
    def limit(path: str) -> int:
        return settings.max_upload_bytes if path == f"{API}/anatomies" else settings.max_body_bytes

    return limit


def _drop_fastapis_422(schema: dict[str, Any]) -> None:
    """FastAPI documents a 422 wherever there is a parameter; a part of a path is text, and can't be wrong in itself."""
    for operation in (o for path in schema["paths"].values() for o in path.values()):
        if "HTTPValidationError" in str(operation["responses"].get("422")):
            del operation["responses"]["422"]


def _describe(app: FastAPI, protected: bool) -> None:
    """Put the schema of problem details into the OpenAPI document, in place of FastAPI's own shape of a 422; leave API
    keys out where none is asked for."""
    original = app.openapi

    def openapi() -> dict[str, object]:
        if app.openapi_schema is None:
            schema = original()
            components = schema.setdefault("components", {}).setdefault("schemas", {})
            template = "#/components/schemas/{model}"
            problem = Problem.model_json_schema(ref_template=template)
            components.update(problem.pop("$defs", {}))
            components["Problem"] = problem
            for name in ("HTTPValidationError", "ValidationError"):
                components.pop(name, None)
            _drop_fastapis_422(schema)
            if not protected:
                schema["components"].pop("securitySchemes", None)
                for operation in (o for path in schema["paths"].values() for o in path.values()):
                    operation.pop("security", None)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi
