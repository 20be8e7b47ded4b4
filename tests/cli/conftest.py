"""Fixtures of the command line's tests: a plan file, the closed-form solver, no pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ..workers.conftest import write_placeholder
from ..workers.linear_field import TINY_PLAN, LinearFieldSolver


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(TINY_PLAN))
    return path


@pytest.fixture
def linear_field(monkeypatch: pytest.MonkeyPatch) -> LinearFieldSolver:
    monkeypatch.setattr("porefield.workers.report.write_report", write_placeholder)
    return LinearFieldSolver().install(monkeypatch)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands configure their process's environment: keep that, and the user's cache, out of the tests."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("POREFIELD_CACHE_DIR", str(cache))
    monkeypatch.delenv("POREFIELD_ANATOMY", raising=False)
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "JAX_PLATFORMS"):
        monkeypatch.setenv(name, "cpu" if name == "JAX_PLATFORMS" else "0.3" if "MIN" in name else str(cache))
    return cache
