"""What a field solve returns. Non-convergence is a value, never hidden: the caller decides what to do with it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class SolveStatus(StrEnum):
    """How a nonlinear solve ended."""

    CONVERGED = "converged"
    """The independently recomputed residual is at or below the tolerance."""
    STAGNATED = "stagnated"
    """No step reduces the residual any more, above the tolerance."""
    OUT_OF_ITERATIONS = "out_of_iterations"
    """The allowed Newton steps were used up, above the tolerance."""


@dataclass(frozen=True)
class StepReport:
    """The state between two Newton steps, handed to the caller for progress and cancellation."""

    level: int
    """Nested grid: 0 is the finest."""
    spacing_m: tuple[float, float, float]
    step: int
    relative_residual: float
    tolerance: float
    member: int = 0
    """Of a batch: which of its problems."""


@dataclass(frozen=True)
class Solution:
    """A solved pulse.

    Attributes:
        potential_v: at the nodes, float64, shape (nx+1, ny+1, nz+1), V.
        field_v_per_m: root mean square |E| of each voxel, float32, shape (nx, ny, nz), V/m.
        conductivity_s_per_m: of each voxel in that field, float32, same shape; of anisotropic tissue, that of an axis
            factor of 1.
        currents_a: out of each electrode into the tissue, A (their sum is zero up to the solver's tolerance).
        electrode_potentials_v: of each electrode, those that float included, V.
        status: whether to believe the above.
        relative_residual: Euclidean norm of the nodal current imbalance, recomputed in float64 by a plain
            separate evaluation, divided by the norm of what the driven electrodes push into a tissue at rest.
        tolerance: what relative_residual was asked to reach.
        current_imbalance: |sum of currents| / largest |current|.
        power_imbalance: |sum of V I - dissipated power| / dissipated power.
        dissipated_power_w: integral of J . E, contacts and sheets included, W.
        newton_steps: per nested grid, coarsest first.
        cg_iterations: per nested grid, coarsest first.
        tissue_share: of the drop over a voxel along each axis what is in its tissue and not in a sheet, shape
            (3, nx, ny, nz); None without contacts and sheets.
        contact_drops_v: mean drop from each electrode to the tissue at its surface, V; None without contacts and
        sheets.
        device: JAX platform and device kind that computed it.
        definite: whether the equations' matrix is shown to be positive definite at this potential (definite.py), so
            that no other solution is near; None where nobody looked.
    """

    potential_v: NDArray[np.float64]
    field_v_per_m: NDArray[np.float32]
    conductivity_s_per_m: NDArray[np.float32]
    currents_a: tuple[float, ...]
    electrode_potentials_v: tuple[float, ...]
    status: SolveStatus
    relative_residual: float
    tolerance: float
    current_imbalance: float
    power_imbalance: float
    dissipated_power_w: float
    newton_steps: tuple[int, ...]
    cg_iterations: tuple[int, ...]
    device: str
    tissue_share: NDArray[np.float32] | None = None
    contact_drops_v: tuple[float, ...] | None = None
    definite: bool | None = None

    @property
    def converged(self) -> bool:
        return self.status is SolveStatus.CONVERGED

    def surface_potential_v(self, electrode: int) -> float:
        """Mean potential (V) of the tissue at an electrode's surface: behind its contact resistance."""
        drop_v = 0.0 if self.contact_drops_v is None else self.contact_drops_v[electrode]
        return self.electrode_potentials_v[electrode] - drop_v


class SolveCancelled(Exception):
    """Raised out of a solve when the caller's progress callback asked to stop; nothing was computed."""
