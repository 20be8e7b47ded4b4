"""Alembic runs this file to migrate; schema.py hands it a connection with a transaction of its own."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
