"""Coverage over the range of a threshold, as the report says it: in one sentence, and as a small table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .report_data import Result
from .report_format import Html, badge, finite, percent, table, text
from .report_uncertainty import percent_at

ENDS = ("low", "nominal", "high")
ZONES = ("reversible", "irreversible")
WORDS = {
    "whole": ("at any", "good"),
    "depends_on_threshold": ("at low only", "doubt"),
    "not_whole": ("at none", "bad"),
}


def band_of(target: Mapping[str, Any], zone: str) -> Mapping[str, Any]:
    """One target's coverage over one threshold's range; empty where an older result has none, or there is no share."""
    band = ((target.get("coverage") or {}).get("band") or {}).get(zone) or {}
    return band if band.get("verdict") in WORDS else {}


def band_sentence(target: Mapping[str, Any], zone: str = "reversible") -> Html:
    """Whether the verdict hangs on where in its range the threshold lies; empty where that is not known."""
    band = band_of(target, zone)
    if not band:
        return Html("")
    at, share = band["threshold_v_per_cm"], band["share"]
    low, high = (_v_per_cm(at.get(end)) for end in ("low", "high"))
    least, most = percent(share.get("high")), percent(share.get("low"))
    span = most if most == least else f"{most} to {least}"
    said = {
        "whole": f"<b>Covered whole wherever the threshold lies</b> from {low} to {high} V/cm.",
        "depends_on_threshold": f"<b>Depends on the threshold:</b> whole at {low} V/cm, {least} at {high} V/cm.",
        "not_whole": f"<b>Not whole at any threshold</b> from {low} to {high} V/cm: {span}.",
    }
    return Html(said[str(band["verdict"])])


def band_table(result: Result, name: str, target: Mapping[str, Any]) -> Html:
    """Thresholds and shares at the low end, the nominal value and the high end of both thresholds; or nothing."""
    bands = {zone: band for zone in ZONES if (band := band_of(target, zone))}
    if not bands:
        return Html("")
    rows = [(end, *(_cell(result, name, zone, end, band) for zone, band in bands.items())) for end in ENDS]
    rows.append(("whole?", *(badge(*WORDS[str(band["verdict"])]) for band in bands.values())))
    return table("At thresholds over their range, in V/cm", (Html(""), *bands), rows)


def _cell(result: Result, name: str, zone: str, end: str, band: Mapping[str, Any]) -> Html:
    where = ("coverage", zone) if end == "nominal" else ("coverage", "band", zone, "share", end)
    share = percent_at(result, band["share"].get(end), "targets", name, *where)
    at = _v_per_cm(band["threshold_v_per_cm"].get(end))
    return Html(f"<small>{at}:</small> {text(share)}")


def _v_per_cm(value: Any) -> str:
    x = finite(value)
    return "?" if x is None else f"{x:.0f}"
