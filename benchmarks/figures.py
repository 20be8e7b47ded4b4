"""docs/performance.json: pieces of it are measured one by one, and keep their place until measured anew."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FIGURES = Path(os.environ.get("PERFORMANCE_JSON", Path(__file__).parents[1] / "docs" / "performance.json"))
Figures = dict[str, Any]


def stored() -> Figures:
    """All figures so far."""
    return json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}


def keep(piece: str, place: str, found: Figures) -> None:
    """Put figures into a piece's place; others there stay unless they are named anew."""
    figures = stored()
    figures.setdefault(piece, {}).setdefault(place, {}).update(found)
    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
