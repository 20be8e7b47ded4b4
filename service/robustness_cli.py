"""`porefield robustness`: how sure a plan is under placement errors and the spread of tissue values."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .environment import configure_numerics
from .exit_codes import ExitCode
from .sweep_cli import (
    ERROR_CODES,
    Address,
    AnatomyPath,
    Batch,
    Gpus,
    Json,
    OnWhat,
    Quiet,
    Threads,
    Where,
    Workers,
    executor_options,
)

if TYPE_CHECKING:
    from ..workers.robustness.run import RobustnessOutcome

EXIT_CODES_HELP = (
    "Exit codes: 0 done; 1 unexpected error; 2 wrong usage, or the output exists; 3 invalid plan, settings or anatomy; "
    "4 done, but some draws have no result; 5 not enough room, or no worker; 130 stopped: --resume goes on."
)


def robustness(
    plan: Annotated[
        Path, typer.Argument(metavar="PLAN", help="Plan file, or a robustness file around one.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", help="Directory to make.", show_default=False)],
    samples: Annotated[
        int | None, typer.Option(min=4, help="Base samples, a power of 2; times (groups + 2) points. 64 by default.")
    ] = None,
    shift_mm: Annotated[float | None, typer.Option(min=0, help="Placement error along each axis, sd. 1 mm.")] = None,
    depth_mm: Annotated[float | None, typer.Option(min=0, help="Error in a needle's depth, sd. 2 mm.")] = None,
    tilt_deg: Annotated[float | None, typer.Option(min=0, help="Tilt about each axis, sd. 2 degrees.")] = None,
    together: Annotated[
        bool | None, typer.Option("--together/--each-by-itself", help="Whether electrodes move as one body.")
    ] = None,
    groups: Annotated[
        str | None, typer.Option(help="Whose shares are told: 'each' electrode and tissue, or 'kind' of factor.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=1, help="Of the random numbers. 1.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with DIR where it holds this very study.")] = False,
    anatomy: AnatomyPath = None,
    on: OnWhat = Where.PROCESS,
    workers: Workers = None,
    threads: Threads = 1,
    gpus: Gpus = 0,
    address: Address = None,
    batch: Batch = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Study how sure a plan is: the probability that the target is covered under placement errors, and under the
    spread of conductivities and thresholds in the tissue library; what the spread is due to; a report with pictures.

    A robustness file (docs/robustness.md) names the plan and all settings; options go over those of the file.
    """
    from .outcomes import told_errors

    options = executor_options(on, workers, threads, gpus, address, batch)
    placement = {"shift_mm": shift_mm, "depth_mm": depth_mm, "tilt_deg": tilt_deg, "together": together}
    changes = {"samples": samples, "groups": groups, "seed": seed, "placement": _stated(placement)}
    configure_numerics()
    with told_errors(as_json, ERROR_CODES):
        outcome = _study(plan, out, _stated(changes), options, anatomy, resume, as_json, quiet)
    code = _code_of(outcome)
    if as_json:
        _print_json(outcome, code)
    elif not quiet:
        _print_words(outcome)
    raise typer.Exit(code)


def _study(
    plan: Path,
    out: Path,
    changes: dict[str, Any],
    options: dict[str, Any],
    anatomy: Path | None,
    resume: bool,
    as_json: bool,
    quiet: bool,
) -> RobustnessOutcome:
    from ..workers.robustness.run import run_robustness
    from ..workers.robustness.settings import load_robustness
    from ..workers.sweep.drive import ExecutorSettings
    from .interruption import interruptible
    from .sweep_display import choose_sweep_display

    with (
        choose_sweep_display(as_json=as_json, quiet=quiet) as display,
        interruptible(display.say) as interruption,
    ):
        return run_robustness(
            load_robustness(plan, changes),
            out,
            anatomy=anatomy,
            executor=ExecutorSettings(**options),
            on_progress=display.show,
            cancelled=interruption.requested,
            resume=resume,
        )


def _code_of(outcome: RobustnessOutcome) -> ExitCode:
    if outcome.summary is None:
        return ExitCode.INTERRUPTED
    short = outcome.summary.draws_with_result < outcome.summary.draws
    return ExitCode.NOT_CONVERGED if short else ExitCode.OK


def _print_json(outcome: RobustnessOutcome, code: ExitCode) -> None:
    from .outcomes import print_json

    summary = None if outcome.summary is None else outcome.summary.model_dump(mode="json")
    told = {"out": outcome.out, "sweep": dataclasses.asdict(outcome.sweep), "summary": summary}
    print_json({"ok": code is ExitCode.OK, "exit_code": int(code), **told})


def _print_words(outcome: RobustnessOutcome) -> None:
    summary = outcome.summary
    if summary is None:
        typer.echo(f"{outcome.sweep.done} of {outcome.sweep.total} points finished; the same with --resume goes on")
        return
    for target, found in summary.whole.items():
        if found.value is None:
            typer.echo(f"{target}: no draw has a result")
            continue
        typer.echo(
            f"{target}: covered whole in {found.value:.1%} of {found.points} draws "
            f"(95 % interval {found.low:.1%} to {found.high:.1%})"
        )
    missing = summary.draws - summary.draws_with_result
    if missing:
        typer.echo(f"{missing} of {summary.draws} draws have no result:")
        for reason, n in summary.failures.items():
            typer.echo(f"  {n} times: {reason}")
    typer.echo(f"look at {outcome.out}/report.html")


def _stated(options: dict[str, Any]) -> dict[str, Any]:
    """Options that were given."""
    return {name: value for name, value in options.items() if value is not None and value != {}}
