"""CT series and segmentations from DICOM files; needs `porefield[dicom]`.

What can't be put onto a lattice of boxes is refused by name: missing or repeated slices, mixed orientations, a tilted
gantry. DICOM positions are LPS (PS3.3 C.7.6.2.1.1); everything here is RAS+.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import AnatomyError
from .model import shown
from .readers import Array, Image, check_image, oriented, sha256_of

MOST_FILES = 10_000
"""In the folder of a series: ten times the slices of a whole body at 2 mm."""
UNEVEN = 0.01
"""Part of a gap by which slices may lie off their place: positions are decimal text of six digits or so."""
TURNED = 1e-4
"""Difference of direction cosines that still is one orientation, as readers.SHEAR."""
_TO_RAS = np.diag([-1.0, -1.0, 1.0])
_HEADER = [
    "Modality", "SeriesInstanceUID", "SOPClassUID", "NumberOfFrames", "Rows", "Columns", "PixelSpacing",
    "ImagePositionPatient", "ImageOrientationPatient", "GantryDetectorTilt", "RescaleSlope", "RescaleIntercept",
    "RescaleType",
]  # fmt: skip


def is_dicom(path: Path) -> bool:
    """Whether a file has DICOM's preamble."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_series(folder: Path, field: str) -> Image:
    """A CT series, HU as int16.

    Args:
        folder: one file per slice, and nothing else.

    Raises:
        AnatomyError: no series, more than one, or one that is no lattice of boxes.
        ResourceError: too large for the memory that is free.
    """
    with _told(folder, field):
        files = _files(folder, field)
        headers: list[Any] = []
        for path in files:
            with _told(path, field):
                headers.append(_header(path, field))
        _check_one_series(headers, files, field)
        order, affine = _stack(headers, files, field)
        columns, rows = int(headers[0].Columns), int(headers[0].Rows)
        check_image((columns, rows, len(files)), np.dtype(np.int16), field, folder)
        data = np.empty((columns, rows, len(files)), np.int16)
        for k, i in enumerate(order):
            data[:, :, k] = _hounsfield(files[i], (rows, columns), field).T
    found = oriented(data, affine, field, folder.name)
    digest = hashlib.sha256("".join(sha256_of(path) for path in files).encode())
    provenance = {
        "file": folder.name,
        "path": str(folder),
        "sha256": digest.hexdigest(),  # of the files' own hashes, in the order of their names
        "format": "DICOM series",
        "shape": list(data.shape),
        "affine": affine.tolist(),
    }
    return replace(found, provenance=provenance)


def read_segmentation(path: Path, field: str) -> tuple[Image, dict[tuple[int, int], int]]:
    """A DICOM-SEG as a label map: the segments' numbers, with their labels as names.

    Returns:
        The map, and voxels that two segments claim, by their numbers: (which lies over, which lies under).

    Raises:
        AnatomyError: no segmentation, or one that is no lattice of boxes.
        ResourceError: too large for the memory that is free.
    """
    with _told(path, field):
        data_set = _library(field).dcmread(path)
        _check_segmentation(data_set, path, field)
        orientation, spacing, positions, numbers = _frames(data_set, path, field)
        slices, gap_mm, first = _slices(orientation, spacing, positions, path, field)
        columns, rows = int(data_set.Columns), int(data_set.Rows)
        shape = (columns, rows, max(slices) + 1)
        check_image((columns, rows, max(len(slices), shape[2])), np.dtype(np.uint16), field, path)
        labels, overlaps = np.zeros(shape, np.uint16), dict[tuple[int, int], int]()
        for frame, k, number in zip(_pixels(data_set, len(slices)), slices, numbers, strict=True):
            _lay_over(labels[:, :, k], frame.T != 0, number, overlaps)
        names = {int(item.SegmentNumber): str(item.SegmentLabel) for item in data_set.SegmentSequence}
        affine = _affine(orientation, spacing, gap_mm, first)
    nameless = sorted(set(numbers) - set(names))
    if nameless:
        raise AnatomyError.of(field, "a segment for each frame", f"{path.name} without segment {nameless[0]}")
    found = oriented(labels, affine, field, path.name)
    provenance = {
        "file": path.name,
        "path": str(path),
        "sha256": sha256_of(path),
        "format": "DICOM-SEG",
        "shape": list(shape),
        "affine": affine.tolist(),
    }
    return replace(found, provenance=provenance, names=names), overlaps


def _library(field: str) -> Any:
    try:
        import pydicom
    except ImportError:
        raise AnatomyError.of(field, "porefield[dicom] installed, to read DICOM", "no pydicom") from None
    return pydicom


@contextmanager
def _told(path: Path, field: str) -> Iterator[None]:
    """Whatever the library raises on a broken file, as an error that names the plan's field."""
    # pydicom: InvalidDicomError is an Exception of its own; missing elements are AttributeErrors
    broken = (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        RuntimeError,
        struct.error,
    )
    errors = _library(field).errors
    try:
        yield
    except (*broken, errors.InvalidDicomError, errors.BytesLengthException, NotImplementedError) as error:
        got = f"{path}: {' '.join(str(error).split()) or type(error).__name__}"
        raise AnatomyError.of(field, "DICOM files that can be read", got) from None


def _files(folder: Path, field: str) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    other = next((path for path in files if not is_dicom(path)), None)
    if other is not None:
        raise AnatomyError.of(field, "a folder of DICOM files and nothing else", other.name)
    if not 2 <= len(files) <= MOST_FILES:
        raise AnatomyError.of(field, f"a series of 2 to {MOST_FILES} slices", f"{len(files)} files in {folder}")
    return files


def _header(path: Path, field: str) -> Any:
    header = _library(field).dcmread(path, stop_before_pixels=True, specific_tags=_HEADER)
    if header.get("Modality") != "CT":
        raise AnatomyError.of(field, "slices of a CT", f"{path.name}, Modality {shown(header.get('Modality'))}")
    if int(header.get("NumberOfFrames") or 1) != 1:
        raise AnatomyError.of(field, "one slice per file", f"{path.name} with {header.NumberOfFrames} frames")
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        if header.get(name) is None:
            raise AnatomyError.of(field, f"slices that state {name}", path.name)
    if header.get("RescaleType", "HU") != "HU":
        raise AnatomyError.of(field, "intensities in HU", f"{path.name} in {shown(header.RescaleType)}")
    return header


def _check_one_series(headers: Sequence[Any], files: Sequence[Path], field: str) -> None:
    """One series of one shape, orientation and spacing, from a gantry that stands upright."""
    first = headers[0]
    series = {str(header.get("SeriesInstanceUID")) for header in headers}
    if len(series) > 1:
        raise AnatomyError.of(field, "one series in the folder", f"{len(series)}: {shown(sorted(series))}")
    orientation = _numbers(first.ImageOrientationPatient, 6)
    for header, path in zip(headers, files, strict=True):
        if np.abs(_numbers(header.ImageOrientationPatient, 6) - orientation).max() > TURNED:
            got = f"{path.name}: {shown(list(map(float, header.ImageOrientationPatient)))}, {files[0].name}: "
            got += shown(orientation.tolist())
            raise AnatomyError.of(field, "slices of one orientation", got)
        for name in ("Rows", "Columns", "PixelSpacing"):
            if header.get(name) != first.get(name):
                got = f"{path.name}: {shown(header.get(name))}, {files[0].name}: {shown(first.get(name))}"
                raise AnatomyError.of(field, f"slices of one {name}", got)
        if abs(float(header.get("GantryDetectorTilt") or 0.0)) > 0:
            got = f"{path.name}, GantryDetectorTilt {float(header.GantryDetectorTilt):g} degrees"
            raise AnatomyError.of(field, "a series without gantry tilt", got)


def _stack(headers: Sequence[Any], files: Sequence[Path], field: str) -> tuple[list[int], Array]:
    """The order of the files along the slices' normal, and the affine of the lattice."""
    orientation = _numbers(headers[0].ImageOrientationPatient, 6)
    normal = _normal(orientation)
    positions = np.stack([_numbers(header.ImagePositionPatient, 3) for header in headers])
    along = positions @ normal
    order = [int(i) for i in np.argsort(along, kind="stable")]
    gaps = np.diff(along[order])
    gap_mm = float(np.median(gaps))
    for i, j, gap in zip(order, order[1:], gaps, strict=False):
        between = f"{files[i].name} at {along[i]:g} mm and {files[j].name} at {along[j]:g} mm"
        if gap < UNEVEN * max(gap_mm, UNEVEN):
            raise AnatomyError.of(field, "each slice once", f"{between} along the normal")
        if abs(gap - gap_mm) > UNEVEN * gap_mm:
            missing = "slices missing between " if gap > 1.5 * gap_mm else ""
            raise AnatomyError.of(field, f"slices {gap_mm:g} mm apart, all of them", f"{missing}{between}")
    _check_upright(positions[order], normal, gap_mm, field)
    return order, _affine(orientation, _numbers(headers[0].PixelSpacing, 2), gap_mm, positions[order[0]])


def _check_upright(positions: Array, normal: Array, gap_mm: float, field: str) -> None:
    """Slices that stand on one another, not beside: a gantry's tilt shears the stack, whatever the headers state."""
    offsets = positions - positions[0]
    aside = np.linalg.norm(offsets - (offsets @ normal)[:, None] * normal, axis=1)
    if aside.max() > UNEVEN * gap_mm:
        got = f"slices up to {aside.max():.3g} mm beside one another"
        raise AnatomyError.of(field, "a series without gantry tilt, slices straight behind one another", got)


def _hounsfield(path: Path, shape: tuple[int, int], field: str) -> NDArray[np.int16]:
    with _told(path, field):
        data_set = _library(field).dcmread(path)
        pixels = data_set.pixel_array
    if pixels.shape != shape:
        raise AnatomyError.of(field, f"{shape[0]} x {shape[1]} pixels", f"{path.name} of {pixels.shape}")
    values = pixels * np.float32(data_set.RescaleSlope) + np.float32(data_set.RescaleIntercept)
    return np.clip(np.rint(values), -32768, 32767).astype(np.int16)


def _check_segmentation(data_set: Any, path: Path, field: str) -> None:
    from pydicom.uid import SegmentationStorage

    if data_set.get("SOPClassUID") != SegmentationStorage:
        modality = shown(data_set.get("Modality"))
        raise AnatomyError.of(field, "a DICOM-SEG, or a NIfTI or NRRD file", f"{path.name}, Modality {modality}")
    if data_set.get("SegmentationType") != "BINARY":
        kind = shown(data_set.get("SegmentationType"))
        raise AnatomyError.of(field, "a DICOM-SEG of SegmentationType BINARY", f"{path.name}, {kind}")


def _frames(data_set: Any, path: Path, field: str) -> tuple[Array, Array, Array, list[int]]:
    """Orientation, pixel spacing, and position and segment number of each frame."""
    shared: Any = data_set.get("SharedFunctionalGroupsSequence") or [{}]
    found: list[tuple[Array, Array, Array, int]] = []
    for frame in data_set.PerFrameFunctionalGroupsSequence:

        def group(name: str, frame: Any = frame) -> Any:
            return (frame.get(name) or shared[0][name].value)[0]

        found.append(
            (
                _numbers(group("PlaneOrientationSequence").ImageOrientationPatient, 6),
                _numbers(group("PixelMeasuresSequence").PixelSpacing, 2),
                _numbers(group("PlanePositionSequence").ImagePositionPatient, 3),
                int(group("SegmentIdentificationSequence").ReferencedSegmentNumber),
            )
        )
    if not found or len(found) != int(data_set.NumberOfFrames):
        got = f"{path.name} of {data_set.NumberOfFrames} frames, with the places of {len(found)}"
        raise AnatomyError.of(field, "a place for each frame", got)
    orientations, spacings, positions, numbers = zip(*found, strict=True)
    if np.ptp(np.stack(orientations), axis=0).max() > TURNED:
        raise AnatomyError.of(field, "frames of one orientation", f"{path.name} with several")
    if np.ptp(np.stack(spacings), axis=0).max() > TURNED:
        raise AnatomyError.of(field, "frames of one PixelSpacing", f"{path.name} with several")
    return orientations[0], spacings[0], np.stack(positions), list(numbers)


def _slices(
    orientation: Array, spacing: Array, positions: Array, path: Path, field: str
) -> tuple[list[int], float, Array]:
    """Slice of each frame, the distance of slices, and the position of the first; empty slices have no frames."""
    normal = _normal(orientation)
    along = positions @ normal
    places = np.unique(np.round(along, 4))
    if len(places) < 2:
        raise AnatomyError.of(field, "segments on at least 2 slices", f"{path.name} with {len(places)}")
    gap_mm = float(np.diff(places).min())
    slices = (along - along.min()) / gap_mm
    if np.abs(slices - np.rint(slices)).max() > UNEVEN * max(1.0, 0.01 * slices.max()):
        raise AnatomyError.of(field, f"slices at whole multiples of {gap_mm:g} mm", f"{path.name} with others")
    first = positions[int(along.argmin())]
    steps = positions - first
    aside = np.linalg.norm(steps - (steps @ normal)[:, None] * normal, axis=1)
    if aside.max() > UNEVEN * gap_mm:
        got = f"{path.name} with slices up to {aside.max():.3g} mm beside one another"
        raise AnatomyError.of(field, "slices straight behind one another", got)
    return [int(k) for k in np.rint(slices)], gap_mm, first


def _pixels(data_set: Any, count: int) -> Iterator[NDArray[Any]]:
    """Each frame, rows x columns. Bits of a frame follow those of the one before, within a byte (PS3.5 8.1.1)."""
    from pydicom.pixels.utils import pixel_array

    rows, columns = int(data_set.Rows), int(data_set.Columns)
    size = rows * columns
    if data_set.file_meta.TransferSyntaxUID.is_encapsulated:
        for index in range(count):
            yield pixel_array(data_set, index=index)
        return
    # pydicom 3.0 finds single frames only where they begin with a byte, and all of them take 8 times the memory
    packed = np.frombuffer(data_set.PixelData, np.uint8)
    for start in range(0, count * size, size):
        part = np.unpackbits(packed[start // 8 : (start + size + 7) // 8], bitorder="little")
        yield part[start % 8 : start % 8 + size].reshape(rows, columns)


def _lay_over(
    plane: NDArray[np.uint16], mask: NDArray[np.bool_], number: int, overlaps: dict[tuple[int, int], int]
) -> None:
    """A segment into its slice; the higher number lies over the lower, in whatever order they come."""
    under, counts = np.unique(plane[mask], return_counts=True)
    for other, voxels in zip(under.tolist(), counts.tolist(), strict=True):
        if other not in (0, number):
            pair = (max(other, number), min(other, number))
            overlaps[pair] = overlaps.get(pair, 0) + voxels
    plane[mask] = np.maximum(plane[mask], number)


def _affine(orientation: Array, pixel_spacing: Array, gap_mm: float, first: Array) -> Array:
    """Column, row and slice index -> RAS mm. PixelSpacing is (between rows, between columns), PS3.3 10.7.1.1."""
    affine = np.eye(4)
    affine[:3, 0] = orientation[:3] * pixel_spacing[1]
    affine[:3, 1] = orientation[3:] * pixel_spacing[0]
    affine[:3, 2] = _normal(orientation) * gap_mm
    affine[:3, 3] = first
    affine[:3] = _TO_RAS @ affine[:3]
    return affine + 0.0


def _normal(orientation: Array) -> Array:
    return np.cross(orientation[:3], orientation[3:])


def _numbers(values: Any, count: int) -> Array:
    numbers = np.asarray([float(value) for value in values])
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise ValueError(f"expected {count} finite numbers, got {shown(list(numbers))}")
    return numbers
