"""The plans' parts on docs/inputs.md are what the models take."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from porefield.meshes import load_plan
from porefield.meshes.electrode_markups import electrode_markups

from ..meshes.conftest import PHANTOM

PAGE = (Path(__file__).parents[2] / "docs" / "inputs.md").read_text(encoding="utf-8")
PARTS = dict(re.findall(r"<!-- test: (\w+) -->\n```yaml\n(.*?)```", PAGE, re.DOTALL))


def test_all_are_found() -> None:
    assert set(PARTS) == {"markups", "masks", "seg"}


@pytest.mark.parametrize("name", ["masks", "seg"])
def test_anatomies(name: str) -> None:
    plan = load_plan({**PHANTOM, **yaml.safe_load(PARTS[name])})
    assert plan.anatomy.ct is not None
    assert plan.anatomy.ct.body_above_hu == -300


def test_needles_on_markups(tmp_path: Path) -> None:
    plan = load_plan(PHANTOM)
    a, b = electrode_markups(plan.electrodes)["markups"]
    (tmp_path / "needles.mrk.json").write_text(json.dumps({"markups": [{**a, "name": "L1"}]}))
    (tmp_path / "points.mrk.json").write_text(json.dumps({"markups": [{**b, "type": "Fiducial"}]}))
    table: dict[str, Any] = {**PHANTOM, **yaml.safe_load(PARTS["markups"])}
    (tmp_path / "plan.json").write_text(json.dumps(table))
    found = [electrode.needle.tip_mm for electrode in load_plan(tmp_path / "plan.json").electrodes if electrode.needle]
    assert found == [(7, 10, 4), (17, 10, 4)]
    points = re.search(r"line: (\{points_mm: .*?\})", PAGE)
    assert points is not None
    needle = {"line": yaml.safe_load(points[1]), "diameter_mm": 1.2, "exposed_mm": 8}
    electrodes = [{"name": "A", "needle": needle}, PHANTOM["electrodes"][1]]
    one = load_plan({**PHANTOM, "electrodes": electrodes}, markups=False).electrodes[0].needle
    assert one is not None
    assert one.tip_mm == (70.8, 157.7, -774.4)
