"""Compiled programs on disk: never a part of one, whoever is killed, and none for another number of threads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from jax._src import cache_key, compilation_cache

from porefield.kernels import program_cache
from porefield.kernels.program_cache import ABANDONED_S, compiler_threads, keep_programs_whole

BEGIN = """
import os, signal, sys
from pathlib import Path
import jax, jax.numpy as jnp, numpy as np
from jax._src import compilation_cache
from porefield.kernels.program_cache import keep_programs_whole
"""
COMPILE = """
assert keep_programs_whole()
counts = {"/jax/compilation_cache/cache_hits": 0, "/jax/compilation_cache/cache_misses": 0}
def heard(name, **_):
    if name in counts:
        counts[name] += 1
jax.monitoring.register_event_listener(heard)
jax.jit(lambda x: jnp.sin(x) @ x)(np.ones((8, 8), np.float32))
print(*counts.values())
"""
OPEN_ALREADY = """
jax.jit(lambda x: jnp.cos(x) + x)(np.ones(3, np.float32))
"""
KILLED_WHILE_WRITING = """
def half(self, data):
    with open(self, "wb") as file:
        file.write(data[: len(data) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
Path.write_bytes = half
"""
WRITE_AND_READ = """
assert keep_programs_whole()
folder, me, other = sys.argv[1:]
cache, _ = compilation_cache.get_file_cache(folder)
(Path(folder) / me).touch()
while not (Path(folder) / other).exists():
    pass
noise = np.random.default_rng(0)
for i in range(60):
    value = compilation_cache.compress_executable(noise.bytes(300_000))
    assert cache.get(f"{i}") in (None, value)
    cache.put(f"{i}", value)
    assert cache.get(f"{i}") == value
"""
READ, COMPILED = "1 0", "0 1"


def run(program: str, folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """A process whose warnings are errors, with its programs in a folder."""
    environment = {name: value for name, value in os.environ.items() if "NPROC" not in name} | {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PLATFORMS": "cpu",
    }
    command = [sys.executable, "-W", "error", "-c", BEGIN + program, *arguments]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment | variables, **pipes)


def said(process: subprocess.Popen[str]) -> str:
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    return out.strip()


def entry(folder: Path) -> Path:
    (path,) = folder.glob("jit__lambda*-cache")
    return path


@pytest.mark.slow
def test_a_part_of_a_program_is_replaced_and_the_next_process_reads_the_whole(tmp_path: Path) -> None:
    assert said(run(COMPILE, tmp_path)) == COMPILED
    whole = entry(tmp_path).read_bytes()
    entry(tmp_path).write_bytes(whole[: len(whole) // 2])
    assert said(run(COMPILE, tmp_path)) == COMPILED
    assert compilation_cache.decompress_executable(entry(tmp_path).read_bytes())
    assert said(run(COMPILE, tmp_path)) == READ


def test_a_cache_that_is_open_already_is_mended_too(tmp_path: Path) -> None:
    assert said(run(COMPILE, tmp_path)) == COMPILED
    entry(tmp_path).write_bytes(b"")
    assert said(run(OPEN_ALREADY + COMPILE, tmp_path)) == COMPILED


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_process_killed_while_it_writes_leaves_nothing_that_is_read(tmp_path: Path) -> None:
    killed = run(KILLED_WHILE_WRITING + COMPILE, tmp_path)
    killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert not list(tmp_path.glob("*-cache"))
    (part,) = tmp_path.iterdir()
    assert said(run(COMPILE, tmp_path)) == COMPILED
    assert part.exists(), "it might be of a process that is still writing"
    long_ago = time.time() - ABANDONED_S - 60
    os.utime(part, (long_ago, long_ago))
    assert said(run(COMPILE, tmp_path)) == READ
    assert list(tmp_path.iterdir()) == [entry(tmp_path)]


def test_two_processes_at_once_read_whole_programs_and_remove_none(tmp_path: Path) -> None:
    both = [run(WRITE_AND_READ, tmp_path, str(tmp_path), *names) for names in (("a", "b"), ("b", "a"))]
    assert [said(process) for process in both] == ["", ""]
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.slow
def test_programs_of_other_numbers_of_threads_are_not_read(tmp_path: Path) -> None:
    found = [said(run(COMPILE, tmp_path, PJRT_NPROC=threads)) for threads in ("1", "2", "1")]
    assert found == [COMPILED, COMPILED, READ]


def test_threads_are_the_cores_of_this_process_unless_xla_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PJRT_NPROC", "NPROC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert compiler_threads() == 3
    monkeypatch.setenv("NPROC", "7")
    assert compiler_threads() == 7
    monkeypatch.setenv("PJRT_NPROC", "2")
    assert compiler_threads() == 2


def test_an_unknown_jax_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program_cache, "_kept", None)
    monkeypatch.delattr(compilation_cache, "LRUCache")
    hook = cache_key.custom_hook
    assert not keep_programs_whole()
    assert not hasattr(compilation_cache, "LRUCache")
    assert cache_key.custom_hook is hook
