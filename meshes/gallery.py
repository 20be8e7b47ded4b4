"""The case gallery, data/cases/: runnable plans on made-up anatomy, and what they come to on coarse voxels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from .library import data_table
from .plan import read_table

SPACING = re.compile(r"^grid: \{spacing_mm: ([0-9.]+)\}$", re.MULTILINE)
EXPECTED = "cases/expected.yaml"


@dataclass(frozen=True)
class GalleryCase:
    """One case.

    Attributes:
        name: of its file. title: in one line. text: of the plan, at its full grid.
        spacing_mm, coarse_spacing_mm: voxels of the full grid, and of one that takes seconds.
        expected: figures at the coarse spacing, as data/cases/expected.yaml has them.
    """

    name: str
    title: str
    text: str
    spacing_mm: float
    coarse_spacing_mm: float
    expected: Mapping[str, Any]

    def plan_text(self, *, coarse: bool = False) -> str:
        """The plan as YAML, with its comments."""
        return SPACING.sub(f"grid: {{spacing_mm: {self.coarse_spacing_mm:g}}}", self.text) if coarse else self.text

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        kept = {"title": self.title, "spacing_mm": self.spacing_mm, "coarse_spacing_mm": self.coarse_spacing_mm}
        return {**kept, "expected_coarse": dict(self.expected)}


@cache
def load_gallery() -> Mapping[str, GalleryCase]:
    """The cases by name, in the order of expected.yaml."""
    folder = resources.files(__package__ or "").joinpath("data", "cases")
    found = {}
    for name, entry in data_table(EXPECTED)["cases"].items():
        text = folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8")
        (spacing,) = SPACING.findall(text)
        title = read_table(text, name)["title"]
        coarse, figures = entry["coarse_spacing_mm"], entry["figures"]
        found[name] = GalleryCase(name, title, text, float(spacing), float(coarse), figures)
    return found
