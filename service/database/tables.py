"""The tables. migrations/ makes them; tests/service/ holds the two against each other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from ...meshes.errors import PorefieldError

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
"""Constraints have names of their own, so that a later migration can drop them."""


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC. SQLite has no type for it: kept there as text of fixed width, which sorts as times do."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise PorefieldError.of("time", "a time with its offset from UTC", value.isoformat())
        return value.astimezone(UTC) if dialect.name == "postgresql" else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def _ascii(length: int) -> String:
    """Hexadecimal text; compared byte by byte on PostgreSQL, whatever the database's language is."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


class Base(DeclarativeBase):
    """Of all tables."""

    metadata = MetaData(naming_convention=NAMES)
    # JSON, not JSONB: inputs come back as they were sent, the order of their keys and their numbers' digits included.
    type_annotation_map = {datetime: UtcTime, dict[str, Any]: JSON(none_as_null=True), list[str]: JSON}  # noqa: RUF012


class OwnerRow(Base):
    """Who has submitted jobs. Its row is locked while a submission of the owner is looked at."""

    __tablename__ = "owners"

    owner: Mapped[str] = mapped_column(primary_key=True)
    served: Mapped[datetime | None]
    """When a job of the owner was begun last."""


class JobRow(Base):
    """A job; the columns are those of `service.jobs.model.Job`, and what only the queue needs."""

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("owner", "idempotency_key"),
        CheckConstraint("status IN ('accepted', 'running', 'successful', 'failed', 'dismissed')", name="status"),
        CheckConstraint("(status = 'running') = (lease_owner IS NOT NULL)", name="lease_owner"),
        CheckConstraint("(status = 'running') = (lease_until IS NOT NULL)", name="lease_until"),
        CheckConstraint("(status IN ('accepted', 'running')) = (finished IS NULL)", name="finished"),
        # In this order it finds an owner's next job and its number of running ones without reading the others.
        Index("ix_jobs_queue", "status", "owner", "priority", "id"),
        Index("ix_jobs_listing", "owner", "id"),
        Index("ix_jobs_counts", "process", "status"),
    )

    id: Mapped[str] = mapped_column(_ascii(32), primary_key=True)
    owner: Mapped[str] = mapped_column(ForeignKey("owners.owner"))
    process: Mapped[str]
    inputs: Mapped[dict[str, Any]]
    inputs_hash: Mapped[str] = mapped_column(index=True)
    status: Mapped[str]
    priority: Mapped[int]
    created: Mapped[datetime]
    updated: Mapped[datetime]
    started: Mapped[datetime | None]
    finished: Mapped[datetime | None]
    expires: Mapped[datetime | None] = mapped_column(index=True)
    progress: Mapped[dict[str, Any]]
    message: Mapped[str]
    attempts: Mapped[int]
    error: Mapped[dict[str, Any] | None]
    result_of: Mapped[str | None] = mapped_column(_ascii(32), index=True)
    """No foreign key: a result outlives the job that made it while other jobs answer with it."""
    cancel_requested: Mapped[bool]
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    anatomies: Mapped[list[str]]
    """As in `job_anatomies`, which is the same the other way round."""
    retain_s: Mapped[float | None]
    idempotency_key: Mapped[str | None]
    body_hash: Mapped[str]
    last_event: Mapped[int]
    """Number of the last event; taken with the job's row locked, so that numbers grow."""


class JobAnatomyRow(Base):
    """Which jobs read an upload."""

    __tablename__ = "job_anatomies"

    sha256: Mapped[str] = mapped_column(_ascii(64), primary_key=True)
    job_id: Mapped[str] = mapped_column(
        _ascii(32), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class EventRow(Base):
    """An event of a job."""

    __tablename__ = "events"

    job_id: Mapped[str] = mapped_column(_ascii(32), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str]
    created: Mapped[datetime]
    data: Mapped[dict[str, Any]]


class ApiKeyRow(Base):
    """An API key: never the secret, only its hash."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(_ascii(32), primary_key=True)
    prefix: Mapped[str] = mapped_column(unique=True)
    secret_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    name: Mapped[str]
    created: Mapped[datetime]
    revoked: Mapped[datetime | None]
    last_used: Mapped[datetime | None]


class AnatomyRow(Base):
    """That an owner uploaded a file. Equal files are kept once; each owner has a row of its own."""

    __tablename__ = "anatomies"
    __table_args__ = (Index("ix_anatomies_listing", "owner", "created", "sha256"),)

    sha256: Mapped[str] = mapped_column(_ascii(64), primary_key=True)
    owner: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    filename: Mapped[str]
    media_type: Mapped[str]
    created: Mapped[datetime]
    last_used: Mapped[datetime]


class SecretRow(Base):
    """Random bytes that all servers of this database share, to sign what they hand out."""

    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[bytes] = mapped_column(LargeBinary)
