"""`porefield keys` and `porefield database`, as an operator types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from porefield.service.cli import app
from porefield.service.database.keys import authenticate
from porefield.service.database.schema import code_version, open_database


def run(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == code, done.output
    return done.stdout


def run_json(*arguments: str, code: int = 0) -> dict[str, Any]:
    told = json.loads(run(*arguments, "--json", code=code))
    assert (told["ok"], told["exit_code"]) == (code == 0, code)
    return told


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The environment names the data folder, and nothing else is set."""
    monkeypatch.delenv("POREFIELD_DATABASE_URL", raising=False)
    monkeypatch.setenv("POREFIELD_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def opens(url: str, secret: str) -> bool:
    engine = open_database(url)
    try:
        return authenticate(engine, secret) is not None
    finally:
        engine.dispose()


def test_keys_of_the_data_folder(settings: Path) -> None:
    assert "database upgrade" in run_json("keys", "create", "Ann", code=5)["error"]["message"]
    assert run("database", "upgrade") == f"from nothing to version {code_version()}\n"
    assert run("database", "upgrade") == f"version {code_version()} already\n"
    secret = run("keys", "create", "Ann's laptop").strip()
    url = f"sqlite:///{settings / 'porefield.sqlite'}"
    assert opens(url, secret)
    listed = run("keys", "list")
    prefix = secret.split("_")[1]
    assert listed.startswith(f"{prefix}  made 20")
    assert "Ann's laptop" in listed
    assert secret[-43:] not in listed
    assert "last used never" not in listed
    assert f"key {prefix} of Ann's laptop revoked" in run("keys", "revoke", prefix)
    assert not opens(url, secret)
    assert "revoked 20" in run("keys", "list")


def test_keys_for_programs(empty_url: str) -> None:
    database = ("--database-url", empty_url)
    assert run_json("database", "upgrade", *database)["now"] == code_version()
    assert run_json("keys", "list", *database)["keys"] == []
    made = run_json("keys", "create", "Ann", *database)["key"]
    assert opens(empty_url, made.pop("secret"))
    (listed,) = run_json("keys", "list", *database)["keys"]
    assert listed == made | {"last_used": listed["last_used"]}
    assert run_json("keys", "revoke", made["prefix"], *database)["key"]["revoked"]


def test_refusals(tmp_path: Path) -> None:
    run("database", "upgrade")
    assert run_json("keys", "revoke", "nothing", code=3)["error"]["problems"][0]["field"] == "prefix"
    assert run_json("keys", "create", " ", code=3)["error"]["problems"][0]["field"] == "name"
    wrong = run_json("database", "upgrade", "--database-url", "mysql://u:hunter2@h/d", code=5)
    assert wrong["error"]["problems"][0]["field"] == "database_url"
    assert "hunter2" not in json.dumps(wrong)
    run("keys", "create", code=2)
