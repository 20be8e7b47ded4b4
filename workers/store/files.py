"""Small files that are whole or absent, whatever kills the writer or the machine."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...meshes.errors import PorefieldError, ResourceError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class BusyError(PorefieldError):
    """Someone else is at it."""


def write_atomic(path: Path, data: bytes) -> None:
    """Put a file in place at once: written and flushed under another name, then renamed.

    Raises:
        ResourceError: no room; the file is as it was.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise told(error, path) from error


def told(error: OSError, path: Path) -> OSError | ResourceError:
    """A full disk as an error that says so; any other as it is."""
    if error.errno not in _FULL:
        return error
    return ResourceError.of("out", f"room to write {path}", os.strerror(error.errno or errno.ENOSPC))


@contextmanager
def locked(path: Path, holder: str) -> Iterator[None]:
    """Hold a lock file while the block runs; the system releases it when the process dies.

    Raises:
        BusyError: another process holds it; its name is in the message.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = os.pread(descriptor, 200, 0).decode(errors="replace") or "another process"
            raise BusyError.of("out", "a sweep that nobody else is running", f"{path.parent}, run by {other}") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder.encode(), 0)
        yield
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
