"""A sweep over prescribed currents: each point finds its voltage, from where the last ones found theirs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from porefield.workers.store.sweep_store import open_sweep
from porefield.workers.sweep.drive import ExecutorSettings, run_sweep
from porefield.workers.sweep.spec import load_sweep

from .stub import PLAN

CURRENTS_A = [0.6, 0.8, 1.0]


@pytest.mark.parametrize("batch", [1, 2])
def test_a_sweep_over_currents_finds_the_voltages(tmp_path: Path, batch: int) -> None:
    pulse = {k: v for k, v in PLAN["pulses"][0].items() if k != "voltage_v"} | {"current_a": 1.0}
    plan = PLAN | {"pulses": [pulse]}
    axes = [{"name": "current", "field": "pulses.*.current_a", "values": CURRENTS_A}]
    outcome = run_sweep(
        load_sweep({"plan": plan, "axes": axes}), tmp_path / "a", executor=ExecutorSettings(batch=batch)
    )
    assert outcome.done == 3
    assert outcome.warm == 2
    with open_sweep(tmp_path / "a") as found:
        np.testing.assert_allclose(found["generator_current_a"].values[:, 0], CURRENTS_A, rtol=1e-5)
        volts = found["voltage_v"].values[:, 0]
    axes = [{"name": "voltage", "field": "pulses.*.voltage_v", "values": volts.tolist()}]
    run_sweep(load_sweep({"plan": PLAN, "axes": axes}), tmp_path / "v")
    with open_sweep(tmp_path / "v") as back:
        np.testing.assert_allclose(back["generator_current_a"].values[:, 0], CURRENTS_A, rtol=2e-5)
