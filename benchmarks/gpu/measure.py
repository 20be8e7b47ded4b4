"""Times and memory of two needles with a tumour between them, one by one or in a batch, on this device."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax

from porefield.kernels.batch_size import lane_bytes, padded_nodes
from porefield.kernels.caches import forget_couplings
from porefield.kernels.cases.finite_elements import NEEDLES_IN_A_BLOCK
from porefield.kernels.electrodes import Needle
from porefield.kernels.field import finish
from porefield.kernels.iteration import LaneGrid, Member, iterate
from porefield.kernels.problem import FieldProblem

from ..measure import TRIAD_ELEMENTS, peak_rss_bytes, triad_bytes_per_s

BLOCK = NEEDLES_IN_A_BLOCK["C3 1.8 mm, 20 mm apart, tumour between"].block
TOLERANCE = 1e-7
MOST_STEPS = 60
Row = dict[str, Any]


def device_label() -> str:
    """The device's name; on a CPU the number of threads tells more than what JAX calls it."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        return f"CPU, {len(os.sched_getaffinity(0))} threads" if sys.platform == "linux" else "CPU"
    return device.device_kind


def triad_gb_per_s() -> float:
    """1e9 bytes a second; on a GPU over arrays so large that starting the kernel does not count."""
    on_cpu = jax.devices()[0].platform == "cpu"
    return triad_bytes_per_s(elements=TRIAD_ELEMENTS if on_cpu else 2**27) / 1e9


def problems_of(voxels: int, batch: int) -> list[FieldProblem]:
    """The problem by itself, or as many as a batch takes: eight positions and voltages, over and over."""
    base = BLOCK.problem(1e-3 * BLOCK.box_mm / voxels)
    return [moved(base, i % 8) for i in range(batch)]


def moved(problem: FieldProblem, i: int) -> FieldProblem:
    """Both needles by 0.1 mm along x and 60 V less, i times over."""
    needles: list[Needle] = []
    for needle in problem.electrodes:
        assert isinstance(needle, Needle)
        x, y, z = needle.tip_m
        needles.append(replace(needle, tip_m=(x + 1e-4 * i, y, z)))
    return replace(problem, electrodes=tuple(needles), potentials_v=(BLOCK.voltage_v - 60.0 * i, 0.0))


def measure(voxels: int, batch: int, rounds: int) -> Row:
    """One row: seconds (of the fastest round), counts, residual and memory of a solve on voxels^3.

    couplings_s and audit_s are the host's; newton_s is the device's with what the host does between steps. The triad
    is that of the same process: on a machine that others use too it changes from minute to minute.
    """
    problems, lanes = problems_of(voxels, batch), None if batch == 1 else batch
    with jax.enable_x64(True):
        began = time.perf_counter()
        analysed = compile_all([Member(p, None, TOLERANCE, MOST_STEPS) for p in problems], lanes)
        compile_s = time.perf_counter() - began
        rounds_of = [solve(problems, lanes) for _ in range(rounds)]
    best = min(rounds_of, key=lambda row: row["newton_s"])
    stats = jax.devices()[0].memory_stats() or {}
    return {
        "voxels": voxels,
        "batch": batch,
        **best,
        "compile_s": round(compile_s, 2),
        "model_bytes": batch * lane_bytes(padded_nodes(problems[0].grid)),
        "xla_bytes": analysed,
        "device_peak_bytes": stats.get("peak_bytes_in_use"),
        "host_peak_bytes": peak_rss_bytes(),
        "triad_gb_per_s": round(triad_gb_per_s(), 1),  # last: it takes memory of its own
    }


def compile_all(members: Sequence[Member], lanes: int | None) -> int:
    """Compile the steps of all nested grids; bytes that XLA says the finest one's takes."""
    analysed = 0
    for index in reversed(range(len(members[0].nested))):
        step = LaneGrid(index, members, lanes, "float32").compiled_step()
        assert isinstance(step, jax.stages.Compiled)
        a = step.memory_analysis()
        assert a is not None
        analysed = a.temp_size_in_bytes + a.argument_size_in_bytes + a.output_size_in_bytes - a.alias_size_in_bytes
    return analysed


def solve(problems: Sequence[FieldProblem], lanes: int | None) -> Row:
    forget_couplings()  # else only the first round would have to make them
    times = [time.perf_counter()]
    members = [Member(p, None, TOLERANCE, MOST_STEPS) for p in problems]
    times.append(time.perf_counter())
    iterate(members, lanes, None, "float32")
    times.append(time.perf_counter())
    solutions = [finish(member) for member in members]
    times.append(time.perf_counter())
    if not all(s.converged for s in solutions):
        raise SystemExit(f"not converged: {[s.relative_residual for s in solutions]}")
    couplings, newton, audit = (round(b - a, 4) for a, b in itertools.pairwise(times))
    return {
        "couplings_s": couplings,
        "newton_s": newton,
        "audit_s": audit,
        # the slowest lane is what a batch waits for
        "newton_steps": [max(n) for n in zip(*(s.newton_steps for s in solutions), strict=True)],
        "cg_iterations": [max(n) for n in zip(*(s.cg_iterations for s in solutions), strict=True)],
        "residual": max(s.relative_residual for s in solutions),
    }
