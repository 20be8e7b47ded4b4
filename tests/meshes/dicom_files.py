"""DICOM files small enough to know by heart, written as scanners and archives do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, SegmentationStorage

TO_LPS = np.diag([-1.0, -1.0, 1.0])


def _new(path: Path, storage: str, modality: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = UID(storage), ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = UID(f"1.2.3.{len(path.name)}")
    data_set = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    data_set.SOPClassUID, data_set.SOPInstanceUID = storage, meta.MediaStorageSOPInstanceUID
    data_set.Modality, data_set.SamplesPerPixel, data_set.PhotometricInterpretation = modality, 1, "MONOCHROME2"
    return data_set


def _decimals(values: Sequence[float] | np.ndarray) -> list[str]:
    return [f"{value:.10g}" for value in values]


def write_series(
    folder: Path, hu: np.ndarray, affine: np.ndarray, edit: Callable[[int, Dataset], None] = lambda k, d: None
) -> Path:
    """One file per slice of `hu` (nx, ny, nz); its third axis has to be the slices' normal, first x second.

    Names are in no order. edit(k, data_set) may spoil a slice.
    """
    folder.mkdir(exist_ok=True)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    lps = TO_LPS @ affine[:3]
    for k in range(hu.shape[2]):
        path = folder / f"{(7 * k) % 31:02d}.dcm"
        data_set = _new(path, CTImageStorage, "CT")
        data_set.SeriesInstanceUID = "1.2.3.4"
        data_set.Rows, data_set.Columns = hu.shape[1], hu.shape[0]
        data_set.PixelSpacing = _decimals([spacing[1], spacing[0]])
        data_set.ImageOrientationPatient = _decimals([*(lps[:, 0] / spacing[0]), *(lps[:, 1] / spacing[1])])
        data_set.ImagePositionPatient = _decimals(lps @ [0, 0, k, 1])
        data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit, data_set.PixelRepresentation = 16, 12, 11, 0
        data_set.RescaleSlope, data_set.RescaleIntercept, data_set.RescaleType = "1", "-1024", "HU"
        data_set.PixelData = (hu[:, :, k].T + 1024).astype("<u2").tobytes()
        edit(k, data_set)
        data_set.save_as(path, enforce_file_format=True)
    return folder


def write_segmentation(
    path: Path,
    segments: Sequence[tuple[str, np.ndarray]],
    affine: np.ndarray,
    edit: Callable[[Dataset], Any] = lambda d: None,
) -> Path:
    """Masks (nx, ny, nz) as a binary DICOM-SEG: no frames without voxels, and the last segment's frames first."""
    spacing, lps = np.linalg.norm(affine[:3, :3], axis=0), TO_LPS @ affine[:3]
    data_set = _new(path, SegmentationStorage, "SEG")
    data_set.SegmentationType, data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit = "BINARY", 1, 1, 0
    data_set.PixelRepresentation = 0
    data_set.Rows, data_set.Columns = segments[0][1].shape[1], segments[0][1].shape[0]
    data_set.SegmentSequence = Items([_item(SegmentNumber=i, SegmentLabel=n) for i, (n, _) in enumerate(segments, 1)])
    orientation = _decimals([*(lps[:, 0] / spacing[0]), *(lps[:, 1] / spacing[1])])
    shared = {"PlaneOrientationSequence": Items([_item(ImageOrientationPatient=orientation)])}
    shared["PixelMeasuresSequence"] = Items([_item(PixelSpacing=_decimals([spacing[1], spacing[0]]))])
    data_set.SharedFunctionalGroupsSequence = Items([_item(**shared)])
    frames, bits = [], []
    for number, (_, mask) in reversed(list(enumerate(segments, 1))):
        for k in np.flatnonzero(mask.any(axis=(0, 1))):
            place = Items([_item(ImagePositionPatient=_decimals(lps @ [0, 0, k, 1]))])
            segment = Items([_item(ReferencedSegmentNumber=number)])
            frames.append(_item(PlanePositionSequence=place, SegmentIdentificationSequence=segment))
            bits.append(mask[:, :, k].T.reshape(-1))
    data_set.PerFrameFunctionalGroupsSequence, data_set.NumberOfFrames = Items(frames), len(frames)
    packed = np.packbits(np.concatenate(bits).astype(np.uint8), bitorder="little").tobytes()
    data_set.PixelData = packed + b"\0" * (len(packed) % 2)
    edit(data_set)
    data_set.save_as(path, enforce_file_format=True)
    return path


def _item(**elements: Any) -> Dataset:
    item = Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    return item
