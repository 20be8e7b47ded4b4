"""Opening, refusing and migrating databases."""

from __future__ import annotations

import importlib
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import CheckConstraint, Engine, func, insert, inspect, select, text, update
from sqlalchemy.exc import IntegrityError

from porefield.service.database import engine as engine_module
from porefield.service.database.engine import DatabaseError, make_engine, reading, writing
from porefield.service.database.schema import SchemaError, check_schema, code_version, open_database, upgrade
from porefield.service.database.secrets import shared_secret
from porefield.service.database.tables import Base, JobRow, OwnerRow, SecretRow
from porefield.service.jobs.ids import Ids, is_id
from porefield.service.jobs.sql_queue import SqlQueue

from .conftest import PATIENCE_S, Clock, NewJobs

PASSWORD = "hunter2"


def test_migrations_make_the_tables_of_the_code(empty_url: str) -> None:
    assert upgrade(empty_url) == (None, code_version())
    assert upgrade(empty_url) == (code_version(), code_version())
    engine = open_database(empty_url)
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, Base.metadata) == []
            made = inspect(connection)
            for table in Base.metadata.sorted_tables:
                checks = {check["name"] for check in made.get_check_constraints(table.name)}
                stated = {str(c.name) for c in table.constraints if isinstance(c, CheckConstraint)}
                assert checks == stated
        assert SqlQueue(engine).claim("one", 30) is None
    finally:
        engine.dispose()


def test_servers_that_start_together_migrate_once(empty_url: str) -> None:
    barrier = threading.Barrier(4)

    def start(_: int) -> tuple[str | None, str]:
        barrier.wait(PATIENCE_S)
        return upgrade(empty_url)

    with ThreadPoolExecutor(4) as pool:
        before = [before for before, _ in pool.map(start, range(4))]
    assert sorted(before, key=str) == [code_version()] * 3 + [None]


def set_version(engine: Engine, version: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})


def test_a_newer_schema_is_left_alone(engine: Engine, database_url: str) -> None:
    set_version(engine, "9999")
    for act in (upgrade, open_database, lambda _: check_schema(engine)):
        with pytest.raises(SchemaError, match=r"database_url.*at most.*9999"):
            act(database_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"


def test_a_database_without_tables_says_what_to_do(empty_url: str) -> None:
    if empty_url.startswith("sqlite"):
        with pytest.raises(DatabaseError, match=r"database_url.*porefield database upgrade.*no file"):
            open_database(empty_url)
        path = Path(empty_url.removeprefix("sqlite:///"))
        assert not path.exists()
        path.parent.mkdir()
        path.touch()
    with pytest.raises(SchemaError, match=r"database_url.*porefield database upgrade.*empty"):
        open_database(empty_url)


def test_a_failed_migration_leaves_nothing(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "alembic.operations.ops.CreateIndexOp.create_index"
    with monkeypatch.context() as patch:
        patch.setattr(name, lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            upgrade(empty_url)
    engine = make_engine(empty_url)
    try:
        assert inspect(engine).get_table_names() == []
    finally:
        engine.dispose()
    assert upgrade(empty_url) == (None, code_version())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "porefield.sqlite",
        "mysql://u@h/d",
        "sqlite+aiosqlite:///x",
        "sqlite://",
        "sqlite:///:memory:",
        f"postgresql://u:{PASSWORD}@h:x/d",
        f"mysql://u:{PASSWORD}@h/d",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(DatabaseError, match="database_url") as refused:
        open_database(url)
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize("url", [f"postgresql://u:{PASSWORD}@127.0.0.1:1/d", "sqlite:////proc/none/x.sqlite"])
def test_what_cannot_be_reached_is_told_without_its_password(url: str) -> None:
    for act in (open_database, upgrade):
        with pytest.raises(DatabaseError, match="database_url") as refused:
            act(url)
        assert PASSWORD not in str(refused.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    path.write_bytes(b"no database, but long enough to look at" * 100)
    for act in (open_database, upgrade):
        with pytest.raises(DatabaseError, match=r"database_url.*not a database"):
            act(f"sqlite:///{path}")


def test_without_psycopg_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(DatabaseError, match=r"porefield\[postgresql\]"):
        make_engine("postgresql://u@h/d")


def test_a_writer_waits_for_the_other_and_loses_nothing(engine: Engine) -> None:
    """Read, then write what was read: with a transaction that begins as a reader, SQLite would refuse or lose some."""
    with writing(engine) as connection:
        connection.execute(insert(SecretRow).values(name="n", value=b"\0"))
    row = select(SecretRow.value).where(SecretRow.name == "n").with_for_update()

    def add(_: int) -> None:
        with writing(engine) as connection:
            value = bytes(connection.execute(row).scalar_one())
            connection.execute(update(SecretRow).values(value=bytes([value[0] + 1])))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    with reading(engine) as connection:
        assert bytes(connection.execute(row).scalar_one()) == bytes([40])


def test_a_writer_that_waits_for_too_long_is_told(
    engine: Engine, database_kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On SQLite the threads of a process queue for one lock; on PostgreSQL they do not."""
    monkeypatch.setattr(engine_module, "BUSY_S", 0.2)
    with ThreadPoolExecutor(1) as pool, writing(engine):
        other = pool.submit(write_nothing, engine)
        if database_kind == "sqlite":
            with pytest.raises(DatabaseError, match="others write for too long"):
                other.result(PATIENCE_S)
        else:
            other.result(PATIENCE_S)
    write_nothing(engine)


def write_nothing(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("SELECT 1"))


def test_an_exception_takes_everything_back(engine: Engine) -> None:
    def fail() -> None:
        with writing(engine) as connection:
            connection.execute(insert(OwnerRow).values(owner="ann"))
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        fail()
    with reading(engine) as connection:
        assert connection.execute(select(func.count()).select_from(OwnerRow)).scalar() == 0


def test_readers_do_not_wait_for_a_writer(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(insert(OwnerRow).values(owner="ann"))
        with reading(engine) as other:
            assert other.execute(select(func.count()).select_from(OwnerRow)).scalar() == 0


def test_a_database_that_goes_away_is_a_database_error(engine: Engine, database_kind: str, clock: Clock) -> None:
    if database_kind == "sqlite":
        with engine.begin() as connection:
            connection.execute(text("DROP TABLE jobs"))
    else:
        with engine.begin() as connection:
            name = connection.execute(text("SELECT current_database()")).scalar_one()
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            connection.execute(text(f"{others} AND datname = '{name}'"))
            connection.execute(text("ALTER TABLE jobs RENAME TO gone"))
        with pytest.raises(DatabaseError, match="database_url"), writing(engine) as connection:
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        with engine.begin() as connection:  # the pool notices, and connects anew
            connection.execute(text("ALTER TABLE gone RENAME TO jobs"))
        assert SqlQueue(engine, clock).claim("one", 30) is None
        return
    with pytest.raises(DatabaseError, match="database_url"):
        SqlQueue(engine, clock).get("0" * 32)


@pytest.mark.parametrize(
    "change",
    ["status = 'odd'", "status = 'running'", "lease_owner = 'one'", "status = 'failed'", "owner = 'nobody'"],
)
def test_the_database_itself_refuses_states_that_cannot_be(
    queue: SqlQueue, new_job: NewJobs, engine: Engine, change: str
) -> None:
    queue.submit(new_job())
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text(f"UPDATE jobs SET {change}"))


def test_errors_do_not_repeat_the_inputs(queue: SqlQueue, new_job: NewJobs, engine: Engine) -> None:
    queue.submit(new_job(inputs={"patient": "secret name"}))
    with pytest.raises(IntegrityError) as refused, engine.begin() as connection:
        connection.execute(update(JobRow).values(inputs={"patient": "secret name"}, status="odd"))
    assert "secret name" not in str(refused.value).partition("[SQL")[2]


def test_servers_share_secrets(engine: Engine) -> None:
    with ThreadPoolExecutor(6) as pool:
        made = set(pool.map(lambda _: shared_secret(engine, "links"), range(6)))
    assert len(made) == 1
    assert len(next(iter(made))) == 32
    assert shared_secret(engine, "cursors") not in made


def test_ids_are_version_7_and_grow() -> None:
    ids, now = Ids(), datetime(2026, 3, 1, tzinfo=UTC)
    made = [ids.make(now + timedelta(microseconds=max(0, step - 500))) for step in range(1500)]
    assert made == sorted(set(made))
    assert all(is_id(one) and one[12] == "7" and one[16] in "89ab" for one in made)
    assert int(made[0][:12], 16) == now.timestamp() * 1000
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: ids.make(now), range(2000)))) == 2000


def test_migrations_are_part_of_the_package() -> None:
    versions = importlib.import_module("porefield.service.database.migrations.versions")
    assert list(Path(versions.__path__[0]).glob("v0001_*.py"))
