"""The synthetic torso as fixtures."""

from __future__ import annotations

from pathlib import Path

import pytest

from porefield.workers import figures_style
from porefield.workers.report_data import Result, read_result

from .torso import write_torso


@pytest.fixture(scope="session")
def torso_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result directory, axes as the patient's, without a report."""
    return write_torso(tmp_path_factory.mktemp("torso"))


@pytest.fixture
def torso(torso_dir: Path) -> Result:
    return read_result(torso_dir)


@pytest.fixture
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of few dots, because tests look at their contents before they are dots."""
    monkeypatch.setattr(figures_style, "DPI", 40)
