"""Masks laid over a scan, one structure each: later ones over earlier ones, and how much of which is told.

A mask on other voxels than the scan's is taken at the scan's centres, whichever way it is turned, and its volume
before and after is told. One that reaches beyond the scan is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .errors import AnatomyError, PlanError, one_of
from .labels import Entry
from .notes import Note
from .overlay import Lattice, nearest, same_voxels, share_within
from .plan_anatomy import Mask
from .readers import Image, read_image


class Ground(Protocol):
    """What masks are laid over: codes on a lattice, and what they stand for."""

    codes: NDArray[np.uint16]
    lattice: Lattice
    legend: list[Entry]
    names: set[str]
    notes: list[Note]


def lay_masks(
    ground: Ground, masks: Sequence[tuple[Path, Mask]], tissues: Collection[str], field: str
) -> Iterator[tuple[Image, str]]:
    """Lay masks over the ground, one after another.

    Args:
        masks: files and what they are. tissues: names of all tissues there are. field: of the plan's list.

    Yields:
        Each image as it is read, and its path as the plan states it.

    Raises:
        PlanError: a tissue that does not exist.
        AnatomyError: a file that is no mask, an empty one, or one that reaches beyond the scan.
    """
    for i, (path, mask) in enumerate(masks):
        if mask.tissue not in tissues:
            raise PlanError.of(f"{field}[{i}].tissue", f"a tissue, {one_of(tissues, mask.tissue)}", mask.tissue)
        named = f"{field}[{i}].path"
        image = read_image(path, named)
        inside = _on(ground, image, mask.structure, named)
        ground.notes += [Note("no_orientation", text, warning=True) for text in image.notes]
        ground.notes += _overlaps(ground, inside, mask.structure)
        ground.legend.append(Entry(mask.structure, mask.tissue))
        ground.names.add(mask.structure)
        ground.codes[inside] = len(ground.legend) - 1
        yield image, mask.path


def _on(ground: Ground, image: Image, name: str, field: str) -> NDArray[np.bool_]:
    """The mask on the ground's voxels."""
    if not image.data.any():
        raise AnatomyError.of(field, "a mask with voxels that are not 0", f"{image.provenance['file']}, all 0")
    if same_voxels(image, ground.lattice):
        return image.data != 0
    share = share_within(image, ground.lattice)
    if share < 1.0:
        got = f"{image.provenance['file']}, {1 - share:.1%} of it beyond"
        raise AnatomyError.of(field, f"a mask that lies within the scan's {ground.lattice.shape} voxels", got)
    inside = nearest(image, ground.lattice) != 0
    if not inside.any():
        got = f"{image.provenance['file']}, which holds no centre of a voxel"
        raise AnatomyError.of(field, "a mask that is not lost between the scan's voxels", got)
    before = 1e-3 * np.count_nonzero(image.data) * image.voxel_mm3
    after = 1e-3 * np.count_nonzero(inside) * ground.lattice.voxel_mm3
    text = f"{name} was drawn on other voxels than the scan's: {before:.4g} ml there, {after:.4g} ml here"
    ground.notes.append(Note("mask_resampled", text))
    return inside


def _overlaps(ground: Ground, inside: NDArray[np.bool_], name: str) -> list[Note]:
    """What a mask lies over, but for the background."""
    counts = np.bincount(ground.codes[inside], minlength=len(ground.legend))
    notes: list[Note] = []
    for code in np.flatnonzero(counts[2:]) + 2:
        ml = 1e-3 * int(counts[code]) * ground.lattice.voxel_mm3
        under = ground.legend[code].structure
        text = f"{name} lies over {under} by {ml:.3g} ml, which counts as {name}: it comes later in the plan"
        notes.append(Note("masks_overlap", text))
    return notes
