"""A plan's electrodes as 3D Slicer markups (.mrk.json): needles as lines that a plan can name in turn.

A needle, alone or of a device, or a probe is a line from its tip to the end of its shaft, or to the entry that the plan
states; a tube is a line along its axis; a plate is a list of the corners of its middle. Read again, a line gives the
needle that it came from to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .conductors import Wire, conductors
from .markups import TO_RAS
from .plan_electrodes import ElectrodeSettings, PlateSettings, TubeSettings
from .shapes import orthonormal

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
Space = Literal["LPS", "RAS"]
Points = NDArray[np.float64]


def electrode_markups(electrodes: Sequence[ElectrodeSettings], space: Space = "LPS") -> dict[str, Any]:
    """The contents of a markups file, as JSON data."""
    return {"@schema": SCHEMA, "markups": [m for e in electrodes for m in _markups(e, space)]}


def _markups(electrode: ElectrodeSettings, space: Space) -> Iterator[dict[str, Any]]:
    """Of each conductor one; a probe's bands share theirs."""
    for conductor in conductors([electrode]):
        solid, name = conductor.solid, conductor.name
        if isinstance(solid, Wire):
            name = electrode.name if electrode.probe is not None else name
            yield _of("Line", name, _ends(solid), ("tip", "entry"), space)
        elif isinstance(solid, TubeSettings):
            half = 0.5 * solid.length_mm * np.asarray(solid.unit_axis)
            ends = np.stack([np.asarray(solid.centre_mm) - half, np.asarray(solid.centre_mm) + half])
            yield _of("Line", name, ends, ("end 1", "end 2"), space)
        else:
            yield _of("Fiducial", name, _corners(solid), tuple(f"corner {i}" for i in range(1, 5)), space)
        if electrode.probe is not None:
            return


def _ends(wire: Wire) -> Points:
    pose = wire.pose
    tip = np.asarray(pose.tip_mm, float)
    if pose.entry_mm is not None:
        return np.stack([tip, np.asarray(pose.entry_mm)])
    return np.stack([tip, tip - wire.length_mm * np.asarray(pose.unit_direction)])


def _corners(plate: PlateSettings) -> Points:
    _, height, width = orthonormal(plate.normal, plate.up)
    steps = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) * [plate.width_mm, plate.height_mm]
    return np.asarray(plate.centre_mm) + steps @ np.stack([width, height])


def _of(kind: str, name: str, points_mm: Points, labels: Sequence[str], space: Space) -> dict[str, Any]:
    turned = points_mm * TO_RAS[space] + 0.0
    points = [
        {"id": str(i), "label": f"{name} {label}", "position": point.tolist(), "positionStatus": "defined"}
        for i, (label, point) in enumerate(zip(labels, turned, strict=True), start=1)
    ]
    return {
        "type": kind,
        "name": name,
        "coordinateSystem": space,
        "coordinateUnits": "mm",
        "controlPoints": points,
    }
