"""How a program that is timed talks to the one that times it: a line of JSON for each line it is sent.

Each solver runs in a process of its own, on one thread (or as many as asked), and stays there, so that solvers can
take turns while all are warm. No dependencies: peers live in an environment without porefield.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
Record = dict[str, Any]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def serve(solve: Callable[[], Record], told: Record) -> None:
    """Say what this is, then solve once for each line read; ends with the input.

    `seconds` are by `clock`, beside the wall's; what solve() has timed itself stays as it is.

    Args:
        told: of the program; `base_bytes` is its memory before it had a problem.
    """
    say(told | {"threads": threads()})
    for _ in sys.stdin:
        wall, began = time.perf_counter(), clock()
        found = solve()
        spent = {"seconds": clock() - began, "wall_seconds": time.perf_counter() - wall}
        say(spent | found | {"peak_bytes": peak_bytes()})


def threads() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else int(os.environ[THREADS[0]])


def programs_folder() -> Path:
    """Where JAX keeps compiled programs: one for each number of threads, for which the CPU compiler splits loops."""
    return ROOT / ".jax_cache" / str(threads())


def clock() -> float:
    """Seconds of the processor on one thread, so that other programs of the machine do not count; else of the wall."""
    return time.process_time() if threads() == 1 else time.perf_counter()


def say(record: Record) -> None:
    print(json.dumps(record), flush=True)  # noqa: T201


def peak_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def resident_bytes() -> int:
    """Resident memory now, where the system tells."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGESIZE") if statm.exists() else peak_bytes()


class Served:
    """A program that was started and can be told to solve; `told` is what it said of itself.

    Raises:
        Unavailable: it ended instead of saying what it is; the reason is its last word.
    """

    def __init__(self, command: Sequence[str | Path], threads: int = 1, more: Mapping[str, str] | None = None) -> None:
        environment = {**os.environ, **dict.fromkeys(THREADS, str(threads)), **(more or {})}
        # settings that hold OpenBLAS to an old kernel would slow the peers that use it
        for forced in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
            environment.pop(forced, None)
        cores = sorted(os.sched_getaffinity(0))[:threads] if hasattr(os, "sched_getaffinity") else []
        pinned = ["taskset", "-c", ",".join(map(str, cores))] if cores else []
        self.process = subprocess.Popen(
            [*pinned, *map(str, command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=ROOT,
        )
        self.told = self.read()

    def solve(self) -> Record:
        assert self.process.stdin is not None
        self.process.stdin.write("solve\n")
        self.process.stdin.flush()
        return self.read()

    def read(self) -> Record:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        for line in self.process.stdout:
            if line.startswith("{"):  # libraries greet on the standard output too
                return json.loads(line)
        last = [line for line in self.process.stderr.read().splitlines() if line.strip()]
        self.process.wait()
        raise Unavailable(last[-1] if last else f"ended with code {self.process.returncode}")

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class Unavailable(Exception):
    """A peer can't run here."""
