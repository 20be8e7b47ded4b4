"""The first page: covered and how surely, what is at risk, whether the generator is able; and that it is one page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from porefield.workers.report import front
from porefield.workers.report_band import band_sentence
from porefield.workers.report_data import Result, read_result
from porefield.workers.report_style import STYLE
from porefield.workers.report_tables import tissues_table
from porefield.workers.report_verdict import MOST_SPARED, all_warnings, generator_card, spared_card, verdict, warnings

from .torso import write_torso

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8) + (4).to_bytes(4) + (3).to_bytes(4)


def plain(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).replace("\xa0", " ").split())


def changed(result: Result, **changes: Any) -> Result:
    summary = json.loads(json.dumps(result.summary)) | changes
    return Result(summary, result.dataset, result.affine, result.electrodes, result.attributes, result.robustness)


def band(low: float, high: float, verdict: str) -> dict[str, Any]:
    share = {"low": low, "nominal": 0.5 * (low + high), "high": high}
    at = {"low": 350.0, "nominal": 400.0, "high": 500.0}
    return {"tissue": "tumour", "threshold_v_per_cm": at, "share": share, "verdict": verdict}


def with_band(result: Result, low: float, high: float, found: str) -> Result:
    targets = json.loads(json.dumps(result.targets))
    bands = {"reversible": band(low, high, found), "irreversible": band(0.4, 0.1, "not_whole")}
    targets["tumour"]["coverage"] |= {"reversible": bands["reversible"]["share"]["nominal"], "band": bands}
    return changed(result, targets=targets)


@pytest.mark.parametrize(
    ("low", "high", "found", "said", "kind"),
    [
        (1.0, 1.0, "whole", "Covered whole wherever the threshold lies from 350 to 500 V/cm.", "good"),
        (1.0, 0.971, "depends_on_threshold", "whole at 350 V/cm, 97.1 % at 500 V/cm.", "doubt"),
        (0.98, 0.8, "not_whole", "Not whole at any threshold from 350 to 500 V/cm: 98.0 % to 80.0 %.", "bad"),
    ],
)
def test_the_verdict_says_whether_it_depends_on_the_threshold(
    torso: Result, low: float, high: float, found: str, said: str, kind: str
) -> None:
    result = with_band(torso, low, high, found)
    assert said in plain(band_sentence(result.targets["tumour"]))
    cards = verdict(result)
    assert f'class="card {kind}"><h3>Target: tumour' in cards
    for words in ("low 350:", "nominal 400:", "high 500:", "at none", "10.0 %"):
        assert words in plain(cards)


def test_a_result_without_a_band_has_no_sentence_on_it(torso: Result) -> None:
    assert not band_sentence(torso.targets["tumour"])
    assert "At or above the irreversible threshold" in verdict(torso)


def test_what_is_at_risk_is_told_with_its_margin_the_worst_first(torso: Result) -> None:
    one = dict(torso.avoided["spinal_cord"])
    avoid = {
        "far": one | {"limit_v_per_cm": 400.0, "max_v_per_cm": 100.0, "exceeded": False},
        "near": one | {"limit_v_per_cm": 400.0, "max_v_per_cm": 390.0, "exceeded": False},
        "over": one | {"limit_v_per_cm": 100.0, "max_v_per_cm": 150.0, "exceeded": True},
    }
    card = spared_card(changed(torso, avoid=avoid))
    assert 'class="card bad"' in card
    said = plain(card)
    assert (
        said.index("over 100 150 50 over 50 % of it")
        < said.index("near 400 390 10 left 2 % of it")
        < said.index("far 400")
    )
    many = {f"s{i}": avoid["far"] for i in range(MOST_SPARED + 3)}
    assert "And 3 more, below." in spared_card(changed(torso, avoid=many))
    assert "no result: far" in spared_card(changed(torso, avoid={"far": avoid["far"] | {"max_v_per_cm": None}}))


def test_the_generator_s_worst_pulse_and_what_would_fit(torso: Result) -> None:
    said = plain(generator_card(torso))
    assert "exceeded by B-C" in said
    assert "Most is asked by A-B: 1500 V (50 % of the limit), 12.3 A (25 %)." in said
    assert "B-C: about 1210 V would just fit." in said


def test_of_many_warnings_the_first_page_has_the_gravest(torso: Result) -> None:
    result = changed(torso, warnings=[f"warning {i}" for i in range(9)])
    first = warnings(result, 3)
    assert first.count("<li>") == 3
    assert "And 6 more, on the next page." in first
    assert all_warnings(result).count("<li>") == 9
    assert not all_warnings(torso)


def test_unverified_values_are_one_line_of_the_first_page(torso: Result) -> None:
    told = [f"{tissue}: unverified baseline_s_per_m (recall)" for tissue in ("red_liver", "fat")]
    notes = [{"kind": "unverified_value", "message": message} for message in told]
    result = changed(torso, warnings=[*told, "mind the gap"], notes=notes)
    first = warnings(result, 3)
    assert first.index("mind the gap") < first.index("Unverified values, see Tissues: red liver, fat")
    assert first.count("<li>") == 2
    assert all_warnings(result).count("<li>") == 3


def test_the_first_page_is_one_and_says_what_it_is_not(torso: Result) -> None:
    html = front(torso, PNG)
    assert html.startswith('<div class="front">')
    assert "no medical device" in plain(html)
    order = [
        html.index(words)
        for words in ("<h1>", "Target: tumour", "At risk", "Generator", "Warnings", "<img", "disclaimer")
    ]
    assert order == sorted(order)
    assert re.search(r"\.front \{[^}]*height: 268mm;[^}]*break-after: page", STYLE)
    assert "grid check" in plain(html).lower() or "was not estimated" in plain(html)


def test_a_study_is_told_in_the_report_of_its_nominal_plan(tmp_path: Path) -> None:
    directory = write_torso(tmp_path / "nominal")
    assert read_result(directory).robustness is None
    probability = {"value": 0.875, "low": 0.8, "high": 0.92, "points": 128}
    found = {"whole": {"tumour": probability}, "exceeded": {"spinal_cord": probability | {"value": 0.25}}}
    (tmp_path / "robustness.json").write_text(json.dumps(found))
    said = plain(verdict(read_result(directory)))
    assert "covered whole in 88 % of 128 draws (95 % interval 80 to 92 %)." in said
    assert "Above the limit in a share of the draws: spinal cord 25 %." in said
    elsewhere = directory.rename(tmp_path / "other")
    assert read_result(elsewhere).robustness is None


def test_ranges_stand_in_the_tissue_table(torso: Result) -> None:
    tissues = json.loads(json.dumps(torso.summary["tissues"]))
    ends = {"low": 350.0, "high": 500.0, "source": "a review", "verified": False, "note": ""}
    next(v for v in tissues[4]["values"] if v["name"] == "reversible_v_per_cm")["range"] = ends
    said = plain(tissues_table(changed(torso, tissues=tissues)))
    assert "350 to 500" in said
    assert "range: a review" in said
