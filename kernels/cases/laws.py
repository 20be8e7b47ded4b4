"""Conductivity laws of the cases, and a way to compile once for all of them."""

from __future__ import annotations

from ..conductivity import ConductivityLaw

LIVER = {
    "constant": ConductivityLaw.constant(0.08),
    "ramp": ConductivityLaw.ramp(0.08, 0.32, 35e3, 70e3),
    "smoothed step": ConductivityLaw.smoothed_step(0.08, 0.32, 35e3, 70e3),
    "sigmoid (Sel)": ConductivityLaw.sel(0.08, 0.32, 35e3, 70e3),
    "Gompertz": ConductivityLaw.gompertz(0.08, 0.32, 3.053, 0.00233e-2),
}
TUMOUR = {
    "constant": ConductivityLaw.constant(0.2),
    "ramp": ConductivityLaw.ramp(0.2, 0.7, 40e3, 80e3),
    "smoothed step": ConductivityLaw.smoothed_step(0.2, 0.7, 40e3, 80e3),
    "sigmoid (Sel)": ConductivityLaw.sel(0.2, 0.7, 40e3, 80e3),
}
"""Go-Smart's liver and tumour: the two conductivities and the range of the rise are one and the same in all laws."""


def with_all_kinds(*laws: ConductivityLaw) -> tuple[ConductivityLaw, ...]:
    """The laws, and after them one of each kind that no voxel uses: kernels are compiled for the kinds in a table, and
    so cases that differ in their law alone share them."""
    return (*laws, *LIVER.values())
