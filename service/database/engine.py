"""Connections to the service's database, SQLite or PostgreSQL, and the transactions that all of its users make.

SQLite takes one writer at a time. A transaction that reads first and writes later fails at once when another wrote in
between, so writing transactions begin with BEGIN IMMEDIATE and wait for their turn instead. The driver would begin
transactions by itself; it is switched off as SQLAlchemy documents ("Using SQLAlchemy to emit BEGIN in lieu of SQLite's
transaction control"). SQLite lets those who wait ask again and again with growing pauses, and whoever asks at the right
moment goes first: under load some waited for ten seconds. Threads of one process therefore take turns at a lock before.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import DatabaseError as AnyDatabaseError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ...meshes.errors import PorefieldError

SETTING = "database_url"
WRITES = "porefield_writes"
TURN = "porefield_turn"
BUSY_S = 30
"""How long a transaction waits for another's lock before it gives up."""
IDLE_S = 120
"""PostgreSQL ends transactions whose server fell silent within them; none of ours takes a second."""
CONNECT_S = 10
CONNECTIONS, MORE_CONNECTIONS = 5, 15
"""Kept open, and opened beyond that under load: four servers stay below PostgreSQL's default of 100."""


class DatabaseError(PorefieldError):
    """The database cannot be used: wrong URL, not reachable, or it stopped answering."""


def make_engine(url: str) -> Engine:
    """An engine for a URL; nothing is connected yet, nothing is created.

    Args:
        url: sqlite:///PATH or postgresql://...; PostgreSQL always through psycopg.

    Raises:
        DatabaseError: another kind of URL, or psycopg is not installed.
    """
    parsed = _parsed(url)
    common: dict[str, Any] = {
        "json_serializer": _json,
        "pool_size": CONNECTIONS,
        "max_overflow": MORE_CONNECTIONS,
        "hide_parameters": True,  # inputs of patients' plans do not belong in tracebacks
    }
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"timeout": BUSY_S}, **common)
        engine.update_execution_options(**{TURN: threading.Lock()})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        engine = create_engine(parsed, pool_pre_ping=True, connect_args={"connect_timeout": CONNECT_S}, **common)
    except ImportError:
        expected = "a database whose driver is installed (pip install 'porefield[postgresql]')"
        raise DatabaseError.of(SETTING, expected, shown(parsed)) from None
    event.listen(engine, "connect", _prepare_postgresql)
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads.

    Raises:
        DatabaseError: the database does not answer.
    """
    with _told(engine), engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that may write; committed at the end, rolled back by an exception.

    Raises:
        DatabaseError: the database does not answer, or others held its lock for too long.
    """
    with _told(engine), _turn(engine), engine.connect() as plain:
        connection = plain.execution_options(**{WRITES: True})
        with connection.begin():
            yield connection


def lock(connection: Connection, name: str, *, shared: bool = False) -> None:
    """Hold a name until the transaction ends, alone or with others that share it. On SQLite every writing transaction
    is alone anyway."""
    if connection.dialect.name == "postgresql":
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        take = func.pg_advisory_xact_lock_shared if shared else func.pg_advisory_xact_lock
        connection.execute(select(take(key)))


def shown(url: URL) -> str:
    """A URL for people: without its password."""
    return url.render_as_string(hide_password=True)


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite URL; None for PostgreSQL.

    Raises:
        DatabaseError: as for `make_engine`.
    """
    parsed = _parsed(url)
    return Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None


def _parsed(url: str) -> URL:
    expected = "sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # What came may hold a password in a place where none is looked for.
        raise DatabaseError.of(SETTING, expected, "something that is not a URL") from None
    if parsed.get_backend_name() == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise DatabaseError.of(SETTING, expected, f"{parsed.drivername}://...")
    if not parsed.database or parsed.database == ":memory:" or parsed.database.startswith("file:"):
        raise DatabaseError.of(SETTING, "sqlite:///PATH: threads and processes share a file", shown(parsed))
    return parsed


def _json(value: Any) -> str:
    """PostgreSQL refuses NaN, and so do JSON readers: SQLite shall not let it in either."""
    return json.dumps(value, allow_nan=False)


def _prepare_sqlite(dbapi_connection: Any, _record: Any) -> None:
    dbapi_connection.isolation_level = None
    cursor = dbapi_connection.cursor()
    try:
        # FULL: an accepted job survives a power cut, not only a killed server.
        for pragma in (f"busy_timeout={BUSY_S * 1000}", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        _write_ahead(cursor)
    except sqlite3.Error:
        dbapi_connection.close()
        raise
    cursor.close()


def _write_ahead(cursor: sqlite3.Cursor) -> None:
    """Turn write-ahead logging on.

    Of several that do so together in a new file all but one are refused at once, whatever the timeout: they ask again.
    """
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    immediate = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _prepare_postgresql(dbapi_connection: Any, _record: Any) -> None:
    # Statements, not start-up options: connection poolers refuse those.
    with dbapi_connection.cursor() as cursor:
        cursor.execute("SET TIME ZONE 'UTC'")
        cursor.execute(f"SET lock_timeout = '{BUSY_S}s'")
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_S}s'")
    dbapi_connection.commit()


@contextmanager
def _turn(engine: Engine) -> Iterator[None]:
    """The only writing transaction of this process, on SQLite."""
    turn: threading.Lock | None = engine.get_execution_options().get(TURN)
    if turn is None:
        yield
        return
    if not turn.acquire(timeout=BUSY_S):
        raise DatabaseError.of(SETTING, "a database that answers", f"{shown(engine.url)}: others write for too long")
    try:
        yield
    finally:
        turn.release()


@contextmanager
def _told(engine: Engine) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        # Of the base class itself: a file that is damaged, or no database. Its other children are faults of ours.
        if not (isinstance(error, OperationalError | InterfaceError) or type(error) is AnyDatabaseError):
            raise
        lines = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
        raise DatabaseError.of(SETTING, "a database that answers", f"{shown(engine.url)}: {lines[0]}") from error
    except PoolTimeoutError as error:
        got = f"{shown(engine.url)}: all {CONNECTIONS + MORE_CONNECTIONS} connections are in use"
        raise DatabaseError.of(SETTING, "a database that answers", got) from error
