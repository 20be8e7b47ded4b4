"""Tests that compile pieces of the kernels by themselves share their compiled programs as solves do."""

from __future__ import annotations

import pytest

from porefield.kernels.program_cache import keep_programs_whole


@pytest.fixture(scope="session", autouse=True)
def whole_programs() -> None:
    keep_programs_whole()
