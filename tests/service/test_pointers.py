"""Dotted paths as JSON pointers, with keys that have dots and brackets themselves."""

from __future__ import annotations

from typing import Any

import pytest

from porefield.service.pointers import pointer


@pytest.mark.parametrize(
    ("field", "data", "expected"),
    [
        ("", None, ""),
        ("electrodes[1].needle.tip_mm[2]", None, "/electrodes/1/needle/tip_mm/2"),
        ("a/b.c~d", None, "/a~1b/c~0d"),
        (
            "axes[0].fields.grid.spacing_mm",
            {"axes": [{"fields": {"grid.spacing_mm": []}}]},
            "/axes/0/fields/grid.spacing_mm",
        ),
        ("axes[0].fields.a.b[3]", {"axes": [{"fields": {"a": 1, "a.b": [1, 2, 3, 4]}}]}, "/axes/0/fields/a.b/3"),
        ("tissues.a[0].x", {"tissues": {"a[0]": {}}}, "/tissues/a[0]/x"),
        ("tissues.a[0].x", {"tissues": {"a": [{"x": 1}]}}, "/tissues/a/0/x"),
        ("list[7].x", {"list": [1]}, "/list/7/x"),
        ("missing.part", {"other": 1}, "/missing/part"),
        ("..[", {"": 1}, ""),
        ("tissues..0.x", {"tissues": {".0": {}}}, "/tissues/.0/x"),
        ("tissues[x", {"tissues": {"[x": {}}}, "/tissues/[x"),
        ("../x", {"../x": 1}, "/..~1x"),
        ("pulses[\N{SUPERSCRIPT TWO}]", {"pulses": [1]}, "/pulses/\N{SUPERSCRIPT TWO}"),
    ],
)
def test_the_longest_key_that_fits_is_meant(field: str, data: Any, expected: str) -> None:
    assert pointer(field, data) == expected
