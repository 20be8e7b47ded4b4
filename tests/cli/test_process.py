"""The console script as a process: signals, a full disk, exit codes; nothing half-written is ever left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
STAND_IN = Path(__file__).parent / "stand_in.py"


def start(plan_file: Path, step_s: float, write_s: float, *options: str) -> subprocess.Popen[str]:
    out = plan_file.parent / "results" / "out"
    command = [sys.executable, str(STAND_IN), str(step_s), str(write_s), "run", str(plan_file), "--out", str(out)]
    return subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(process: subprocess.Popen[str], word: str) -> None:
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if word in line:
            return
    pytest.fail(f"the process ended before it said {word}: {''.join(lines)}")


def remains(plan_file: Path) -> list[str]:
    results = plan_file.parent / "results"
    return sorted(os.listdir(results)) if results.exists() else []


def test_a_signal_while_solving_stops_at_the_next_step(plan_file: Path) -> None:
    process = start(plan_file, 0.3, 0, "--json")
    wait_for(process, "SOLVING")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    told = json.loads(out)
    assert (told["exit_code"], told["error"]["kind"]) == (130, "RunCancelled")
    assert remains(plan_file) == []


def test_a_second_signal_stops_a_long_step_at_once(plan_file: Path) -> None:
    process = start(plan_file, 600, 0, "--quiet")
    wait_for(process, "SOLVING")
    process.send_signal(signal.SIGINT)
    wait_for(process, "once more to stop at once")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert remains(plan_file) == []


def test_signals_while_writing_remove_what_was_written(plan_file: Path) -> None:
    process = start(plan_file, 0, 600, "--quiet")
    wait_for(process, "WRITING")
    assert [name.startswith(".out.partial-") for name in remains(plan_file)] == [True]
    process.send_signal(signal.SIGINT)
    wait_for(process, "once more to stop at once")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert remains(plan_file) == []


def test_what_a_killed_process_left_goes_with_the_next_run(plan_file: Path) -> None:
    process = start(plan_file, 0, 600, "--quiet")
    wait_for(process, "WRITING")
    process.kill()
    process.communicate(timeout=30)
    assert [name.startswith(".out.partial-") for name in remains(plan_file)] == [True]
    process = start(plan_file, 0, 0, "--quiet")
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert remains(plan_file) == ["out"]


def test_a_real_limit_on_file_sizes_is_a_resource_error(plan_file: Path) -> None:
    arguments = ["0", "0", "run", str(plan_file), "--out", str(plan_file.parent / "results" / "out"), "--json"]
    script = f"""
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
sys.argv = ["stand_in.py", *{arguments!r}]
runpy.run_path({str(STAND_IN)!r}, run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 5, done.stderr
    told = json.loads(done.stdout)
    assert told["error"]["kind"] == "ResourceError"
    assert told["error"]["problems"][0]["field"] == "out"
    assert remains(plan_file) == []


def test_wrong_usage_and_the_console_script() -> None:
    script = Path(sys.executable).parent / "porefield"
    assert subprocess.run([script, "run"], capture_output=True, timeout=60, check=False).returncode == 2
    assert subprocess.run([script, "--version"], capture_output=True, timeout=60, check=False).stdout == b"0.1.0\n"
