"""What the command line sets in its process's environment, and nothing that a user has set already."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from porefield.service.environment import cache_dir, compilation_cache_dir, configure_numerics

JAX = ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "JAX_PLATFORMS")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in JAX:
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("bare")
def test_kernels_are_kept_in_the_users_cache(own_cache: Path) -> None:
    configure_numerics()
    kept = Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
    assert kept == compilation_cache_dir()
    assert kept.is_dir()
    assert own_cache in kept.parents
    assert "JAX_PLATFORMS" not in os.environ


@pytest.mark.usefixtures("bare")
def test_the_device_is_chosen_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "mine")
    configure_numerics("cpu")
    assert os.environ["JAX_PLATFORMS"] == "cpu"
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "mine"


@pytest.mark.usefixtures("bare")
def test_a_cache_that_cannot_be_made_is_said_and_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("POREFIELD_CACHE_DIR", str(tmp_path / "file"))
    configure_numerics()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
    assert "compiled kernels are not kept" in capsys.readouterr().err


def test_kernels_for_other_numbers_of_cores_are_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PJRT_NPROC", "NPROC"):
        monkeypatch.delenv(name, raising=False)
    folders = []
    for cores in ({0}, {1}, {0, 1}):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: cores, raising=False)
        folders.append(compilation_cache_dir())
    one, another, two = folders
    assert one == another
    assert one.name.endswith("-1")
    assert two.name == f"{one.name.removesuffix('-1')}-2"


def test_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("POREFIELD_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "porefield"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_dir() == tmp_path / "home" / ".cache" / "porefield"


def test_help_and_version_do_not_load_the_numerics() -> None:
    code = "import sys, porefield.service.cli; assert not {'jax', 'zarr', 'matplotlib', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
