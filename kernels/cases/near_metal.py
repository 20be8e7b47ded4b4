"""|E| next to a needle of 0.7 mm while it moves between the voxels: what single points are good for."""

from __future__ import annotations

import math

import numpy as np

from .case import Case, Figure, Floats, Measured, Solved
from .laws import TUMOUR
from .needles import NeedlePair

OFFSETS = tuple((0.1 * i, 0.37 * i % 1.0) for i in range(10))
"""Of both needles, in voxels: places spread over one."""
DISTANCES_MM = (0.1, 0.25, 0.5, 1.0)
ANGLES = 24


class NearMetalCase(Case):
    """Two needles of 0.7 mm, 8 mm apart, linear: |E| on circles round one of them, at ten places."""

    group, name = "Field next to metal", "field next to metal"
    title = "0.7 mm, ten places between the voxels"
    source = "closed form"
    spacings_mm = (1.0, 0.5, 0.25)

    def __init__(self) -> None:
        self.exact = NeedlePair(TUMOUR["constant"])

    @property
    def quick_mm(self) -> tuple[float, ...]:
        """None: it promises nothing."""
        return ()

    def figures(self) -> tuple[Figure, ...]:
        return tuple(
            Figure(f"{d:g} mm off its surface, {what}", "", 0.0, scale=1.0)
            for d in DISTANCES_MM
            for what in ("rms", "largest")
        )

    def measure(self, spacing_mm: float) -> Measured:
        errors, solved = [], None
        for offset in OFFSETS:
            shift_m = (1e-3 * spacing_mm * offset[0], 1e-3 * spacing_mm * offset[1])
            solved = Solved(self.exact.problem(1e-3 * spacing_mm, shift_m))
            errors.append(self.errors(solved, shift_m))
        assert solved is not None
        off = np.abs(np.stack(errors))
        numbers = np.stack([np.sqrt(np.mean(off**2, axis=(0, 2))), off.max(axis=(0, 2))], axis=-1).reshape(-1)
        return solved.measured({f.name: float(v) for f, v in zip(self.figures(), numbers, strict=True)})

    def errors(self, solved: Solved, shift_m: tuple[float, float]) -> Floats:
        """Relative, shape (distances, angles)."""
        angle = 2 * math.pi * np.arange(ANGLES) / ANGLES
        r = self.exact.radius_m + 1e-3 * np.asarray(DISTANCES_MM)[:, None]
        x, y = -0.5 * self.exact.apart_m + r * np.cos(angle), r * np.sin(angle)
        x0, y0 = self.exact.middle_m(shift_m)
        z = np.full(x.shape, 0.5 * solved.problem.grid.size_m[2])
        return solved.field_v_per_m(np.stack([x0 + x, y0 + y, z], axis=-1)) / self.exact.field_v_per_m(x, y) - 1
