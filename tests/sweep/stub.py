"""Evaluators that cost nothing, for tests of all that is round them; importable by worker processes."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from porefield.meshes.errors import GeometryError
from porefield.meshes.plan import Plan
from porefield.workers.progress import RunControl
from porefield.workers.sweep.evaluate import EvaluatorSettings, plan_evaluator
from porefield.workers.sweep.model import Evaluation, Layout, MapVariable, Variable


class Stub:
    """Coverage = voltage / 10,000; fails above 9,000 V; kills its process where told to; logs each evaluation."""

    def __init__(self, settings: EvaluatorSettings, log: str | None, seconds: float, deadly_v: float | None) -> None:
        self._log, self._seconds, self._deadly_v = log, seconds, deadly_v
        maps = {"zone": MapVariable("uint8", "1", "zone")} if "zone" in settings.maps else {}
        space: dict[str, list[float]] = {axis: [0.5, 1.5, 2.5] for axis in "xyz"} if maps else {}
        measures = {"coverage": Variable("1", "coverage", ("target",)), "double_v": Variable("V", "twice the voltage")}
        self.layout = Layout(measures, {"target": ["tumour"]}, maps, space)
        self.inputs = "stub"

    def evaluate(self, plan: Plan, control: RunControl) -> Evaluation:
        voltage_v = plan.pulses[0].voltage_v
        assert voltage_v is not None
        if self._log is not None:
            with Path(self._log).open("a") as file:
                file.write(f"{voltage_v}\n")
        if voltage_v == self._deadly_v:
            os.kill(os.getpid(), 9)
        until = time.monotonic() + self._seconds
        while time.monotonic() < until:
            control.check()
            time.sleep(0.005)
        if voltage_v > 9000:
            raise GeometryError.of("pulses[0].voltage_v", "less", str(voltage_v))
        maps: dict[str, Any] = {name: np.full((3, 3, 3), voltage_v % 200, np.uint8) for name in self.layout.maps}
        return Evaluation({"coverage": [voltage_v / 1e4], "double_v": 2 * voltage_v}, maps)


def make_stub(log: str | None, seconds: float, deadly_v: float | None, settings: EvaluatorSettings) -> Stub:
    return Stub(settings, log, seconds, deadly_v)


def stub(log: Path | None = None, seconds: float = 0.0, deadly_v: float | None = None) -> partial[Stub]:
    """A picklable MakeEvaluator."""
    return partial(make_stub, None if log is None else str(log), seconds, deadly_v)


PLAN: dict[str, Any] = {
    "anatomy": {
        "phantom": {"size_mm": [16, 16, 16], "tissue": "liver"},
        "add": [{"tissue": "tumour", "name": "lesion", "sphere": {"centre_mm": [8, 8, 8], "radius_mm": 3}}],
    },
    "grid": {"spacing_mm": 1.0},
    "electrodes": [
        {"name": "A", "needle": {"tip_mm": [4, 8, 12], "direction": [0, 0, 1], "diameter_mm": 1.2, "exposed_mm": 8}},
        {"name": "B", "needle": {"tip_mm": [12, 8, 12], "direction": [0, 0, 1], "diameter_mm": 1.2, "exposed_mm": 8}},
    ],
    "pulses": [{"anode": ["A"], "cathode": ["B"], "voltage_v": 800}],
    "targets": ["lesion"],
}


def voltages(*volts: float, **more: Any) -> dict[str, Any]:
    """A sweep over voltages."""
    return {"plan": PLAN, "axes": [{"name": "voltage", "field": "pulses.*.voltage_v", "values": volts}], **more}


class Logged:
    """The real evaluator, slowed down, with a line in a file for each point it begins."""

    def __init__(self, settings: EvaluatorSettings, log: str, seconds: float) -> None:
        self._inner = plan_evaluator(settings)
        self._log, self._seconds = log, seconds
        self.layout, self.inputs = self._inner.layout, self._inner.inputs
        Path(log).with_name(f"worker-{os.getpid()}").touch()

    def evaluate(self, plan: Plan, control: RunControl) -> Evaluation:
        with Path(self._log).open("a") as file:
            file.write(f"{plan.pulses[0].voltage_v}\n")
        time.sleep(self._seconds)
        return self._inner.evaluate(plan, control)


def make_logged(log: str, seconds: float, settings: EvaluatorSettings) -> Logged:
    return Logged(settings, log, seconds)


def logged(log: Path, seconds: float) -> partial[Logged]:
    """A picklable MakeEvaluator."""
    return partial(make_logged, str(log), seconds)
