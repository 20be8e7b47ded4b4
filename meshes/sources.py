"""Where the anatomy comes from: a phantom or a segmented scan, both as codes on a solve grid.

A code is an index into the source's legend, which names structure and tissue.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from .errors import AnatomyError, PlanError, one_of
from .labels import Entry, label_names, label_tissues
from .notes import Note
from .paths import find_file
from .plan_anatomy import LabelMap, Phantom
from .readers import Image, read_image
from .region import Frame
from .resample import resample
from .voxels import VoxelGrid

Codes = NDArray[np.uint16]
Array = NDArray[np.float64]


class Source(Protocol):
    """An anatomy before shapes are added."""

    @property
    def frame(self) -> Frame: ...
    @property
    def legend(self) -> tuple[Entry, ...]: ...
    @property
    def names(self) -> Collection[str]:
        """Structures that it may have, whether or not they have voxels."""
        ...

    @property
    def notes(self) -> tuple[Note, ...]: ...
    @property
    def provenance(self) -> dict[str, Any]: ...
    def bounds_mm(self, codes: Collection[int]) -> tuple[Array, Array] | None:
        """Corners (mm along the frame's axes) of the box round these codes; None when they have no voxels."""
        ...

    def on_grid(self, grid: VoxelGrid, method: Literal["majority", "nearest"]) -> Codes:
        """Codes of the grid's voxels, shape grid.shape."""
        ...


@dataclass(frozen=True, eq=False)
class PhantomSource:
    """A block of one tissue with air outside."""

    frame: Frame
    legend: tuple[Entry, ...]
    provenance: dict[str, Any]
    notes: tuple[Note, ...] = ()

    @property
    def names(self) -> Collection[str]:
        return [self.legend[0].tissue]

    def bounds_mm(self, codes: Collection[int]) -> tuple[Array, Array] | None:
        return (np.zeros(3), self.frame.extent_mm) if 0 in codes else None

    def on_grid(self, grid: VoxelGrid, method: Literal["majority", "nearest"]) -> Codes:
        start = self.frame.to_local_mm(grid.corner_mm)
        codes = np.zeros(grid.shape, np.uint16)
        for axis, (n, h, s, length) in enumerate(
            zip(grid.shape, grid.spacing_mm, start, self.frame.extent_mm, strict=True)
        ):
            outside = s + (np.arange(n) + 0.5) * h > length + 1e-6
            codes[(slice(None),) * axis + (outside,)] = 1
        return codes


def open_phantom(phantom: Phantom) -> PhantomSource:
    """The phantom of a plan."""
    frame = Frame(np.eye(3), np.asarray(phantom.origin_mm, float), np.asarray(phantom.size_mm, float), padded=True)
    legend = (Entry(phantom.tissue, phantom.tissue), Entry(None, "air"))
    return PhantomSource(frame, legend, {"phantom": phantom.model_dump(mode="json")})


@dataclass(frozen=True, eq=False)
class ScanSource:
    """A segmented scan; codes lie on its own lattice."""

    codes: Codes
    spacing_mm: tuple[float, float, float]
    frame: Frame
    legend: tuple[Entry, ...]
    names: Collection[str]
    provenance: dict[str, Any]
    notes: tuple[Note, ...]

    def bounds_mm(self, codes: Collection[int]) -> tuple[Array, Array] | None:
        found = np.isin(self.codes, list(codes))
        if not found.any():
            return None
        low, high = [], []
        for axis in range(3):
            planes = np.flatnonzero(found.any(axis=tuple(a for a in range(3) if a != axis)))
            low.append(planes[0])
            high.append(planes[-1] + 1)
        spacing = np.asarray(self.spacing_mm)
        return np.asarray(low) * spacing, np.asarray(high) * spacing

    def on_grid(self, grid: VoxelGrid, method: Literal["majority", "nearest"]) -> Codes:
        x, y, z = (float(v) for v in self.frame.to_local_mm(grid.corner_mm))
        return resample(self.codes, self.spacing_mm, (x, y, z), grid.shape, grid.spacing_mm, method)


def open_scan(settings: LabelMap, tissues: Collection[str], folder: Path | None, anatomy: Path | None) -> ScanSource:
    """Read a plan's label map.

    Args:
        settings: of the plan.
        tissues: names of all tissues there are.
        folder: of the plan's file.
        anatomy: the label map itself, or a folder to look for the plan's files in.

    Raises:
        AnatomyError, PlanError, ResourceError: as the fields of `anatomy.label_map` turn out.
    """
    field = "anatomy.label_map"
    if settings.background not in tissues:
        expected = f"a tissue, {one_of(tissues, settings.background)}"
        raise PlanError.of(f"{field}.background", expected, settings.background)
    map_path, folders = _find_map(settings, folder, anatomy)
    named = isinstance(settings.names, dict) or settings.names == "totalsegmentator"
    table = None if named else find_file(str(settings.names), f"{field}.names", *folders)
    names = label_names(settings.names, table)
    image = read_image(map_path, f"{field}.path")
    present = {int(n) for n in np.flatnonzero(np.bincount(image.data.ravel()))}
    entries = label_tissues([n for n in present if n or 0 in names], names, settings.tissue_of, tissues)
    codes, legend = _encode(image.data, entries, settings.background)
    if anatomy is not None and anatomy.is_dir():  # where that lies on this machine is no part of where a result is from
        image.provenance["path"] = settings.path
    provenance: dict[str, Any] = {"label_map": image.provenance}
    notes = [Note("no_orientation", text, warning=True) for text in image.notes]
    if settings.body is not None:
        body = read_image(find_file(settings.body, f"{field}.body", *folders), f"{field}.body")
        _check_same_voxels(body, image, f"{field}.body")
        codes[(codes == 0) & (body.data == 0)] = 1
        if anatomy is not None and anatomy.is_dir():
            body.provenance["path"] = settings.body
        provenance["body"] = body.provenance
    else:
        text = f"no body mask: everything without a label counts as {settings.background}, outside the body too"
        notes.append(Note("no_body_mask", text))
    if (codes == 0).any():
        notes.append(Note("background_assumed", f"voxels without a label are taken as {settings.background}"))
    frame = Frame(image.axes, image.corner_mm, image.spacing_mm * np.asarray(image.data.shape), padded=False)
    x, y, z = (float(h) for h in image.spacing_mm)
    return ScanSource(codes, (x, y, z), frame, legend, set(names.values()), provenance, tuple(notes))


def _find_map(
    settings: LabelMap, folder: Path | None, anatomy: Path | None
) -> tuple[Path, tuple[Path | None, Path | None]]:
    """The label map, and where to look for the other files."""
    field = "anatomy.label_map.path"
    if anatomy is None:
        return find_file(settings.path, field, folder, None), (folder, None)
    if anatomy.is_dir():
        return find_file(settings.path, field, folder, anatomy), (folder, anatomy)
    if not anatomy.is_file():
        raise AnatomyError.of("anatomy", "an existing file or folder named for this run", str(anatomy))
    return anatomy, (folder, anatomy.parent)


def _encode(labels: Codes, entries: dict[int, Entry], background: str) -> tuple[Codes, tuple[Entry, ...]]:
    """Labels as codes: 0 background, 1 air outside the body, then the structures by their numbers."""
    legend = [Entry(None, background), Entry(None, "air"), *entries.values()]
    lookup = np.zeros(int(labels.max()) + 1, np.uint16)
    for code, number in enumerate(entries, start=2):
        lookup[number] = code
    return lookup[labels], tuple(legend)


def _check_same_voxels(mask: Image, image: Image, field: str) -> None:
    same = mask.data.shape == image.data.shape and np.allclose(mask.axes, image.axes, atol=1e-3)
    same = same and np.allclose(mask.spacing_mm, image.spacing_mm, atol=1e-3)
    if not (same and np.allclose(mask.corner_mm, image.corner_mm, atol=1e-2)):
        got = f"{mask.provenance['file']} of {mask.data.shape} voxels from {np.round(mask.corner_mm, 2).tolist()} mm"
        wanted = f"{image.data.shape} voxels from {np.round(image.corner_mm, 2).tolist()} mm, as the label map"
        raise AnatomyError.of(field, wanted, got)
