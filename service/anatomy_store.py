"""Uploaded label maps: streamed to disk under limits, checked by reading them, kept once for each content.

    anatomies/<first two digits>/<sha256>/image.nii.gz     (or .nii, .nrrd)
                                          facts.json       shape, spacing, how many labels

A file appears whole under its hash or not at all. A key sees only its own uploads, though files are shared.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine

from ..meshes.errors import AnatomyError, PorefieldError, Problem
from ..meshes.readers import read_image, read_shape
from ..workers.store.files import write_atomic
from .database.anatomies import (
    Anatomy,
    NewAnatomy,
    add_anatomy,
    delete_unused_file,
    get_anatomy,
    list_anatomies,
    remove_anatomy,
)
from .problems import ApiError, WrongField

FIELD = "file"
CHUNK_BYTES = 2**20
VOXELS_OVER_SOLVE = 8
"""An uploaded image may hold so many times the voxels of a solve."""


@dataclass(frozen=True)
class UploadLimits:
    """What one upload may take."""

    sent_bytes: int
    unpacked_bytes: int
    voxels: int


class Upload:
    """One file on its way in: written, hashed and unpacked for its size as it comes."""

    def __init__(self, folder: Path, limits: UploadLimits) -> None:
        self._limits = limits
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f".upload-{secrets.token_hex(8)}"
        self._file = self.path.open("xb")
        self._hash = hashlib.sha256()
        self._unpack: zlib._Decompress | None = None
        self.size, self.unpacked, self._start = 0, 0, b""

    def write(self, chunk: bytes) -> None:
        """The next bytes.

        Raises:
            ApiError: 413 past a limit, 422 for a compressed stream that can't be unpacked.
        """
        if self.size == 0 and chunk[:2] == b"\x1f\x8b":
            self._unpack = zlib.decompressobj(wbits=31)
        self.size += len(chunk)
        if len(self._start) < 512:
            self._start += chunk[:512]
        if self.size > self._limits.sent_bytes:
            raise _too_large("the file", self._limits.sent_bytes)
        self._hash.update(chunk)
        self._count(chunk)
        self._file.write(chunk)

    def close(self) -> str:
        """All bytes are there: its SHA-256.

        Raises:
            ApiError: 422 for a compressed stream that was cut off.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if self._unpack is not None and not self._unpack.eof:
            raise _wrong("a whole gzip file", "one that was cut off")
        return self._hash.hexdigest()

    def discard(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def suffix(self) -> str:
        """The ending that readers know the format by, from the first bytes.

        Raises:
            ApiError: 415 for anything but NIfTI and NRRD.
        """
        start = self._start
        if self._unpack is not None:
            start = zlib.decompressobj(wbits=31).decompress(self._start, 512)
        if start[:4] == b"NRRD" and self._unpack is None:
            return ".nrrd"
        if len(start) >= 4 and {int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big")} & {348, 540}:
            return ".nii.gz" if self._unpack is not None else ".nii"
        raise ApiError(
            415,
            "unsupported-media-type",
            "Neither NIfTI nor NRRD",
            "A NIfTI (.nii, .nii.gz) or NRRD (.nrrd) file is expected.",
        )

    def _count(self, chunk: bytes) -> None:
        if self._unpack is None:
            self.unpacked = self.size
            most = self._limits.unpacked_bytes
            if self.unpacked > most:
                raise _too_large("the file", most)
            return
        pending = chunk
        try:
            while pending and not self._unpack.eof:
                self.unpacked += len(self._unpack.decompress(pending, CHUNK_BYTES))
                pending = self._unpack.unconsumed_tail
                if self.unpacked > self._limits.unpacked_bytes:
                    raise _too_large("the unpacked file", self._limits.unpacked_bytes)
        except zlib.error as error:
            raise _wrong("a gzip file", f"one that can't be unpacked: {error}") from None


class AnatomyStore:
    """Uploads on disk, with their rows in the database."""

    def __init__(self, folder: Path, engine: Engine, limits: UploadLimits) -> None:
        self.folder, self._engine, self.limits = folder, engine, limits
        self._reading = threading.Semaphore(1)

    def path(self, sha256: str) -> Path | None:
        """The file of an upload; None where it is gone."""
        found = sorted(self._directory(sha256).glob("image.*"))
        return found[0] if found else None

    def get(self, sha256: str, owner: str) -> Anatomy | None:
        """An upload that the owner may use."""
        return get_anatomy(self._engine, sha256, owner)

    def list(self, owner: str, before: tuple[datetime, str] | None, limit: int) -> Sequence[Anatomy]:
        """An owner's uploads, newest first, from the one after `before` (created, sha256)."""
        return list_anatomies(self._engine, owner, before=before, limit=limit)

    def facts(self, sha256: str) -> dict[str, Any]:
        """Shape, spacing and number of labels of an upload; empty where its file is gone."""
        try:
            return json.loads((self._directory(sha256) / "facts.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}

    @contextmanager
    def receiving(self) -> Iterator[Upload]:
        """An upload to write to; nothing of it is left unless `keep` was called."""
        upload = Upload(self.folder, self.limits)
        try:
            yield upload
        finally:
            upload.discard()

    def keep(self, upload: Upload, owner: str, filename: str, expected: str | None = None) -> tuple[Anatomy, bool]:
        """Check a whole upload by reading it, and keep it; the row, and whether it is new to this owner.

        Args:
            expected: SHA-256 that the bytes should have, where the client told one.

        Raises:
            ApiError: it can't be used; nothing is kept.
        """
        sha256 = upload.close()
        if expected is not None and expected.lower() != sha256:
            raise _wrong(f"bytes of SHA-256 {expected[:64]}", sha256)
        if get_anatomy(self._engine, sha256, owner) is None or self.path(sha256) is None:
            facts = self._inspect(upload, filename)
        else:
            facts = None
        suffix = upload.suffix()
        media_type = "application/x-nrrd" if suffix == ".nrrd" else "application/x-nifti"
        new = NewAnatomy(sha256, owner, upload.size, filename, media_type)
        return add_anatomy(self._engine, new, lambda: self._publish(upload.path, sha256, suffix, facts))

    def remove(self, sha256: str, owner: str) -> bool:
        """Forget an owner's upload; the file too, once nobody refers to it. Whether there was one."""
        return remove_anatomy(self._engine, sha256, owner, lambda: self._delete(sha256))

    def tidy(self, sha256: str) -> None:
        """Delete a file that nothing refers to any more: its last job has just ended."""
        delete_unused_file(self._engine, sha256, lambda: self._delete(sha256))

    def _directory(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / sha256

    def _delete(self, sha256: str) -> None:
        shutil.rmtree(self._directory(sha256), ignore_errors=True)

    def _publish(self, path: Path, sha256: str, suffix: str, facts: dict[str, Any] | None) -> None:
        """Put a file in place, its facts first; what is there already is the same."""
        directory = self._directory(sha256)
        directory.mkdir(parents=True, exist_ok=True)
        if facts is not None:
            write_atomic(directory / "facts.json", json.dumps(facts).encode())
        if self.path(sha256) is None:
            os.replace(path, directory / f"image{suffix}")

    def _inspect(self, upload: Upload, filename: str) -> dict[str, Any]:
        """Read the image as a solve will, one at a time; what it holds."""
        path = upload.path.with_name(f"{upload.path.name}{upload.suffix()}")
        os.link(upload.path, path)  # readers go by the name's ending
        try:
            check_header(path, self.limits.voxels)
            with self._reading:
                image = read_image(path, FIELD)
        except PorefieldError as error:
            raise _refused(error, path, filename) from None
        finally:
            path.unlink(missing_ok=True)
        return {
            "format": str(image.provenance["format"]),
            "shape": list(image.data.shape),
            "spacing_mm": [float(h) for h in image.spacing_mm],
            "labels": int(np.count_nonzero(np.bincount(image.data.reshape(-1)))),
        }


def check_header(path: Path, most_voxels: int) -> None:
    """Refuse, by its header alone, an image with too many voxels or one whose data lies in another file.

    Raises:
        ApiError: 413 or 422. PorefieldError: not a header.
    """
    if path.suffix == ".nrrd":
        with path.open("rb") as file:
            lines = file.read(2**16).split(b"\n\n", 1)[0].lower().splitlines()
        if any(line.partition(b":")[0].strip() in (b"data file", b"datafile") for line in lines):
            raise _wrong("an NRRD file with its data inside", "one that names another file")
    voxels = prod(read_shape(path, FIELD))
    if not 0 < voxels <= most_voxels:
        raise _too_large("the image", most_voxels, "voxels")


def _refused(error: PorefieldError, path: Path, filename: str) -> ApiError:
    """What readers say, by the name that the client gave and not the server's."""
    told = [Problem(p.field, p.expected, p.got.replace(str(path), filename)) for p in error.problems]
    fields = [WrongField(pointer=p.field, expected=p.expected, got=p.got) for p in told]
    detail = str(AnatomyError(told))
    return ApiError(422, "invalid-anatomy", "The file can't be used as anatomy", detail, errors=fields)


def _wrong(expected: str, got: str) -> ApiError:
    fields = [WrongField(pointer=FIELD, expected=expected, got=got)]
    detail = f"{FIELD}: expected {expected}; got {got}"
    return ApiError(422, "invalid-anatomy", "The file can't be used as anatomy", detail, errors=fields)


def _too_large(what: str, most: int, unit: str = "bytes") -> ApiError:
    return ApiError(413, "upload-too-large", "The upload is too large", f"At most {most} {unit} in {what} are taken.")
