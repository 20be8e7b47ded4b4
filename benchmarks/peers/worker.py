"""A peer as a program that solves when told (protocol.py).

python -m benchmarks.peers.worker PEER METHOD FILE TOLERANCE runs in the peers' environment, without porefield. METHOD
is anderson, newton or sor.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from . import sor
from .linear import PEERS, Missing
from .network import Network
from .nonlinear import LinearSolver, anderson, nested, newton
from .protocol import Record, resident_bytes, serve


def main(name: str, method: str, file: str, tolerance: str) -> None:
    base = resident_bytes()
    stored = dict(np.load(Path(file)))
    networks = [Network(stored, f"{i}_") for i in range(int(stored["grids"]))]
    told: Record = {"peer": name, "method": method, "base_bytes": base}
    solvers: list[LinearSolver] = []
    if method == "sor":

        def solve() -> Record:
            return sor.solve(networks, float(tolerance))

        import numba  # pyright: ignore[reportMissingImports]

        told |= {"version": f"numba {numba.__version__}", "options": f"c = {sor.RELAXATION}, damping {sor.DAMPING}"}
    else:
        peer = PEERS[name]
        solvers = [peer.make(net) for net in networks]
        iterate = {"anderson": anderson, "newton": newton}[method]

        def solve() -> Record:
            return nested(networks, solvers, iterate, float(tolerance))

        told |= {"version": peer.version(), "options": peer.options}
    warm_up(networks, solvers)
    serve(solve, told)


def warm_up(networks: list[Network], solvers: list[LinearSolver]) -> None:
    """Compile, and touch the memory, before anything is timed."""
    small = networks[-1]
    small.update(small.at_rest())
    small.newton(small.at_rest())
    small.electrode_currents()
    sor.Sweeps(small).setup()
    sor.sweep(small.ex, small.ey, small.ez, small.diagonal, small.rhs, small.at_rest(), 1.0, 1)
    for net, solver in zip(networks, solvers, strict=False):
        net.update(net.at_rest(), linear=True)
        solver.setup()
        solver.solve(net.residual, 0.9)
        solver.precondition(net.residual)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (Missing, ImportError) as missing:
        sys.exit(f"not here: {missing}")
