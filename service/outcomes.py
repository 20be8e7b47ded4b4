"""How commands end: exit codes, and errors told to people or to machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer

from ..meshes.errors import PorefieldError, ResourceError
from ..workers.progress import RunCancelled
from ..workers.publish import OutputExistsError
from .exit_codes import ExitCode


def exit_code_of(error: BaseException, codes: Mapping[str, ExitCode] | None = None) -> ExitCode:
    """The exit code that an error ends a command with; `codes` names a command's own, by the error's class."""
    if codes and type(error).__name__ in codes:
        return codes[type(error).__name__]
    if isinstance(error, ResourceError | MemoryError):
        return ExitCode.RESOURCES
    if isinstance(error, OutputExistsError):
        return ExitCode.USAGE
    if isinstance(error, PorefieldError):
        return ExitCode.INVALID
    if isinstance(error, RunCancelled | KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    return ExitCode.UNEXPECTED


@contextmanager
def told_errors(as_json: bool, codes: Mapping[str, ExitCode] | None = None) -> Iterator[None]:
    """End the command with the error's exit code and its message: JSON on stdout, or words on stderr.

    An unexpected error keeps its traceback on stderr; with JSON it is told on stdout as well.
    """
    try:
        yield
    except (PorefieldError, RunCancelled, KeyboardInterrupt, MemoryError) as error:
        code = exit_code_of(error, codes)
        _tell(error, as_json, code)
        raise typer.Exit(code) from None
    except typer.Exit:
        raise
    except Exception as error:
        if as_json:
            _tell(error, as_json, ExitCode.UNEXPECTED)
        raise


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on stdout."""
    sys.stdout.write(json.dumps(value, allow_nan=False) + "\n")
    sys.stdout.flush()


def error_as_dict(error: BaseException) -> dict[str, Any]:
    """An error for machines: its kind, message and, where the user can mend it, what is wrong where."""
    problems = [problem._asdict() for problem in error.problems] if isinstance(error, PorefieldError) else []
    return {"kind": type(error).__name__, "message": _message(error), "problems": problems}


def _tell(error: BaseException, as_json: bool, code: ExitCode) -> None:
    if as_json:
        print_json({"ok": False, "exit_code": int(code), "error": error_as_dict(error)})
        return
    if isinstance(error, PorefieldError):
        for problem in error.problems:
            typer.secho(f"error: {problem}", err=True, fg=typer.colors.RED)
    else:
        typer.secho(_message(error), err=True, fg=typer.colors.RED)


def _message(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; nothing was written"
    return str(error) or type(error).__name__
