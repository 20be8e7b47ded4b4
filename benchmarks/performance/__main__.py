"""docs/performance.md and its pictures from docs/performance.json.

python -m benchmarks.performance                  the page, from the figures that are there
python -m benchmarks.performance --take FILE      first take the parts of a solve from what `make bench` wrote
python -m benchmarks.performance --check          fail if the page is not what the figures give
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ..figures import keep, stored
from .page import page

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "performance.md"
TAKEN = ("passes", "grid", "points", "seconds_per_point", "compilations", "compilations_of_others", "cg_iterations")


def take(file: Path) -> None:
    """Keep what the page tells of pytest-benchmark's records."""
    for record in json.loads(file.read_text(encoding="utf-8"))["benchmarks"]:
        if "passes" in record["extra_info"]:
            found: dict[str, Any] = {k: v for k, v in record["extra_info"].items() if k in TAKEN}
            keep("parts", record["name"], found | {"seconds": round(record["stats"]["min"], 5)})


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.performance", description=__doc__)
    parser.add_argument("--take", type=Path)
    parser.add_argument("--check", action="store_true")
    wanted = parser.parse_args()
    if wanted.take:
        take(wanted.take)
    text = page(stored())
    if wanted.check:
        same = PAGE.read_text(encoding="utf-8") == text
        say("the page is what the figures give" if same else "the page is not what the figures give: make bench-page")
        return 0 if same else 1
    from .pictures import draw

    draw(stored(), DOCS / "images")
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
