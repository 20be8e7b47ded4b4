"""Compiled Newton steps on disk, ready to run, beside JAX's own cache.

JAX keeps what its compiler makes under a key that is known only when a step has been traced and lowered, which takes
longer than reading it: half a second for each grid, in each process. Here a step is kept under all that it is made
from: its static arguments and shapes, the sources of these kernels, versions, the processor and the threads.
"""

from __future__ import annotations

import functools
import hashlib
import os
import pickle
import platform
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import jaxlib.version
from jax.experimental import serialize_executable

from .program_cache import AtomicPath, compiled_anew, compiler_threads, keep_programs_whole

CPU_INFO = Path("/proc/cpuinfo")
UNKEPT = (OSError, ValueError, TypeError, pickle.PicklingError, jax.errors.JaxRuntimeError)
"""A disk that is full or may only be read, or a step that can't be serialised: it runs all the same."""


def kept_step(key: Any, make: Callable[[], jax.stages.Compiled]) -> jax.stages.Compiled:
    """The step that a key stands for, from the disk or from `make`, which is then kept.

    Only where JAX_COMPILATION_CACHE_DIR names a folder, and on a CPU: executables of GPUs were not tried. A file that
    can't be loaded is removed.

    Args:
        key: all that `make` depends on beside the sources and the machine; its repr says it.
    """
    settings: Any = jax.config
    folder = settings.jax_compilation_cache_dir
    if not folder or jax.default_backend() != "cpu" or settings.jax_debug_nans or not keep_programs_whole():
        return make()
    name = hashlib.sha256(repr((key, made_with())).encode()).hexdigest()
    path = AtomicPath(folder) / f"step-{name}.pickle"
    step = read(path)
    if step is None:
        with compiled_anew():
            step = make()
        with suppress(*UNKEPT):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pickle.dumps(serialize_executable.serialize(step)))
    return step


def read(path: Path) -> jax.stages.Compiled | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    try:
        return serialize_executable.deserialize_and_load(*pickle.loads(content))
    except Exception:  # of whatever a broken or foreign file makes fail
        with suppress(OSError):  # a folder that may only be read
            path.unlink(missing_ok=True)
        return None


def made_with() -> tuple[object, ...]:
    """What compiled code depends on beside what is compiled."""
    versions = jax.__version__, jaxlib.version.__version__, platform.python_version()
    return (*versions, compiler_threads(), os.environ.get("XLA_FLAGS", ""), processor(), sources())


@functools.cache
def processor() -> str:
    """What the processor can do, where the system tells."""
    if not CPU_INFO.is_file():
        return platform.processor()
    lines = CPU_INFO.read_text().splitlines()
    return "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))


@functools.cache
def sources() -> str:
    """Hash of the modules in this folder."""
    found = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()
