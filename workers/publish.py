"""Publishing a directory so that it is whole or absent, whatever kills the writer.

The content is written to a hidden sibling of the target (same file system), flushed to disk, and renamed into place.
The writer holds a lock (flock) on that sibling; the system releases it when the process dies, so a later writer can
tell what a dead process left behind from what a living one is still writing, also across containers, where process
numbers mean nothing. POSIX only.

    .NAME.partial-XXXXXXXX     being written, or left by a writer that died: removed by the next one
    .NAME.replaced-XXXXXXXX    the former content, for the moment between the two renames of a replacement; if the
                               writer dies in that moment, the next one puts it back
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..meshes.errors import PorefieldError, ResourceError

_PARTIAL, _REPLACED = ".partial-", ".replaced-"
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class OutputExistsError(PorefieldError):
    """Something stands at the output path that may not be replaced."""


@contextmanager
def published_directory(
    target: Path | str, *, overwrite: bool = False, replaceable: Callable[[Path], bool] | None = None
) -> Iterator[Path]:
    """Yield an empty directory to fill; on a clean exit it becomes `target`, otherwise nothing of it remains.

    Args:
        target: the directory to publish; its parent is made when missing. A symbolic link is followed.
        overwrite: replace an existing directory; without it an existing, non-empty target is an error.
        replaceable: asked before an existing non-empty directory is replaced, so that a mistyped path does not
            cost someone a folder that was never ours.

    Raises:
        OutputExistsError: the target exists and may not be replaced.
        ResourceError: the disk is full, or a quota or file-size limit was reached.
    """
    target = Path(target).expanduser().resolve()
    recover(target)
    check_target(target, overwrite=overwrite, replaceable=replaceable)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial, lock = _create_locked(target)
    except OSError as error:
        raise _as_resource_error(error, target) from error
    try:
        yield partial
        _flush(partial)
        check_target(target, overwrite=overwrite, replaceable=replaceable)
        _rename_into_place(partial, target)
    except OSError as error:
        raise _as_resource_error(error, target) from error
    finally:
        _remove(partial)
        os.close(lock)


def check_target(target: Path, *, overwrite: bool, replaceable: Callable[[Path], bool] | None = None) -> None:
    """Raise OutputExistsError when `target` can't be published to; made for asking before a long run."""
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise OutputExistsError.of("out", "a directory, or nothing yet", f"the file {target}")
    if not any(target.iterdir()):
        return
    if not overwrite:
        raise OutputExistsError.of(
            "out", "a new or empty directory, or leave to overwrite it", f"{target}, which exists"
        )
    if replaceable is not None and not replaceable(target):
        raise OutputExistsError.of("out", "a result to replace", f"{target}, which holds files that no run has written")


def recover(target: Path) -> None:
    """Clear up after writers of `target` that died: put back what they were replacing, remove what they half wrote."""
    if not target.parent.is_dir():
        return
    kinds = tuple(f".{target.name}{kind}" for kind in (_PARTIAL, _REPLACED))
    # not by glob: a service's folder may have very many siblings, and it takes twice as long
    for name in sorted(name for name in os.listdir(target.parent) if name.startswith(kinds)):
        sibling = target.parent / name
        if (lock := _try_lock(sibling)) is None:
            continue
        try:
            if name.startswith(kinds[1]) and not target.exists():
                sibling.rename(target)
            else:
                _remove(sibling)
        finally:
            os.close(lock)


def _create_locked(target: Path) -> tuple[Path, int]:
    """Make the hidden sibling and lock it; again, if another writer's `recover` took it before the lock held."""
    while True:
        partial = target.with_name(f".{target.name}{_PARTIAL}{secrets.token_hex(4)}")
        partial.mkdir()
        lock = _try_lock(partial)
        if lock is not None:
            return partial, lock


def _try_lock(directory: Path) -> int | None:
    """File descriptor that holds the directory's lock, or None when someone else does or the directory is gone."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if directory.exists() and os.path.samestat(os.fstat(descriptor), directory.stat()):
            return descriptor
    except BlockingIOError:
        pass
    os.close(descriptor)
    return None


def _rename_into_place(partial: Path, target: Path) -> None:
    if not target.exists() or not any(target.iterdir()):
        os.rename(partial, target)  # replaces an empty directory in one step
        _flush_one(target.parent)
        return
    replaced = target.with_name(partial.name.replace(_PARTIAL, _REPLACED, 1))
    lock = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # so that nobody takes it for a dead writer's between the two renames
        os.rename(target, replaced)
        try:
            os.rename(partial, target)
        except BaseException:
            os.rename(replaced, target)
            raise
        _flush_one(target.parent)
        _remove(replaced)
    finally:
        os.close(lock)


def _flush(directory: Path) -> None:
    """Ask the system to put every file and directory below on disk, so that a crash can't publish empty files."""
    for folder, _, files in os.walk(directory, topdown=False):
        for name in files:
            _flush_one(Path(folder, name))
        _flush_one(Path(folder))


def _flush_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(directory: Path, patience_s: float = 5.0) -> None:
    """Remove a tree even while an interrupted writer's threads still put their last chunks into it."""
    deadline = time.monotonic() + patience_s
    while os.path.lexists(directory) and time.monotonic() < deadline:
        shutil.rmtree(directory, ignore_errors=True)
        if os.path.lexists(directory):
            time.sleep(0.02)


def _as_resource_error(error: OSError, target: Path) -> OSError | ResourceError:
    if error.errno not in _DISK_FULL:
        return error
    reason = os.strerror(error.errno or errno.ENOSPC)
    return ResourceError.of("out", f"room to write the result at {target}", f"'{reason}'; nothing was written")
