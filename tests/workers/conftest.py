"""Fixtures of the workers' tests."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from porefield.meshes import Scene, build_scene, load_plan
from porefield.workers import RunResult, run_scene

from .linear_field import TINY_PLAN, LinearFieldSolver


@pytest.fixture
def tiny_plan() -> dict[str, Any]:
    return copy.deepcopy(TINY_PLAN)


@pytest.fixture
def linear_field(monkeypatch: pytest.MonkeyPatch) -> LinearFieldSolver:
    return LinearFieldSolver().install(monkeypatch)


@pytest.fixture
def scene(tiny_plan: dict[str, Any]) -> Scene:
    return build_scene(load_plan(tiny_plan))


@pytest.fixture
def result(scene: Scene, linear_field: LinearFieldSolver) -> RunResult:
    """The tiny plan, run in the closed-form field."""
    return run_scene(scene)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes seconds; where the report is not what is tested, an empty page stands for it."""
    monkeypatch.setattr("porefield.workers.report.write_report", write_placeholder)


def write_placeholder(directory: Path, *, check: Callable[[], None] = lambda: None) -> None:
    check()
    (directory / "report.html").write_text("<html></html>")
    (directory / "coverage.png").write_bytes(b"")
