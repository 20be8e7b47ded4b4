"""Arrangements of needles and plates: the conductors of a device in the device's own frame.

x runs across, y at right angles to it, both at right angles to the direction of insertion; distances behind count from
the plane of the tips (of plates: of their foremost edges) backwards. x, y and the direction make a right-handed frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

Numbers = Mapping[str, float]
Span = tuple[float, float]


@dataclass(frozen=True)
class Part:
    """One conductor; all in millimetres.

    Attributes:
        name: within the device; empty where it has only this one.
        at: x and y of the axis, or of a plate's middle.
        bare: from where to where behind the tips there is metal. length: to the end of the insulated shaft.
        diameter: of a needle; of a plate 0. tip: length of a conical tip, 0 is flat.
        others: spans of other conductors on the same shaft.
        size: of a plate: thickness along x, width along y; None of a needle.
    """

    name: str
    at: tuple[float, float]
    bare: Span
    length: float
    diameter: float = 0.0
    tip: float = 0.0
    others: tuple[Span, ...] = ()
    size: tuple[float, float] | None = None


@dataclass(frozen=True)
class Layout:
    """A device's conductors and how they are wired.

    Attributes:
        parts: in order.
        groups: name -> parts on one wire.
        sides: the two groups or parts that face each other; None where there are no two sides.
        neighbours: pairs of parts next to each other, in firing order.
    """

    parts: tuple[Part, ...]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sides: tuple[str, str] | None = None
    neighbours: tuple[tuple[str, str], ...] = ()

    @property
    def middle_mm(self) -> float:
        """From the tips back to the middle of the bare metal."""
        return 0.5 * (min(part.bare[0] for part in self.parts) + max(part.bare[1] for part in self.parts))

    @property
    def length_mm(self) -> float:
        """From the tips to the far end, insulation included."""
        return max(part.length for part in self.parts)


def layout_of(kind: str, numbers: Numbers) -> Layout:
    """The conductors of one kind of layout with its numbers.

    Raises:
        KeyError: an unknown kind, or a number that is missing.
    """
    return _layout_of(kind, tuple(numbers.items()))


@lru_cache(maxsize=512)
def _layout_of(kind: str, numbers: tuple[tuple[str, float], ...]) -> Layout:
    return LAYOUTS[kind](dict(numbers))


def _needle(n: Numbers, name: str = "", x: float = 0.0, y: float = 0.0) -> Part:
    bare = n["exposed_mm"]
    length = max(bare, n["total_length_mm"]) if "total_length_mm" in n else bare + n["shaft_mm"]
    return Part(name, (x, y), (0.0, bare), length, n["diameter_mm"], n["tip_length_mm"])


def _single(n: Numbers) -> Layout:
    return Layout((_needle(n),))


def _rows(n: Numbers) -> Layout:
    """Rows a and b, a at negative x; needles a1, a2 ... along y."""
    count = round(n["needles_per_row"])
    rows: dict[str, tuple[Part, ...]] = {}
    for row, side in (("a", -0.5), ("b", 0.5)):
        places = [(i - 0.5 * (count - 1)) * n["pitch_mm"] for i in range(count)]
        rows[row] = tuple(_needle(n, f"{row}{i + 1}", side * n["row_gap_mm"], y) for i, y in enumerate(places))
    groups = {row: tuple(part.name for part in parts) for row, parts in rows.items()}
    facing = tuple((f"a{i + 1}", f"b{i + 1}") for i in range(count))
    return Layout((*rows["a"], *rows["b"]), groups, ("a", "b"), facing)


def _hexagon(n: Numbers) -> Layout:
    """Needle `centre`, and 1 to 6 round it, the first at positive x."""
    pitch = n["pitch_mm"]
    rim = [(pitch * math.cos(i * math.pi / 3), pitch * math.sin(i * math.pi / 3)) for i in range(6)]
    parts = (_needle(n, "centre"), *(_needle(n, str(i + 1), x, y) for i, (x, y) in enumerate(rim)))
    spokes = tuple(("centre", str(i)) for i in range(1, 7))
    edges = tuple((str(i), str(i % 6 + 1)) for i in range(1, 7))
    return Layout(parts, {"rim": tuple(part.name for part in parts[1:])}, None, spokes + edges)


def _plates(n: Numbers) -> Layout:
    """Plates a and b, a at negative x."""
    off = 0.5 * (n["gap_mm"] + n["thickness_mm"])
    size, height = (n["thickness_mm"], n["width_mm"]), n["height_mm"]
    a, b = (Part(name, (x, 0.0), (0.0, height), height, size=size) for name, x in (("a", -off), ("b", off)))
    return Layout((a, b), {}, ("a", "b"), (("a", "b"),))


def _bands(n: Numbers) -> Layout:
    """Poles `distal`, which holds the tip, and `proximal`."""
    start = n["distal_mm"] + n["insulation_mm"]
    first, second = (0.0, n["distal_mm"]), (start, start + n["proximal_mm"])
    length = second[1] + n["shaft_mm"]
    distal = Part("distal", (0.0, 0.0), first, length, n["diameter_mm"], n["tip_length_mm"], (second,))
    proximal = Part("proximal", (0.0, 0.0), second, length, n["diameter_mm"], n["tip_length_mm"], (first,))
    return Layout((distal, proximal), {}, ("distal", "proximal"), (("distal", "proximal"),))


LAYOUTS: Mapping[str, Callable[[Numbers], Layout]] = {
    "needle": _single,
    "rows": _rows,
    "hexagon": _hexagon,
    "plates": _plates,
    "bands": _bands,
}
