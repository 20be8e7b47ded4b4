"""Maps for other programs: NIfTI in the scan's own frame."""

from __future__ import annotations

import gzip
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

GZIP_LEVEL = 3


def nifti_bytes(data: NDArray[Any], affine: NDArray[np.float64], description: str) -> bytes:
    """A map as a compressed NIfTI-1 file (.nii.gz).

    Args:
        data: uint8 or float32, shape (nx, ny, nz). affine: (4, 4), voxel centre index -> patient RAS mm.
        description: at most 79 bytes of ASCII; longer text is cut.
    """
    image = nib.Nifti1Image(np.ascontiguousarray(data), affine)
    image.header.set_xyzt_units(xyz="mm")
    image.set_sform(affine, code=1)  # scanner coordinates
    image.set_qform(affine, code=1)
    image.header["descrip"] = description.encode("ascii", "replace")[:79]
    return gzip.compress(image.to_bytes(), GZIP_LEVEL, mtime=0)
