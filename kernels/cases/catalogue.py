"""All verification cases, and their figures at a spacing as plain numbers."""

from __future__ import annotations

from .case import Case, Measured
from .fibres import LAWS, ContactCase, SeriesSlabCase, SheetCase, StretchedCoaxialCase
from .finite_elements import NEEDLES_IN_A_BLOCK, FiniteElementCase
from .inclusion import FloatingSphereCase, NonlinearSphereCase
from .laws import LIVER
from .manufactured import ManufacturedCase
from .near_metal import NearMetalCase
from .needles import TABULATED, FloatingNeedleCase, NeedlePairCase
from .poses import BALL_A, WAYS, MotionCase, PoseCase, RisingPoseCase
from .radial import CoaxialCase, SphericalCase
from .shapes import shape_cases
from .shell import FloatingShellCase
from .slab import SlabCase


def all_cases() -> tuple[Case, ...]:
    """In the order of the page."""
    return (
        SlabCase(),
        *(CoaxialCase(law, 300.0, (400.0,)) for law in LIVER if law != "ramp"),
        # 350 V/cm is where the ramp sets in: a contour there follows a kink of the field
        CoaxialCase("ramp", 300.0, (350.0, 400.0)),
        *(CoaxialCase(law, 600.0, (500.0,)) for law in ("ramp", "Gompertz")),
        *(SphericalCase(law, 300.0, (400.0,)) for law in LIVER),
        *(SphericalCase(law, 600.0, (500.0,)) for law in ("ramp", "Gompertz")),
        *(NeedlePairCase(law) for law in ("constant", *TABULATED)),
        *(NonlinearSphereCase(law) for law in TABULATED),
        *(FiniteElementCase(title) for title in NEEDLES_IN_A_BLOCK),
        *shape_cases(),
        *(PoseCase(diameter) for diameter in BALL_A),
        RisingPoseCase(),
        *(MotionCase(way) for way in WAYS),
        NearMetalCase(),
        SeriesSlabCase(),
        *(ContactCase(law) for law in LAWS),
        SheetCase(),
        *(StretchedCoaxialCase(law) for law in LAWS),
        FloatingShellCase("constant"),
        FloatingShellCase("sigmoid (Sel)"),
        FloatingSphereCase(),
        FloatingNeedleCase(),
        ManufacturedCase(),
    )


def by_name(name: str) -> Case:
    """Raises KeyError."""
    return {case.name: case for case in all_cases()}[name]


def errors(case: Case, measured: Measured) -> dict[str, float]:
    """Of each figure, over its scale."""
    return {f.name: f.error(measured.values[f.name]) for f in case.figures()}
