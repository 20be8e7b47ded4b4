"""Numbers with their uncertainty on the page, and what stands there where there is none."""

from __future__ import annotations

import json
from typing import Any

from porefield.workers.report_certificate import certificate
from porefield.workers.report_data import Result
from porefield.workers.report_uncertainty import number_at, percent_at
from porefield.workers.report_verdict import verdict

SHARE, LARGEST = "/targets/tumour/coverage/reversible", "/targets/tumour/field_v_per_cm/max"


def checked(result: Result, numbers: dict[str, Any], undecided: list[dict[str, Any]] | None = None) -> Result:
    """The result with a grid check that says this."""
    check = {
        "done": True,
        "spacing_mm": [1.0, 1.0, 1.0],
        "coarser": [{"shape": [5, 5, 5], "spacing_mm": [2.0, 2.0, 2.0], "ratio": 2.0}],
        "order": 2.0,
        "safety_factor": 3.0,
        "method": "3 times, order 2 assumed",
        "numbers": {k: {"value": 1.0, "coarser": [1.0], "reason": "", **v} for k, v in numbers.items()},
        "undecided": undecided or [],
        "notes": [],
    }
    return with_check(result, check)


def with_check(result: Result, check: dict[str, Any] | None) -> Result:
    summary = json.loads(json.dumps(result.summary)) | {"grid_check": check}
    return Result(summary, result.dataset, result.affine, result.electrodes, result.attributes)


def plain(text: str) -> str:
    return text.replace("\xa0", " ")


def test_uncertainties_are_rounded_up_and_shares_down(torso: Result) -> None:
    result = checked(
        torso, {SHARE: {"uncertainty": 0.00561}, "/a": {"uncertainty": 0.34245}, "/b": {"uncertainty": 431.0}}
    )
    assert plain(percent_at(result, 0.96889, "targets", "tumour", "coverage", "reversible")) == "96.8 \u00b1 0.6 %"
    assert plain(number_at(result, 14.6284, "a")) == "14.63 \u00b1 0.35"
    assert plain(number_at(result, 15613.4, "b", scale=1e-3)) == "15.61 \u00b1 0.44"
    assert plain(number_at(result, 15613.4, "elsewhere", scale=1e-3)) == "15.6"


def test_what_does_not_converge_is_marked(torso: Result) -> None:
    result = checked(torso, {LARGEST: {"uncertainty": None, "reason": "does not converge: at metal"}})
    assert number_at(result, 1934.0, "targets", "tumour", "field_v_per_cm", "max") == "1934\N{DAGGER}"
    assert "does not converge: at metal" in certificate(result)


def test_what_carries_no_uncertainty_is_said(torso: Result) -> None:
    words = certificate(checked(torso, {SHARE: {"uncertainty": 0.005}}))
    assert "a voltage that would draw the generator's current limit" in words
    assert "histogram's shares between the thresholds, the maps" in words


def test_an_undecided_verdict_is_no_good_one(torso: Result) -> None:
    doubt = {"question": "tumour: covered whole", "pointer": SHARE, "value": 1.0, "uncertainty": 0.02, "limit": 1.0}
    doubt["advice"] = "solve with grid.spacing_mm of about 0.5"
    targets = json.loads(json.dumps(torso.targets))
    targets["tumour"]["coverage"]["reversible"] = 1.0
    result = checked(torso, {SHARE: {"uncertainty": 0.02}}, [doubt])
    result = Result(
        dict(result.summary) | {"targets": targets}, result.dataset, result.affine, result.electrodes, result.attributes
    )
    cards = verdict(result)
    assert 'class="card doubt"><h3>Target: tumour' in cards
    assert "Undecided at this spacing" in cards
    assert "spacing_mm of about 0.5" in cards
    assert "covered whole" in certificate(result)


def test_without_a_check_the_report_says_so_and_how(torso: Result) -> None:
    assert "No estimate of the discretisation error was made" in certificate(torso)
    assert "--check-grid" in certificate(torso)
    failed = with_check(torso, {"done": False, "notes": ["too thin a tube"]})
    assert "could not be made:</b> too thin a tube" in certificate(failed)
