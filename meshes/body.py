"""Where a CT's body ends: threshold, largest connected part, holes filled slice by slice.

Air in bowels and lungs is within the body, whichever way it leaves the scan; a table or an arm that touches nothing of
the trunk is not. What the table touches comes with it: then a mask of the body is to be drawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import AnatomyError
from .readers import Image


def body_of(ct: Image, above_hu: float, field: str) -> NDArray[np.bool_]:
    """Voxels of the body.

    Args:
        ct: HU, its third axis closest to the patient's long axis. above_hu: below it is air.

    Raises:
        AnatomyError: nothing lies above the threshold, or everything does.
    """
    from scipy.ndimage import binary_fill_holes, label

    labelled: Any = label(ct.data > above_hu)
    parts, count = labelled
    if not count:
        raise AnatomyError.of(field, "a threshold below the CT's highest value", f"{above_hu:g} HU")
    sizes = np.bincount(parts.reshape(-1))
    sizes[0] = 0
    body = parts == sizes.argmax()
    for k in range(body.shape[2]):
        body[:, :, k] = binary_fill_holes(body[:, :, k])
    if body.all():
        raise AnatomyError.of(field, "a threshold above the CT's air", f"{above_hu:g} HU: no voxel lies outside")
    return body
