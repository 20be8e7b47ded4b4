"""A client for Python: send a plan, follow it, open its maps.

from porefield.service.client import Client

with Client("http://127.0.0.1:8000") as client:
    job = client.submit("plan", plan)          # a table, or the path of a YAML or JSON file
    job.wait()                                 # with a progress bar on a terminal
    job.summary["targets"]["tumour"]["coverage"]
    maps = job.dataset()                       # xarray, read over HTTP as it is needed
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import httpx

from ..meshes.errors import PorefieldError, Problem
from ..meshes.plan import read_table

Process = Literal["plan", "sweep", "robustness"]
FINAL = ("successful", "failed", "dismissed")
CHUNK_BYTES = 2**20
POLL_S = 0.3


class ServiceError(PorefieldError):
    """The server refused a request, or a job failed; `status` and `problem` are as it told them (RFC 9457)."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status, self.problem = status, dict(problem)
        fields = [Problem(e["pointer"], e["expected"], e["got"]) for e in problem.get("errors") or ()]
        told = str(problem.get("detail") or problem.get("title") or status)
        super().__init__(fields or [Problem("request", "one that the server takes", told)])

    def __reduce__(self) -> Any:
        return type(self), (self.status, self.problem)


class Client:
    """A connection to a service.

    Args:
        url: of the server, such as http://127.0.0.1:8000.
        key: API key, where the server needs one.
        transport: in place of the network, for tests.
    """

    def __init__(
        self, url: str, key: str | None = None, *, timeout_s: float = 60.0, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._key = key
        self._http = httpx.Client(
            base_url=f"{self.url}/v1", headers=headers, timeout=timeout_s, transport=transport, follow_redirects=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def upload(self, path: Path | str) -> str:
        """Send a label map or a mask; what a plan names as its path: 'upload:<sha256>'.

        Raises:
            ServiceError: it can't be used, or is too large.
        """
        path = Path(path)
        answer = self.request("POST", "/anatomies", params={"filename": path.name}, content=_chunks(path))
        return str(answer.json()["use"])

    def submit(
        self, process: Process, inputs: Mapping[str, Any] | Path | str, *, idempotency_key: str | None = None
    ) -> ServiceJob:
        """Start a job.

        Raises:
            ServiceError: the inputs are wrong; its problems name the fields.
        """
        table = (
            inputs if isinstance(inputs, Mapping) else read_table(Path(inputs).read_text(encoding="utf-8"), "inputs")
        )
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        body = {"inputs": dict(table)}
        answer = self.request("POST", f"/processes/{process}/execution", json=body, headers=headers)
        return ServiceJob(self, answer.json())

    def job(self, job_id: str) -> ServiceJob:
        """A job by its id."""
        return ServiceJob(self, self.request("GET", f"/jobs/{job_id}").json())

    def jobs(self, **filters: Any) -> Iterator[ServiceJob]:
        """All jobs, newest first; filters as the API has them (status, processID, since, until)."""
        url, params = "/jobs", dict(filters)
        while True:
            page = self.request("GET", url, params=params).json()
            yield from (ServiceJob(self, status) for status in page["jobs"])
            following = [link["href"] for link in page["links"] if link["rel"] == "next"]
            if not following:
                return
            params = dict(httpx.URL(following[0]).params.multi_items())
            if filters.get("status"):
                params["status"] = filters["status"]

    def request(self, method: str, path: str, **how: Any) -> httpx.Response:
        """One request; an error of the server's becomes a ServiceError."""
        answer = self._http.request(method, path, **how)
        if answer.is_error:
            raise ServiceError(answer.status_code, _problem(answer))
        return answer

    def stream(self, path: str, headers: Mapping[str, str]) -> Any:
        """A response that comes bit by bit; a context manager."""
        return self._http.stream("GET", path, headers=dict(headers), timeout=None)

    @property
    def storage_options(self) -> dict[str, Any]:
        """For fsspec: the headers that results are read with."""
        return {"headers": {"Authorization": f"Bearer {self._key}"}} if self._key else {}


class ServiceJob:
    """A job on the server; `status` is the last that was heard of it."""

    def __init__(self, client: Client, status: Mapping[str, Any]) -> None:
        self._client, self.status = client, dict(status)

    @property
    def id(self) -> str:
        return str(self.status["jobID"])

    @property
    def state(self) -> str:
        """accepted, running, successful, failed or dismissed."""
        return str(self.status["status"])

    def refresh(self) -> Self:
        """Ask the server again."""
        self.status = self._client.request("GET", f"/jobs/{self.id}").json()
        return self

    def wait(
        self,
        timeout_s: float | None = None,
        *,
        progress: bool | None = None,
        on_status: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> Self:
        """Until the job has ended.

        Args:
            progress: show a bar on stderr; by default on a terminal.
            on_status: called with each status.

        Raises:
            ServiceError: the job failed, or was dismissed.
            TimeoutError: it has not ended in time; it goes on.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        shown = sys.stderr.isatty() if progress is None else progress
        with _bar(shown) as show:
            while self.refresh().state not in FINAL:
                show(self.status)
                if on_status is not None:
                    on_status(self.status)
                if deadline is not None and time.monotonic() > deadline:
                    raise TimeoutError(f"job {self.id} has not ended after {timeout_s:g} s; it goes on")
                time.sleep(POLL_S)
        if on_status is not None:
            on_status(self.status)
        if self.state != "successful":
            problem = self.status.get("error") or {"detail": f"the job was {self.state}"}
            raise ServiceError(int(problem.get("status", 409)), problem)
        return self

    def events(self, after: int = 0) -> Generator[tuple[int, str, dict[str, Any]]]:
        """(number, kind, data) of each event until the job has ended; a lost connection is taken up where it broke."""
        while True:
            ended = True
            try:
                with self._client.stream(f"/jobs/{self.id}/events", {"Last-Event-ID": str(after)}) as answer:
                    if answer.is_error:
                        answer.read()
                        raise ServiceError(answer.status_code, _problem(answer))
                    for number, kind, data in _parse(answer.iter_lines()):
                        after = number
                        yield number, kind, data
            except httpx.TransportError:
                ended = False
                time.sleep(POLL_S)
            if ended and self.refresh().state in FINAL:
                return

    def cancel(self) -> Self:
        """Stop it; removes a job that has ended, with its result."""
        self.status = self._client.request("DELETE", f"/jobs/{self.id}").json()
        return self

    @property
    def results(self) -> dict[str, Any]:
        """The results document: summary, store, files."""
        return self._client.request("GET", f"/jobs/{self.id}/results").json()

    @property
    def summary(self) -> dict[str, Any]:
        """What was found: the contents of summary.json, or of robustness.json."""
        return self.results["summary"]

    def download(self, name: str, to: Path | str) -> Path:
        """A file of the result (report.html, coverage.png, points.parquet ...) to a file or folder."""
        target = Path(to) / Path(name).name if Path(to).is_dir() else Path(to)
        target.write_bytes(self._client.request("GET", f"/jobs/{self.id}/files/{name}").content)
        return target

    def nifti(self, name: str, to: Path | str, pulse: int | None = None, frame: str | None = None) -> Path:
        """A map as NIfTI on the scan's own voxels; with frame="grid" on those of the solve."""
        params = {k: v for k, v in (("pulse", pulse), ("frame", frame)) if v is not None}
        target = Path(to) / f"{name}.nii.gz" if Path(to).is_dir() else Path(to)
        target.write_bytes(self._client.request("GET", f"/jobs/{self.id}/nifti/{name}", params=params).content)
        return target

    def share(self, expires_s: float = 3600.0) -> dict[str, Any]:
        """A capability URL that shows this result to whoever has it."""
        return self._client.request("POST", f"/jobs/{self.id}/links", json={"expires_s": expires_s}).json()

    def dataset(self) -> Any:
        """The maps as an xarray.Dataset that is read over HTTP (needs fsspec and aiohttp)."""
        import xarray as xr

        store = f"{self._client.url}/v1/jobs/{self.id}/result.zarr"
        return xr.open_zarr(store, storage_options=self._client.storage_options or None, chunks=None)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _problem(answer: httpx.Response) -> dict[str, Any]:
    try:
        told = answer.json()
    except ValueError:
        told = None
    return told if isinstance(told, dict) else {"title": answer.reason_phrase, "detail": answer.text[:500]}


def _parse(lines: Iterator[str]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Server-sent events as the WHATWG has them, as far as this server sends them."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield int(fields.get("id", 0)), fields.get("event", "message"), json.loads(fields["data"])
            fields = {}


class _bar:  # noqa: N801  (used like a function)
    """A rich progress bar, or nothing."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown

    def __enter__(self) -> Callable[[Mapping[str, Any]], None]:
        if not self._shown:
            return lambda status: None
        from rich.console import Console
        from rich.progress import Progress

        self._progress = Progress(console=Console(stderr=True), transient=True)
        self._progress.start()
        task = self._progress.add_task("waiting", total=100)

        def show(status: Mapping[str, Any]) -> None:
            words = status["message"] or status["status"]
            self._progress.update(task, description=str(words), completed=status["progress"])

        return show

    def __exit__(self, *error: object) -> None:
        if self._shown:
            self._progress.stop()
