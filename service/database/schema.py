"""The schema's version: told, checked, and brought up to date by the migrations."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import ResolutionError
from sqlalchemy import Connection, Engine

from ...meshes.errors import PorefieldError
from .engine import SETTING, DatabaseError, lock, make_engine, reading, shown, sqlite_file, writing

MIGRATIONS = Path(__file__).parent / "migrations"
MEND = "run 'porefield database upgrade'"


class SchemaError(PorefieldError):
    """The database's tables are older or newer than this program."""


def open_database(url: str) -> Engine:
    """An engine for a database that answers and whose schema is this program's.

    Raises:
        DatabaseError: wrong URL, no such database, not reachable.
        SchemaError: the schema is older, newer, or not there.
    """
    file = sqlite_file(url)
    if file is not None and not file.exists():  # SQLite would make an empty one
        raise DatabaseError.of(SETTING, f"a database that exists ({MEND} to make it)", f"no file {file}")
    engine = make_engine(url)
    try:
        check_schema(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def upgrade(url: str) -> tuple[str | None, str]:
    """Make the tables, or bring them up to date; an SQLite file is made with its folder. One transaction: whole or not
    at all, and once when several servers start together.

    Returns:
        The schema's version before (None: there was none) and now.

    Raises:
        DatabaseError: as for `open_database`, but that the file may be missing.
        SchemaError: the schema is newer than this program.
    """
    file = sqlite_file(url)
    if file is not None:
        _make_folder(file)
    engine = make_engine(url)
    try:
        with writing(engine) as connection:
            lock(connection, "schema")
            before = _version(connection)
            _refuse_newer(engine, before)
            if before != code_version():
                config = _config()
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
    finally:
        engine.dispose()
    return before, code_version()


def check_schema(engine: Engine) -> None:
    """Refuse a database whose tables are not this program's.

    Raises:
        DatabaseError: it does not answer.
        SchemaError: its schema is older, newer, or not there.
    """
    with reading(engine) as connection:
        version = _version(connection)
    _refuse_newer(engine, version)
    if version != code_version():
        found = "an empty database" if version is None else f"the older version {version}"
        expected = f"a database with schema version {code_version()} ({MEND})"
        raise SchemaError.of(SETTING, expected, f"{shown(engine.url)}: {found}")


def code_version() -> str:
    """The version of the schema that this program works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise SchemaError.of("migrations", f"versions in {MIGRATIONS}", "none")
    return head


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _refuse_newer(engine: Engine, version: str | None) -> None:
    if version is None:
        return
    try:
        ScriptDirectory.from_config(_config()).revision_map.get_revision(version)
    except ResolutionError:
        expected = f"a database with schema version {code_version()} at most (a newer porefield, or another database)"
        raise SchemaError.of(SETTING, expected, f"{shown(engine.url)}: version {version}") from None


def _make_folder(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError.of(SETTING, "a folder that can be made", f"{file.parent}: {error.strerror}") from None
