"""docs/gpu.md from the words of page.md and the figures of docs/gpu.json."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .cards import CARDS, Card
from .traffic import iteration_bytes, nodes_of_levels, solve_bytes, solve_kernels

Figures = dict[str, Any]
"""{"devices": {name: {"jax": version, "rows": [measure.Row]}}}."""
TEMPLATE = Path(__file__).with_name("page.md")
"""The words; `{{measured}}` and so on stand for the tables."""
KERNEL_S = 3e-6
"""Assumed for starting and ending a small kernel."""
HEADS = (
    "voxels",
    "batch",
    "solve (s)",
    "triad (GB/s)",
    "of the roofline",
    "couplings, audit (s)",
    "Newton steps",
    "CG iterations",
    "residual",
)
MEMORY_HEADS = ("bytes a voxel and lane: model, XLA, device", "host's peak (GB)")


def page(figures: Figures) -> str:
    text = TEMPLATE.read_text(encoding="utf-8")
    tables = {
        "measured": measured(figures),
        "predicted": predicted(figures),
        "cards": table(("card", "GB/s", "GB", "source"), (card_cells(c) for c in CARDS)),
        "traffic": f"{iteration_bytes(nodes_of_levels((128, 128, 128))) / 129**3:.0f}",
        "kernel": f"{1e6 * KERNEL_S:g}",
    }
    for name, words in tables.items():
        text = text.replace(f"{{{{{name}}}}}", words)
    return text


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, ["---"] * len(heads), *rows))


def card_cells(card: Card) -> Sequence[str]:
    return card.name, f"{card.bandwidth_gb_per_s:g}", f"{card.memory_gb:g}", card.source


def measured(figures: Figures) -> str:
    """A table for each device; one row says so for each card that has none."""
    parts = []
    for name, device in figures["devices"].items():
        rows = (cells_of(row) for row in sorted(device["rows"], key=place))
        parts += [f"**{name}**, JAX {device['jax']}:", table((*HEADS, *MEMORY_HEADS), rows)]
    missing = [c for c in CARDS if not any(c.matches(name) for name in figures["devices"])]
    return "\n\n".join([*parts, table(("card", "solve (s)"), ((c.name, "not measured yet") for c in missing))])


def place(row: dict[str, Any]) -> tuple[int, int]:
    return row["voxels"], row["batch"]


def roofline_bytes(row: dict[str, Any]) -> float:
    return row["batch"] * solve_bytes(row["voxels"], row["newton_steps"], row["cg_iterations"])


def cells_of(row: dict[str, Any]) -> Sequence[str]:
    first = f"{row['voxels']}³", str(row["batch"])
    if "failed" in row:
        return (*first, row["failed"], *("",) * 8)
    least = roofline_bytes(row) / (1e9 * row["triad_gb_per_s"])
    lanes = row["batch"] * row["voxels"] ** 3
    memory = (row["model_bytes"], row["xla_bytes"], row["device_peak_bytes"])
    return (
        *first,
        f"{row['newton_s']:.3g}",
        f"{row['triad_gb_per_s']:.3g}",
        f"{100 * least / row['newton_s']:.0f} %",
        f"{row['couplings_s']:.2g}, {row['audit_s']:.2g}",
        counts(row["newton_steps"]),
        counts(row["cg_iterations"]),
        f"{row['residual']:.0e}",
        ", ".join("-" if m is None else f"{m / lanes:.0f}" for m in memory),
        f"{row['host_peak_bytes'] / 1e9:.2g}",
    )


def counts(of_grids: Sequence[int]) -> str:
    return " + ".join(map(str, of_grids))


def predicted(figures: Figures) -> str:
    """Milliseconds of each card for the counts that were measured on a CPU, bandwidth and kernels apart."""
    cpu = [d for name, d in figures["devices"].items() if name.startswith("CPU")]
    rows = sorted((row for d in cpu for row in d["rows"] if "failed" not in row), key=place)
    heads = ("voxels", "batch", "GB moved", "kernels (ms)", *(f"{c.name} (ms)" for c in CARDS))
    return table(heads, (prediction(row) for row in rows))


def prediction(row: dict[str, Any]) -> Sequence[str]:
    moved = roofline_bytes(row)
    kernels = solve_kernels(row["voxels"], row["newton_steps"], row["cg_iterations"]) * KERNEL_S
    bandwidth = [moved / (1e9 * c.bandwidth_gb_per_s) for c in CARDS]
    first = f"{row['voxels']}³", str(row["batch"]), f"{moved / 1e9:.3g}", f"{1e3 * kernels:.3g}"
    return *first, *(f"{1e3 * s:.3g}" for s in bandwidth)
