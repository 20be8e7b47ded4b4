"""One service with a worker process for all tests that only look."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from porefield.service.client import Client, ServiceJob

from .server import service

PLAN: dict[str, Any] = {
    "title": "Two needles",
    "anatomy": {
        "phantom": {"size_mm": [16, 14, 12], "tissue": "liver", "origin_mm": [-8, 0, 100]},
        "add": [{"tissue": "tumour", "name": "lesion", "sphere": {"centre_mm": [0, 7, 106], "radius_mm": 3}}],
    },
    "grid": {"spacing_mm": 1.0},
    "electrodes": [
        {"name": "A", "needle": {"tip_mm": [-4, 7, 102], "direction": [0, 0, -1], "diameter_mm": 1.2, "exposed_mm": 7}},
        {"name": "B", "needle": {"tip_mm": [4, 7, 102], "direction": [0, 0, -1], "diameter_mm": 1.2, "exposed_mm": 7}},
    ],
    "pulses": [{"anode": ["A"], "cathode": ["B"], "voltage_v": 800}],
    "targets": ["lesion"],
}
"""Asymmetric in every axis, so that a turned map is seen."""


def plan(voltage_v: float = 800.0, **more: Any) -> dict[str, Any]:
    """The plan at another voltage."""
    return {**PLAN, "pulses": [{**PLAN["pulses"][0], "voltage_v": voltage_v}], **more}


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with service(tmp_path_factory.mktemp("service")) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url) as made:
        yield made


@pytest.fixture(scope="session")
def solved(url: str) -> Iterator[ServiceJob]:
    """The plan, solved."""
    with Client(url) as made:
        yield made.submit("plan", plan()).wait(120)
