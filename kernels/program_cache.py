"""Compiled programs on disk: whole, and apart for different numbers of threads.

JAX's persistent cache writes an entry in place, and never again where there is one. A process killed meanwhile left a
part of a program, which every later one found broken and compiled anew; one that read meanwhile found the same. Here an
entry is written beside its place and moved there once it is whole, and one that can't be unpacked is removed.

XLA's CPU compiler splits loops for the threads of the process that compiles, whose number JAX's key of an entry lacks:
what was compiled on one core would run on one wherever it is read. The key gets the number too.

JAX has no public way to either. Where its modules are not as they are known here, its cache stays as it is.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ENTRY, PART = "-cache", ".part"
"""Ends of names: of an entry, as JAX has it, and of one that is being written, which JAX takes for none."""
ABANDONED_S = 3600.0
"""Age of a part whose writer must have been killed."""


def compiler_threads() -> int:
    """Threads that XLA compiles for on the CPU: the cores that this process may use, unless XLA is told otherwise."""
    for name in ("PJRT_NPROC", "NPROC"):
        if (told := os.environ.get(name, "").strip()).isdecimal():
            return int(told)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_programs_whole() -> bool:
    """Have JAX keep whole programs only, each for as many threads as this process has; once, before it compiles.

    Returns:
        Whether JAX could be made to. It keeps programs at all where JAX_COMPILATION_CACHE_DIR names a folder.
    """
    global _kept
    with _keeping:
        if _kept is None:
            try:
                _kept = _change_cache()
            except (ImportError, AttributeError):
                _kept = False
        return _kept


@contextmanager
def compiled_anew() -> Iterator[None]:
    """Inside, this thread compiles without a look at JAX's cache: XLA can't serialise a program that it has read from
    there once more (it runs, but what is read of it then lacks functions). Needs `keep_programs_whole`."""
    _anew.inside = True
    try:
        yield
    finally:
        _anew.inside = False


_anew = threading.local()
_keeping = threading.Lock()
_kept: bool | None = None


def _change_cache() -> bool:
    from jax._src import cache_key, compilation_cache

    cache: Any = compilation_cache
    unpack, reset = cache.decompress_executable, cache.reset_cache
    more_of_key, threads = cache_key.custom_hook, compiler_threads()  # counted once, as XLA does

    class WholeEntries(cache.LRUCache):
        """JAX's cache without parts of entries."""

        def __init__(self, path: str, **options: Any) -> None:
            super().__init__(path, **options)
            if type(self.path) is type(Path()):  # else of an object store, where a file is whole or not there
                self.path = self._path = AtomicPath(self.path)
                remove_abandoned(self.path)

        def put(self, key: str, value: bytes) -> None:
            if not getattr(_anew, "inside", False):
                super().put(key, value)

        def get(self, key: str) -> bytes | None:
            value = None if getattr(_anew, "inside", False) else super().get(key)
            try:
                if value is not None:
                    unpack(value)
            except Exception:  # of whichever compression JAX has found
                (self.path / f"{key}{ENTRY}").unlink(missing_ok=True)
                return None
            return value

    cache.LRUCache = WholeEntries
    cache_key.custom_hook = lambda: f"{more_of_key()} threads: {threads}"
    reset()  # one that is open already is opened anew
    return True


class AtomicPath(type(Path())):
    """A path whose file appears whole: written beside it, then moved there."""

    def write_bytes(self, data: Any) -> int:
        part = Path(self.parent) / f"{uuid.uuid4().hex}{PART}"
        try:
            count = part.write_bytes(data)
            part.replace(self)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return count


def remove_abandoned(folder: Path) -> None:
    """Remove what killed processes were writing."""
    for part in folder.glob(f"*{PART}"):
        with suppress(OSError):  # another process was faster
            if time.time() - part.stat().st_mtime > ABANDONED_S:
                part.unlink()
