"""Maps and surfaces for other programs: NIfTI and NRRD in the scan's own frame, STL and PLY in patient millimetres."""

from __future__ import annotations

import gzip
import io
from typing import Any, Literal

import nrrd
import numpy as np
from numpy.typing import NDArray

from .markups import TO_RAS

GZIP_LEVEL = 3
Space = Literal["LPS", "RAS"]


def nifti_bytes(data: NDArray[Any], affine: NDArray[np.float64], description: str, *, compressed: bool = True) -> bytes:
    """A map as a NIfTI-1 file (.nii.gz, or .nii).

    Args:
        data: uint8, int16 or float32, shape (nx, ny, nz). affine: (4, 4), voxel centre index -> patient RAS mm.
        description: at most 79 bytes of ASCII; longer text is cut.
    """
    import nibabel as nib  # takes half a second, and few runs write any

    image = nib.Nifti1Image(np.ascontiguousarray(data), affine)
    image.header.set_xyzt_units(xyz="mm")
    image.set_sform(affine, code=1)  # scanner coordinates
    image.set_qform(affine, code=1)
    image.header["descrip"] = description.encode("ascii", "replace")[:79]
    return gzip.compress(image.to_bytes(), GZIP_LEVEL, mtime=0) if compressed else image.to_bytes()


def nrrd_bytes(data: NDArray[Any], affine: NDArray[np.float64], description: str) -> bytes:
    """A map as a NRRD file, compressed, in LPS as 3D Slicer writes them; arguments as `nifti_bytes`."""
    lps = np.diag([*TO_RAS["LPS"], 1.0]) @ affine + 0.0
    header = {
        "space": "left-posterior-superior",
        "space directions": lps[:3, :3].T,
        "space origin": lps[:3, 3],
        "kinds": ["domain"] * 3,
        "encoding": "gzip",
        "content": description,
    }
    file = io.BytesIO()
    nrrd.write(file, np.asfortranarray(data), header, compression_level=GZIP_LEVEL)
    return file.getvalue()


def stl_bytes(points_mm: NDArray[np.float64], triangles: NDArray[np.int64], space: Space, description: str) -> bytes:
    """A surface as a binary STL file. Its header names the space as 3D Slicer does, which reads it.

    Args:
        points_mm: (n, 3), patient RAS mm, written in `space`. triangles: (m, 3), looking outwards.
    """
    corners = _turned(points_mm, space)[triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    records = np.zeros(len(triangles), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")])
    records["normal"], records["corners"] = normals, corners
    header = f"SPACE={space} mm; {description}".encode("ascii", "replace")[:80].ljust(80)
    return header + np.uint32(len(triangles)).astype("<u4").tobytes() + records.tobytes()


def ply_bytes(points_mm: NDArray[np.float64], triangles: NDArray[np.int64], space: Space, description: str) -> bytes:
    """A surface as a binary PLY file; arguments as `stl_bytes`."""
    header = (
        "ply\nformat binary_little_endian 1.0\n"
        f"comment SPACE={space}\ncomment mm; {description.encode('ascii', 'replace').decode()}\n"
        f"element vertex {len(points_mm)}\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {len(triangles)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    faces = np.zeros(len(triangles), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, triangles
    return header.encode() + _turned(points_mm, space).astype("<f4").tobytes() + faces.tobytes()


def _turned(points_mm: NDArray[np.float64], space: Space) -> NDArray[np.float64]:
    """RAS points in a space. LPS is RAS turned by half a turn about the long axis: triangles keep their sense."""
    return points_mm * np.asarray(TO_RAS[space])
