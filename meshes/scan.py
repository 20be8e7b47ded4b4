"""A segmented scan as codes on its own lattice: a label map, masks, a CT that tells where the body ends.

The lattice is the label map's. Masks alone lie on the CT's where there is one, else on the first mask's; a DICOM-SEG,
which ends with its segments, on the CT's too.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .body import body_of
from .dicom import is_dicom, read_segmentation, read_series
from .errors import AnatomyError, PlanError, one_of
from .labels import Entry, label_names, label_tissues
from .masks import lay_masks
from .notes import Note
from .overlay import Lattice, covers, linear, nearest, same_voxels, share_within
from .paths import find_file
from .plan_anatomy import Anatomy, Ct, LabelMap
from .readers import Image, read_image, read_scan
from .region import Frame
from .resample import resample
from .sources import Array, Codes
from .voxels import VoxelGrid

AIR_HU = -1024
"""Outside of the CT."""


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
    ct: Image | None = None

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

    def ct_on_grid(self, grid: VoxelGrid) -> NDArray[np.int16] | None:
        if self.ct is None:
            return None
        lattice = Lattice(grid.shape, np.asarray(grid.spacing_mm), grid.axes, grid.corner_mm)
        return np.rint(linear(self.ct, lattice, AIR_HU)).astype(np.int16)


@dataclass
class _Scan:
    """What has been read of a scan so far."""

    codes: Codes
    lattice: Lattice
    legend: list[Entry]
    names: set[str]
    provenance: dict[str, Any] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


@dataclass(frozen=True)
class _Files:
    """Where the plan's files are: its folder, and what was named for this run."""

    folder: Path | None
    anatomy: Path | None

    def find(self, stated: str, named: str, *, folders: bool = False) -> Path:
        beside = self.anatomy if self.anatomy is None or self.anatomy.is_dir() else self.anatomy.parent
        return find_file(stated, named, self.folder, beside, folders=folders)

    def label_map(self, stated: str) -> Path:
        """The label map, which the run may name itself."""
        if self.anatomy is None or self.anatomy.is_dir():
            return self.find(stated, "anatomy.label_map.path")
        if not self.anatomy.is_file():
            raise AnatomyError.of("anatomy", "an existing file or folder named for this run", str(self.anatomy))
        return self.anatomy

    def provenance_of(self, image: Image, stated: str) -> dict[str, Any]:
        """Where an anatomy folder lies on this machine is no part of where a result is from."""
        inside = self.anatomy is not None and self.anatomy.is_dir()
        return {**image.provenance, "path": stated} if inside else image.provenance


def open_scan(settings: Anatomy, tissues: Collection[str], folder: Path | None, anatomy: Path | None) -> ScanSource:
    """Read a plan's segmented scan.

    Args:
        settings: of the plan, with a label map or masks.
        tissues: names of all tissues there are.
        folder: of the plan's file.
        anatomy: the label map itself, or a folder to look for the plan's files in.

    Raises:
        AnatomyError, PlanError, ResourceError: as the fields of `anatomy` turn out.
    """
    segmented, where = settings.label_map or settings.masks, "label_map" if settings.label_map else "masks"
    assert segmented is not None
    if segmented.background not in tissues:
        expected = f"a tissue, {one_of(tissues, segmented.background)}"
        raise PlanError.of(f"anatomy.{where}.background", expected, segmented.background)
    files = _Files(folder, anatomy)
    ct = None if settings.ct is None else _read_ct(settings.ct, files)
    if settings.label_map is not None:
        scan = _open_labels(settings.label_map, tissues, files, ct)
        masks, field_of_masks = settings.label_map.masks, "anatomy.label_map.masks"
    else:
        assert settings.masks is not None
        if anatomy is not None and not anatomy.is_dir():
            raise AnatomyError.of("anatomy", "a folder with the plan's masks", str(anatomy))
        masks, field_of_masks = settings.masks.structures, "anatomy.masks.structures"
        scan = _open_ground(ct, files, masks[0].path, segmented.background)
    read = [(files.find(mask.path, f"{field_of_masks}[{i}].path"), mask) for i, mask in enumerate(masks)]
    for image, stated in lay_masks(scan, read, tissues, field_of_masks):
        scan.provenance.setdefault("masks", []).append(files.provenance_of(image, stated))
    if settings.ct is not None and ct is not None:
        scan.provenance["ct"] = files.provenance_of(ct, settings.ct.path)
    _cut_body(scan, segmented.body, f"anatomy.{where}.body", files, settings.ct, ct)
    _tell_background(scan, segmented.background)
    lattice = scan.lattice
    x, y, z = (float(h) for h in lattice.spacing_mm)
    frame = Frame(lattice.axes, lattice.corner_mm, lattice.spacing_mm * np.asarray(lattice.shape), padded=False)
    source = (scan.codes, (x, y, z), frame, tuple(scan.legend), scan.names, scan.provenance, tuple(scan.notes))
    return ScanSource(*source, ct)


def _read_ct(settings: Ct, files: _Files) -> Image:
    named = "anatomy.ct.path"
    path = files.find(settings.path, named, folders=True)
    if path.is_dir():
        return read_series(path, named)
    if is_dicom(path):
        raise AnatomyError.of(named, "the folder of the series, or a NIfTI or NRRD file", f"{path}, one slice")
    image = read_scan(path, named)
    if not np.isfinite(image.data).all():
        raise AnatomyError.of(named, "an image of finite numbers", f"{path.name} with others")
    return replace(image, data=np.clip(np.rint(image.data), -32768, 32767).astype(np.int16))


def _open_labels(settings: LabelMap, tissues: Collection[str], files: _Files, ct: Image | None) -> _Scan:
    path, named = files.label_map(settings.path), "anatomy.label_map.path"
    image, overlaps = read_segmentation(path, named) if is_dicom(path) else (read_image(path, named), {})
    builtin = isinstance(settings.names, dict) or settings.names in ("totalsegmentator", "segments")
    table = None if builtin else files.find(str(settings.names), "anatomy.label_map.names")
    names = label_names(settings.names, table, image.names)
    present = {int(n) for n in np.flatnonzero(np.bincount(image.data.ravel()))}
    entries = label_tissues([n for n in present if n or 0 in names], names, settings.tissue_of, tissues)
    notes = [Note("no_orientation", text, warning=True) for text in image.notes]
    for (over, under), voxels in overlaps.items():
        ml = 1e-3 * voxels * image.voxel_mm3
        text = (
            f"{names[over]} overlaps {names[under]} by {ml:.3g} ml, which counts as {names[over]}: its number is higher"
        )
        notes.append(Note("masks_overlap", text))
    labels, lattice = image.data, Lattice.of(image)
    provenance = {"label_map": files.provenance_of(image, settings.path)}
    if image.provenance["format"] == "DICOM-SEG" and ct is not None:
        labels, lattice, provenance["frame"] = _on_ct(image, ct, named), Lattice.of(ct), _frame(ct)
    codes, legend = _encode(labels, entries, settings.background)
    return _Scan(codes, lattice, list(legend), set(names.values()), provenance, notes)


def _on_ct(image: Image, ct: Image, named: str) -> Codes:
    lattice = Lattice.of(ct)
    if share_within(image, lattice) < 1.0:
        raise AnatomyError.of(
            named, "segments that lie within anatomy.ct", f"{image.provenance['file']}, partly beyond"
        )
    return nearest(image, lattice)


def _open_ground(ct: Image | None, files: _Files, first: str, background: str) -> _Scan:
    """A scan without structures yet, on the CT's voxels or those of the first mask."""
    named = "anatomy.masks.structures[0].path"
    image = read_image(files.find(first, named), named) if ct is None else ct
    lattice = Lattice.of(image)
    legend = [Entry(None, background), Entry(None, "air")]
    return _Scan(np.zeros(lattice.shape, np.uint16), lattice, legend, set(), {"frame": _frame(image)})


def _frame(image: Image) -> dict[str, Any]:
    """Shape and affine of the file whose voxels the scan lies on, as stored, where that is no label map."""
    return {name: image.provenance[name] for name in ("file", "shape", "affine")}


def _encode(labels: Codes, entries: dict[int, Entry], background: str) -> tuple[Codes, tuple[Entry, ...]]:
    """Labels as codes: 0 background, 1 air outside the body, then the structures by their numbers."""
    legend = [Entry(None, background), Entry(None, "air"), *entries.values()]
    lookup = np.zeros(int(labels.max()) + 1, np.uint16)
    for code, number in enumerate(entries, start=2):
        if number < len(lookup):
            lookup[number] = code
    return lookup[labels], tuple(legend)


def _cut_body(scan: _Scan, mask: str | None, named: str, files: _Files, settings: Ct | None, ct: Image | None) -> None:
    """Air in place of the background outside of the body, by a mask or by the CT."""
    if mask is not None:
        image = read_image(files.find(mask, named), named)
        if not same_voxels(image, scan.lattice):
            raise AnatomyError.of(named, f"{_voxels(scan.lattice)}, as the label map", _told(image))
        inside = image.data != 0
        scan.provenance["body"] = files.provenance_of(image, mask)
    elif settings is not None and settings.body_above_hu is not None and ct is not None:
        if not covers(ct, scan.lattice):
            raise AnatomyError.of("anatomy.ct.path", f"a CT that holds all of {_voxels(scan.lattice)}", _told(ct))
        body = body_of(ct, settings.body_above_hu, "anatomy.ct.body_above_hu")
        inside = nearest(replace(ct, data=body.astype(np.uint8)), scan.lattice) != 0
        ml = 1e-3 * np.count_nonzero(body) * ct.voxel_mm3
        text = (
            f"the body is the largest part of the CT above {settings.body_above_hu:g} HU, {ml:.0f} ml; the rest is air"
        )
        scan.notes.append(Note("body_from_ct", text))
    else:
        text = f"no body mask: everything without a label counts as {scan.legend[0].tissue}, outside the body too"
        scan.notes.append(Note("no_body_mask", text))
        return
    beyond = ~inside & (scan.codes > 1)
    if beyond.any():
        names = [str(scan.legend[code].structure) for code in np.unique(scan.codes[beyond])]
        ml = 1e-3 * np.count_nonzero(beyond) * scan.lattice.voxel_mm3
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        text = f"{ml:.3g} ml of {shown} lie outside the body, and stay what they are"
        scan.notes.append(Note("structures_outside_body", text))
    scan.codes[(scan.codes == 0) & ~inside] = 1


def _tell_background(scan: _Scan, background: str) -> None:
    if (scan.codes == 0).any():
        scan.notes.append(Note("background_assumed", f"voxels without a label are taken as {background}"))


def _voxels(lattice: Lattice) -> str:
    return f"{lattice.shape} voxels from {np.round(lattice.corner_mm, 2).tolist()} mm"


def _told(image: Image) -> str:
    return f"{image.provenance['file']} of {_voxels(Lattice.of(image))}"
