"""What every record of a benchmark carries: the machine's own bandwidth, memory, what XLA compiled, versions.

Seconds of one machine say nothing on another. `passes` are: one pass moves 16 bytes for each voxel (a double read, a
double written) at the rate of the machine's triad a = b + s c, measured in the same run. Rates count 24 bytes for each
element of the triad.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import math
import os
import platform
import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from porefield.kernels.iteration import LaneGrid, Member
from porefield.kernels.problem import FieldProblem

TRIAD_ELEMENTS = 8_000_000
"""192 MB: no cache holds it."""
PASS_BYTES = 16
COMPILED = "/jax/core/compile/backend_compile_duration"
"""The event of JAX that tells of a compilation, or of a compiled program read from the disk's cache."""


def triad_bytes_per_s(repeats: int = 15, elements: int = TRIAD_ELEMENTS) -> float:
    """Best rate of a = b + s c in float64 on JAX's device, with the threads that this process may use."""
    with jax.enable_x64(True):
        a, b, c = (jnp.full(elements, x, jnp.float64) for x in (0.0, 1.0, 2.0))
        best = math.inf
        for _ in range(repeats + 1):
            jax.block_until_ready((a, b, c))
            began = time.perf_counter()
            a = triad(a, b, c)
            a.block_until_ready()
            best = min(best, time.perf_counter() - began)
    return 24 * elements / best


@partial(jax.jit, donate_argnums=0, keep_unused=True)
def triad(a: jax.Array, b: jax.Array, c: jax.Array) -> jax.Array:
    """The result takes the place of `a`: fresh memory would cost more than the triad."""
    return b + 3.0 * c


def passes(seconds: float, voxels: int, triad_rate: float) -> float:
    """Time as a number of passes over a grid."""
    return seconds * triad_rate / (PASS_BYTES * voxels)


def peak_rss_bytes() -> int:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def use_cores(cores: int) -> None:
    """Keep this process, and threads that it starts later, on the first `cores` of its processors (Linux only)."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


class Compilations:
    """Counts what JAX compiles for its device."""

    def __init__(self) -> None:
        self.count = 0
        self.lock = threading.Lock()
        jax.monitoring.register_event_duration_secs_listener(self.heard)

    def heard(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event == COMPILED:
            with self.lock:
                self.count += 1


@cache
def compilations() -> Compilations:
    """The counter of this process; counts from the first call on."""
    return Compilations()


@contextmanager
def counted() -> Iterator[list[int]]:
    """A list that has the number of compilations within once the block is left."""
    counter, found = compilations(), [0]
    before = counter.count
    try:
        yield found
    finally:
        found[0] = counter.count - before


def compiled_step(problem: FieldProblem, inner_dtype: str = "float32") -> Any:
    """The compiled Newton step of a problem's own grid: a jax.stages.Compiled."""
    with jax.enable_x64(True):
        return LaneGrid(0, [Member(problem, None, 1e-7, 60)], None, inner_dtype).compiled_step()


def of_step(problem: FieldProblem, inner_dtype: str = "float32") -> dict[str, float]:
    """What XLA says of the compiled Newton step: memory, and bytes moved with each loop taken once, per voxel."""
    step, voxels = compiled_step(problem, inner_dtype), math.prod(problem.grid.shape)
    memory, cost = step.memory_analysis(), step.cost_analysis()
    held = memory.temp_size_in_bytes + memory.argument_size_in_bytes + memory.output_size_in_bytes
    return {
        "xla_memory_bytes": held - memory.alias_size_in_bytes,
        "xla_memory_bytes_per_voxel": round((held - memory.alias_size_in_bytes) / voxels, 2),
        "xla_bytes_moved_per_voxel": round(cost["bytes accessed"] / voxels, 2),
    }


def machine() -> dict[str, Any]:
    """Processor, versions and date; no host name."""
    packages = ("jax", "jaxlib", "numpy", "scipy")
    return {
        "processor": processor(),
        "device": f"{jax.devices()[0].platform}: {jax.devices()[0].device_kind}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def processor() -> str:
    """Model of the processor, as it says itself."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
