"""What the API sends and takes, after OGC API - Processes, Part 1 (18-062r2), and what it adds to that."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..jobs.model import LONGEST_S, Job, JobStatus, Process

MOST_KEYS, LONGEST_KEY = 20, 200
"""Keys of an execution request, which has two, and their characters."""


class Link(BaseModel):
    """A link with its relation."""

    href: str
    rel: str
    type: str | None = None
    title: str | None = None


class Landing(BaseModel):
    """The landing page."""

    title: str
    description: str
    links: list[Link]


class Conformance(BaseModel):
    """Conformance classes of OGC API."""

    conformsTo: list[str]  # noqa: N815  (as the standard spells it)


class ProcessSummary(BaseModel):
    """A process in a list."""

    id: Process
    version: str
    title: str
    description: str
    jobControlOptions: list[str] = ["sync-execute", "async-execute", "dismiss"]  # noqa: N815
    outputTransmission: list[str] = ["reference"]  # noqa: N815
    links: list[Link]


class ProcessList(BaseModel):
    """All processes."""

    processes: list[ProcessSummary]
    links: list[Link]


class ProcessDescription(ProcessSummary):
    """A process with the schema of its inputs and outputs."""

    inputs: dict[str, Any] = Field(
        description="One input, 'inputs', whose schema is a JSON Schema of the whole object."
    )
    outputs: dict[str, Any]


class Execution(BaseModel):
    """The body of an execution request."""

    model_config = ConfigDict(extra="forbid")

    inputs: dict[str, Any] = Field(description="As the process describes them; a plan, a sweep or a robustness study.")
    retain_s: float | None = Field(
        default=None, gt=0, le=LONGEST_S, description="How long the result is kept after the job ended, s."
    )

    @model_validator(mode="before")
    @classmethod
    def _few_keys(cls, data: Any) -> Any:
        """Each unknown key is told of, unless they are very many or very long."""
        if isinstance(data, dict) and (len(data) > MOST_KEYS or any(len(key) > LONGEST_KEY for key in data)):
            longest = max(map(len, data))
            raise ValueError(
                f"expected {' and '.join(cls.model_fields)}, got {len(data)} keys of up to {longest} characters"
            )
        return data


class StatusInfo(BaseModel):
    """Status of a job."""

    jobID: str  # noqa: N815
    processID: Process  # noqa: N815
    type: Literal["process"] = "process"
    status: JobStatus
    message: str
    progress: int = Field(ge=0, le=100, description="Percent; a rough estimate.")
    created: datetime
    started: datetime | None
    finished: datetime | None
    updated: datetime
    expires: datetime | None = Field(description="When the result will be deleted.")
    attempts: int = Field(description="How often the job was begun; more than 1 after a worker or server was lost.")
    detail: dict[str, Any] = Field(description="Stage, pulse, Newton step, points, as far as the process tells them.")
    cached: bool = Field(description="Whether the result is that of an earlier, identical job.")
    error: dict[str, Any] | None = Field(description="Problem details of a failed job.")
    links: list[Link]


class JobList(BaseModel):
    """A page of jobs, newest first; the link 'next' leads on."""

    jobs: list[StatusInfo]
    links: list[Link]


class ResultDocument(BaseModel):
    """What a job found, and where its maps and files are."""

    jobID: str  # noqa: N815
    processID: Process  # noqa: N815
    cached: bool
    disclaimer: str
    summary: dict[str, Any] = Field(description="The contents of summary.json, or of robustness.json.")
    store: str = Field(description="URL of the Zarr store: zarr.open and xarray.open_zarr take it as it is.")
    files: list[Link]


class ShareRequest(BaseModel):
    """What a capability URL is asked for with."""

    model_config = ConfigDict(extra="forbid")

    expires_s: float = Field(default=3600, gt=0, description="How long it holds, s.")


class Share(BaseModel):
    """A URL that shows one job's result to whoever has it."""

    href: str
    store: str = Field(description="URL of the Zarr store, for viewers.")
    expires: datetime


class AnatomyInfo(BaseModel):
    """An uploaded label map or mask."""

    sha256: str
    size_bytes: int
    filename: str
    format: str
    shape: list[int]
    spacing_mm: list[float]
    labels: int = Field(description="How many different values it holds.")
    created: datetime
    use: str = Field(description="How a plan refers to it: as the path of its label map.")
    links: list[Link]


class AnatomyList(BaseModel):
    """All uploads of a key."""

    anatomies: list[AnatomyInfo]
    links: list[Link]


def status_info(job: Job, base: str) -> StatusInfo:
    """A job as the API shows it; `base` is the URL of /v1."""
    url = f"{base}/jobs/{job.id}"
    links = [
        Link(href=url, rel="self", type="application/json", title="this job"),
        Link(href=f"{url}/events", rel="monitor", type="text/event-stream", title="its events"),
    ]
    if job.status is JobStatus.SUCCESSFUL:
        links += [
            Link(
                href=f"{url}/results",
                rel="http://www.opengis.net/def/rel/ogc/1.0/results",
                type="application/json",
                title="its results",
            ),
            Link(href=f"{url}/result.zarr", rel="item", type="application/vnd.zarr", title="its maps"),
            Link(href=f"{url}/files/report.html", rel="alternate", type="text/html", title="its report"),
        ]
    return StatusInfo(
        jobID=job.id,
        processID=job.process,
        status=job.status,
        message=job.message,
        progress=percent(job),
        created=job.created,
        started=job.started,
        finished=job.finished,
        updated=job.updated,
        expires=job.expires,
        attempts=job.attempts,
        detail=dict(job.progress),
        cached=job.result_of is not None,
        error=None if job.error is None else dict(job.error),
        links=links,
    )


def percent(job: Job) -> int:
    """Rough progress; 100 only when it ended well."""
    if job.status is JobStatus.SUCCESSFUL:
        return 100
    fraction = job.progress.get("fraction", 0.0)
    return int(min(max(float(fraction), 0.0), 0.99) * 100)
