"""A finished sweep as a few files to hand on: what readers want, without records, journals and this machine's paths."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import zarr

from .run_store import consolidate
from .sweep_store import SweepStore

METADATA = "zarr.json"


def export_sweep(store: SweepStore, directory: Path) -> None:
    """Write result.zarr, maps.zarr (if there are maps), points.parquet and sweep.json of a packed sweep in a folder.

    Raises:
        OSError: as the file system says it, half written.
    """
    header = {name: value for name, value in store.header.items() if name not in ("base_dir", "anatomy")}
    folder = Path(store.url)
    copy_store(folder / "dataset.zarr", directory / "result.zarr", sweep=header)
    if store.layout.maps:
        copy_store(folder / "maps.zarr", directory / "maps.zarr")
    shutil.copyfile(folder / "points.parquet", directory / "points.parquet")
    text = json.dumps(header, indent=1, allow_nan=False, ensure_ascii=False)
    (directory / "sweep.json").write_text(text + "\n", encoding="utf-8")


def copy_store(source: Path, target: Path, **attributes: Any) -> None:
    """A Zarr hierarchy with its metadata in one place, as readers over HTTP need it, and attributes over its own."""
    copy_tree(source, target)
    group = zarr.open_group(str(target), mode="r+", use_consolidated=False)
    if attributes:
        group.attrs.update(attributes)
    consolidate(target)


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder; large files, which are never changed once they are written, share their place on the disk."""
    shutil.copytree(source, target, copy_function=_copy)


def _copy(source: str, target: str) -> None:
    if os.path.basename(source) != METADATA:
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without hard links
            pass
        else:
            return
    shutil.copyfile(source, target)
