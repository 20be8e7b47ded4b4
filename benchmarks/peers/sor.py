"""Red-black successive over-relaxation with conductivities renewed every few sweeps: what voxel codes of the field use.

The best of it: a tuned over-relaxation, damped renewals (undamped they oscillate for ever), starts from coarser voxels,
compiled loops on one thread. It stops at the same residual as everyone else.
"""

from __future__ import annotations

from typing import Any

import numba  # pyright: ignore[reportMissingImports]
import numpy as np

from .network import Network
from .nonlinear import Floats, nested

SWEEPS, DAMPING, RELAXATION = 10, 0.4, 3.6
"""Sweeps between renewals, share of the new conductivity taken, and c of omega = 2 / (1 + c / N): the best of 2.5, 3
and 3.6 at 64^3; larger c and other dampings beside 0.4 to 0.6 were not tried."""
MOST_SWEEPS = 20_000


@numba.njit(cache=True, fastmath=True)
def sweep(ex, ey, ez, inverse, rhs, x, omega, sweeps):
    nx, ny, nz = x.shape
    for _ in range(sweeps):
        for colour in range(2):
            for i in range(nx):
                for j in range(ny):
                    for k in range((i + j + colour) % 2, nz, 2):
                        s = rhs[i, j, k]
                        if i > 0:
                            s += ex[i - 1, j, k] * x[i - 1, j, k]
                        if i < nx - 1:
                            s += ex[i, j, k] * x[i + 1, j, k]
                        if j > 0:
                            s += ey[i, j - 1, k] * x[i, j - 1, k]
                        if j < ny - 1:
                            s += ey[i, j, k] * x[i, j + 1, k]
                        if k > 0:
                            s += ez[i, j, k - 1] * x[i, j, k - 1]
                        if k < nz - 1:
                            s += ez[i, j, k] * x[i, j, k + 1]
                        x[i, j, k] += omega * (s * inverse[i, j, k] - x[i, j, k])


class Sweeps:
    """SOR on one grid; solves nothing by itself but the start with tissue at rest."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.omega = 2 / (1 + RELAXATION / max(net.metal.shape))

    def setup(self) -> None:
        self.inverse = 1 / self.net.diagonal

    def refresh(self) -> None:
        self.setup()

    def run(self, x: Floats, sweeps: int) -> None:
        net = self.net
        sweep(net.ex, net.ey, net.ez, self.inverse, net.rhs, x, self.omega, sweeps)

    def solve(self, rhs: Floats, reduction: float) -> tuple[Floats, int]:
        raise NotImplementedError("over-relaxation goes on from a potential")

    def precondition(self, rhs: Floats) -> Floats:
        raise NotImplementedError("over-relaxation is not symmetric")


def relax(net: Network, solver: Any, phi: Floats, tolerance: float) -> tuple[Floats, float, int, int]:
    """Potential, residual, renewals of the conductivity, sweeps."""
    phi, held, done, renewals = phi.copy(), None, 0, 0
    while True:
        residual = net.update(phi)
        if residual <= tolerance or done >= MOST_SWEEPS or not np.isfinite(residual):
            return phi, residual, renewals, done
        held = net.sigma.copy() if held is None else held + DAMPING * (net.sigma - held)
        net.sigma[:] = held
        net.assemble()
        solver.setup()
        solver.run(phi, SWEEPS)
        renewals, done = renewals + 1, done + SWEEPS


class FromRest(Sweeps):
    """As `nested` asks for it: a correction of the potential at rest."""

    def solve(self, rhs: Floats, reduction: float) -> tuple[Floats, int]:
        start = self.net.at_rest()
        x = start.copy()
        sweeps = 2 * max(x.shape)
        self.run(x, sweeps)
        return start - x, sweeps


def solve(networks: list[Network], tolerance: float) -> dict[str, Any]:
    """A record as of `nested`; iterations are sweeps."""
    return nested(networks, [FromRest(net) for net in networks], relax, tolerance)
