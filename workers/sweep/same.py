"""Whether a place holds the sweep that a file describes, so that one command can begin it or go on with it."""

from __future__ import annotations

from pathlib import Path

from ...meshes.errors import PlanError
from ..store.sweep_store import SweepStore
from .header import SweepHeader
from .points import Points
from .spec import Sweep


def is_sweep(out: Path | str) -> bool:
    """Whether a sweep was begun there."""
    return SweepStore.is_at(out)


def check_same_sweep(sweep: Sweep, out: Path | str, base_dir: Path | None = None) -> None:
    """Refuse to go on with a sweep that was begun from another file.

    Raises:
        PlanError: naming the parts that differ.
        PorefieldError: no sweep there.
    """
    begun = SweepHeader.model_validate(SweepStore.open(out).header).sweep.model_dump(mode="json")
    plan = Points.of(sweep, base_dir).base.model_dump(mode="json")
    given = sweep.model_copy(update={"plan": plan}).model_dump(mode="json")
    differing = [name for name in begun if begun[name] != given[name]]
    if differing:
        got = f"another one: {', '.join(differing)} differ; give it a directory of its own"
        raise PlanError.of("sweep", f"the sweep that {out} was begun with", got)
