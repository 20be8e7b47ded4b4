"""What is imported when: commands that compute nothing do not load the numerics."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import porefield.meshes
import porefield.workers

HEAVY = ("jax", "pandas", "xarray", "zarr", "scipy", "matplotlib", "ray")


@pytest.mark.parametrize("module", [porefield.meshes, porefield.workers])
def test_every_name_of_a_package_leads_to_its_module(module: ModuleType) -> None:
    assert sorted(module.__all__) == sorted(module._HOMES)
    for name in module.__all__:
        assert getattr(module, name).__module__.startswith(f"{module.__name__}."), name
        assert name in dir(module)
    with pytest.raises(AttributeError, match="nothing"):
        _ = module.nothing


@pytest.mark.parametrize("command", ["keys list", "database upgrade"])
def test_commands_of_the_database_load_no_numerics(command: str, tmp_path: Path) -> None:
    """They took 330 MB and seconds."""
    program = f"""
import sys
from porefield.service.cli import main
sys.argv = ["porefield", *sys.argv[1:]]
try:
    main()
except SystemExit:
    print([name for name in {HEAVY} if name in sys.modules])
"""
    arguments = [*command.split(), "--data-dir", str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr
