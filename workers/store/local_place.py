"""A sweep in a folder: files that appear by renaming, a lock that the system releases, directories published whole."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from ..publish import published_directory
from .files import is_locked, locked, told, write_atomic
from .places import Say

LEASE = ".driver"


class LocalPlace:
    """A folder; see `Place` for what each method does."""

    readers = 8

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().resolve()

    @property
    def url(self) -> str:
        return str(self.folder)

    def location(self, key: str) -> str:
        return str(self.folder / key)

    def put(self, key: str, data: bytes) -> None:
        write_atomic(self.folder / key, data)

    def get(self, key: str) -> bytes | None:
        try:
            return (self.folder / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def exists(self, key: str) -> bool:
        return (self.folder / key).is_file()

    def list(self, prefix: str) -> list[str]:
        found: list[str] = []
        for at, _, names in os.walk(self.folder / prefix):
            below = Path(at).relative_to(self.folder)
            start = "" if below == Path() else f"{below.as_posix()}/"
            found += (start + name for name in names if not name.startswith("."))
        return sorted(found)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            (self.folder / key).unlink(missing_ok=True)

    def append(self, name: str, text: str) -> None:
        """Not flushed to disk each time: of interest when a process dies, not when the machine does."""
        path = self.folder / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(text)

    def journals(self, prefix: str) -> list[str]:
        paths = sorted((self.folder / prefix).glob("*.jsonl"), key=os.path.getmtime)
        return [path.read_text(encoding="utf-8", errors="replace") for path in paths]

    def lease(self, holder: str, say: Say) -> AbstractContextManager[None]:
        return locked(self.folder / LEASE, holder)

    def leased(self) -> bool:
        return is_locked(self.folder / LEASE)

    @contextmanager
    def created(self) -> Iterator[LocalPlace]:
        with published_directory(self.folder) as partial:
            yield LocalPlace(partial)

    def zarr_store(self, key: str) -> str:
        return str(self.folder / key)

    @contextmanager
    def replaced(self, key: str) -> Iterator[str]:
        with published_directory(self.folder / key, overwrite=True) as partial:
            yield str(partial)

    def published(self, key: str) -> str | None:
        path = self.folder / key
        return str(path) if path.is_dir() else None

    def publication(self, key: str) -> str:
        return self.location(key)

    @contextmanager
    def telling(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise told(error, self.folder) from error
