"""A sweep below a prefix of a bucket: every object is whole or absent, and nothing can be renamed or appended to.

What a folder does by renaming a directory is done by the order of writes here:

- `created`: the last object that is put (sweep.json) makes a sweep of the others. What a creator that died has left is
  known by the lease object, which comes first, and is cleared away by the next one.
- `replaced`: a Zarr hierarchy is written below a fresh prefix, then `KEY/current` is pointed at it. The one before
  stays for readers that have it open (a chunk that vanishes reads as missing values); older ones are removed, once they
  are too old to be somebody else's that is still being written.
- `append`: a journal is a row of objects. The last one is written anew with each addition, so nothing that was added is
  lost with the process; it is closed at `SEGMENT_CHARS`, so a long journal is neither uploaded again and again nor
  scattered over as many objects as there were additions.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from zarr.storage import ObjectStore

from ..publish import OutputExistsError
from .object_client import FIRST, LATER, errors_told, open_bucket
from .object_lease import ObjectLease, is_held, read
from .places import PlaceError, Say

if TYPE_CHECKING:
    from obstore import ObjectMeta

LEASE = ".driver"
SEGMENT_CHARS = 64_000
LEFT_BY_CREATORS = ("layout.json", "maps.zarr/")
POINTER = "current"
STILL_WRITTEN_S = 600
"""Between two objects of one hierarchy: ten times what a request may take, retries included (object_client.py)."""


class ObjectPlace:
    """A prefix of a bucket; see `Place` for what each method does.

    Args:
        url: s3://bucket/prefix.
    """

    readers = 64

    def __init__(self, url: str) -> None:
        self._client = open_bucket(url, FIRST)
        self._answered = False
        self._url = url.rstrip("/")
        self._lease: ObjectLease | None = None
        self._segments: dict[str, tuple[int, str]] = {}

    @property
    def url(self) -> str:
        return self._url

    def location(self, key: str) -> str:
        return f"{self._url}/{key}"

    def put(self, key: str, data: bytes) -> None:
        with errors_told(self._url):
            self._client.put(key, data)

    def get(self, key: str) -> bytes | None:
        try:
            with errors_told(self._url):
                data = bytes(self._client.get(key).bytes())
        except FileNotFoundError:
            data = None
        if not self._answered:  # every use of a place begins with a get
            self._client, self._answered = open_bucket(self._url, LATER), True
        return data

    def exists(self, key: str) -> bool:
        """By a GET: the answer to a HEAD has no body that could say whether it is the bucket that is missing."""
        return self.get(key) is not None

    def list(self, prefix: str) -> list[str]:
        return sorted(entry["path"] for entry in self._entries(prefix))

    def delete(self, keys: Iterable[str]) -> None:
        named = list(keys)
        if named:
            with errors_told(self._url):
                self._client.delete(named)

    def append(self, name: str, text: str) -> None:
        if self._lease is not None:
            self._lease.check()
        number, former = self._segments.get(name, (0, ""))
        if len(former) >= SEGMENT_CHARS:
            number, former = number + 1, ""
        self.put(f"{name}/{number:06d}.jsonl", (former + text).encode())
        self._segments[name] = number, former + text

    def journals(self, prefix: str) -> list[str]:
        keys = [key for key in self.list(prefix) if key.endswith(".jsonl")]
        with ThreadPoolExecutor(self.readers) as pool:
            return [data.decode(errors="replace") for data in pool.map(self.get, keys) if data is not None]

    @contextmanager
    def lease(self, holder: str, say: Say) -> Iterator[None]:
        with ObjectLease(open_bucket(self._url, FIRST), self._url, LEASE, holder, say) as self._lease:
            try:
                yield
            finally:
                self._lease = None

    def leased(self) -> bool:
        return is_held(read(self._client, self._url, LEASE))

    @contextmanager
    def created(self) -> Iterator[ObjectPlace]:
        self._clear(check_only=True)
        with self.lease(f"{socket.gethostname()}, which begins it", lambda _: None):
            self._clear()
            yield self

    def zarr_store(self, key: str) -> ObjectStore:
        return ObjectStore(open_bucket(self.location(key), LATER))

    @contextmanager
    def replaced(self, key: str) -> Iterator[ObjectStore]:
        former = self._generation(key)
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        with self.telling():
            yield self.zarr_store(f"{key}/{name}")
        if not self.exists(f"{key}/{name}/zarr.json"):
            raise PlaceError.of("out", "what was just written", f"{self.location(key)}/{name}, removed by someone else")
        self.put(f"{key}/{POINTER}", name.encode())
        self._remove_generations(key, {name, former})

    def published(self, key: str) -> ObjectStore | None:
        name = self._generation(key)
        return None if name is None else self.zarr_store(f"{key}/{name}")

    def publication(self, key: str) -> str:
        return self.location(f"{key}/{self._generation(key)}")

    @contextmanager
    def telling(self) -> Iterator[None]:
        with errors_told(self._url):
            yield

    def _generation(self, key: str) -> str | None:
        name = self.get(f"{key}/{POINTER}")
        return None if name is None else name.decode()

    def _remove_generations(self, key: str, kept: set[str | None]) -> None:
        """Those that nobody writes any more, by the clock of the store, which dates the pointer that was just put."""
        generations: dict[str, list[ObjectMeta]] = {}
        for entry in self._entries(key):
            generations.setdefault(entry["path"].removeprefix(f"{key}/").partition("/")[0], []).append(entry)
        now = generations[POINTER][0]["last_modified"]
        for name, entries in generations.items():
            age = now - max(entry["last_modified"] for entry in entries)
            if name not in {POINTER, *kept} and age.total_seconds() >= STILL_WRITTEN_S:
                self.delete(entry["path"] for entry in entries)

    def _entries(self, prefix: str) -> Iterator[ObjectMeta]:
        """By pages, which the store limits to 1000 each."""
        with errors_told(self._url):
            for page in self._client.list(prefix or None, chunk_size=1000):
                yield from page

    def _clear(self, *, check_only: bool = False) -> None:
        """Remove what a creator that died has left: a few objects, of which the lease is one.

        Raises:
            OutputExistsError: there is something else.
        """
        keys = [entry["path"] for entry in islice(self._entries(""), 1000)]
        ours = LEASE in keys
        others = [key for key in keys if key != LEASE and not (ours and key.startswith(LEFT_BY_CREATORS))]
        if others:
            got = f"{self._url}, below which {others[0]} lies"
            raise OutputExistsError.of("out", "a prefix without objects", got)
        if not check_only:
            self.delete(key for key in keys if key != LEASE)
