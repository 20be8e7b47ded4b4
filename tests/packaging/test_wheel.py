"""The wheel that users install: complete, and it plans without the repository beside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("kernels", "meshes", "workers", "service")
TINY_PLAN = """\
anatomy: {phantom: {size_mm: [24, 20, 20], tissue: liver}}
grid: {spacing_mm: 2.0}
electrodes:
  - {name: A, needle: {tip_mm: [7, 10, 5], direction: [0, 0, -1], diameter_mm: 1.2, exposed_mm: 8}}
  - {name: B, needle: {tip_mm: [17, 10, 5], direction: [0, 0, -1], diameter_mm: 1.2, exposed_mm: 8}}
pulses:
  - {anode: [A], cathode: [B], voltage_v: 500}
"""

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=environment, text=True, capture_output=True)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that what lies about in the checkout can't slip in and build/ does not appear there."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    out = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-deps", "--no-build-isolation")
    run(*pip, "--no-index", "--wheel-dir", out, source, cwd=out)
    (built,) = out.glob("porefield-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bin/ of a fresh environment with the wheel, which borrows the dependencies of this one but not its porefield."""
    environment = tmp_path_factory.mktemp("fresh") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=environment.parent)
    scripts = environment / "bin"
    site = Path(
        run(scripts / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=ROOT).strip()
    )
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", scripts / "python", "install")
    run(*pip, "--quiet", "--no-deps", "--no-index", wheel, cwd=environment)
    # A plain path line: unlike a site directory, it does not run the .pth files there, the editable install among them.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return scripts


def test_wheel_holds_every_package_file_and_nothing_else(wheel: Path) -> None:
    tracked = run("git", "ls-files", *PACKAGES, cwd=ROOT).split()
    expected = {f"porefield/{name}" for name in tracked if (ROOT / name).exists()}
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if ".dist-info/" not in name} >= expected
    assert {name.split("/")[0] for name in names} == {"porefield", f"{wheel.name.split('-py3')[0]}.dist-info"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_installed_wheel_has_the_gallery(installed: Path, tmp_path: Path) -> None:
    assert "liver_vessel" in run(installed / "porefield", "examples", cwd=tmp_path)
    run(installed / "porefield", "examples", "--coarse", "--out", "cases", cwd=tmp_path)
    assert run(installed / "porefield", "validate", "cases/liver_vessel.yaml", cwd=tmp_path)
    assert len(list((tmp_path / "cases").iterdir())) == 9


def test_installed_wheel_runs_a_plan_away_from_the_repository(installed: Path, tmp_path: Path) -> None:
    where = run(installed / "python", "-c", "import porefield.meshes as m; print(m.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent)
    assert run(installed / "porefield", "--version", cwd=tmp_path).strip()

    (tmp_path / "plan.yaml").write_text(TINY_PLAN, encoding="utf-8")
    run(installed / "porefield", "run", "plan.yaml", "--out", "result", cwd=tmp_path)
    summary = json.loads((tmp_path / "result" / "summary.json").read_text(encoding="utf-8"))
    assert summary["status"] == "converged"
    currents_a = summary["pulses"][0]["currents_a"]
    assert currents_a["A"] > 0
    assert currents_a["A"] == pytest.approx(-currents_a["B"], rel=1e-5)
    assert (tmp_path / "result" / "report.html").stat().st_size > 10_000
