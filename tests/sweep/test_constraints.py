"""Conditions on points: what they mean, and what is refused before it can do harm."""

from __future__ import annotations

import time

import pytest

from porefield.meshes.errors import PlanError
from porefield.workers.sweep.constraints import Condition


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("abs(a) <= 3", True),
        ("a < b", True),
        ("min(a, b, 5) == a and not b < 0", True),
        ("1 < b ** 2 < 3", False),
        ("a / 0 < 1", False),
        ("a ** 0.5 < 1", False),  # no real root of -2: nothing to compare
        ("a ** 0.5 >= 1", False),
        ("9 ** 9 ** 9 ** 9 > 1", False),  # too large for a number: no value, and no endless sum
        ("b ** 1000000 > 1", False),
    ],
)
def test_conditions_hold_where_they_have_a_value(text: str, holds: bool) -> None:
    started = time.process_time()
    assert Condition(text, ["a", "b"], "require").holds({"a": -2.0, "b": 4.0}) is holds
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a comparison such as"),
        ("a <", "a comparison such as"),
        ("a < 1\0", "a comparison such as"),
        ("a < " + "(" * 300 + "1" + ")" * 300, "a comparison such as"),
        ("a < " + "-" * 900 + "1", "nested"),
        ("a < " + "+".join("1" * 450), "nested"),
        ("a < " + "+".join("1" * 1_000_000), "at most 1000 characters"),
        ("a < 1" + "0" * 400, "finite numbers"),
        ("a < 1e999", "finite numbers"),
        ("c < 1", "names of axes"),
        ("abs() < a", "one value in abs"),
        ("abs(a, a) < a", "one value in abs"),
        ("min(a) < a", "two or more in min"),
        ("min(a, default=1) < a", "axis names, numbers"),
        ("a.real < 1", "axis names, numbers"),
        ("a < 'text'", "axis names, numbers"),
        ("a @ a < 1", "comparisons"),
        ("__import__('os') < a", "axis names, numbers"),
    ],
)
def test_everything_else_is_refused(text: str, words: str) -> None:
    with pytest.raises(PlanError, match=words) as refused:
        Condition(text, ["a"], "constraints[0].require")
    assert refused.value.problems[0].field == "constraints[0].require"
    assert len(str(refused.value)) < 500
