"""`porefield sweep`: validate, run, status, resume, cancel, export."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .environment import configure_numerics
from .exit_codes import ExitCode

if TYPE_CHECKING:
    from ..workers.sweep.progress import SweepOutcome

EXIT_CODES_HELP = (
    "Exit codes: 0 every point done or skipped; 1 unexpected error; 2 wrong usage, or the output exists; 3 invalid "
    "sweep, plan or anatomy; 4 finished, with failed points; 5 not enough room, no worker, or no object store; 130 "
    "stopped: `resume` goes on."
)
ERROR_CODES = {
    "BusyError": ExitCode.USAGE,  # someone else is at the sweep
    "WorkersError": ExitCode.RESOURCES,  # no worker comes up
    "PlaceError": ExitCode.RESOURCES,  # the object store can't be reached
    "SweepError": ExitCode.UNEXPECTED,  # a fault of the program, not of a point
}
"""Of errors that only sweeps meet, by name: their modules load the numerics."""
app = typer.Typer(help="Many variants of one plan: positions, voltages, tissue values.", no_args_is_help=True)


class Where(StrEnum):
    """Where points are computed."""

    PROCESS = "in-process"
    PROCESSES = "processes"
    RAY = "ray"


SweepPath = Annotated[Path, typer.Argument(metavar="SWEEP", help="Sweep file, YAML or JSON.", show_default=False)]
Folder = Annotated[str, typer.Argument(metavar="DIR", help="Directory, or s3:// URL, of a sweep.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="For machines: one JSON object on stdout, progress on stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
OnWhat = Annotated[Where, typer.Option("--on", help="Compute in this process, in child processes, or on Ray.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes, Ray: how many workers; by default all cores (on Ray, or GPUs).")
]
Threads = Annotated[int, typer.Option(min=1, help="Processes, Ray: CPU threads of each worker.")]
Gpus = Annotated[float, typer.Option(min=0, help="Processes, Ray: GPUs of each worker; a fraction shares one.")]
Address = Annotated[str | None, typer.Option(help="Ray: of a running cluster; by default one is started here.")]
Batch = Annotated[
    int | None,
    typer.Option(
        min=1, help="Points each worker solves side by side; by default what a GPU's memory holds, on a CPU 1."
    ),
]
AcceptFailed = Annotated[
    bool, typer.Option("--accept-failed", help="Exit with 0, not 4, when points failed; each says why in any case.")
]
AnatomyPath = Annotated[
    Path | None, typer.Option("--anatomy", envvar="POREFIELD_ANATOMY", help="As for `porefield run`.")
]


@app.command(epilog=EXIT_CODES_HELP)
def validate(sweep: SweepPath, anatomy: AnatomyPath = None, as_json: Json = False) -> None:
    """Check a sweep without computing it: its points, which are skipped and why, and the room that it needs."""
    from .outcomes import print_json, told_errors

    configure_numerics()
    from ..workers.sweep.describe import describe_sweep
    from ..workers.sweep.spec import load_sweep

    with told_errors(as_json):
        description = describe_sweep(load_sweep(sweep), anatomy=anatomy)
    if as_json:
        print_json({"ok": True, "exit_code": 0, "sweep": dataclasses.asdict(description)})
        return
    for line in description.lines():
        typer.echo(line)


@app.command(epilog=EXIT_CODES_HELP)
def run(
    sweep: SweepPath,
    out: Annotated[str, typer.Option("--out", help="Directory to make, or s3://bucket/prefix.", show_default=False)],
    anatomy: AnatomyPath = None,
    or_resume: Annotated[
        bool, typer.Option("--resume", help="Go on with DIR where it holds this very sweep; for jobs that are retried.")
    ] = False,
    accept_failed: AcceptFailed = False,
    on: OnWhat = Where.PROCESS,
    workers: Workers = None,
    threads: Threads = 1,
    gpus: Gpus = 0,
    address: Address = None,
    batch: Batch = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compute all points of a sweep. Whatever dies meanwhile, `porefield sweep resume DIR` goes on."""
    from .outcomes import told_errors

    options = executor_options(on, workers, threads, gpus, address, batch)
    configure_numerics()
    from ..workers.sweep.drive import resume_sweep, run_sweep
    from ..workers.sweep.same import check_same_sweep, is_sweep
    from ..workers.sweep.spec import load_sweep

    def compute(**told: Any) -> SweepOutcome:
        loaded = load_sweep(sweep)
        if or_resume and is_sweep(out):
            check_same_sweep(loaded, out)
            return resume_sweep(out, **told)
        return run_sweep(loaded, out, anatomy=anatomy, **told)

    with told_errors(as_json, ERROR_CODES):
        _compute(compute, options, accept_failed=accept_failed, as_json=as_json, quiet=quiet)


@app.command(epilog=EXIT_CODES_HELP)
def resume(
    folder: Folder,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Compute failed points again too.")] = False,
    accept_failed: AcceptFailed = False,
    on: OnWhat = Where.PROCESS,
    workers: Workers = None,
    threads: Threads = 1,
    gpus: Gpus = 0,
    address: Address = None,
    batch: Batch = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compute the points that are not finished yet."""
    from .outcomes import told_errors

    options = executor_options(on, workers, threads, gpus, address, batch)
    configure_numerics()
    from ..workers.sweep.drive import resume_sweep

    def compute(**told: Any) -> SweepOutcome:
        return resume_sweep(folder, retry_failed=retry_failed, **told)

    with told_errors(as_json, ERROR_CODES):
        _compute(compute, options, accept_failed=accept_failed, as_json=as_json, quiet=quiet)


@app.command()
def status(folder: Folder, as_json: Json = False) -> None:
    """How far a sweep is, whether someone is at it, and why points failed."""
    from ..workers.store.sweep_store import SweepStore
    from .outcomes import print_json, told_errors

    with told_errors(as_json, ERROR_CODES):
        store = SweepStore.open(folder)
        (found, errors), running = store.count(), store.running()
    states = Counter({str(state): n for state, n in found.items()})
    told: dict[str, Any] = {
        "points": store.n,
        "finished": found.total(),
        **{name: states[name] for name in ("done", "failed", "skipped")},
        "running": running,
        "failures": dict(errors.most_common(10)),
    }
    if as_json:
        print_json({"ok": True, "exit_code": 0, "status": told})
        return
    typer.echo(f"{told['finished']} of {told['points']} points finished: {_counts(states)}")
    typer.echo("a driver is at it" if told["running"] else "nobody is at it")
    for error, n in errors.most_common(10):
        typer.echo(f"failed {n} times: {error}")


@app.command()
def cancel(folder: Folder, as_json: Json = False) -> None:
    """Ask the driver of a sweep to stop; it does within seconds, and `resume` goes on."""
    from ..workers.store.sweep_store import SweepStore
    from .outcomes import print_json, told_errors

    with told_errors(as_json, ERROR_CODES):
        store = SweepStore.open(folder)
        running = store.running()
        if running:
            store.request_cancel()
    if as_json:
        print_json({"ok": True, "exit_code": 0, "running": running})
    else:
        typer.echo("asked to stop" if running else "nobody is at it")


@app.command()
def export(folder: Folder, as_json: Json = False) -> None:
    """Make dataset.zarr and points.parquet anew from what is finished, also while the sweep runs."""
    from ..workers.store.sweep_store import SweepStore
    from .outcomes import print_json, told_errors

    with told_errors(as_json, ERROR_CODES):
        paths = SweepStore.open(folder).pack()
    if as_json:
        print_json({"ok": True, "exit_code": 0, "written": paths})
    else:
        typer.echo("\n".join(paths))


def executor_options(
    on: Where, workers: int | None, threads: int, gpus: float, address: str | None, batch: int | None = None
) -> dict[str, Any]:
    """Settings of the executor; options that would have no effect are refused."""
    if on is not Where.RAY and address is not None:
        raise typer.BadParameter("expected '--on ray' beside --address")
    if on is Where.PROCESS and (workers, threads, gpus) != (None, 1, 0):
        raise typer.BadParameter("expected '--on ray' or '--on processes' beside --workers, --threads and --gpus")
    if on is Where.PROCESSES and gpus and workers is None:
        raise typer.BadParameter("expected --workers beside --gpus: how many GPUs there are is not looked up")
    return {
        "kind": on.value.replace("-", "_"),
        "workers": workers,
        "threads_per_worker": threads,
        "gpus_per_worker": gpus,
        "address": address,
        "batch": batch,
    }


def _compute(
    compute: Callable[..., SweepOutcome], options: dict[str, Any], *, accept_failed: bool, as_json: bool, quiet: bool
) -> None:
    """Run or resume with progress and interruption, and end with the exit code of the outcome."""
    from ..workers.sweep.drive import ExecutorSettings
    from .interruption import interruptible
    from .outcomes import print_json
    from .sweep_display import choose_sweep_display

    with (
        choose_sweep_display(as_json=as_json, quiet=quiet) as display,
        interruptible(display.say) as interruption,
    ):
        executor, stop = ExecutorSettings(**options), interruption.requested
        outcome = compute(executor=executor, on_progress=display.show, cancelled=stop)
    code = _code_of(outcome, accept_failed)
    if as_json:
        print_json({"ok": code is ExitCode.OK, "exit_code": int(code), "outcome": dataclasses.asdict(outcome)})
    elif not quiet:
        states = Counter(done=outcome.done, failed=outcome.failed, skipped=outcome.skipped)
        typer.echo(f"{sum(states.values())} of {outcome.total} points finished: {_counts(states)}")
        typer.echo(f"{outcome.computed} in this run, {outcome.warm} of them from a neighbour's solution")
        if not outcome.complete:
            typer.echo(f"what is finished is kept; go on with: porefield sweep resume {outcome.out}")
        typer.echo(f"xarray: porefield.workers.store.sweep_store.open_sweep({outcome.out!r}); table: points.parquet")
    raise typer.Exit(code)


def _code_of(outcome: SweepOutcome, accept_failed: bool) -> ExitCode:
    if not outcome.complete:
        return ExitCode.INTERRUPTED
    return ExitCode.NOT_CONVERGED if outcome.failed and not accept_failed else ExitCode.OK


def _counts(states: Counter[str]) -> str:
    return ", ".join(f"{states[name]} {name}" for name in ("done", "failed", "skipped"))
