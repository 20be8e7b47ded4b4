"""Jobs and their events, owners, API keys, uploads, shared secrets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
JSON = sa.JSON()


def hexadecimal(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "owners",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("served", TIME),
        sa.PrimaryKeyConstraint("owner", name="pk_owners"),
    )
    create_jobs()
    create_tables_of_jobs()
    create_the_rest()


def create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", hexadecimal(32), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("process", sa.String(), nullable=False),
        sa.Column("inputs", JSON, nullable=False),
        sa.Column("inputs_hash", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("updated", TIME, nullable=False),
        sa.Column("started", TIME),
        sa.Column("finished", TIME),
        sa.Column("expires", TIME),
        sa.Column("progress", JSON, nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", JSON),
        sa.Column("result_of", hexadecimal(32)),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("lease_owner", sa.String()),
        sa.Column("lease_until", TIME),
        sa.Column("anatomies", JSON, nullable=False),
        sa.Column("retain_s", sa.Double()),
        sa.Column("idempotency_key", sa.String()),
        sa.Column("body_hash", sa.String(), nullable=False),
        sa.Column("last_event", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.ForeignKeyConstraint(["owner"], ["owners.owner"], name="fk_jobs_owner"),
        sa.UniqueConstraint("owner", "idempotency_key", name="uq_jobs_owner_idempotency_key"),
        sa.CheckConstraint(
            "status IN ('accepted', 'running', 'successful', 'failed', 'dismissed')", name=op.f("ck_jobs_status")
        ),
        sa.CheckConstraint("(status = 'running') = (lease_owner IS NOT NULL)", name=op.f("ck_jobs_lease_owner")),
        sa.CheckConstraint("(status = 'running') = (lease_until IS NOT NULL)", name=op.f("ck_jobs_lease_until")),
        sa.CheckConstraint("(status IN ('accepted', 'running')) = (finished IS NULL)", name=op.f("ck_jobs_finished")),
    )
    op.create_index("ix_jobs_queue", "jobs", ["status", "owner", "priority", "id"])
    op.create_index("ix_jobs_listing", "jobs", ["owner", "id"])
    op.create_index("ix_jobs_counts", "jobs", ["process", "status"])
    for column in ("inputs_hash", "expires", "result_of"):
        op.create_index(f"ix_jobs_{column}", "jobs", [column])


def create_tables_of_jobs() -> None:
    op.create_table(
        "job_anatomies",
        sa.Column("sha256", hexadecimal(64), nullable=False),
        sa.Column("job_id", hexadecimal(32), nullable=False),
        sa.PrimaryKeyConstraint("sha256", "job_id", name="pk_job_anatomies"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_anatomies_job_id", ondelete="CASCADE"),
    )
    op.create_index("ix_job_anatomies_job_id", "job_anatomies", ["job_id"])
    op.create_table(
        "events",
        sa.Column("job_id", hexadecimal(32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("data", JSON, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "number", name="pk_events"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_events_job_id", ondelete="CASCADE"),
    )


def create_the_rest() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", hexadecimal(32), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("secret_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("revoked", TIME),
        sa.Column("last_used", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("prefix", name="uq_api_keys_prefix"),
    )
    op.create_table(
        "anatomies",
        sa.Column("sha256", hexadecimal(64), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("filename", sa.String(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("last_used", TIME, nullable=False),
        sa.PrimaryKeyConstraint("sha256", "owner", name="pk_anatomies"),
    )
    op.create_index("ix_anatomies_listing", "anatomies", ["owner", "created", "sha256"])
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_secrets"),
    )
