"""The README's plan, commands and Python run as printed, on a coarser grid."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.core import TyperGroup
from typer.main import get_command

from porefield.meshes import build_scene, load_plan
from porefield.service.cli import app

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"<!-- test: (?P<name>\S+) -->\n```\w+\n(?P<text>.*?)```", re.DOTALL)
PRINTED_GRID, TESTED_GRID = "spacing_mm: 1.0", "spacing_mm: 3.0"


@pytest.fixture(scope="module")
def blocks() -> dict[str, str]:
    return {match["name"]: match["text"] for match in BLOCK.finditer(README.read_text(encoding="utf-8"))}


@pytest.fixture
def folder(blocks: dict[str, str], tmp_path: Path) -> Path:
    """A folder with the README's plan in it."""
    plan = blocks["plan.yaml"]
    assert PRINTED_GRID in plan
    (tmp_path / "plan.yaml").write_text(plan.replace(PRINTED_GRID, TESTED_GRID), encoding="utf-8")
    return tmp_path


def run(*command: str, cwd: Path) -> str:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=cwd, env=environment, text=True, capture_output=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_the_commands_leave_the_result_that_is_described(blocks: dict[str, str], folder: Path) -> None:
    run("sh", "-eu", "-c", blocks["sh"], cwd=folder)
    described = set(re.findall(r"^\| `([\w.]+)` \|", README.read_text(encoding="utf-8"), re.MULTILINE))
    assert described == {path.name for path in (folder / "result").iterdir()}


def test_fibres_contacts_and_sheets_are_understood(blocks: dict[str, str]) -> None:
    """The block's parts in the README's plan, which has no skin: the sheet is told to be absent."""
    plan, more = yaml.safe_load(blocks["plan.yaml"]), yaml.safe_load(blocks["series.yaml"])
    plan["grid"]["spacing_mm"] = 3.0
    plan["anatomy"]["phantom"]["tissue"] = "muscle"
    electrodes = [*more["electrodes"], plan["electrodes"][1]]
    scene = build_scene(load_plan(plan | {**more, "electrodes": electrodes}))
    assert scene.axis_factors == ((1, 1, 5), (1, 1, 1))
    assert scene.contact_ohm_m2 == pytest.approx((20e-4, 0))
    assert "sheet_absent" in {note.kind for note in scene.notes}


def test_a_device_and_a_protocol_are_understood(blocks: dict[str, str]) -> None:
    plan, more = yaml.safe_load(blocks["plan.yaml"]), yaml.safe_load(blocks["device.yaml"])
    del plan["pulses"]
    scene = build_scene(load_plan(plan | more | {"grid": {"spacing_mm": 2.0}}))
    assert len(scene.electrodes) == 7
    assert [(pulse.voltage_v, pulse.count, pulse.width_us) for pulse in scene.pulses] == [(730, 8, 100)] * 12


@pytest.mark.slow
def test_the_sweep_runs(blocks: dict[str, str], folder: Path) -> None:
    (folder / "sweep.yaml").write_text(blocks["sweep.yaml"], encoding="utf-8")
    told = run("sh", "-eu", "-c", blocks["sweep.sh"], cwd=folder)
    assert "the generator would not give the current" in told
    assert "9 of 9 points finished: 7 done, 0 failed, 2 skipped" in told
    printed = run(sys.executable, "-W", "error", "-c", blocks["sweep.py"], cwd=folder)
    assert len(re.findall(r"0\.\d+|1\.", printed)) == 3


@pytest.mark.slow
def test_the_server_starts_and_answers(blocks: dict[str, str], folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    script = blocks["serve.sh"].replace("8000", port).replace("porefield serve", f"porefield serve --port {port}")
    run("sh", "-eu", "-c", script, cwd=folder)
    document = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert document["summary"]["status"] == "converged"
    assert document["store"].endswith("/result.zarr")
    assert (folder / "porefield-data" / "porefield.sqlite").exists()


@pytest.mark.slow
def test_the_python_runs(blocks: dict[str, str], folder: Path) -> None:
    printed = run(sys.executable, "-W", "error", "-c", blocks["python"], cwd=folder)
    assert "irreversible" in printed


def test_the_command_table_is_the_command_line() -> None:
    listed = set(re.findall(r"^\| `porefield (\w+)", README.read_text(encoding="utf-8"), re.MULTILINE))
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    assert listed == set(group.commands)


def test_links_lead_somewhere() -> None:
    for page in (README, README.parent / "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert target.startswith("https://") or (README.parent / target).exists(), f"{page.name}: {target}"
