"""Solve a plan again on larger voxels, and tell from the differences how far its numbers may be off.

Larger ones, for they are cheap and finer ones are not: who can afford voxels of half the size makes them the plan's
own, and gets better numbers with a smaller uncertainty for the same time.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..kernels.sampling import sample_field
from ..meshes.edges import structure_at_edge, structure_at_steps
from ..meshes.errors import PorefieldError, ResourceError
from ..meshes.scene import Scene, SceneBuilder
from .grid_numbers import AT_EDGE, AT_STEPS, ORDER, RATIOS, SAFETY, grid_numbers
from .progress import RunControl
from .solve import memory_limits_named, solve_pulse
from .summarise import summarise
from .summary import CoarserGrid, GridCheck, RunSummary
from .verdicts import undecided_verdicts

METHOD = (
    "grid convergence index (Roache, AIAA Journal 36, 1998, 696-702): {safety:g} times the error that Richardson's "
    "extrapolation expects from the number on voxels {ratios} times as large, the larger of the answers; order "
    "{order:g} assumed, not observed"
)


def check_grid(builder: SceneBuilder, scene: Scene, report: RunSummary, control: RunControl) -> GridCheck:
    """Solve a plan on larger voxels and hold its result against that.

    Args:
        builder: that `scene` came from.
        report: of the plan on its own voxels.

    Returns:
        The check; not `done` where the plan can't be solved on larger voxels.

    Raises:
        ResourceError: memory ran out.
        RunCancelled: the caller asked for it.
    """
    try:
        coarser = [builder.build_coarser(ratio) for ratio in RATIOS]
        reports = [_report(other, index, len(coarser), control) for index, other in enumerate(coarser)]
    except ResourceError:
        raise
    except PorefieldError as error:
        return _check(scene, [], done=False, notes=[f"the plan can't be solved on larger voxels: {error}"])
    if any(_ratio(scene, other) == 1 for other in coarser):
        return _check(scene, coarser, done=False, notes=["there are too few voxels for larger ones"])
    failed = [f"{_edges(s)} mm: {r.status}" for s, r in zip(coarser, reports, strict=True) if not _converged(r)]
    if failed or not _converged(report):
        what = "; ".join(failed) or f"the plan's own: {report.status}"
        return _check(scene, coarser, done=False, notes=[f"a solve did not converge: {what}"])
    numbers = grid_numbers(report, reports, [_ratio(scene, other) for other in coarser], unsettled_extremes(scene))
    check = _check(scene, coarser, done=True, notes=_vanished(scene, coarser))
    undecided = undecided_verdicts(scene, report, numbers)
    return check.model_copy(update={"numbers": numbers, "undecided": undecided})


def grid_warnings(check: GridCheck) -> list[str]:
    """What a check found that may change a reader's conclusions."""
    if not check.done:
        return [f"no grid check was made, so the discretisation error is unknown: {'; '.join(check.notes)}"]
    return [*(f"{u.question}: undecided at this spacing; {u.advice}" for u in check.undecided), *check.notes]


def unsettled_extremes(scene: Scene) -> dict[str, str]:
    """Structures whose largest field, or both extremes, finer voxels would not settle, with the reason."""
    at_edge = {name: AT_EDGE for name in scene.structures if structure_at_edge(scene, name)}
    return at_edge | {
        name: AT_STEPS for name in scene.structures if name not in at_edge and structure_at_steps(scene, name)
    }


def _report(scene: Scene, index: int, of: int, control: RunControl) -> RunSummary:
    """A scene on larger voxels, solved and measured as the plan itself is."""
    start, stop = control.span
    step = (stop - start) / of
    part = RunControl(control.on_progress, control.cancelled, (start + index * step, start + (index + 1) * step))
    pulses = range(len(scene.pulses))
    with memory_limits_named(scene):
        solutions = [solve_pulse(scene, i, part, stage="check_grid") for i in pulses]
        samples = sample_field([scene.problem(i) for i in pulses], solutions)
    part.check()
    return summarise(scene, solutions, samples, [None for _ in pulses])


def _check(scene: Scene, coarser: Sequence[Scene], *, done: bool, notes: list[str]) -> GridCheck:
    ratios = " and ".join(f"{ratio:g}" for ratio in RATIOS)
    return GridCheck(
        done=done,
        spacing_mm=scene.grid.spacing_mm,
        coarser=[
            CoarserGrid(shape=other.grid.shape, spacing_mm=other.grid.spacing_mm, ratio=_ratio(scene, other))
            for other in coarser
        ],
        order=ORDER,
        safety_factor=SAFETY,
        method=METHOD.format(safety=SAFETY, ratios=ratios, order=ORDER),
        numbers={},
        undecided=[],
        notes=notes,
    )


def _ratio(scene: Scene, other: Scene) -> float:
    """Of the voxels' edges: the smallest of those that changed, which gives the largest uncertainty."""
    ratios = [b / a for a, b in zip(scene.grid.spacing_mm, other.grid.spacing_mm, strict=True)]
    return min((r for r in ratios if r > 1 + 1e-9), default=1.0)


def _converged(report: RunSummary) -> bool:
    return report.status.value == "converged"


def _edges(scene: Scene) -> str:
    return " x ".join(f"{h:.3g}" for h in scene.grid.spacing_mm)


def _vanished(scene: Scene, coarser: Sequence[Scene]) -> list[str]:
    """Structures that larger voxels do not hold: their numbers have no uncertainty."""
    return [
        f"{name} has no voxels at {_edges(other)} mm: too small for this spacing, and its numbers have no uncertainty"
        for name in scene.structures
        for other in coarser
        if name not in other.structures
    ]
