"""Compiled steps on disk: read in place of being traced, never where anything that they were made from has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src import compilation_cache
from jax.experimental import serialize_executable

from porefield.kernels import step_cache
from porefield.kernels.step_cache import kept_step

X = np.arange(6, dtype=np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """JAX's cache on an empty folder."""
    settings: Any = jax.config
    before = settings.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "programs"))
    yield tmp_path / "programs"
    jax.config.update("jax_compilation_cache_dir", before)


def counted() -> tuple[Callable[[], jax.stages.Compiled], list[int]]:
    """What compiles a function, and how often it did."""
    made = [0]

    def make() -> jax.stages.Compiled:
        made[0] += 1
        return jax.jit(lambda x: jnp.cumsum(jnp.sin(x)) * 3).lower(X).compile()

    return make, made


def test_a_step_is_made_once_and_read_after(folder: Path) -> None:
    make, made = counted()
    first, again = kept_step(("sin", 6), make), kept_step(("sin", 6), make)
    assert made == [1]
    np.testing.assert_array_equal(again(X), first(X))
    np.testing.assert_allclose(again(X), 3 * np.cumsum(np.sin(X)), rtol=1e-6)
    kept_step(("sin", 7), make)
    assert made == [2]
    assert len(list(folder.glob("step-*.pickle"))) == 2


def test_what_was_read_from_jaxs_own_cache_is_not_written_again(folder: Path) -> None:
    """XLA can't serialise that: a step read of it would fail when it runs."""
    settings: Any = jax.config
    before = settings.jax_persistent_cache_min_compile_time_secs
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    make, _ = counted()
    compilation_cache.reset_cache()
    try:
        make()
        assert list(folder.glob("*-cache"))
        jax.clear_caches()
        kept_step("sin", make)
        jax.clear_caches()
    finally:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", before)
        compilation_cache.reset_cache()
    np.testing.assert_allclose(kept_step("sin", make)(X), 3 * np.cumsum(np.sin(X)), rtol=1e-6)


@pytest.mark.parametrize("what", ["sources", "processor", "compiler_threads"])
def test_other_sources_processors_and_threads_have_steps_of_their_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    make, made = counted()
    kept_step("sin", make)
    monkeypatch.setattr(step_cache, what, lambda: "another")
    kept_step("sin", make)
    assert made == [2]


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x04N."])
def test_a_broken_file_is_replaced(folder: Path, content: bytes) -> None:
    make, made = counted()
    kept_step("sin", make)
    (path,) = folder.glob("step-*.pickle")
    path.write_bytes(content)
    kept_step("sin", make)
    kept_step("sin", make)
    assert made == [2]


def test_a_disk_that_is_full_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    make, made = counted()
    np.testing.assert_allclose(kept_step("sin", make)(X), 3 * np.cumsum(np.sin(X)), rtol=1e-6)
    assert made == [1]
    assert not list(folder.glob("step-*"))
    assert not list(folder.glob("*.part"))


def test_a_broken_file_that_may_not_be_removed_is_passed_by(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, made = counted()
    kept_step("sin", make)
    (path,) = folder.glob("step-*.pickle")
    path.write_bytes(b"no pickle")

    def refused(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    for name in ("unlink", "replace"):
        monkeypatch.setattr(Path, name, refused)
    np.testing.assert_allclose(kept_step("sin", make)(X), 3 * np.cumsum(np.sin(X)), rtol=1e-6)
    assert made == [2]


def test_nothing_is_kept_without_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serialize_executable, "serialize", lambda step: pytest.fail("serialised"))
    settings: Any = jax.config
    before = settings.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        make, made = counted()
        kept_step("sin", make)
        kept_step("sin", make)
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
    assert made == [2]
