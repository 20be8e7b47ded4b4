"""Uploads: one file for all, a row for each owner, and no file removed that somebody needs."""

from __future__ import annotations

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from porefield.meshes.errors import PorefieldError
from porefield.service.database.anatomies import (
    NewAnatomy,
    UnknownAnatomyError,
    add_anatomy,
    delete_unused_file,
    get_anatomy,
    list_anatomies,
    remove_anatomy,
)
from porefield.service.jobs.model import JobStatus
from porefield.service.jobs.sql_queue import SqlQueue

from .conftest import PATIENCE_S, Clock, NewJobs

SHA = hashlib.sha256(b"liver").hexdigest()


@dataclass
class Content:
    """The one file of a content, as uploads put it into place and removals take it away."""

    path: Path

    def place(self) -> None:
        if not self.path.exists():
            self.path.write_bytes(b"liver")

    def delete(self) -> None:
        self.path.unlink()


@pytest.fixture
def content(tmp_path: Path) -> Content:
    return Content(tmp_path / SHA)


def upload(owner: str = "ann", sha256: str = SHA, filename: str = "labels.nii.gz") -> NewAnatomy:
    return NewAnatomy(sha256, owner, 2**33, filename, "application/gzip")


def test_an_upload_is_its_owners(engine: Engine, content: Content, clock: Clock) -> None:
    added, is_new = add_anatomy(engine, upload(), content.place, clock)
    assert is_new
    assert (added.size, added.filename, added.created, added.last_used) == (
        2**33,
        "labels.nii.gz",
        clock.now,
        clock.now,
    )
    assert get_anatomy(engine, SHA, "ann") == added
    assert get_anatomy(engine, SHA, "bob") is None
    assert list_anatomies(engine, "bob") == []
    assert not remove_anatomy(engine, SHA, "bob", content.delete)
    clock.move(5)
    again, is_new = add_anatomy(engine, upload(filename="other.nii.gz"), content.place, clock)
    assert not is_new
    assert (again.filename, again.created, again.last_used) == (added.filename, added.created, clock.now)


def test_the_file_goes_with_its_last_row(engine: Engine, content: Content, clock: Clock) -> None:
    for owner in ("ann", "bob"):
        add_anatomy(engine, upload(owner), content.place, clock)
    assert remove_anatomy(engine, SHA, "ann", content.delete)
    assert content.path.exists()
    assert get_anatomy(engine, SHA, "ann") is None
    assert not delete_unused_file(engine, SHA, content.delete)
    assert remove_anatomy(engine, SHA, "bob", content.delete)
    assert not content.path.exists()
    assert not remove_anatomy(engine, SHA, "bob", content.delete)


def test_an_unfinished_job_keeps_the_file(
    engine: Engine, queue: SqlQueue, new_job: NewJobs, content: Content, clock: Clock
) -> None:
    add_anatomy(engine, upload(), content.place, clock)
    clock.move(5)
    job, _ = queue.submit(new_job(anatomies=(SHA, SHA)))
    assert job.anatomies == (SHA,)
    found = get_anatomy(engine, SHA, "ann")
    assert found is not None
    assert found.last_used == clock.now
    with pytest.raises(UnknownAnatomyError):
        queue.submit(new_job("bob", anatomies=(SHA,)))
    assert remove_anatomy(engine, SHA, "ann", content.delete)
    queue.claim("one", 30)
    assert not delete_unused_file(engine, SHA, content.delete)
    assert content.path.exists()
    queue.finish(job.id, "one", JobStatus.SUCCESSFUL)
    assert delete_unused_file(engine, SHA, content.delete)
    assert not content.path.exists()


def test_a_removal_that_fails_changes_nothing(engine: Engine, content: Content, clock: Clock) -> None:
    add_anatomy(engine, upload(), content.place, clock)

    def fail() -> None:
        raise PermissionError("no")

    with pytest.raises(PermissionError):
        remove_anatomy(engine, SHA, "ann", fail)
    assert get_anatomy(engine, SHA, "ann") is not None


def test_uploads_removals_and_submissions_at_once_lose_no_file(
    engine: Engine, queue: SqlQueue, new_job: NewJobs, content: Content, clock: Clock
) -> None:
    """Whoever has a row, or an unfinished job, has the file: also where a removal looked before and acts after."""
    for _ in range(10):
        add_anatomy(engine, upload("ann"), content.place, clock)
        barrier = threading.Barrier(3)

        def remove(barrier: threading.Barrier = barrier) -> None:
            barrier.wait(PATIENCE_S)
            remove_anatomy(engine, SHA, "ann", content.delete)

        def add(barrier: threading.Barrier = barrier) -> None:
            barrier.wait(PATIENCE_S)
            add_anatomy(engine, upload("bob"), content.place, clock)

        def submit(barrier: threading.Barrier = barrier) -> str | None:
            barrier.wait(PATIENCE_S)
            try:
                return queue.submit(new_job(anatomies=(SHA,)))[0].id
            except UnknownAnatomyError:
                return None

        with ThreadPoolExecutor(3) as pool:
            others = [pool.submit(remove), pool.submit(add)]
            job_id = pool.submit(submit).result()
            for other in others:
                other.result()
        assert content.path.exists(), "Bob's row is there"
        remove_anatomy(engine, SHA, "bob", content.delete)
        assert content.path.exists() == (job_id is not None)
        if job_id is not None:
            queue.cancel(job_id)
            assert delete_unused_file(engine, SHA, content.delete)


def test_a_submission_waits_for_a_removal(
    engine: Engine, queue: SqlQueue, new_job: NewJobs, content: Content, clock: Clock
) -> None:
    """The race in slow motion: the removal has seen that nobody needs the file, and has not deleted it yet."""
    add_anatomy(engine, upload(), content.place, clock)
    looked = threading.Event()

    def delete_slowly() -> None:
        looked.set()
        time.sleep(0.3)
        content.delete()

    with ThreadPoolExecutor(1) as pool:
        removal = pool.submit(remove_anatomy, engine, SHA, "ann", delete_slowly)
        assert looked.wait(PATIENCE_S)
        with pytest.raises(UnknownAnatomyError):
            queue.submit(new_job(anatomies=(SHA,)))
        assert removal.result()


def test_an_upload_waits_for_a_removal(engine: Engine, content: Content, clock: Clock) -> None:
    """Bob finds the file there while Ann's removal is about to delete it."""
    add_anatomy(engine, upload("ann"), content.place, clock)
    looked = threading.Event()

    def delete_slowly() -> None:
        looked.set()
        time.sleep(0.3)
        content.delete()

    with ThreadPoolExecutor(1) as pool:
        removal = pool.submit(remove_anatomy, engine, SHA, "ann", delete_slowly)
        assert looked.wait(PATIENCE_S)
        add_anatomy(engine, upload("bob"), content.place, clock)
        assert removal.result()
    assert content.path.exists()


def test_uploads_are_listed_newest_first_by_pages(engine: Engine, content: Content, clock: Clock) -> None:
    shas = [hashlib.sha256(bytes([n])).hexdigest() for n in range(5)]
    for number, sha256 in enumerate(shas):
        clock.move(number % 2)  # two have the same time
        add_anatomy(engine, upload(sha256=sha256), content.place, clock)
    everything = list_anatomies(engine, "ann")
    assert {anatomy.sha256 for anatomy in everything} == set(shas)
    assert [a.created for a in everything] == sorted((a.created for a in everything), reverse=True)
    seen, before = [], None
    while page := list_anatomies(engine, "ann", before=before, limit=2):
        seen += page
        before = (page[-1].created, page[-1].sha256)
    assert seen == everything
    assert clock.now - everything[-1].created == timedelta(seconds=2)


@pytest.mark.parametrize(
    ("field", "new"),
    [
        ("sha256", upload(sha256="A" * 64)),
        ("sha256", upload(sha256="../../etc")),
        ("filename", upload(filename="a\0b")),
        ("filename", upload(filename="x" * 256)),
    ],
)
def test_what_cannot_be_kept_is_refused(engine: Engine, content: Content, field: str, new: NewAnatomy) -> None:
    with pytest.raises(PorefieldError, match=field):
        add_anatomy(engine, new, content.place)
    assert not content.path.exists()
    assert get_anatomy(engine, "\0", "ann") is None
    assert not remove_anatomy(engine, "\0", "ann", content.delete)
