"""Solve pulses: nested grids, Newton on each, an independent audit of the result at the end.

Between Newton steps the host sees the state: that is where progress is told and where a solve is cancelled. One Newton
step is compiled for each shape bucket and kept for the life of the process (iteration.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from .certificate import audit
from .definite import shown_definite
from .grid import Grid
from .heap import keep_freed_memory
from .iteration import Member, OnStep, Start, iterate
from .layout import level_layouts
from .problem import FieldProblem
from .program_cache import keep_programs_whole
from .solution import Solution, SolveStatus


def solve_field(
    problem: FieldProblem,
    *,
    tolerance: float = 1e-7,
    max_newton_steps: int = 60,
    on_step: OnStep | None = None,
    start: Start | None = None,
    inner_dtype: str = "float32",
) -> Solution:
    """Solve the nonlinear field equation of one pulse.

    Args:
        tolerance: wanted relative residual (see Solution).
        max_newton_steps: on the finest grid.
        on_step: called between Newton steps; returning False cancels.
        start: where to start from, in place of the nested grids.
        inner_dtype: precision of the linear solves; the residual is always float64.

    Returns:
        A Solution; look at its status: not converging is no exception.

    Raises:
        SolveCancelled: on_step returned False.
    """
    keep_freed_memory()
    keep_programs_whole()
    with jax.enable_x64(True):
        member = Member(problem, start, tolerance, max_newton_steps)
        iterate([member], None, on_step, inner_dtype)
        return finish(member)


def solve_fields(
    problems: Sequence[FieldProblem],
    *,
    tolerance: float = 1e-7,
    max_newton_steps: int = 60,
    on_step: OnStep | None = None,
    starts: Sequence[Start | None] | None = None,
    lanes: int | None = None,
    devices: int = 1,
    inner_dtype: str = "float32",
) -> list[Solution]:
    """Solve several problems side by side, in the lanes of one compiled Newton step.

    Each has its own counts, status and audit, as by itself, and a potential within the tolerance. Its company does not
    change a bit of it, as long as the lanes and the padded sizes (nested.Sizes) are the same.

    Args:
        problems: of one `batch_key`.
        on_step: called for each problem after each of its Newton steps; returning False cancels all.
        starts: where to start from, of each problem; None for the nested grids.
        lanes: of the compiled step, more than one and at least as many as problems; one for each by default. Those left
            over cost as much as the others.
        devices: that the lanes are spread over, equally many on each (spread.py).
        tolerance, max_newton_steps, inner_dtype: as of `solve_field`.

    Raises:
        ValueError: problems that do not fit together, more than lanes, not as many starts, or lanes that the
            devices can't share equally.
        SolveCancelled: on_step returned False.
    """
    starts = [None] * len(problems) if starts is None else starts
    lanes = len(problems) if lanes is None else lanes
    if len(starts) != len(problems):
        raise ValueError(f"starts: expected one for each of {len(problems)} problems, got {len(starts)}")
    if not 0 < len(problems) <= lanes:
        raise ValueError(f"problems: expected 1 to {lanes}, one for each lane, got {len(problems)}")
    if devices < 1 or lanes % devices:
        raise ValueError(f"lanes: expected a multiple of the {devices} devices, got {lanes}")
    keys = {batch_key(problem) for problem in problems}
    if len(keys) > 1:
        got = "; ".join(sorted(map(str, keys)))
        raise ValueError(f"problems: expected one grid, number of electrodes and of floating ones, got {got}")
    keep_freed_memory()
    keep_programs_whole()
    with jax.enable_x64(True):
        members = [Member(p, start, tolerance, max_newton_steps) for p, start in zip(problems, starts, strict=True)]
        iterate(members, lanes, on_step, inner_dtype, devices)
        return [finish(member) for member in members]


def batch_key(problem: FieldProblem) -> tuple[Grid, int, int]:
    """What problems must share to be solved side by side: grid, electrodes, floating electrodes."""
    return problem.grid, len(problem.electrodes), sum(v is None for v in problem.potentials_v)


def finish(member: Member) -> Solution:
    """Audit the potential on the unpadded grid and put the solution together."""
    level, volts_v = member.nested[0], np.asarray(member.volts, np.float64)
    potential = level.with_metal(level.extract(member.phi), volts_v)
    # before what the audit takes for a while, to lie together: the next solve needs one large block of what is free
    field, conductivity = (np.empty(level.problem.grid.shape, np.float32) for _ in range(2))
    found = audit(level.problem, level.couplings, potential, volts_v)
    np.sqrt(found.mean_square_field, out=field)
    conductivity[...] = found.conductivity_s_per_m
    relative = found.residual_norm(level.floating_mask) / level.scale_a
    status = SolveStatus.STAGNATED if member.stagnated else SolveStatus.OUT_OF_ITERATIONS
    if relative <= member.wanted:
        status = SolveStatus.CONVERGED
    currents = found.electrode_current_a
    largest = float(np.max(np.abs(currents)))
    delivered = float(np.sum(volts_v * currents))
    power = found.dissipated_power_w
    device = jax.devices()[0]
    return Solution(
        potential_v=potential,
        field_v_per_m=field,
        conductivity_s_per_m=conductivity,
        currents_a=tuple(float(i) for i in currents),
        electrode_potentials_v=tuple(float(v) for v in volts_v),
        status=status,
        relative_residual=relative,
        tolerance=member.wanted,
        current_imbalance=abs(float(np.sum(currents))) / largest if largest > 0 else 0.0,
        power_imbalance=abs(delivered - power) / power if power > 0 else 0.0,
        dissipated_power_w=power,
        tissue_share=None if found.tissue_share is None else found.tissue_share.astype(np.float32),
        contact_drops_v=None if found.contact_drop_v is None else tuple(float(v) for v in found.contact_drop_v),
        newton_steps=tuple(member.newton_counts),
        cg_iterations=tuple(member.cg_counts),
        device=f"{device.platform}: {device.device_kind}",
        definite=shown_definite(level.problem, level.couplings, found.conductivity_s_per_m, found.link_s),
    )


def estimate_bytes(grid: Grid, pulses: int) -> int:
    """Peak memory (bytes) of a process that solves pulses on a grid one after another, keeps their solutions and
    samples them: measured at 96^3 and 120^3 on the CPU, rounded up."""
    nodes = level_layouts(grid.shape)[0][0].n
    return FIXED_BYTES + nodes * (BYTES_PER_NODE + BYTES_PER_NODE_AND_PULSE * pulses)


FIXED_BYTES = 1_500_000_000
"""Interpreter, JAX, and what XLA takes to compile the Newton steps."""
BYTES_PER_NODE = 450
BYTES_PER_NODE_AND_PULSE = 20
