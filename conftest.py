"""The order in which files of tests begin: the longest first, so that no process is left alone with one at the end."""

from __future__ import annotations

import pytest

LONGEST = (
    "tests/service/test_memory.py",
    "tests/sweep/test_object_store.py",
    "tests/service/test_crash.py",
    "tests/workers/test_grid_check.py",
    "tests/kernels/test_cases.py",
    "tests/executors/test_executors.py",
    "tests/service/test_api.py",
    "tests/service/database/test_two_servers.py",
    "tests/sweep/test_killed.py",
    "tests/kernels/test_directions.py",
    "tests/jobs/test_workers.py",
    "tests/sweep/test_batch.py",
    "tests/docs/test_readme.py",
    "tests/cli/test_sweep_process.py",
    "tests/kernels/test_batch.py",
    "tests/kernels/test_field.py",
    "tests/jobs/test_jobs.py",
    "tests/service/test_security.py",
    "tests/workers/test_gallery.py",
    "tests/sweep/test_two_nodes.py",
    "tests/service/test_load.py",
)
"""Some minutes down to half a minute each. Those that wait for processes stand beside those that compute."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    place = {config.rootpath / name: n for n, name in enumerate(LONGEST)}
    missing = [str(path) for path in place if not path.is_file()]
    if missing:
        raise pytest.UsageError(f"conftest.py names files that are not there: {missing}")
    items.sort(key=lambda item: place.get(item.path, len(place)))
