"""Results on disk: one directory a job, published whole by its worker, read by name and never outside of it.

A job that was answered from the cache has no directory of its own: it reads that of the job which computed it.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .jobs.model import Job

STORE = "result.zarr"
MEDIA_TYPES = {
    ".json": "application/json",
    ".html": "text/html; charset=utf-8",
    ".png": "image/png",
    ".parquet": "application/vnd.apache.parquet",
}


@dataclass(frozen=True)
class Results:
    """All results below one folder."""

    folder: Path

    def of(self, job: Job) -> Path:
        """The directory that a job's result lies in, whether it is there or not."""
        return self.folder / (job.result_of or job.id)

    def file(self, job: Job, name: str) -> Path | None:
        """A file of a result by its relative name; None where there is none, or the name leads anywhere else."""
        return safe_file(self.of(job), name)

    def names(self, job: Job) -> list[str]:
        """Files and directories at the top of a result."""
        directory = self.of(job)
        return sorted(entry.name for entry in directory.iterdir()) if directory.is_dir() else []

    def remove(self, result: str) -> None:
        """Delete a result, by the id of the job that computed it: renamed first, so that nobody sees half of it."""
        directory = self.folder / result
        doomed = self.folder / f".{result}.deleted"
        try:
            os.rename(directory, doomed)
        except FileNotFoundError:
            return
        shutil.rmtree(doomed, ignore_errors=True)


def safe_file(directory: Path, name: str) -> Path | None:
    """A regular file below a directory; names that leave it, hidden parts and symbolic links lead nowhere."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or name.endswith("/") or "\\" in name or "\0" in name or "//" in name:
        return None
    if any(part in (".", "..") or part.startswith(".") for part in parts):
        return None
    path = directory
    for part in parts:
        path = path / part
        try:
            if path.is_symlink():
                return None
        except OSError:
            return None
    try:
        return path if path.is_file() else None
    except OSError:  # a name too long for the file system
        return None


def media_type(path: Path) -> str:
    """By the name's ending; chunks of a store are plain bytes."""
    return MEDIA_TYPES.get(path.suffix, "application/octet-stream")


def etag(found: os.stat_result) -> str:
    """Of a file by its stat. Strong: results never change once they are published."""
    return f'"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}"'
