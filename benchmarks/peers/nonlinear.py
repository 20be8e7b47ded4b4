"""The best nonlinear iterations that one can write round a linear solver: the same two for every peer.

Anderson: the fixed point phi -> A(sigma(phi))^-1 b, accelerated over the last MEMORY steps. Undamped it does not
converge on these laws. Newton: the exact Newton matrix by its products, PCG preconditioned by one cycle of the peer on
the network at frozen conductivity, forcing terms of Eisenstat and Walker, step halving. Both start from voxels twice
and four times as large, as porefield does, where the peer can.

Anderson 1965, J ACM 12:547; Walker and Ni 2011, SIAM J Numer Anal 49:1715.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .network import Network, interpolate

Floats = NDArray[np.float64]
COARSE_TOLERANCE = 1e-3
MOST_STEPS = 60
MEMORY, MIXING, INNER_REDUCTION = 5, 0.6, 0.3
"""Of Anderson's iteration: tried one at a time with PFMG at 64^3, 3 to 8, 0.6 to 1.0 and 0.03 to 0.3. A memory of 3 was
a tenth faster than 5 at a reduction of 0.1."""


class LinearSolver(Protocol):
    """A peer on one grid. `setup` takes the network's matrix as it stands, `refresh` keeps an older preconditioner."""

    def setup(self) -> None: ...

    def refresh(self) -> None: ...

    def solve(self, rhs: Floats, reduction: float) -> tuple[Floats, int]:
        """Correction from zero, and iterations."""
        ...

    def precondition(self, rhs: Floats) -> Floats: ...


Make = Callable[[Network], LinearSolver]
Iterate = Callable[[Network, LinearSolver, Floats, float], tuple[Floats, float, int, int]]


def nested(networks: Sequence[Network], solvers: Sequence[LinearSolver], iterate: Iterate, tolerance: float) -> Any:
    """Solve from the coarsest grid to the finest (the first); a record of the last."""
    phi, counts, linear = None, [], []
    residual = np.inf
    for i in reversed(range(len(networks))):
        net, solver = networks[i], solvers[i]
        first = 0
        if phi is None:
            phi = net.at_rest()
            net.update(phi, linear=True)
            solver.setup()
            step, first = solver.solve(net.residual, 1e-2)
            phi = phi - step
        else:
            phi = interpolate(phi, net)
        wanted = tolerance if i == 0 else max(tolerance, COARSE_TOLERANCE)
        phi, residual, steps, inner = iterate(net, solver, phi, wanted)
        counts.append(steps)
        linear.append(first + inner)
    return {
        "residual": residual,
        "converged": bool(residual <= tolerance),
        "steps": counts,
        "iterations": linear,
        "current_a": float(networks[0].electrode_currents()[0]),
    }


def anderson(net: Network, solver: LinearSolver, phi: Floats, tolerance: float) -> tuple[Floats, float, int, int]:
    """Anderson's accelerated fixed point; potential, residual, steps, linear iterations."""
    points: list[Floats] = []
    steps: list[Floats] = []
    inner, residual = 0, np.inf
    for k in range(MOST_STEPS + 1):
        residual = net.update(phi)
        if residual <= tolerance or k == MOST_STEPS:
            return phi, residual, k, inner
        renew(solver, k, refresh=True)
        correction, iterations = solver.solve(net.residual, getattr(solver, "reduction", INNER_REDUCTION))
        inner += iterations
        points.append(phi)
        steps.append(-correction)
        del points[: -MEMORY - 1], steps[: -MEMORY - 1]
        phi = phi + MIXING * steps[-1]
        if len(steps) > 1:
            d = np.stack([(steps[-1] - s).reshape(-1) for s in steps[:-1]])
            weights = np.linalg.lstsq(d @ d.T, d @ steps[-1].reshape(-1), rcond=1e-12)[0]
            for w, point, step in zip(weights, points[:-1], steps[:-1], strict=True):
                phi -= w * (points[-1] - point + MIXING * (steps[-1] - step))
    raise AssertionError("unreachable")


def newton(net: Network, solver: LinearSolver, phi: Floats, tolerance: float) -> tuple[Floats, float, int, int]:
    """Newton's method with the peer as preconditioner; potential, residual, steps, PCG iterations."""
    inner, forcing = 0, 0.1
    residual = net.update(phi)
    for k in range(MOST_STEPS):
        if residual <= tolerance:
            return phi, residual, k, inner
        renew(solver, k, refresh=False)
        direction, iterations = pcg(net.newton, solver.precondition, -net.residual, forcing)
        inner += iterations
        length, before, at = 1.0, residual, phi
        while True:
            phi = at + length * direction
            residual = net.update(phi)
            if residual < before or length < 0.02:
                break
            length *= 0.5
        quadratic, needed = 0.9 * (residual / before) ** 2, 0.3 * tolerance / residual
        forcing = min(max(quadratic, needed, 1e-3), 0.1)
    return phi, residual, MOST_STEPS, inner


def renew(solver: LinearSolver, step: int, *, refresh: bool) -> None:
    """Set up anew each `lag` steps: peers whose set-up is dear keep a preconditioner for some."""
    if step % getattr(solver, "lag", 1) == 0:
        solver.setup()
    elif refresh:
        solver.refresh()


def pcg(matrix: Callable, precondition: Callable, rhs: Floats, reduction: float) -> tuple[Floats, int]:
    x, r, p, rz = np.zeros_like(rhs), rhs.copy(), np.zeros_like(rhs), 1.0
    target = reduction * np.linalg.norm(rhs)
    for k in range(200):
        if np.linalg.norm(r) <= target:
            return x, k
        z = precondition(r)
        rz, before = np.vdot(r, z), rz
        p = z + (rz / before) * p if k else z
        ap = matrix(p)
        step = rz / np.vdot(p, ap)
        x += step * p
        r -= step * ap
    return x, 200
