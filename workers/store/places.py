"""Where a sweep lies: a folder, or a prefix of a bucket. What the store needs of either, byte by byte.

Keys are relative, with `/` between their parts, such as `records/000/000123.json`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ...meshes.errors import PorefieldError

if TYPE_CHECKING:
    from zarr.abc.store import Store

Say = Callable[[str], None]
"""Takes a line for the user."""


class PlaceError(PorefieldError):
    """A place that can't be reached, or lets nobody read or write."""


class Place(Protocol):
    """What a sweep store asks of the place that it lies in.

    Attributes:
        url: opens the same place from another process.
        readers: gets that are worth having under way at once.
    """

    readers: int

    @property
    def url(self) -> str: ...

    def location(self, key: str) -> str:
        """Path or URL of a key, to tell people."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Put an object in place at once; it is whole, or as it was before.

        Raises:
            ResourceError: no room.
            PlaceError: the place can't be reached or written to.
        """
        ...

    def get(self, key: str) -> bytes | None:
        """A whole object; None where there is none."""
        ...

    def exists(self, key: str) -> bool: ...

    def list(self, prefix: str) -> list[str]:
        """All keys below `prefix/`, sorted; half-written objects are not among them."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; those that are not there are no error."""
        ...

    def append(self, name: str, text: str) -> None:
        """Add to a journal that nobody else writes; in place, as far as a killed process goes, when this returns.

        Raises:
            BusyError: this place's lease has gone to someone else.
        """
        ...

    def journals(self, prefix: str) -> list[str]:
        """Texts of the journals below `prefix/`; the last line of one may be cut off."""
        ...

    def lease(self, holder: str, say: Say) -> AbstractContextManager[None]:
        """Be the only one at the place, until the block ends, or for a short time after the process died.

        Args:
            say: told why it takes a while.

        Raises:
            BusyError: someone else is at it; names who.
        """
        ...

    def leased(self) -> bool:
        """Whether someone holds the lease."""
        ...

    def created(self) -> AbstractContextManager[Place]:
        """An empty place to fill; on a clean exit its content is this place's, in which nothing may lie yet.

        The last object that is put makes the content count, where a place can't show it all at once.

        Raises:
            OutputExistsError: something is there already.
        """
        ...

    def zarr_store(self, key: str) -> Store | str:
        """The Zarr hierarchy at a key, to read and to write into."""
        ...

    def replaced(self, key: str) -> AbstractContextManager[Store | str]:
        """An empty Zarr hierarchy to fill, which takes the place of the one at `key` as a whole on a clean exit."""
        ...

    def published(self, key: str) -> Store | str | None:
        """What `replaced` has last put at a key, to read; None before the first time."""
        ...

    def publication(self, key: str) -> str:
        """Path or URL of what `published` gives."""
        ...

    def telling(self) -> AbstractContextManager[Any]:
        """Turns errors of Zarr hierarchies that lie here into those of `put`."""
        ...


def is_url(out: Path | str) -> bool:
    """Whether `out` names something else than a path."""
    return isinstance(out, str) and re.match(r"[a-z][a-z0-9+.-]+://", out, re.IGNORECASE) is not None


def place_of(out: Path | str) -> Place:
    """The place that a path or an s3:// URL names; nothing is asked of it yet.

    Raises:
        PlaceError: a URL of another kind, or one that lacks a part.
        PorefieldError: the extra that reads object stores is not installed.
    """
    from .local_place import LocalPlace

    if is_url(out):
        from .object_place import ObjectPlace  # an extra

        return ObjectPlace(str(out))
    if Path(out).parts[:1] == ("s3:",):
        raise PlaceError.of("out", "s3://bucket/prefix as a text; a Path has lost a slash of it", str(out))
    return LocalPlace(Path(out))
