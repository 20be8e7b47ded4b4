"""What a worker is handed for a job of the service: plain data, nothing of the service in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROCESSES = ("plan", "sweep", "robustness")
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}")


@dataclass(frozen=True)
class JobTask:
    """One job, or another attempt at it: the same task again goes on where the last one ended.

    Attributes:
        job_id: names the job's folders.
        process: one of `PROCESSES`.
        inputs: what the job's process takes, JSON data; label maps and masks are named `upload:<sha256>`.
        results, work: folders; below each, one with the job's id is the job's own.
        anatomies: SHA-256 -> path of an uploaded file whose name says its format; that its bytes have that hash is the
            caller's to know.
        most_voxels, most_points: limits of a solve's grid, and of a sweep or a study; None for none.
    """

    job_id: str
    process: str
    inputs: dict[str, Any]
    results: str
    work: str
    anatomies: dict[str, str] = field(default_factory=dict)
    most_voxels: int | None = None
    most_points: int | None = None

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.job_id):
            raise ValueError(f"job_id: expected letters, digits, - and _, got {self.job_id!r}")

    @property
    def result_dir(self) -> Path:
        """The result: whole or absent."""
        return Path(self.results) / self.job_id

    @property
    def work_dir(self) -> Path:
        """What is kept between attempts; gone when the job has ended well or badly, but not when it was stopped."""
        return Path(self.work) / self.job_id

    @property
    def anatomy_dir(self) -> Path:
        """The uploads that the job reads, by the names that its plan has for them then."""
        return self.work_dir / "anatomy"
