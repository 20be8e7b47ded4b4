"""What all tests share: where optional data lies, compiled solvers kept between runs, no windows."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

SHARED_DATA = "POREFIELD_SHARED_DATA"


def pytest_configure(config: pytest.Config) -> None:
    # Read by JAX and matplotlib when they are first imported, here and in the processes that tests start.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(config.rootpath / ".jax_cache"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
    os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """shared_data("reference/fem_cases.json"): a path in the optional data; skips the test when it isn't there."""

    def find(name: str) -> Path:
        folder = os.environ.get(SHARED_DATA)
        if not folder:
            pytest.skip(f"needs {name} of the folder that {SHARED_DATA} names, which is not set")
        path = Path(folder) / name
        if not path.exists():
            pytest.skip(f"needs {name}, which the folder of {SHARED_DATA} lacks")
        return path

    return find
