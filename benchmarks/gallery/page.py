"""docs/gallery.md: the words of page.md, with the figures of docs/gallery.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

WORDS = Path(__file__).with_name("page.md")

Cases = Mapping[str, Mapping[str, Any]]


def page(cases: Cases) -> str:
    """The page as Markdown.

    Args:
        cases: by name, what docs/gallery.json has.
    """
    cores = " or ".join(str(n) for n in sorted({case["cores"] for case in cases.values()}))
    parts = {"cases": "\n".join(_cases(cases)), "table": "\n".join(_table(cases)), "risks": "\n".join(_risks(cases))}
    return WORDS.read_text(encoding="utf-8").format(cores=cores, **{k: v + "\n" for k, v in parts.items()})


def _cases(cases: Cases) -> Iterator[str]:
    for name, case in cases.items():
        yield f"## {case['title']}\n"
        yield f"[`{name}`](../meshes/data/cases/{name}.yaml): {_verdict(case)}\n"
        yield f"![Field and coverage of {name}: slices through the target](images/gallery/{name}.png)\n"
    yield "## Figures\n"


def _verdict(case: Mapping[str, Any]) -> str:
    covered = [
        f"{_share(zones['reversible'][1])} of the {target} above the reversible threshold, "
        f"{_share(zones['irreversible'][1])} above the irreversible one"
        for target, zones in case["coverage"].items()
    ]
    over = [name for name, field in case["at_risk_v_per_cm"].items() if field > case["limit_v_per_cm"][name]]
    risk = (
        f"Above the plan's limit: {', '.join(over)}."
        if over
        else "All structures to be spared stay below their limits."
    )
    capped = f" The generator caps {case['capped']} of {case['trains']} voltages." if case["capped"] else ""
    return f"{'; '.join(covered)}. {risk}{capped}"


def _table(cases: Cases) -> Iterator[str]:
    head = ("case, target", "above reversible, %", "above irreversible, %", "largest current, A", "voxels", "trains")
    yield "| " + " | ".join((*head, "s", "s of processors")) + " |"
    yield "|---" * 8 + "|"
    for name, case in cases.items():
        for i, (target, zones) in enumerate(case["coverage"].items()):
            shares = (" / ".join(_percent(share) for share in zones[zone]) for zone in ("reversible", "irreversible"))
            cost = (f"{case['largest_current_a']:.3g}", f"{case['voxels']:,} of {case['spacing_mm']:g} mm")
            cost += (str(case["trains"]), f"{case['wall_s']:.0f}", f"{case['cpu_s']:.0f}")
            yield "| " + " | ".join((f"`{name}`, {target}", *shares, *(cost if i == 0 else [""] * 5))) + " |"


def _risks(cases: Cases) -> Iterator[str]:
    yield "| case | structure | limit, V/cm | largest field, V/cm | above the limit, mm3 |"
    yield "|---|---|---|---|---|"
    for name, case in cases.items():
        for structure, field in case["at_risk_v_per_cm"].items():
            limit, above = case["limit_v_per_cm"][structure], case["above_limit_mm3"][structure]
            bold = f"**{field:.0f}**" if field > limit else f"{field:.0f}"
            yield f"| `{name}` | {structure} | {limit:g} | {bold} | {above:.0f} |"


def _share(share: float) -> str:
    return f"{_percent(share)} %"


def _percent(share: float) -> str:
    """100 only where it is whole."""
    percent = 100 * share
    return f"{min(percent, 99.9) if share < 1 else percent:.3g}"
