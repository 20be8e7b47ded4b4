"""Lanes spread over several devices, on eight that the CPU pretends to be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from porefield.kernels import spread
from porefield.kernels.field import solve_fields

from .problems import two_needles


def test_lanes_are_shared_equally_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert spread.device_count() == 1
    with pytest.raises(ValueError, match="devices: expected 1 to the 1 that this process sees, got 2"):
        solve_fields([two_needles()] * 2, devices=2)
    for lanes, devices in ((3, 2), (2, 0)):
        with pytest.raises(ValueError, match=f"lanes: expected a multiple of the {devices} devices, got {lanes}"):
            solve_fields([two_needles()] * 2, lanes=lanes, devices=devices)
    monkeypatch.setattr(jax, "local_device_count", lambda: 8)
    assert [spread.devices_for(lanes) for lanes in (1, 2, 6, 7, 8, 12, 13, 64)] == [1, 2, 6, 7, 8, 6, 1, 8]


@pytest.mark.slow
def test_eight_devices_and_two_give_what_one_gives() -> None:
    """In a process of its own, because devices are counted when JAX starts; spread_on_eight.py says what it checks."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    command = [sys.executable, str(Path(__file__).with_name("spread_on_eight.py"))]
    done = subprocess.run(command, env=os.environ | {"XLA_FLAGS": flags}, text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == ["8", "devices:", "all", "the", "same"]
