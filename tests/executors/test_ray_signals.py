"""A process with workers on Ray keeps its own way of ending."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NATIVE_ALARM_S = 3
"""After which Ray's handler aborts the process (abseil's `alarm_on_failure_secs`)."""
DRIVER = f"""
import os, signal, threading, time
from porefield.workers.executors.ray_cluster import RayCluster
from tests.executors.works import counting, gather

asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(time.monotonic()))

def work():
    with RayCluster(counting, workers=1) as executor:
        gather(executor, 1)
        print("ready", flush=True)
        while not asked or time.monotonic() - asked[0] < {NATIVE_ALARM_S + 2}:
            executor.wait(0.1)

if __name__ == "__main__":
    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
    print("stopped in order", "RAY_DISABLE_FAILURE_SIGNAL_HANDLER" in os.environ, flush=True)
"""


@pytest.mark.slow
def test_a_driver_may_take_its_time_to_stop_when_it_is_asked_to() -> None:
    """As a server does, whose runner is a thread."""
    driver = subprocess.Popen([sys.executable, "-c", DRIVER], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    try:
        assert driver.stdout.readline() == "ready\n"
        driver.send_signal(signal.SIGTERM)
        assert driver.stdout.read() == "stopped in order False\n"
        assert driver.wait(60) == 0
    finally:
        driver.kill()
        driver.stdout.close()
