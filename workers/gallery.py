"""The figures of a case of the gallery that tests and its page hold on to, and how far they may move."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

COVERAGE, CURRENT, FIELD = 0.01, 0.01, 0.03
"""Of coverage in shares of the target, of currents and largest fields relative. Solves are converged to 1e-7, so that
other processors and libraries move figures in the fifth digit. These leave room for better electrode models, whose
error at such voxels is about a per cent of the current, and none for another tissue value, voltage or place."""


def figures_of(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Coverage of the targets, the largest current, and the largest field in what is to be spared.

    Args:
        summary: of a run, as summary.json has it.
    """
    return {
        "coverage": {
            name: {
                zone: [round(band["share"][end], 4) for end in ("low", "nominal", "high")]
                for zone, band in target["coverage"]["band"].items()
            }
            for name, target in summary["targets"].items()
        },
        "largest_current_a": float(f"{max(pulse['generator_current_a'] for pulse in summary['pulses']):.4g}"),
        "at_risk_v_per_cm": {name: float(f"{one['max_v_per_cm']:.4g}") for name, one in summary["avoid"].items()},
    }


def strays(found: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[str]:
    """Every figure that left its tolerance, with both values; also figures that only one of the two has."""
    here, there = dict(_flat(found)), dict(_flat(expected))
    for where in sorted(here.keys() ^ there.keys()):
        yield f"{where}: {here.get(where, 'none')}, expected {there.get(where, 'none')}"
    for where in sorted(here.keys() & there.keys()):
        kind = where.split("/")[0]
        absolute, relative = {"coverage": (COVERAGE, 0.0), "largest_current_a": (0.0, CURRENT)}.get(kind, (0.0, FIELD))
        if not math.isclose(here[where], there[where], rel_tol=relative, abs_tol=absolute):
            yield f"{where}: {here[where]:g}, expected {there[where]:g}"


def _flat(figures: Any, where: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(figures, Mapping):
        pairs = list(figures.items())
    elif isinstance(figures, list):
        pairs = list(enumerate(figures))
    else:
        yield where, float(figures)
        return
    for key, value in pairs:
        yield from _flat(value, f"{where}/{key}" if where else str(key))
