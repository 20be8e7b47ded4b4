"""The command line: `porefield run`, `validate`, `report`, `sweep ...` (sweep_cli.py), `robustness`
(robustness_cli.py), `schema`, `tissues` (tissues_cli.py), `electrodes` and `protocols` (library_cli.py), `examples`
(examples_cli.py), `export` and `markups` (export_cli.py); for the service `serve`, `keys` and `database`
(serve_cli.py).

The numerics are imported inside the commands that use them: `porefield --help` should not wait for JAX, and the
environment (compilation cache, device) has to be set before JAX is imported.
"""

from __future__ import annotations

import json
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from .environment import configure_numerics
from .examples_cli import examples
from .export_cli import export, markups
from .library_cli import electrodes, protocols
from .robustness_cli import EXIT_CODES_HELP as ROBUSTNESS_EXIT_CODES
from .robustness_cli import robustness
from .serve_cli import EXIT_CODES_HELP as SERVICE_EXIT_CODES
from .serve_cli import database_app, keys_app, serve
from .sweep_cli import app as sweep_app
from .tissues_cli import tissues

EXIT_CODES_HELP = (
    "Exit codes: 0 done; 1 unexpected error; 2 wrong usage, or the output exists; 3 invalid plan or anatomy; "
    "4 not converged (written, but not to be relied on); 5 not enough memory or disk; 130 interrupted. "
    "After 2, 3, 5 and 130 nothing has been written."
)
app = typer.Typer(
    name="porefield",
    help="Electroporation field and coverage. Research software, not a medical device.",
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


app.add_typer(sweep_app, name="sweep")
app.add_typer(keys_app, name="keys")
app.add_typer(database_app, name="database")
app.command(epilog=EXIT_CODES_HELP)(export)
app.command(epilog=EXIT_CODES_HELP)(markups)
app.command(epilog=ROBUSTNESS_EXIT_CODES)(robustness)
app.command(epilog=SERVICE_EXIT_CODES)(serve)
app.command()(tissues)
app.command()(electrodes)
app.command()(protocols)
app.command()(examples)


class Device(StrEnum):
    """Where to compute."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


PlanPath = Annotated[Path, typer.Argument(metavar="PLAN", help="Plan file, YAML or JSON.", show_default=False)]
AnatomyPath = Annotated[
    Path | None,
    typer.Option(
        "--anatomy",
        envvar="POREFIELD_ANATOMY",
        help="The plan's label map, or a folder to look for the plan's files in.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="For machines: one JSON object on stdout, errors included.")]


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    """Electroporation field and coverage. Research software, not a medical device."""
    if version:
        typer.echo(metadata.version("porefield"))
        raise typer.Exit


@app.command(epilog=EXIT_CODES_HELP)
def run(
    plan: PlanPath,
    out: Annotated[Path, typer.Option("--out", help="Result directory to make.", show_default=False)],
    anatomy: AnatomyPath = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a result that is there already.")] = False,
    check_grid: Annotated[
        bool,
        typer.Option(
            "--check-grid",
            help="Solve on larger voxels too, and give every number an uncertainty: half as long again. As "
            "solver.check_grid in the plan.",
        ),
    ] = False,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    device: Annotated[Device, typer.Option("--device", help="Where to compute.")] = Device.AUTO,
) -> None:
    """Solve a plan; write maps (result.zarr), numbers (summary.json), report.html and coverage.png to a directory.

    The directory appears whole or not at all. With --json progress is told as JSON lines on stderr.
    """
    configure_numerics(None if device is Device.AUTO else device.value)
    from ..meshes.plan import load_plan
    from ..workers.run import RunResult, check_output, run_plan
    from .display import choose_display
    from .interruption import interruptible
    from .outcomes import ExitCode, print_json, told_errors
    from .tables import print_table, result_tables

    def execute() -> RunResult:
        with choose_display(as_json=as_json, quiet=quiet) as display, interruptible(display.say) as interruption:
            check_output(out, overwrite=overwrite)
            stop = interruption.requested
            told: dict[str, Any] = {"on_progress": display.show, "cancelled": stop}
            result = run_plan(load_plan(plan), anatomy=anatomy, check_grid=check_grid or None, **told)
            interruption.writing = True
            result.write(out, overwrite=overwrite, **told)
        return result

    with told_errors(as_json):
        result = execute()
    code = ExitCode.OK if result.converged else ExitCode.NOT_CONVERGED
    if as_json:
        print_json({"ok": result.converged, "exit_code": int(code), "out": str(out), "summary": result.summary})
    elif not quiet:
        print_table(result_tables(result.report, str(out)))
    raise typer.Exit(code)


@app.command(epilog=EXIT_CODES_HELP)
def validate(plan: PlanPath, anatomy: AnatomyPath = None, as_json: Json = False) -> None:
    """Check a plan against its anatomy without solving it, and say what was understood."""
    configure_numerics()
    from ..meshes.plan import load_plan
    from ..workers.describe import describe_plan
    from .outcomes import print_json, told_errors
    from .tables import plan_tables, print_table

    with told_errors(as_json):
        description = describe_plan(load_plan(plan), anatomy=anatomy)
    if as_json:
        print_json({"ok": True, "exit_code": 0, "plan": description.model_dump(mode="json")})
    else:
        print_table(plan_tables(description))


@app.command(epilog=EXIT_CODES_HELP)
def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A result directory.", show_default=False)],
) -> None:
    """Make report.html and coverage.png of a result again, from what the directory holds."""
    from ..workers.report import write_report
    from .outcomes import told_errors

    if not all((directory / name).exists() for name in ("summary.json", "result.zarr")):
        raise typer.BadParameter(f"expected a directory made by 'porefield run', got {directory}", param_hint="DIR")
    with told_errors(as_json=False):
        write_report(directory)
    typer.echo(str(directory / "report.html"))


@app.command()
def schema(
    of_summary: Annotated[bool, typer.Option("--summary", help="Of summary.json instead of the plan.")] = False,
    of_sweep: Annotated[bool, typer.Option("--sweep", help="Of sweep files instead of the plan.")] = False,
    of_robustness: Annotated[bool, typer.Option("--robustness", help="Of robustness files instead.")] = False,
) -> None:
    """Print the JSON Schema of plan files, for editors and for programs that write plans."""
    from ..meshes.plan import Plan
    from ..workers.robustness.settings import Robustness
    from ..workers.summary import RunSummary
    from ..workers.sweep.spec import Sweep

    model = RunSummary if of_summary else Sweep if of_sweep else Robustness if of_robustness else Plan
    typer.echo(json.dumps(model.model_json_schema(), indent=2))


def main() -> None:
    """The console script."""
    app()
