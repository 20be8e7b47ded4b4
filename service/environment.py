"""What the command line sets up in its process before the numerics are imported; libraries never do by themselves."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from pathlib import Path

from ..kernels.program_cache import compiler_threads

CACHE_VARIABLE = "POREFIELD_CACHE_DIR"


def configure_numerics(device: str | None = None) -> None:
    """Keep compiled kernels between runs, and choose the device when asked; call before importing the workers.

    Args:
        device: a platform as JAX names it ("cpu", "cuda"); None leaves the choice to JAX and to JAX_PLATFORMS.
    """
    if device is not None:
        os.environ["JAX_PLATFORMS"] = device
    cache = compilation_cache_dir()
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sys.stderr.write(f"note: compiled kernels are not kept: {cache}: {error.strerror}\n")
        return
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")


def compilation_cache_dir() -> Path:
    """Folder for compiled kernels, one per kind of machine and number of cores that this process may use.

    Code compiled for one processor may not run on another, and loops compiled for one core run on one.
    """
    return cache_dir() / "jax" / f"{platform.machine()}-{_processor_hash()}-{compiler_threads()}"


def cache_dir() -> Path:
    """The user's cache folder: POREFIELD_CACHE_DIR, or porefield in the XDG cache."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "porefield"


def _processor_hash() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = [platform.processor()]
    features = next((line for line in lines if line.startswith(("flags", "Features"))), lines[0] if lines else "")
    return hashlib.sha256(features.encode()).hexdigest()[:8]
