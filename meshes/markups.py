"""3D Slicer's markups files (.mrk.json): where needles lie, from lines and point lists.

The format is that of Slicer's markups-schema-v1.0.3.json: coordinateSystem is LPS where a markup does not say, and
coordinates are millimetres. A transform that a markup lies under in Slicer is no part of the file: harden it there.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from .errors import AnatomyError, one_of
from .model import LARGEST, shown
from .paths import find_file
from .plan_markups import FiducialSettings, LineSettings

MOST_BYTES = 16 << 20
"""Of a markups file: tens of thousands of points, where a needle needs two."""
TO_RAS = {"RAS": (1.0, 1.0, 1.0), "LPS": (-1.0, -1.0, 1.0)}

Point = tuple[float, float, float]


class Ends(NamedTuple):
    """A needle's foremost point and a point that it comes from, patient RAS mm."""

    tip_mm: Point
    entry_mm: Point


@dataclass
class MarkupsFiles:
    """The markups files that a plan names: where they are looked for, and which were read.

    Attributes:
        folder: of the plan's file; the working directory when None.
        allowed: whether files may be read at all; a plan from outside holds its points itself.
        read: provenance of each file, by the path that the plan states.
    """

    folder: Path | None = None
    allowed: bool = False
    read: dict[str, dict[str, Any]] = field(default_factory=dict)
    _markups: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def open(self, stated: str) -> tuple[list[dict[str, Any]], Path]:
        """The markups of a file, and where it lies.

        Raises:
            AnatomyError: of the field `path`: not allowed, not there, or no markups file.
        """
        if not self.allowed:
            raise AnatomyError.of("path", "points_mm, or tip_mm and entry_mm: no files are read here", shown(stated))
        path = find_file(stated, "path", self.folder, None)
        if stated not in self._markups:
            content = _content(path)
            self._markups[stated] = _markups_of(content, path)
            self.read[stated] = {"file": path.name, "path": stated, "sha256": hashlib.sha256(content).hexdigest()}
        return self._markups[stated], path


def line_ends(line: LineSettings, files: MarkupsFiles) -> Ends:
    """Tip and entry of a line.

    Raises:
        AnatomyError: its field is relative to the line.
    """
    if line.points_mm is not None:
        assert line.space is not None
        first, last = (_turned(point, line.space) for point in line.points_mm)
    else:
        assert line.path is not None
        markups, path = files.open(line.path)
        first, last = _line(markups, line.name, path)
    return Ends(first, last) if line.tip == "first" else Ends(last, first)


def fiducial_ends(points: FiducialSettings, files: MarkupsFiles) -> Ends:
    """Tip and entry by the labels of two points.

    Raises:
        AnatomyError: its field is relative to the settings.
    """
    markups, path = files.open(points.path)
    found = list(_points_of_lists(markups, path))
    return Ends(_labelled(found, points.tip, "tip", path), _labelled(found, points.entry, "entry", path))


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise AnatomyError.of("path", f"a markups file of at most {MOST_BYTES >> 20} MiB", f"{path}, which is larger")
    return content


def _markups_of(content: bytes, path: Path) -> list[dict[str, Any]]:
    expected = "a markups file of 3D Slicer (.mrk.json): JSON with a list `markups`"
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise AnatomyError.of("path", expected, f"{path}: {' '.join(str(error).split())}") from None
    markups = data.get("markups") if isinstance(data, dict) else None
    if not isinstance(markups, list) or not all(isinstance(markup, dict) for markup in markups):
        raise AnatomyError.of("path", expected, f"{path} without")
    return markups


def _line(markups: list[dict[str, Any]], name: str | None, path: Path) -> tuple[Point, Point]:
    """Both points of the line of that name, or of the only one."""
    lines = [(_name_of(markup, path, len(markups)), markup) for markup in markups if markup.get("type") == "Line"]
    names = [own for own, _ in lines]
    found = [markup for own, markup in lines if name is None or own == name]
    if name is None and len(found) != 1:
        expected = f"the name of a line of {path.name}, {one_of(names, '')}"
        raise AnatomyError.of("name" if found else "path", expected if found else "a file with a line", _lines(names))
    if not found:
        raise AnatomyError.of("name", f"a line of {path.name}, {one_of(names, name or '')}", str(name))
    if len(found) > 1:
        raise AnatomyError.of("name", f"a name that one line of {path.name} has", f"{name}, which {len(found)} have")
    points = list(_points(found[0], path))
    if len(points) != 2:
        raise AnatomyError.of("name", "a line of two points", f"{name or path.name}, with {len(points)}")
    return points[0][1], points[1][1]


def _lines(names: list[str]) -> str:
    return f"no name, and {len(names)} lines" if names else "no line"


def _name_of(markup: Mapping[str, Any], path: Path, count: int) -> str:
    """A markup's name. Slicer writes none into a file of one markup: its labels tell (%N-%d), or the file's name."""
    if isinstance(markup.get("name"), str) and markup["name"]:
        return markup["name"]
    points = markup.get("controlPoints")
    labels = [str(p.get("label", "")) for p in points if isinstance(p, dict)] if isinstance(points, list) else []
    stems = {label.rpartition("-")[0] for label in labels}
    if len(stems) == 1 and "" not in stems:
        return stems.pop()
    return path.name.removesuffix(".json").removesuffix(".mrk") if count == 1 else ""


def _points_of_lists(markups: list[dict[str, Any]], path: Path) -> Iterator[tuple[str, Point]]:
    for markup in markups:
        if markup.get("type") == "Fiducial":
            yield from _points(markup, path)


def _labelled(points: list[tuple[str, Point]], label: str, field: str, path: Path) -> Point:
    found = [point for own, point in points if own == label]
    if not found:
        expected = f"the label of a point in {path.name}, {one_of([own for own, _ in points], label)}"
        raise AnatomyError.of(field, expected, label)
    if len(found) > 1:
        raise AnatomyError.of(field, f"a label that one point in {path.name} has", f"{label}, which {len(found)} have")
    return found[0]


def _points(markup: Mapping[str, Any], path: Path) -> Iterator[tuple[str, Point]]:
    """Labels and positions of a markup's points, patient RAS mm.

    Raises:
        AnatomyError: coordinates that are not three finite numbers of a known system; a point that was never placed.
    """
    space = markup.get("coordinateSystem", "LPS")
    if not isinstance(space, str) or space not in TO_RAS:
        raise AnatomyError.of("path", f"coordinateSystem LPS or RAS in {path.name}", shown(space))
    units = markup.get("coordinateUnits", "mm")
    if (units[0] if isinstance(units, list) and units else units) != "mm":
        raise AnatomyError.of("path", f"coordinateUnits mm in {path.name}", shown(units))
    points = markup.get("controlPoints", [])
    for i, point in enumerate(points if isinstance(points, list) else []):
        where = f"{path.name}: controlPoints[{i}]"
        if not isinstance(point, dict):
            raise AnatomyError.of("path", "control points with a position", f"{where} {shown(point)}")
        if point.get("positionStatus", "defined") != "defined":
            raise AnatomyError.of("path", "points that are placed", f"{where} {shown(point['positionStatus'])}")
        position = point.get("position")
        if not isinstance(position, list) or len(position) != 3 or not all(map(_is_number, position)):
            raise AnatomyError.of("path", "positions of three finite numbers", f"{where} {shown(position)}")
        x, y, z = (float(value) for value in position)
        yield str(point.get("label", "")), _turned((x, y, z), space)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and abs(value) <= LARGEST


def _turned(point: Point, space: str) -> Point:
    x, y, z = (sign * value + 0.0 for sign, value in zip(TO_RAS[space], point, strict=True))
    return (x, y, z)
