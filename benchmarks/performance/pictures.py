"""The page's pictures: growth, and error against seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from .page import VARIES, WITHIN, growth, peer_sizes

Figures = dict[str, Any]
INK = ("#1b6ca8", "#c8553d", "#3b8b5a", "#8a5aa8", "#b38600", "#555555", "#d17ba8", "#4aa6a6")


def draw(figures: Figures, folder: Path) -> None:
    plt.rcParams.update({"font.size": 8.5, "axes.spines.top": False, "axes.spines.right": False})
    draw_growth(figures, folder / "performance_growth.png")
    draw_accuracy(figures, folder / "performance_accuracy.png")


def draw_growth(figures: Figures, path: Path) -> None:
    """Seconds against voxels, ours and peers'; iterations of the other families."""
    fig, panels = plt.subplots(1, 1 + len(VARIES), figsize=(15, 3.9), layout="constrained")
    sizes = panels[0]
    for ink, (name, points) in zip(INK, curves(figures).items(), strict=False):
        sizes.loglog([n**3 for n, _ in points], [s for _, s in points], "o-", ms=4, lw=1.2, color=ink, label=name)
    ours = curves(figures)["porefield"]
    if ours:
        n = np.asarray([ours[0][0], ours[-1][0]], float) ** 3
        sizes.loglog(n, ours[-1][1] * n / n[-1], "--", lw=1, color="#999999", label="in proportion")
    sizes.set(xlabel="voxels", ylabel="seconds", title="one thread, warm")
    sizes.legend(frameon=False, fontsize=6.5)
    for ax, (family, name) in zip(panels[1:], VARIES.items(), strict=True):
        points = growth(figures, family)
        x = [p["value"] for p in points]
        ax.plot(x, [p["newton_steps"][-1] for p in points], "o-", ms=4, lw=1.2, color=INK[0], label="Newton steps")
        ax.plot(x, [p["cg_iterations"][-1] for p in points], "s-", ms=4, lw=1.2, color=INK[1], label="PCG iterations")
        if family in ("contrast", "width"):
            ax.set_xscale("log")
            ax.set_xticks(x, [f"{v:g}" for v in x])
            ax.minorticks_off()
        ax.set(xlabel=name, title="on the finest grid, 64³", ylim=(0, None))
        ax.legend(frameon=False, fontsize=7)
    fig.savefig(path, dpi=110)
    plt.close(fig)


def curves(figures: Figures) -> dict[str, list[tuple[int, float]]]:
    """(voxels along a side, seconds) of ours and of each peer's better method."""
    out = {"porefield": [(p["voxels"], p["seconds"]) for p in growth(figures, "voxels")]}
    best: dict[str, dict[int, float]] = {}
    for size in peer_sizes(figures):
        for name, r in figures["peers"][size].items():
            if "times_porefield" in r:
                at = best.setdefault(name.rsplit(",", 1)[0], {})
                at[int(size)] = min(r["seconds"], at.get(int(size), np.inf))
    return out | {name: sorted(at.items()) for name, at in best.items()}


def draw_accuracy(figures: Figures, path: Path) -> None:
    fig, ax = plt.subplots(figsize=(7.5, 4.6), layout="constrained")
    measured = {code: r["rows"] for code, r in figures.get("accuracy", {}).items() if "rows" in r}
    for ink, (code, rows) in zip(INK, measured.items(), strict=False):
        spent = [r["seconds"] + r["electrode_seconds"] for r in rows]
        ax.loglog(spent, [max(abs(r["error"]), 1e-5) for r in rows], "o-", ms=4, lw=1.2, color=ink, label=code)
    ax.axhline(WITHIN, color="#999999", lw=0.8, ls="--")
    ax.set(xlabel="seconds, mesh or electrodes included", ylabel="|error| of the current")
    if measured:
        ax.legend(frameon=False, fontsize=7.5)
    fig.savefig(path, dpi=110)
    plt.close(fig)
