"""From 3D Slicer to a coverage map and back: run in Slicer's Python console, or with `Slicer --python-script`.

The segmentation node is exported as a label map, each markups line is a needle (its first point is the tip, its second
the entry), and the zones come back as a segmentation. Needs nothing but what Slicer brings (requests among it).
Research software, not a medical device.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import requests

SERVER = "http://127.0.0.1:8000"
KEY: str | None = None
SEGMENTATION, NEEDLES = "Segmentation", ("A", "B")
"""Names of the nodes in the scene."""
TISSUES = {"liver": "liver", "lesion": "tumour"}
"""Segment -> tissue of porefield's library."""
VOLTAGE_V, DIAMETER_MM, EXPOSED_MM = 1500.0, 1.2, 30.0


def needle(name: str, tip_ras: list[float], entry_ras: list[float]) -> dict[str, Any]:
    """An electrode of a plan; Slicer's own coordinates are RAS mm, as porefield's are."""
    return {
        "name": name,
        "needle": {"tip_mm": tip_ras, "entry_mm": entry_ras, "diameter_mm": DIAMETER_MM, "exposed_mm": EXPOSED_MM},
    }


def make_plan(upload: str, names: dict[int, str], electrodes: list[dict[str, Any]], target: str) -> dict[str, Any]:
    """One pulse between the first two needles."""
    label_map = {"path": upload, "names": names, "background": "soft_tissue", "tissue_of": TISSUES}
    return {
        "title": "From 3D Slicer",
        "anatomy": {"label_map": label_map},
        "grid": {"spacing_mm": 1.0},
        "electrodes": electrodes,
        "pulses": [{"anode": [electrodes[0]["name"]], "cathode": [electrodes[1]["name"]], "voltage_v": VOLTAGE_V}],
        "targets": [target],
    }


def call(method: str, path: str, **how: Any) -> requests.Response:
    """One request; what the server says of an error is shown."""
    headers = {**({"Authorization": f"Bearer {KEY}"} if KEY else {}), **how.pop("headers", {})}
    answer = requests.request(method, f"{SERVER}/v1{path}", headers=headers, timeout=120, **how)
    if not answer.ok:
        raise RuntimeError(answer.json().get("detail") or answer.text)
    return answer


def run(label_map: Path, names: dict[int, str], electrodes: list[dict[str, Any]], target: str) -> tuple[str, bytes]:
    """Id of the finished job, and its zones as NIfTI."""
    upload = call("POST", f"/anatomies?filename={label_map.name}", data=label_map.read_bytes()).json()["use"]
    plan = make_plan(upload, names, electrodes, target)
    job = call("POST", "/processes/plan/execution", json={"inputs": plan}).json()
    while job["status"] in ("accepted", "running"):
        time.sleep(0.5)
        job = call("GET", f"/jobs/{job['jobID']}").json()
    if job["status"] != "successful":
        raise RuntimeError((job["error"] or {}).get("detail", job["status"]))
    return job["jobID"], call("GET", f"/jobs/{job['jobID']}/nifti/zone").content


def main() -> None:
    """In Slicer: the scene's segmentation and needles to a new segmentation 'Coverage'."""
    import slicer  # pyright: ignore[reportMissingImports]

    folder = Path(tempfile.mkdtemp())
    segmentation = slicer.util.getNode(SEGMENTATION)
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    logic = slicer.modules.segmentations.logic()
    logic.ExportAllSegmentsToLabelmapNode(segmentation, labels)
    segments = [
        segmentation.GetSegmentation().GetNthSegment(i).GetName()
        for i in range(segmentation.GetSegmentation().GetNumberOfSegments())
    ]
    slicer.util.saveNode(labels, str(folder / "labels.nii.gz"))
    electrodes = []
    for name in NEEDLES:
        line = slicer.util.getNode(name)
        points = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
        for i, point in enumerate(points):
            line.GetNthControlPointPositionWorld(i, point)
        electrodes.append(needle(name, *points))
    target = next(name for name in segments if TISSUES.get(name) == "tumour")
    job, zones = run(folder / "labels.nii.gz", dict(enumerate(segments, 1)), electrodes, target)
    (folder / "zone.nii.gz").write_bytes(zones)
    found = slicer.util.loadLabelVolume(str(folder / "zone.nii.gz"))
    coverage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Coverage")
    logic.ImportLabelmapToSegmentationNode(found, coverage)
    slicer.util.infoDisplay(f"Coverage loaded. Report: {SERVER}/v1/jobs/{job}/files/report.html")


if __name__ == "__main__":
    main()
