"""Statements that SQLAlchemy writes differently for the two databases."""

from __future__ import annotations

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from .tables import Base


def insert_or_leave(connection: Connection, table: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that leaves a row alone whose key is there already; give it `.values(...)`."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
