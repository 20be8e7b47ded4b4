"""Uploaded anatomies: files are kept once by the SHA-256 of their content; each owner has a row of its own and sees no
other.

A file may go when no row and no unfinished job refers to it. Whoever puts a file into place or removes one does so
within the transaction that changes the rows, and holds the content's name meanwhile (`hold_content`): an upload that
finds the file there can't lose it to a removal that is under way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Engine, delete, exists, select, tuple_, update

from ...meshes.errors import PorefieldError
from ..clock import Clock, utc_now
from .engine import lock, reading, writing
from .statements import insert_or_leave
from .tables import AnatomyRow, JobAnatomyRow, JobRow

SHA256 = re.compile(r"[0-9a-f]{64}")
LONGEST_NAME = 255
UNFINISHED = ("accepted", "running")


class UnknownAnatomyError(PorefieldError):
    """The owner has not uploaded it."""


@dataclass(frozen=True)
class Anatomy:
    """An upload as its owner sees it.

    Attributes:
        sha256: of its content, 64 hexadecimal digits.
        size: bytes.
        filename: as it was called when the owner first uploaded it.
        last_used: uploaded, or named by a job.
    """

    sha256: str
    owner: str
    size: int
    filename: str
    media_type: str
    created: datetime
    last_used: datetime


@dataclass(frozen=True)
class NewAnatomy:
    """What an upload brings; see Anatomy."""

    sha256: str
    owner: str
    size: int
    filename: str
    media_type: str


def add_anatomy(
    engine: Engine, new: NewAnatomy, place_file: Callable[[], None], clock: Clock = utc_now
) -> tuple[Anatomy, bool]:
    """Note an upload; whether it is new to its owner. The same content again changes only when it was last used.

    Args:
        place_file: moves the uploaded file to where it is kept, if none is there; called within the transaction, so
            it should take no longer than a rename.

    Raises:
        PorefieldError: naming `sha256`, `filename` or `media_type`, when it is none.
    """
    _check(new)
    with writing(engine) as connection:
        hold_content(connection, new.sha256)
        now = clock()
        before = _find(connection, new.sha256, new.owner)
        values = {**vars(new), "created": now, "last_used": now}
        connection.execute(insert_or_leave(connection, AnatomyRow).values(**values))
        connection.execute(update(AnatomyRow).where(_key(new.sha256, new.owner)).values(last_used=now))
        added = _find(connection, new.sha256, new.owner)
        place_file()
    if added is None:
        raise UnknownAnatomyError.of("sha256", "the upload that was just noted", new.sha256)
    return added, before is None


def get_anatomy(engine: Engine, sha256: str, owner: str) -> Anatomy | None:
    """An owner's upload; None where it has none of this content."""
    with reading(engine) as connection:
        return _find(connection, sha256, owner)


def list_anatomies(
    engine: Engine, owner: str, *, before: tuple[datetime, str] | None = None, limit: int = 50
) -> Sequence[Anatomy]:
    """An owner's uploads, newest first.

    Args:
        before: (created, sha256) of the last one on the page before.
    """
    wanted = select(AnatomyRow).where(AnatomyRow.owner == owner)
    if before is not None:
        wanted = wanted.where(tuple_(AnatomyRow.created, AnatomyRow.sha256) < tuple_(*before))
    wanted = wanted.order_by(AnatomyRow.created.desc(), AnatomyRow.sha256.desc()).limit(limit)
    with reading(engine) as connection:
        return [Anatomy(**row._mapping) for row in connection.execute(wanted)]


def remove_anatomy(engine: Engine, sha256: str, owner: str, delete_file: Callable[[], None]) -> bool:
    """Forget an owner's upload; whether there was one. `delete_file` is called if nothing refers to the file any more:
    rows of other owners and unfinished jobs keep it, see `delete_unused_file`."""
    if not SHA256.fullmatch(sha256):
        return False
    with writing(engine) as connection:
        hold_content(connection, sha256)
        removed = connection.execute(delete(AnatomyRow).where(_key(sha256, owner))).rowcount == 1
        if removed and not _referred(connection, sha256):
            delete_file()
    return removed


def delete_unused_file(engine: Engine, sha256: str, delete_file: Callable[[], None]) -> bool:
    """Call `delete_file` if no row and no unfinished job refers to the content; whether it was called. For files whose
    last job ended after their last row had gone, and for what a killed server left behind."""
    with writing(engine) as connection:
        hold_content(connection, sha256)
        unused = not _referred(connection, sha256)
        if unused:
            delete_file()
    return unused


def hold_content(connection: Connection, sha256: str, *, shared: bool = False) -> None:
    """Nobody adds or removes the file of this content until the transaction ends."""
    lock(connection, f"anatomy {sha256}", shared=shared)


def _check(new: NewAnatomy) -> None:
    if not SHA256.fullmatch(new.sha256):
        raise PorefieldError.of("sha256", "64 hexadecimal digits", repr(new.sha256))
    for field, value in (("filename", new.filename), ("media_type", new.media_type)):
        if not value.isprintable() or not 1 <= len(value) <= LONGEST_NAME:
            raise PorefieldError.of(field, f"1 to {LONGEST_NAME} printable characters", repr(value[: 2 * LONGEST_NAME]))


def _key(sha256: str, owner: str) -> ColumnElement[bool]:
    return (AnatomyRow.sha256 == sha256) & (AnatomyRow.owner == owner)


def _find(connection: Connection, sha256: str, owner: str) -> Anatomy | None:
    if not SHA256.fullmatch(sha256):  # from a URL: PostgreSQL takes no NUL
        return None
    row = connection.execute(select(AnatomyRow).where(_key(sha256, owner))).one_or_none()
    return None if row is None else Anatomy(**row._mapping)


def _referred(connection: Connection, sha256: str) -> bool:
    of_owner = exists().where(AnatomyRow.sha256 == sha256)
    of_job = exists().where(
        JobAnatomyRow.sha256 == sha256, JobAnatomyRow.job_id == JobRow.id, JobRow.status.in_(UNFINISHED)
    )
    return bool(connection.execute(select(of_owner | of_job)).scalar())
