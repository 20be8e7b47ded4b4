"""docs/performance.md from its figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Figures = dict[str, Any]
TEMPLATE = Path(__file__).with_name("page.md")
"""The words; `{{name}}` stands for what the function of that name gives."""
WITHIN = 0.01
"""Of the current by finite elements."""
FIT_FROM = 64
"""Voxels along a side from which growth is fitted: smaller grids have fewer nested grids, or a fixed cost."""
LINEAR = 1.05
"""Largest exponent in voxels that needs no explanation."""
SAME_COST = 1.15
"""Ratio up to which two costs are taken for one; repeats differ by as much."""
VARIES = {
    "contrast": "permeabilised / at rest",
    "width": "width of the rise (V/m)",
    "needles": "needles",
    "tilt": "tilt (degrees)",
}


def page(figures: Figures) -> str:
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, section in SECTIONS.items():
        text = text.replace("{{" + name + "}}", section(figures))
    return text


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def seconds(s: float) -> str:
    return f"{s:.3g}" if s < 100 else f"{s:.0f}"


def listed(counts: Sequence[int]) -> str:
    """Counts on the nested grids, coarsest first."""
    return " + ".join(str(c) for c in counts)


# -- machine -----------------------------------------------------------------------------------------------------------


def machine(figures: Figures) -> str:
    points = growth(figures, "voxels")
    if not points:
        return "Nothing is measured yet."
    told, rates = points[-1]["machine"], [p["triad_bytes_per_s"] / 1e9 for p in points]
    packages = ", ".join(f"{k} {told[k]}" for k in ("python", "jax", "jaxlib", "numpy", "scipy"))
    return (
        f"{told['processor']}, {told['date']}; {packages}. One thread where nothing else is said. Its triad: "
        f"{min(rates):.1f} to {max(rates):.1f} GB/s in the runs of this page."
    )


# -- peers -------------------------------------------------------------------------------------------------------------


def peer_sizes(figures: Figures) -> list[str]:
    return sorted(figures.get("peers", {}), key=int)


def best_peer(at: Figures) -> tuple[str, Figures] | None:
    measured = [(name, r) for name, r in at.items() if "times_porefield" in r]
    return min(measured, key=lambda item: item[1]["times_porefield"], default=None)


def peers(figures: Figures) -> str:
    parts = []
    for size in peer_sizes(figures):
        at = figures["peers"][size]
        measured = sorted(
            ((n, r) for n, r in at.items() if "seconds" in r), key=lambda item: item[1].get("times_porefield", 1.0)
        )
        heads = [f"{size}³ voxels", "seconds", "passes", "times porefield", "steps", "linear iterations", "bytes/voxel"]
        rows = [
            [
                name,
                seconds(r["seconds"]),
                f"{r['passes']:,}",
                f"{r.get('times_porefield', 1):.2f}",
                listed(r["steps"]),
                listed(r["iterations"]) if sum(r["iterations"]) else "not told",
                f"{r['bytes_per_voxel']}",
            ]
            for name, r in measured
        ]
        parts.append(table(heads, rows))
    return "\n\n".join(parts)


def not_measured(figures: Figures) -> str:
    """What is not in the tables, and why."""
    reasons: dict[str, list[str]] = {}
    for size in peer_sizes(figures):
        for name, r in figures["peers"][size].items():
            for kind in ("unavailable", "refused", "left_out"):
                if kind in r:
                    reasons.setdefault(f"{name}: {kind.replace('_', ' ')}, {r[kind]}", []).append(f"{size}³")
    known = dict.fromkeys(name for at in figures.get("peers", {}).values() for name in at)
    for size in peer_sizes(figures):
        for name in known:
            if name not in figures["peers"][size]:
                reasons.setdefault(f"{name}: not run yet", []).append(f"{size}³")
    for code, r in figures.get("accuracy", {}).items():
        if "unavailable" in r:
            reasons.setdefault(f"{code}: unavailable, {r['unavailable']}", []).append("accuracy")
    if not reasons:
        return "Nothing was left out."
    return "\n".join(f"- {reason} ({', '.join(where)})" for reason, where in reasons.items())


def peer_options(figures: Figures) -> str:
    """Versions and options, each once."""
    told: dict[str, str] = {}
    for size in peer_sizes(figures):
        for name, r in figures["peers"][size].items():
            if "options" in r:
                told[name.rsplit(",", 1)[0]] = f"{r['version']}; {r['options']}"
    for code, r in figures.get("accuracy", {}).items():
        if "version" in r and "NGSolve" in code:
            told[code.split(",")[0]] = r["version"]
    return "\n".join(f"- {name}: {text}" for name, text in told.items())


# -- accuracy ----------------------------------------------------------------------------------------------------------


def first_within(rows: Sequence[Figures]) -> Figures | None:
    """The coarsest row from which on all finer ones are within the bar."""
    found = None
    for row in sorted(rows, key=lambda r: -r["unknowns"]):
        if abs(row["error"]) > WITHIN or not row.get("converged", True):
            break
        found = row
    return found


def accuracy(figures: Figures) -> str:
    heads = ["code", "coarsest within 1 %", "unknowns", "error", "mesh or electrodes (s)", "solve (s)", "together (s)"]
    rows = []
    for code, r in figures.get("accuracy", {}).items():
        if "rows" not in r:
            continue
        row = first_within(r["rows"])
        if row is None:
            finest = max(r["rows"], key=lambda x: x["unknowns"])
            spent = seconds(finest["seconds"])
            rows.append(
                [
                    code,
                    "none measured",
                    f"{finest['unknowns']:,} (finest)",
                    percent(finest["error"]),
                    "",
                    spent,
                    "not reached",
                ]
            )
            continue
        what = f"{row['voxel_mm']:g} mm voxels" if "voxel_mm" in row else f"mesh factor {row['factor']:g}"
        electrode = row["electrode_seconds"]
        cells = [seconds(electrode), seconds(row["seconds"]), seconds(electrode + row["seconds"])]
        rows.append([code, what, f"{row['unknowns']:,}", percent(row["error"]), *cells])
    return table(heads, rows)


def percent(share: float) -> str:
    return f"{100 * share:+.2f} %"


def accuracy_rows(figures: Figures) -> str:
    """All that was measured."""
    heads = ["code", "resolution", "unknowns", "error", "mesh or electrodes (s)", "solve (s)"]
    rows = []
    for code, r in figures.get("accuracy", {}).items():
        for row in r.get("rows", []):
            what = f"{row['voxel_mm']:.3g} mm" if "voxel_mm" in row else f"factor {row['factor']:g}"
            spent = [seconds(row["electrode_seconds"]), seconds(row["seconds"])]
            rows.append([code, what, f"{row['unknowns']:,}", percent(row["error"]), *spent])
    return table(heads, rows)


# -- growth ------------------------------------------------------------------------------------------------------------


def growth(figures: Figures, family: str) -> list[Figures]:
    """Points by their value."""
    points = figures.get("growth", {}).get(family, {})
    return [points[k] | {"value": float(k)} for k in sorted(points, key=float)]


def growth_rows(points: Sequence[Figures], name: str) -> str:
    heads = [name, "seconds", "passes", "Newton steps", "PCG iterations", "bytes/voxel (XLA)", "bytes/voxel (process)"]
    rows = [
        [
            f"{p['value']:g}" + ("³" if name == "voxels" else "") + ("" if p["converged"] else " (not converged)"),
            seconds(p["seconds"]),
            f"{p['passes']:,}",
            listed(p["newton_steps"]),
            listed(p["cg_iterations"]),
            f"{p['xla_memory_bytes_per_voxel']:.0f}",
            f"{p['process_bytes_per_voxel']}",
        ]
        for p in points
    ]
    return table(heads, rows)


def exponents(figures: Figures) -> dict[str, float]:
    """In voxels, of growth from FIT_FROM on."""
    points = [p for p in growth(figures, "voxels") if p["voxels"] >= FIT_FROM]
    if len(points) < 2:
        return {}
    sizes = [p["voxels"] ** 3 for p in points]
    measured = {
        "seconds": [p["seconds"] for p in points],
        "passes": [max(p["passes"], 1) * p["voxels"] ** 3 for p in points],
        "PCG iterations on the finest grid": [p["cg_iterations"][-1] for p in points],
        "XLA's memory": [p["xla_memory_bytes"] for p in points],
    }
    return {k: float(np.polyfit(np.log(sizes), np.log(v), 1)[0]) for k, v in measured.items()}


def fitted(figures: Figures) -> str:
    found = exponents(figures)
    if not found:
        return ""
    rows = [[k, f"{v:.3f}", "" if v <= LINEAR else f"above {LINEAR}"] for k, v in found.items()]
    heads = [f"exponent in voxels, {FIT_FROM}³ and more", "fitted", ""]
    return table([heads[0], heads[1], " "], rows)


def growth_said(figures: Figures) -> str:
    """An explanation is due where time grows faster than voxels."""
    found = exponents(figures)
    if not found:
        return ""
    if max(found["seconds"], found["passes"]) <= LINEAR:
        return f"Neither time nor memory grows faster than voxels (exponents up to {LINEAR})."
    points = [p for p in growth(figures, "voxels") if p["voxels"] >= FIT_FROM]
    each = [p["passes"] / max(sum(p["cg_iterations"]), 1) for p in points]
    steps = ", ".join(f"{p['newton_steps'][-1]} at {p['voxels']}³" for p in points)
    told = (
        f"Time grows faster than voxels, to the power {found['seconds']:.3f}. Passes for each PCG iteration (all else "
        f"included) go from {each[0]:.0f} to {each[-1]:.0f}; Newton steps on the finest grid are {steps}, "
        f"PCG iterations there grow with the power {found['PCG iterations on the finest grid']:.3f}. "
    )
    if each[-1] < SAME_COST * each[0]:
        return told + "So an iteration costs the same on all grids, and it is steps and iterations that grow."
    return told + "So an iteration itself costs more on large grids, which no cache holds any part of."


def families(figures: Figures) -> str:
    parts = []
    for family, name in VARIES.items():
        points = growth(figures, family)
        if points:
            parts.append(growth_rows(points, name))
    return "\n\n".join(parts)


def voxels(figures: Figures) -> str:
    return growth_rows(growth(figures, "voxels"), "voxels")


def threads(figures: Figures) -> str:
    points = growth(figures, "threads")
    heads = ["threads", "seconds", "triad (GB/s)", "Newton steps", "PCG iterations"]
    rows = [
        [
            f"{p['value']:g}",
            seconds(p["seconds"]),
            f"{p['triad_bytes_per_s'] / 1e9:.1f}",
            listed(p["newton_steps"]),
            listed(p["cg_iterations"]),
        ]
        for p in points
    ]
    return table(heads, rows)


def restarts(figures: Figures) -> str:
    """Solves that start from what is known, beside those from scratch."""
    heads = ["voxels", "change and start", "seconds", "times as fast", "Newton steps", "PCG iterations"]
    rows = [
        [
            f"{size}³",
            name,
            seconds(r["seconds"]),
            f"{r['times_faster']:.2f}",
            listed(r["newton_steps"]),
            listed(r["cg_iterations"]),
        ]
        for size, found in sorted(figures.get("restarts", {}).items(), key=lambda item: int(item[0]))
        for name, r in found.items()
    ]
    return table(heads, rows)


def fresh(figures: Figures) -> str:
    """Whole processes, from their start to a first solution."""
    rows = [
        [f"{size}³", name, seconds(r["seconds"]), seconds(r["solve_seconds"])]
        for size, found in sorted(figures.get("fresh", {}).items(), key=lambda item: int(item[0]))
        for name, r in found.items()
    ]
    return table(["voxels", "compiled programs", "seconds", "of which the solve"], rows)


def breakdown(figures: Figures) -> str:
    """Where the seconds go, by the profiler."""
    tables = []
    for size, found in sorted(figures.get("breakdown", {}).items(), key=lambda item: int(item[0])):
        whole = sum(r["seconds"] for r in found.values())
        rows = [
            [what, seconds(r["seconds"]), f"{r['passes']:,}", f"{r['seconds'] / whole:.0%}"]
            for what, r in found.items()
        ]
        rows.append(["together", seconds(whole), f"{sum(r['passes'] for r in found.values()):,}", ""])
        tables.append(table([f"{size}³ voxels", "seconds", "passes", "share"], rows))
    return "\n\n".join(tables)


def parts(figures: Figures) -> str:
    """Of a solve, by `make bench`."""
    heads = ["benchmark", "seconds", "passes"]
    found = figures.get("parts", {})
    return table(heads, [[f"`{k}`", seconds(r["seconds"]), f"{r['passes']:,.0f}"] for k, r in found.items()])


# -- in short ----------------------------------------------------------------------------------------------------------


def summary(figures: Figures) -> str:
    return "\n".join(f"- {line}" for line in said(figures))


def said(figures: Figures) -> Iterator[str]:
    points = {p["voxels"]: p for p in growth(figures, "voxels")}
    if 128 in points:
        p = points[128]
        yield (
            f"128³ voxels: {seconds(p['seconds'])} s warm, {p['passes']:,} passes over the grid; "
            f"{sum(p['newton_steps'])} Newton steps and {sum(p['cg_iterations'])} PCG iterations on all nested grids."
        )
    for size in peer_sizes(figures):
        best = best_peer(figures["peers"][size])
        if best:
            name, r = best
            verb = "takes" if r["times_porefield"] >= 1 else "is faster: it takes"
            yield f"{size}³: the best peer found, {name}, {verb} {r['times_porefield']:.2f} times as long."
    reached = {c: first_within(r["rows"]) for c, r in figures.get("accuracy", {}).items() if "rows" in r}
    ours = reached.get("porefield")
    if ours:
        others = [
            f"{code} {seconds(r['seconds'] + r['electrode_seconds']) + ' s' if r else 'not at any size measured'}"
            for code, r in reached.items()
            if code != "porefield"
        ]
        took = seconds(ours["seconds"] + ours["electrode_seconds"])
        yield f"1 % of the current by finite elements, a needle having moved: {'; '.join([took + ' s', *others])}."
    at = growth(figures, "threads")
    if len(at) == 2:
        yield f"Two threads against one, 128³: {at[0]['seconds'] / at[1]['seconds']:.2f} times as fast."
    again = figures.get("restarts", {}).get("128", {})
    if again:
        said_of = {
            "voltage, one solution known": "5 % more voltage",
            "shift, one solution known": "a needle 1 mm further",
        }
        told = [f"{what} {again[k]['times_faster']:.2f} times" for k, what in said_of.items() if k in again]
        yield f"From a solution that is known, 128³: {', '.join(told)} as fast as from scratch."
    first = figures.get("fresh", {}).get("96", {})
    if first:
        told = [f"{seconds(r['seconds'])} s ({name})" for name, r in first.items()]
        yield f"First solution of a fresh process, 96³, imports and all: {', '.join(told)}."
    if points:
        p = points[max(points)]
        yield (
            f"Memory at {p['voxels']}³: {p['xla_memory_bytes_per_voxel']:.0f} bytes for each voxel by XLA's analysis "
            f"of the Newton step, {p['process_bytes_per_voxel']} of the whole process at its peak."
        )
    found = exponents(figures)
    if found:
        yield f"Seconds grow with voxels to the power {found['seconds']:.3f}, passes {found['passes']:.3f}."


SECTIONS = {
    "machine": machine,
    "summary": summary,
    "peers": peers,
    "not_measured": not_measured,
    "peer_options": peer_options,
    "accuracy": accuracy,
    "accuracy_rows": accuracy_rows,
    "voxels": voxels,
    "fitted": fitted,
    "growth_said": growth_said,
    "families": families,
    "threads": threads,
    "breakdown": breakdown,
    "restarts": restarts,
    "fresh": fresh,
    "parts": parts,
}
