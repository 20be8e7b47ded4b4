"""The service's parts, put together from its settings: database, uploads, results, workers."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from ..meshes.errors import AnatomyError
from ..workers.jobs.executors import open_executor
from ..workers.jobs.task import JobTask
from ..workers.publish import recover
from .anatomy_store import VOXELS_OVER_SOLVE, AnatomyStore, UploadLimits
from .context import Services
from .database.engine import DatabaseError, reading
from .database.schema import open_database, upgrade
from .database.secrets import shared_secret
from .jobs.model import Job, JobStatus, Process
from .jobs.queue import JobQueue
from .jobs.sql_queue import SqlQueue
from .limits import Rates
from .links import Links
from .metrics import Metrics
from .results import Results
from .runner import Runner
from .settings import ServiceSettings


@dataclass(frozen=True)
class Parts:
    """What an app is made of."""

    services: Services
    runner: Runner
    engine: Engine

    def close(self) -> None:
        """Drain the runner, then let go of the database."""
        self.runner.stop()
        self.engine.dispose()


def compose(settings: ServiceSettings) -> Parts:
    """Open the database and the data folder.

    Raises:
        PorefieldError: a database out of reach, or newer than this code; a data folder that can't be made.
    """
    data = settings.data_dir.expanduser().resolve()
    for name in ("results", "anatomies", "work"):
        (data / name).mkdir(parents=True, exist_ok=True)
    if settings.database.startswith("sqlite"):
        upgrade(settings.database)  # one server's own file: nobody else can be surprised by it
    engine = open_database(settings.database)
    queue = SqlQueue(engine)
    metrics = Metrics(queue)
    limits = UploadLimits(
        settings.max_upload_bytes, settings.max_decompressed_bytes, VOXELS_OVER_SOLVE * settings.max_voxels
    )
    anatomies = AnatomyStore(data / "anatomies", engine, limits)
    results = Results(data / "results")
    runner = Runner(
        settings,
        queue,
        metrics,
        open_executor=partial(open_executor, **executor_options(settings)),
        task_of=partial(task_of, settings, data, anatomies),
        finished=partial(job_finished, metrics, anatomies, results, data / "work"),
        tidy=partial(tidy, queue, results),
    )
    services = Services(
        settings=settings,
        queue=queue,
        engine=engine,
        anatomies=anatomies,
        results=results,
        links=Links(shared_secret(engine, "links")),
        rates=Rates(settings.requests_per_minute),
        metrics=metrics,
        problems=partial(problems, engine, data, runner),
    )
    return Parts(services, runner, engine)


def executor_options(settings: ServiceSettings) -> dict[str, Any]:
    """What `open_executor` is told."""
    return {
        "kind": settings.executor,
        "workers": settings.workers,
        "threads_per_worker": settings.threads_per_worker,
        "gpus_per_worker": settings.gpus_per_worker,
        "address": settings.ray_address,
        "niceness": settings.worker_niceness,
    }


def task_of(settings: ServiceSettings, data: Path, anatomies: AnatomyStore, job: Job) -> JobTask:
    """What a worker is handed for a job.

    Raises:
        AnatomyError: an upload's file is gone.
    """
    files: dict[str, str] = {}
    for sha256 in job.anatomies:
        path = anatomies.path(sha256)
        if path is None:
            raise AnatomyError.of("anatomy.label_map.path", f"the upload {sha256}", "none: it was deleted")
        files[sha256] = str(path)
    return JobTask(
        job_id=job.id,
        process=job.process.value,
        inputs=dict(job.inputs),
        anatomies=files,
        results=str(data / "results"),
        work=str(data / "work"),
        most_voxels=settings.max_voxels,
        most_points=settings.max_points,
    )


def job_finished(
    metrics: Metrics, anatomies: AnatomyStore, results: Results, work: Path, job: Job, outcome: Mapping[str, Any]
) -> None:
    """After a job ended: metrics, work in progress that nobody needs, files that it was the last to read."""
    if job.process is Process.PLAN and job.status is JobStatus.SUCCESSFUL:
        summary = results.file(job, "summary.json")
        if summary is not None:
            metrics.note_plan(json.loads(summary.read_text(encoding="utf-8")))
    if job.status is not JobStatus.SUCCESSFUL:
        recover(results.of(job))  # what a worker that died while publishing left; a later one has seen to it itself
    Results(work).remove(job.id)
    for sha256 in job.anatomies:
        anatomies.tidy(sha256)


def tidy(queue: JobQueue, results: Results) -> None:
    """Forget jobs whose results need not be kept any longer."""
    for job in queue.expired(datetime.now(UTC)):
        queue.delete(job.id)
        result = job.result_of or job.id
        if not queue.result_in_use(result):
            results.remove(result)


def problems(engine: Engine, data: Path, runner: Runner) -> Mapping[str, str]:
    """What keeps the server from doing its work, by part."""
    found = dict(runner.trouble)
    try:
        with reading(engine) as connection:
            connection.execute(text("SELECT 1"))
    except (DatabaseError, SQLAlchemyError, OSError) as error:
        found["database"] = type(error).__name__
    if not os.access(data, os.W_OK):
        found["data_dir"] = "can't be written to"
    return found
