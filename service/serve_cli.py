"""`porefield serve`, `porefield keys` and `porefield database`: what an operator of the service does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .exit_codes import ExitCode

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from .database.keys import ApiKey

EXIT_CODES_HELP = (
    "Exit codes: 0 done; 1 unexpected error; 2 wrong usage; 3 refused: no such key, wrong settings, another version of "
    "the database; 5 the database can't be reached."
)
ERROR_CODES = {"DatabaseError": ExitCode.RESOURCES}
"""Of errors that only the service's commands meet, by name."""

keys_app = typer.Typer(help="API keys of the service: make, list, revoke.", no_args_is_help=True)
database_app = typer.Typer(help="The service's database.", no_args_is_help=True)

DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        help="sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME; by default POREFIELD_DATABASE_URL, or SQLite in "
        "the data folder. Other users of this machine can read options: a password belongs in the environment.",
        show_default=False,
    ),
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="The service's data folder; by default POREFIELD_DATA_DIR.")
]
Json = Annotated[bool, typer.Option("--json", help="For machines: one JSON object on stdout, errors included.")]


@keys_app.command(epilog=EXIT_CODES_HELP)
def create(
    name: Annotated[str, typer.Argument(help="For people: whose it is, or what it is for.", show_default=False)],
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it. It is shown this once; the database keeps its hash."""
    from .outcomes import print_json, told_errors

    with told_errors(as_json, ERROR_CODES):
        from .database.keys import create_key

        with _opened(database_url, data_dir) as engine:
            made = create_key(engine, name)
    if as_json:
        print_json({"ok": True, "exit_code": 0, "key": {**_as_dict(made.key), "secret": made.secret}})
        return
    typer.echo(made.secret)
    typer.echo(f"key {made.key.prefix} of {made.key.name}; it can't be shown again", err=True)


@keys_app.command("list", epilog=EXIT_CODES_HELP)
def list_(database_url: DatabaseUrl = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the keys: prefix, name, when made, last used (to the minute) and revoked."""
    from .outcomes import print_json, told_errors

    with told_errors(as_json, ERROR_CODES):
        from .database.keys import list_keys

        with _opened(database_url, data_dir) as engine:
            keys = list_keys(engine)
    if as_json:
        print_json({"ok": True, "exit_code": 0, "keys": [_as_dict(key) for key in keys]})
        return
    for key in keys:
        state = f"revoked {_minute(key.revoked)}" if key.revoked else f"last used {_minute(key.last_used)}"
        typer.echo(f"{key.prefix}  made {_minute(key.created)}  {state}  {key.name}")
    if not keys:
        typer.echo("no keys", err=True)


@keys_app.command(epilog=EXIT_CODES_HELP)
def revoke(
    prefix: Annotated[str, typer.Argument(help="As `porefield keys list` shows it.", show_default=False)],
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make a key open nothing any more, from the next request on. Its jobs go on."""
    from .outcomes import print_json, told_errors

    with told_errors(as_json, ERROR_CODES):
        from .database.keys import revoke_key

        with _opened(database_url, data_dir) as engine:
            key = revoke_key(engine, prefix)
    if as_json:
        print_json({"ok": True, "exit_code": 0, "key": _as_dict(key)})
    else:
        typer.echo(f"key {key.prefix} of {key.name} revoked {_minute(key.revoked)}")


@database_app.command(epilog=EXIT_CODES_HELP)
def upgrade(database_url: DatabaseUrl = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Make the database's tables, or bring them up to this version. Stop the servers first; have a backup."""
    from .outcomes import print_json, told_errors

    with told_errors(as_json, ERROR_CODES):
        from .database.schema import upgrade as upgrade_schema

        before, now = upgrade_schema(_url(database_url, data_dir))
    if as_json:
        print_json({"ok": True, "exit_code": 0, "before": before, "now": now})
    else:
        typer.echo(f"version {now} already" if before == now else f"from {before or 'nothing'} to version {now}")


@contextmanager
def _opened(database_url: str | None, data_dir: Path | None) -> Iterator[Engine]:
    """The database of the options, or of the settings."""
    from .database.schema import open_database

    engine = open_database(_url(database_url, data_dir))
    try:
        yield engine
    finally:
        engine.dispose()


def _url(database_url: str | None, data_dir: Path | None) -> str:
    from .settings import load_settings

    return load_settings(database_url=database_url, data_dir=data_dir).database


def _as_dict(key: ApiKey) -> dict[str, Any]:
    return {name: _text(value) for name, value in vars(key).items()}


def _text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _minute(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC" if time else "never"


def serve(
    config: Annotated[Path | None, typer.Option(help="TOML file of settings; the environment goes over it.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 by default.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, 0 for any free one; 8000 by default.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Uploads, results, SQLite; ./porefield-data by default.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes; 1 by default.")] = None,
    executor: Annotated[str | None, typer.Option(help="processes (by default), ray or in_process.")] = None,
    print_config: Annotated[bool, typer.Option("--print-config", help="Show all settings, then exit.")] = False,
) -> None:
    """Serve planning jobs over HTTP; without any set-up on this machine. docs/service.md tells the rest."""
    import json

    from .environment import configure_numerics
    from .outcomes import told_errors
    from .settings import load_settings

    configure_numerics()  # worker processes inherit where compiled kernels are kept
    options = {"host": host, "port": port, "data_dir": data_dir, "workers": workers, "executor": executor}
    with told_errors(as_json=False, codes=ERROR_CODES):
        settings = load_settings(config, **options)
        if print_config:
            typer.echo(json.dumps(settings.model_dump(mode="json"), indent=2))
            return
        from .server import run_server

        listened = run_server(settings)
    if not listened:
        raise typer.Exit(ExitCode.RESOURCES)
