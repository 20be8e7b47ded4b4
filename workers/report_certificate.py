"""The report's certificate: the solve, its balances and the voxels, in one place and with what each means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .report_data import Result
from .report_format import Html, badge, exact, number, scientific, table, text
from .report_tables import spoken
from .report_uncertainty import UNSETTLED, grid_check

MEANINGS = (
    ("Residual", "current that Kirchhoff's law leaves over at the nodes, over what the electrodes push in: is the "
     "nonlinear equation solved on these voxels? Computed anew by separate code after the solve."),
    ("Current balance", "sum of all electrodes' currents over the largest: what flows in flows out."),
    ("Energy balance", "difference between the sum of voltage times current and the heat in the tissue, over the heat: "
     "do currents and field agree?"),
    ("Voxels", "how far numbers may be off because voxels have a size. The first three say nothing about that."),
)  # fmt: skip


def certificate(result: Result) -> Html:
    """All of it."""
    meaning = "".join(f"<li><b>{name}:</b> {text(words)}</li>" for name, words in MEANINGS)
    return Html(f"{_solves(result)}<ul class=list>{meaning}</ul>{_voxels(result)}")


def _solves(result: Result) -> Html:
    heads = ("Pulse", "status", "residual", "tolerance", "current balance", "energy balance")
    heads += ("Newton steps", "CG iterations")
    rows, classes = [], []
    for pulse in result.pulses:
        solver: Mapping[str, Any] = pulse.get("solver") or {}
        status = str(solver.get("status", "unknown"))
        good = status == "converged"
        keys = ("relative_residual", "tolerance", "current_imbalance", "power_imbalance")
        counts = (_levels(solver.get(k)) for k in ("newton_steps", "cg_iterations"))
        mark = badge(spoken(status), "good" if good else "bad")
        rows.append((pulse.get("name"), mark, *(scientific(solver.get(k)) for k in keys), *counts))
        classes.append("" if good else "bad")
    caption = "Solves: what is left over; steps and iterations for each nested grid, coarsest first"
    return table(caption, heads, rows, words=(0, 1), classes=classes)


def _levels(counts: Any) -> str:
    return " + ".join(str(c) for c in counts) if isinstance(counts, list) else number(counts)


def _voxels(result: Result) -> Html:
    asked = result.summary.get("grid_check")
    if not asked:
        return Html(
            "<p><b>No estimate of the discretisation error was made.</b> <code>porefield run PLAN --check-grid</code>, "
            "or <code>solver: {check_grid: true}</code> in the plan, makes one. What to expect in general, at voxels "
            "of 1 mm and needles of 1.2 to 1.8 mm: currents and coverage within 1 %, volumes within 5 %, the largest "
            "field at metal not known at all (docs/certificate.md, docs/verification.md).</p>"
        )
    if grid_check(result) is None:
        notes = " ".join(text(note) for note in asked.get("notes") or ())
        return Html(f"<p><b>The grid check could not be made:</b> {notes}. The discretisation error is unknown.</p>")
    sizes = " and ".join(_size(other.get("spacing_mm")) for other in asked.get("coarser") or ())
    words = (
        f"<p>Solved on voxels of {_size(asked.get('spacing_mm'))}, and for comparison on {sizes}, in the same box, all "
        f"electrodes at their exact places. Uncertainties (\N{PLUS-MINUS SIGN}) in this report: "
        f"{text(asked.get('method'))}; against finite elements 97 % of 115 true errors of currents, volumes and "
        "coverage lay within them. They are about the voxels only, not about tissue values or the segmentation. The "
        "histogram's shares between the thresholds, the maps, and a voltage that would draw the generator's current "
        "limit (found to 1 % of the current, on these voxels) have none. "
        f"Numbers with {UNSETTLED} do not converge as voxels shrink.</p>"
    )
    return Html(words + _unsettled(asked) + _undecided(asked))


def _unsettled(check: Mapping[str, Any]) -> str:
    reasons: dict[str, list[str]] = {}
    for where, entry in (check.get("numbers") or {}).items():
        if entry.get("reason"):
            reasons.setdefault(str(entry["reason"]), []).append(where)
    items = "".join(f"<li><code>{text(', '.join(places))}</code>: {text(why)}</li>" for why, places in reasons.items())
    what = "Numbers without an uncertainty, by their place in summary.json"
    return f"<details><summary>{what}</summary><ul class=list>{items}</ul></details>" if items else ""


def _undecided(check: Mapping[str, Any]) -> str:
    found = check.get("undecided") or ()
    if not found:
        return "<p>No verdict of this result lies within its uncertainty.</p>"
    heads = ("Verdict undecided at this spacing", "number", "\N{PLUS-MINUS SIGN}", "held against", "what to do")
    rows = []
    for verdict in found:
        numbers = [number(verdict.get(key), digits) for key, digits in (("value", 4), ("uncertainty", 2))]
        rows.append((verdict.get("question"), *numbers, exact(verdict.get("limit")), verdict.get("advice")))
    return table("Verdicts that other voxels may turn", heads, rows, words=(0, -1), classes=["doubt"] * len(rows))


def _size(spacing_mm: Any) -> str:
    edges = [f"{h:.3g}" for h in spacing_mm or ()]
    return f"{edges[0]} mm" if len(set(edges)) == 1 else " \N{MULTIPLICATION SIGN} ".join(edges) + " mm"
