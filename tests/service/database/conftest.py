"""What tests of the service share: a database of each kind, a clock that is moved by hand, submissions."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from porefield.service.database.engine import make_engine
from porefield.service.database.schema import open_database, upgrade
from porefield.service.jobs.model import BATCH, NewJob, Process
from porefield.service.jobs.sql_queue import SqlQueue

PATIENCE_S = 60.0


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


class PostgreSql:
    """A server of the tests' own, behind a socket in a folder of its own; nothing else on the machine sees it."""

    def __init__(self, binaries: Path) -> None:
        self._account: dict[str, Any] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="porefield-pg-", dir="/tmp"))  # a socket's path has to be short
        if os.geteuid() == 0:  # initdb and postgres refuse to run as root
            name = next(name for name in ("postgres", "nobody") if _exists(name))
            shutil.chown(self.folder, name)
            self._account = {"user": name, "group": self.folder.stat().st_gid, "extra_groups": []}
        data, log = self.folder / "data", self.folder / "log"
        command = [binaries / "initdb", "-D", data, "-U", "porefield", "--auth=trust", "--encoding=UTF8", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, **self._account)
        options = ["-c", "listen_addresses=", "-k", self.folder, "-c", "fsync=off", "-c", "max_connections=200"]
        with log.open("wb") as out:
            self._server = subprocess.Popen(
                [binaries / "postgres", "-D", data, *options], stdout=out, stderr=out, cwd=self.folder, **self._account
            )
        self._numbers = itertools.count()
        self._wait(log)
        self.template = self.create()
        upgrade(self.url(self.template))

    def url(self, database: str) -> str:
        return f"postgresql://porefield@/{database}?host={self.folder}"

    def create(self, template: str = "template0") -> str:
        name = f"test_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def run(self, statement: str) -> None:
        engine = make_engine(self.url("postgres"))
        try:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text(statement))
        finally:
            engine.dispose()

    def stop(self) -> None:
        self._server.send_signal(signal.SIGINT)  # ends connections, then itself
        try:
            self._server.wait(PATIENCE_S)
        finally:
            self._server.kill()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _wait(self, log: Path) -> None:
        until = time.monotonic() + PATIENCE_S
        while not (self.folder / "data" / "postmaster.pid").exists() or "ready" not in self._pid_file():
            if self._server.poll() is not None or time.monotonic() > until:
                self._server.kill()
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.05)

    def _pid_file(self) -> str:
        return (self.folder / "data" / "postmaster.pid").read_text()


def _exists(account: str) -> bool:
    return subprocess.run(["id", account], capture_output=True).returncode == 0


def _binaries() -> Path | None:
    """Debian keeps them off PATH, a folder a version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSql]:
    binaries = _binaries()
    if binaries is None:
        pytest.skip("needs PostgreSQL's server (initdb), which is not installed here")
    server = PostgreSql(binaries)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "porefield.sqlite"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def empty_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database without tables; of SQLite, none at all."""
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'data' / 'porefield.sqlite'}"
        return
    server: PostgreSql = request.getfixturevalue("postgresql")
    name = server.create()
    yield server.url(name)
    server.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database with the tables of this program."""
    if database_kind == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "porefield.sqlite")
        yield f"sqlite:///{tmp_path / 'porefield.sqlite'}"
        return
    server: PostgreSql = request.getfixturevalue("postgresql")
    name = server.create(server.template)
    yield server.url(name)
    server.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_database(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def queue(engine: Engine, clock: Clock) -> SqlQueue:
    return SqlQueue(engine, clock)


NewJobs = Callable[..., NewJob]


@pytest.fixture
def new_job() -> NewJobs:
    """Makes submissions that have nothing in common."""
    numbers = itertools.count()

    def make(owner: str = "ann", process: Process = Process.SWEEP, **values: Any) -> NewJob:
        number = next(numbers)
        stated = {"inputs": {"number": number}, "inputs_hash": f"{number:064x}", "priority": BATCH} | values
        return NewJob(owner=owner, process=process, **stated)

    return make
