"""Label maps, masks and scans from NIfTI and NRRD files, in the patient's own orientation.

Every file becomes an `Image`: voxels along axes that run closest to patient Right, Anterior, Superior, and the pose of
that lattice in RAS+ millimetres. The order and the flips of the axes on disk leave no trace.
"""

from __future__ import annotations

import hashlib
import itertools
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
from numpy.typing import NDArray

from .errors import AnatomyError, ResourceError
from .memory import available_bytes, in_words
from .model import shown

Array = NDArray[np.float64]

SHEAR = 1e-4
"""Largest cosine between two axes that still counts as a right angle (0.05 mm over 500 mm)."""
SNAP = 1e-6
"""Axes this close to the patient's are taken as the patient's: NIfTI stores its affine in single precision."""
TIE = 1e-6
"""Closeness within which two orders of the axes fit the patient's axes equally well (45 degrees)."""


@dataclass(frozen=True, eq=False)
class Image:
    """Numbers on a lattice in the patient.

    Attributes:
        data: shape (nx, ny, nz), axes closest to RAS; of labels and masks uint16, of a scan float32.
        spacing_mm: voxel edges, shape (3,).
        axes: unit vectors along the lattice's axes as columns, RAS, shape (3, 3).
        corner_mm: low corner of voxel (0, 0, 0), RAS mm, shape (3,).
        provenance: file, its sha256, format, shape and affine as stored.
        notes: what the reader had to assume.
        names: of the numbers, where the file states them.
    """

    data: NDArray[Any]
    spacing_mm: Array
    axes: Array
    corner_mm: Array
    provenance: dict[str, Any]
    notes: tuple[str, ...] = ()
    names: dict[int, str] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        nx, ny, nz = (int(n) for n in self.data.shape)
        return (nx, ny, nz)

    @property
    def voxel_mm3(self) -> float:
        return float(np.prod(self.spacing_mm))


def read_image(path: Path, field: str) -> Image:
    """Read a label map or a mask.

    Args:
        path: a .nii, .nii.gz, .nrrd, .seg.nrrd or .nhdr file.
        field: the plan's field that named it, for messages.

    Raises:
        AnatomyError: no such file or format, truncated, not three-dimensional, not whole numbers, no usable affine.
        ResourceError: too large for the memory that is free.
    """
    data, affine, stored, notes = _stored(path, field)
    labels = whole_numbers(data, field, path.name)
    found = oriented(labels, affine, field, path.name)
    provenance = _provenance(path, stored, data.shape, affine)
    names = _segment_names(path) if stored.startswith("NRRD") else None
    return replace(found, provenance=provenance, notes=notes, names=names)


def read_scan(path: Path, field: str) -> Image:
    """Read a scan's intensities from NIfTI or NRRD, as float32; errors as `read_image`."""
    data, affine, stored, notes = _stored(path, field)
    if data.dtype.kind not in "biuf":
        raise AnatomyError.of(field, "an image of numbers", f"{path.name} of type {data.dtype}")
    found = oriented(data.astype(np.float32), affine, field, path.name)
    return replace(found, provenance=_provenance(path, stored, data.shape, affine), notes=notes)


def oriented(data: NDArray[Any], affine: Array, field: str, name: str) -> Image:
    """Voxels as stored, shape (n0, n1, n2), with their axes closest to RAS; its provenance is the caller's to tell.

    Args:
        affine: (4, 4), index of a voxel centre as stored -> RAS mm.

    Raises:
        AnatomyError: an affine that is none, or sheared.
    """
    spacing, axes, order, signs, corner = _canonical(affine, data.shape, field, name)
    turned = np.ascontiguousarray(np.transpose(data, order)[tuple(slice(None, None, s) for s in signs)])
    return Image(turned, spacing, axes, corner, {})


def _stored(path: Path, field: str) -> tuple[NDArray[Any], Array, str, tuple[str, ...]]:
    """Voxels, affine, format and notes of a file."""
    if not path.is_file():
        raise AnatomyError.of(field, "a NIfTI or NRRD file", f"{path}, which does not exist")
    read = _read_nrrd if _is_nrrd(path) else _read_nifti
    with _told(path, field):
        return read(path, field)


def _provenance(path: Path, stored: str, shape: tuple[int, ...], affine: Array) -> dict[str, Any]:
    return {
        "file": path.name,
        "path": str(path),
        "sha256": sha256_of(path),
        "format": stored,
        "shape": list(shape),
        "affine": affine.tolist(),
    }


def _segment_names(path: Path) -> dict[int, str] | None:
    """Number -> name of a .seg.nrrd file, as 3D Slicer writes it; None where it states none."""
    header = nrrd.read_header(str(path))
    found: dict[int, str] = {}
    for key, number in header.items():
        if key.startswith("Segment") and key.endswith("_LabelValue") and str(number).isdigit():
            found[int(number)] = str(header.get(key.removesuffix("LabelValue") + "Name", ""))
    return {number: name for number, name in found.items() if name} or None


def read_shape(path: Path, field: str) -> tuple[int, ...]:
    """Voxels along each axis as stored, by the header alone; errors as `read_image`."""
    with _told(path, field):
        if _is_nrrd(path):
            return tuple(int(n) for n in nrrd.read_header(str(path))["sizes"])
        import nibabel as nib  # takes half a second, and phantoms need none

        return tuple(int(n) for n in getattr(nib.load(path), "shape", ()))


def _is_nrrd(path: Path) -> bool:
    return path.name.lower().endswith((".nrrd", ".nhdr"))


@contextmanager
def _told(path: Path, field: str) -> Iterator[None]:
    """Whatever the libraries raise on a broken file, as an error that names the plan's field."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        yield
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        OverflowError,
        zlib.error,
        ImageFileError,
        HeaderDataError,
        nrrd.NRRDError,
    ) as error:
        expected = "a complete NIfTI (.nii, .nii.gz) or NRRD (.nrrd) file"
        raise AnatomyError.of(field, expected, f"{path}: {_one_line(error)}") from None


def _read_nifti(path: Path, field: str) -> tuple[NDArray[Any], Array, str, tuple[str, ...]]:
    import nibabel as nib

    image = nib.load(path)
    if not isinstance(image, nib.Nifti1Pair):
        raise AnatomyError.of(field, "a NIfTI or NRRD file", f"{path}, {type(image).__name__}")
    check_image(image.shape, image.header.get_data_dtype(), field, path)
    notes: tuple[str, ...] = ()
    if not image.header["sform_code"] and not image.header["qform_code"]:
        notes = (f"{path.name} states no orientation; its first axis was taken to run to the patient's left",)
    unit = {"meter": 1000.0, "micron": 1e-3}.get(str(image.header.get_xyzt_units()[0]), 1.0)
    assert image.affine is not None
    affine = np.asarray(image.affine, float) * np.asarray([[unit]] * 3 + [[1.0]])
    return np.asanyarray(image.dataobj), affine, "NIfTI", notes


_NRRD_TO_RAS = {
    "right-anterior-superior": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1),
    "ras": (1, 1, 1),
    "las": (-1, 1, 1),
    "lps": (-1, -1, 1),
}


def _read_nrrd(path: Path, field: str) -> tuple[NDArray[Any], Array, str, tuple[str, ...]]:
    header = nrrd.read_header(str(path))
    check_image(tuple(int(n) for n in header["sizes"]), np.dtype(float), field, path)
    space = str(header.get("space", "none")).lower()
    if space not in _NRRD_TO_RAS:
        raise AnatomyError.of(field, f"a NRRD that states its space, one of {', '.join(list(_NRRD_TO_RAS)[:3])}", space)
    if "space directions" not in header or "space origin" not in header:
        raise AnatomyError.of(field, "a NRRD with space directions and space origin", f"{path} without")
    units = [u.strip('" ') for u in header.get("space units", ["mm"])]
    if any(unit not in ("mm", "") for unit in units):
        raise AnatomyError.of(field, "a NRRD in mm", f"{path} in {', '.join(units)}")
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(header["space directions"], float).T
    affine[:3, 3] = np.asarray(header["space origin"], float)
    affine = np.diag([*map(float, _NRRD_TO_RAS[space]), 1.0]) @ affine
    data, _ = nrrd.read(str(path))
    return np.asarray(data), affine, f"NRRD ({space})", ()


def check_image(shape: tuple[int, ...], dtype: np.dtype[Any], field: str, path: Path) -> None:
    """Refuse what is not three-dimensional, or does not fit into memory, before it is read."""
    if len(shape) != 3:
        got = f"{path.name} of shape {' x '.join(map(str, shape))}"
        raise AnatomyError.of(field, "a three-dimensional image", got)
    if min(shape) < 1:
        raise AnatomyError.of(field, "at least one voxel along each axis", f"{path.name} of shape {shape}")
    needed = int(np.prod([int(n) for n in shape], dtype=object)) * (dtype.itemsize + 8)
    if needed > available_bytes():
        size = f"{' x '.join(map(str, shape))} voxels, {in_words(needed)}"
        raise ResourceError.of(field, f"an image that fits into {in_words(available_bytes())} of free memory", size)


def whole_numbers(data: NDArray[Any], field: str, name: str) -> NDArray[np.uint16]:
    """Labels as uint16.

    Raises:
        AnatomyError: fractions, or numbers out of range.
    """
    if data.dtype.kind not in "biuf":
        raise AnatomyError.of(field, "a map of whole numbers", f"{name} of type {data.dtype}")
    if data.dtype.kind == "f":
        odd = ~(np.isfinite(data) & (data == np.round(data)))
        if odd.any():
            where = tuple(int(i) for i in np.argwhere(odd)[0])
            raise AnatomyError.of(
                field,
                "a map of whole numbers",
                f"{name} with {data[where]} at voxel {where} ({int(odd.sum())} such)",
            )
    low, high = int(data.min()), int(data.max())
    if low < 0 or high > 65534:
        raise AnatomyError.of(field, "labels from 0 to 65534", f"{name} with {low if low < 0 else high}")
    return data.astype(np.uint16)


def _canonical(
    affine: Array, shape: tuple[int, ...], field: str, name: str
) -> tuple[Array, Array, tuple[int, ...], tuple[int, ...], Array]:
    """Spacing, orthonormal axes closest to RAS, how the stored axes map onto them, and the low corner (mm)."""
    _check_affine(affine, field, name)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    stored = affine[:3, :3] / spacing
    order, signs = _closest_to_ras(stored)
    axes = stored[:, order] * np.asarray(signs)
    if np.abs(axes - np.eye(3)).max() < SNAP:
        axes = np.eye(3)
    else:
        u, _, vt = np.linalg.svd(axes)
        axes = u @ vt
    spacing = spacing[list(order)]
    first = [0 if signs[order.index(i)] > 0 else shape[i] - 1 for i in range(3)]
    centre = affine[:3, :3] @ np.asarray(first, float) + affine[:3, 3]
    return spacing, axes, order, signs, centre - axes @ (0.5 * spacing)


def _check_affine(affine: Array, field: str, name: str) -> None:
    def refuse(got: str) -> None:
        raise AnatomyError.of(field, "an affine with three perpendicular axes", f"{name} with {got}")

    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        refuse(f"numbers that are not finite: {shown(affine[:3].tolist(), 200)}")
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if lengths.min() < 1e-6:
        refuse(f"voxel edges of {', '.join(f'{v:g}' for v in lengths)} mm (singular)")
    stored = affine[:3, :3] / lengths
    cosines = np.abs(stored.T @ stored - np.eye(3))
    if abs(np.linalg.det(stored)) < 1e-3:
        refuse("axes in one plane (singular)")
    if cosines.max() > SHEAR:
        refuse(f"axes {90 - np.degrees(np.arccos(cosines.max())):.3g} degrees off the right angle (sheared)")


def _closest_to_ras(stored: Array) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The order of the stored axes (and their signs) whose directions come closest to patient x, y, z.

    All orders are compared and ties (45 degrees) broken by the directions themselves, so that the answer depends on
    the lattice in the patient alone and not on how it was stored.
    """

    def rank(order: tuple[int, ...]) -> tuple[Any, ...]:
        turned = _turned(stored, order)
        return (round(float(np.trace(turned)) / TIE), *np.round(turned, 5).ravel())

    order = max(itertools.permutations(range(3)), key=rank)
    diagonal = np.diag(stored[:, order])
    return order, tuple(1 if d >= 0 else -1 for d in diagonal)


def _turned(stored: Array, order: tuple[int, ...]) -> Array:
    columns = stored[:, order]
    return columns * np.where(np.diag(columns) >= 0, 1.0, -1.0)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
