"""Every problem that the API documents is reached, route by route, and every type of problem that the service has."""

from __future__ import annotations

import ast
import dataclasses
import errno
import gzip
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from porefield import service as package
from porefield.service.anatomy_store import AnatomyStore
from porefield.service.api import results
from porefield.service.app import create_app
from porefield.service.client import Client, ServiceJob
from porefield.service.database.engine import make_engine
from porefield.service.jobs.sql_queue import SqlQueue

from .conftest import plan
from .server import serving, settings
from .test_security import small_nifti

JSON = {"Content-Type": "application/json"}
EXECUTE = ("POST", "/v1/processes/{process_id}/execution")
STATUS, DISMISS = ("GET", "/v1/jobs/{job_id}"), ("DELETE", "/v1/jobs/{job_id}")
LINKS, UPLOAD = ("POST", "/v1/jobs/{job_id}/links"), ("POST", "/v1/anatomies")
FILE, STORE = ("GET", "/v1/jobs/{job_id}/files/{name}"), ("GET", "/v1/jobs/{job_id}/result.zarr/{key}")
NIFTI, SHARED = ("GET", "/v1/jobs/{job_id}/nifti/{name}"), ("GET", "/v1/shared/{token}/{name}")
NOBODY = "0" * 32
Operation = tuple[str, str]


@dataclass(frozen=True)
class Case:
    """A request that ends with a problem.

    Attributes:
        at: a server of the fixture `servers`.
        path: parts of the operation's path; "{job}", "{kept}", "{token}" and "{waiting}" are things that are there.
        send: what httpx is told.
    """

    operation: Operation
    status: int
    kind: str
    at: str = "usual"
    path: dict[str, str] = field(default_factory=dict)
    send: dict[str, Any] = field(default_factory=dict)


def body(text: bytes, media_type: str = "application/json", **headers: str) -> dict[str, Any]:
    return {"content": text, "headers": {"Content-Type": media_type, **headers}}


def chunks() -> Iterator[bytes]:
    """A body whose length is not stated."""
    yield b" " * 5000


def execution(process: str, inputs: dict[str, Any], **headers: str) -> dict[str, Any]:
    return {"path": {"process_id": process}, "send": {"json": {"inputs": inputs}, "headers": headers}}


def ranged(stated: str) -> dict[str, Any]:
    return {"headers": {"Range": stated}}


FILES = {FILE: {"name": "summary.json"}, STORE: {"key": "zarr.json"}, SHARED: {"name": "summary.json"}}
HUGE: dict[str, Any] = {
    "anatomy": {"phantom": {"size_mm": [1e5, 1e5, 1e5], "tissue": "liver", "origin_mm": [-5e4, -5e4, -5e4]}}
}
CASES = [
    Case(("GET", "/v1/processes/{process_id}"), 404, "not-found", path={"process_id": "other"}),
    Case(EXECUTE, 400, "malformed-json", send=body(b"{"), path={"process_id": "plan"}),
    Case(EXECUTE, 404, "not-found", **execution("other", {})),
    Case(EXECUTE, 409, "idempotency-key-reused", **execution("plan", plan(1), **{"Idempotency-Key": "taken"})),
    Case(EXECUTE, 413, "body-too-large", at="small", send=body(b" " * 5000), path={"process_id": "plan"}),
    Case(EXECUTE, 413, "body-too-large", at="small", send={"content": chunks(), "headers": JSON}),
    Case(EXECUTE, 415, "unsupported-media-type", send=body(b"{}", "text/plain"), path={"process_id": "plan"}),
    Case(EXECUTE, 422, "invalid-inputs", **execution("plan", {})),
    Case(EXECUTE, 422, "invalid-request", send=body(b"{}"), path={"process_id": "plan"}),
    Case(EXECUTE, 429, "too-many-jobs", at="full", **execution("plan", plan(2))),
    Case(EXECUTE, 507, "job/resource", at="vast", **execution("plan", plan(targets=[], **HUGE), Prefer="wait=60")),
    Case(("GET", "/v1/jobs"), 422, "invalid-request", send={"params": {"limit": 0}}),
    Case(STATUS, 404, "not-found"),
    Case(DISMISS, 404, "not-found"),
    Case(("GET", "/v1/jobs/{job_id}/events"), 404, "not-found"),
    Case(("GET", "/v1/jobs/{job_id}/results"), 404, "not-found"),
    Case(("GET", "/v1/jobs/{job_id}/results"), 404, "result-not-ready", at="full", path={"job_id": "{waiting}"}),
    Case(NIFTI, 404, "not-found", path={"job_id": "{job}", "name": "nothing"}),
    Case(NIFTI, 422, "invalid-request", path={"job_id": "{job}", "name": "zone"}, send={"params": {"pulse": -1}}),
    Case(NIFTI, 422, "no-such-frame", path={"job_id": "{job}", "name": "zone"}, send={"params": {"frame": "scan"}}),
    Case(NIFTI, 507, "no-room", at="full disk", path={"job_id": "{kept}", "name": "zone"}),
    Case(LINKS, 400, "malformed-json", send=body(b"{")),
    Case(LINKS, 404, "not-found", send={"json": {}}),
    Case(LINKS, 413, "body-too-large", at="small", send=body(b" " * 5000)),
    Case(LINKS, 415, "unsupported-media-type", send=body(b"{}", "text/plain")),
    Case(LINKS, 422, "invalid-request", send={"json": {"expires_s": -1}}),
    Case(UPLOAD, 413, "upload-too-large", send={"content": gzip.compress(bytes(30_000_000))}),
    Case(UPLOAD, 413, "body-too-large", send={"content": b"x" * 2_100_000}),
    Case(UPLOAD, 415, "unsupported-media-type", send={"content": b"hello" * 200}),
    Case(UPLOAD, 422, "invalid-anatomy", send={"content": small_nifti()[:-9]}),
    Case(UPLOAD, 422, "invalid-request", send={"content": small_nifti(), "params": {"filename": "x" * 300}}),
    Case(UPLOAD, 507, "no-room", at="full disk", send={"content": small_nifti()}),
    Case(("GET", "/v1/anatomies"), 422, "invalid-request", send={"params": {"cursor": "x"}}),
    Case(("GET", "/v1/anatomies/{sha256}"), 404, "not-found"),
    Case(("DELETE", "/v1/anatomies/{sha256}"), 404, "not-found"),
    Case(("GET", "/health/ready"), 503, "", at="down"),
    *(
        Case(operation, status, kind, path={"job_id": "{job}", "token": "{token}", **path}, send=ranged(stated))
        for operation, path in FILES.items()
        for status, kind, stated in (
            (400, "malformed-range", "lines=1-2"),
            (400, "malformed-range", "bytes=9-2"),
            (400, "malformed-range", "bytes=-"),
            (416, "range-not-satisfiable", "bytes=999999999-"),
            (416, "range-not-satisfiable", "bytes=-0"),
        )
    ),
    *(
        Case(operation, 404, "not-found", path={"job_id": "{job}", "token": "{token}", **dict.fromkeys(path, name)})
        for operation, path in FILES.items()
        for name in ("nothing", "..%2Fsecret", ".hidden", "a%00b")
    ),
]
BEYOND = [
    Case(("GET", "/v1/nothing"), 404, "not-found"),
    Case(("PUT", "/v1/jobs"), 405, "method-not-allowed"),
    Case(STATUS, 500, "internal-error", at="broken"),
]
"""What no operation documents: paths and methods that there are not, and the service's own faults."""


def documented(app: FastAPI) -> set[tuple[str, str, int]]:
    """(method, path, status) of each problem: of the OpenAPI document, and of the routes that it leaves out."""
    found = {
        (method.upper(), path, int(status))
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
        for status in operation["responses"]
    }
    for route in [*results.router.routes, *results.shared.routes]:
        if isinstance(route, APIRoute) and not route.include_in_schema:
            path = "/v1" + route.path.replace(":path}", "}")
            found |= {("GET", path, int(status)) for status in route.responses}
    return {one for one in found if one[2] >= 400}


def kinds() -> set[str]:
    """Types of all problems that the service's source raises by name."""
    found = set()
    for path in Path(str(package.__path__[0])).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "ApiError":
                found |= {str(a.value) for a in node.args[1:2] if isinstance(a, ast.Constant)}
    return found


@dataclass
class Servers:
    """Clients of servers with different troubles, and what is there to ask for."""

    clients: dict[str, httpx.Client]
    known: dict[str, str]
    app: FastAPI

    def ask(self, case: Case) -> httpx.Response:
        usual = {"process_id": "plan", "job_id": NOBODY, "sha256": "0" * 64, "name": "x", "key": "x", "token": "x"}
        path = re.sub(r"\{(\w+)\}", lambda m: {**usual, **case.path}[m[1]], case.operation[1])
        path = re.sub(r"\{([\w ]+)\}", lambda m: self.known[m[1]], path)
        return self.clients[case.at].request(case.operation[0], path, **case.send)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, url: str, solved: ServiceJob) -> Iterator[Servers]:
    def app(**more: Any) -> FastAPI:
        return create_app(settings(tmp_path_factory.mktemp("problems"), **{"workers": 0, **more}))

    apps = {
        "keys": app(require_keys=True),
        "hurried": app(requests_per_minute=1),
        "small": app(max_body_bytes=4000),
        "full": app(max_unfinished_jobs=1),
        "vast": app(max_voxels=2**60, executor="in_process", workers=1),
        "full disk": app(executor="in_process", workers=1),
        "down": app(require_keys=True),
        "broken": app(),
    }
    gone = make_engine("sqlite:////nowhere/porefield.sqlite")
    change(apps["down"], engine=gone, queue=SqlQueue(gone), problems=lambda: {"database": "gone"})
    change(apps["broken"], queue=None)
    change(apps["full disk"], anatomies=FullDisk(apps["full disk"].state.services.anatomies))
    with ExitStack() as stack:
        urls = {name: stack.enter_context(serving(made)) for name, made in apps.items()} | {"usual": url}
        clients = {name: stack.enter_context(httpx.Client(base_url=at, timeout=60)) for name, at in urls.items()}
        with Client(urls["full"]) as full:
            waiting = full.submit("plan", plan()).id
        with Client(url) as usual:
            usual.submit("plan", plan(), idempotency_key="taken").wait(60)
            token = usual.job(solved.id).share()["href"].split("/")[-2]
        with Client(urls["full disk"]) as full_disk:
            kept = full_disk.submit("plan", plan()).wait(60).id
        change(apps["full disk"], results=FullDisk(apps["full disk"].state.services.anatomies))
        known = {"job": solved.id, "waiting": waiting, "token": token, "kept": kept}
        known["token of down"] = apps["down"].state.services.links.token(NOBODY, time.time() + 3600)
        yield Servers(clients, known, apps["keys"])
    gone.dispose()


def change(app: FastAPI, **parts: Any) -> None:
    app.state.services = dataclasses.replace(app.state.services, **parts)


class FullDisk:
    """Where uploads, and files made for a reader, find no room."""

    def __init__(self, store: AnatomyStore) -> None:
        self._store = store

    def receiving(self) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    def of(self, _job: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")


def everywhere(app: FastAPI) -> list[Case]:
    """What may happen to all operations alike, wherever it is documented."""
    alike = {401: ("keys", "unauthorized"), 429: ("hurried", "too-many-requests"), 503: ("down", "unavailable")}
    sent = {EXECUTE: {"json": {"inputs": plan()}}, LINKS: {"json": {}}, UPLOAD: {"content": small_nifti()}}
    cases = []
    for method, path, status in sorted(documented(app)):
        if status in alike and path.startswith("/v1"):
            at, kind = alike[status]
            how = dict(sent.get((method, path), {}))
            if status == 503:
                key = f"pfk_{'0' * 12}_{'A' * 43}"
                how["headers"] = {"Authorization": f"Bearer {key}"}
            names = {"token": "{token of down}"} if path.startswith("/v1/shared") else {}
            cases.append(Case((method, path), status, kind, at=at, path=names, send=how))
    return cases


def test_every_documented_problem_is_reached(servers: Servers) -> None:
    servers.clients["hurried"].get("/v1/processes")  # the one request that is allowed
    reached: set[tuple[str, str, int]] = set()
    types: set[str] = set()
    cases = [*CASES, *everywhere(servers.app)]
    for case in [*cases, *BEYOND]:
        answer = servers.ask(case)
        assert answer.status_code == case.status, (case, answer.text)
        if case.kind:
            problem = answer.json()
            assert answer.headers["content-type"] == "application/problem+json", case
            assert problem["type"] == f"/problems/{case.kind}", (case, problem)
            assert problem["status"] == case.status, case
            assert problem["instance"] == answer.request.url.path or case.kind.startswith("job/"), case
            assert problem["title"]
            assert problem["detail"] or problem["errors"], case
            types.add(case.kind)
        if case.status in (429, 503) and case.kind:
            assert int(answer.headers["Retry-After"]) > 0
        if case not in BEYOND:
            reached.add((*case.operation, case.status))
    assert documented(servers.app) == reached
    assert kinds() <= types


def test_headers_say_what_would_have_been_right(servers: Servers) -> None:
    assert servers.ask(BEYOND[1]).headers["Allow"] == "GET"
    case = next(c for c in CASES if c.status == 416)
    size = len(servers.clients["usual"].get(f"/v1/jobs/{servers.known['job']}/files/summary.json").content)
    assert servers.ask(case).headers["Content-Range"] == f"bytes */{size}"
    unauthorised = servers.clients["keys"].get("/v1/jobs")
    assert unauthorised.headers["WWW-Authenticate"] == "Bearer"
