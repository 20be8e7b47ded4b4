"""The network put together a second time, as sparse matrices: what the product's stencils and solver are held against.

All drops, over edges and links, are  t = B x  with x the nodes' and the electrodes' potentials; a voxel's mean square
field is  q = S t^2 / w  (S >= 0 but for clipped leaks, w its fill). The energy's gradient is  R = V B' (S' sigma * t),
its second derivative  J = V B' [ diag(S' sigma) + 2 diag(t) S' diag(sigma'(q) / w) S diag(t) ] B.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, diags, eye, kron, vstack
from scipy.sparse.linalg import spsolve

from porefield.kernels.conductivity import LawKind, conductivity
from porefield.kernels.coupling import couple
from porefield.kernels.links import Couplings
from porefield.kernels.problem import FieldProblem

solve_sparse: Any = spsolve


def difference(n: int) -> Any:
    """From n + 1 nodes to n differences between neighbours."""
    return csr_matrix(np.diff(np.eye(n + 1), axis=0))


class Assembly:
    """Sparse matrices of a problem whose laws are constants and ramps."""

    def __init__(self, problem: FieldProblem, couplings: Couplings | None = None) -> None:
        self.problem, self.couplings = problem, couplings or couple(problem.grid, problem.electrodes)
        c, grid = self.couplings, problem.grid
        edges = [self.edges(axis) for axis in range(3)]
        links = self.links()
        self.b: Any = vstack([*(e[0] for e in edges), links[0]]).tocsr()
        self.s: Any = csr_matrix(np.concatenate([*(e[1].toarray() for e in edges), links[1].toarray()], axis=1))
        self.fill = np.ones(grid.shape)
        self.fill[np.unravel_index(c.part_cell, grid.node_shape)] = c.part_fill
        self.fill = self.fill.reshape(-1)
        floating = np.asarray([v is None for v in problem.potentials_v])
        self.free = np.flatnonzero(np.concatenate([c.metal.reshape(-1) < 0, floating]))

    def edges(self, axis: int) -> tuple[Any, Any]:
        """B and S of the edges along an axis, S from kept shares."""
        grid, nodes = self.problem.grid, self.problem.grid.node_shape
        step: Any = csr_matrix(np.ones((1, 1)))
        mean: Any = csr_matrix(np.ones((1, 1)))
        for a, (cells, points) in enumerate(zip(grid.shape, nodes, strict=True)):
            if a == axis:
                step = kron(step, difference(cells))
                mean = kron(mean, eye(cells))
            else:
                step = kron(step, eye(points))
                mean = kron(mean, 0.5 * abs(difference(cells)))
        keep = tuple(slice(0, -1) if a == axis else slice(None) for a in range(3))
        share = self.couplings.open_edge[axis][keep].reshape(-1).astype(float)
        b = step.toarray() / grid.spacing_m[axis]
        electrodes = np.zeros((len(b), len(self.problem.electrodes)))
        return csr_matrix(np.concatenate([b, electrodes], axis=1)), csr_matrix(mean) @ diags(share)

    def links(self) -> tuple[Any, Any]:
        c, grid = self.couplings, self.problem.grid
        size, count = int(np.prod(grid.node_shape)), len(c.link_node)
        b = np.zeros((count, size + len(self.problem.electrodes)))
        b[np.arange(count), c.link_node] = 1
        b[np.arange(count), size + c.link_electrode] = -1
        s = np.zeros((int(np.prod(grid.shape)), count))
        for i in range(count):
            for cell, weight in zip(c.link_cell[i], c.link_weight[i].astype(float), strict=True):
                if weight > 0:
                    where = np.ravel_multi_index(np.unravel_index(cell, grid.node_shape), grid.shape)
                    s[where, i] += weight * c.link_g_m[i] / grid.voxel_volume_m3
        return csr_matrix(b), csr_matrix(s)

    def conductivities(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """sigma and d sigma / d q of each voxel."""
        e, tissue = np.sqrt(q), self.problem.tissue.reshape(-1)
        sigma, slope = np.zeros(len(q)), np.zeros(len(q))
        for i, law in enumerate(self.problem.laws):
            here = tissue == i
            sigma[here] = conductivity(law, e[here])
            if law.kind is LawKind.RAMP:
                rising = here & (e > law.a) & (e < law.b)
                rise = (law.permeabilised_s_per_m - law.baseline_s_per_m) / (law.b - law.a)
                slope[rising] = rise / (2 * e[rising])
            else:
                assert law.kind is LawKind.CONSTANT
        return sigma, slope

    def evaluate(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        """Residual and Newton matrix (sparse) over all nodes and electrodes."""
        t = self.b @ x
        sigma, slope = self.conductivities(np.maximum(self.s @ t**2, 0) / self.fill)
        volume = self.problem.grid.voxel_volume_m3
        along = self.s.T @ sigma
        steep = diags(t) @ self.s.T
        inner = diags(along) + 2 * steep @ diags(slope / self.fill) @ steep.T
        return volume * (self.b.T @ (along * t)), volume * (self.b.T @ inner @ self.b)

    def start(self) -> np.ndarray:
        """Driven metal at its potential, everything else at the middle between them."""
        driven = [v for v in self.problem.potentials_v if v is not None]
        middle = 0.5 * (max(driven) + min(driven))
        volts = np.asarray([middle if v is None else v for v in self.problem.potentials_v])
        metal = self.couplings.metal.reshape(-1)
        return np.concatenate([np.where(metal >= 0, volts[metal], middle), volts])

    def solve(self, steps: int = 60) -> np.ndarray:
        """Newton's method, every step halved until the residual falls, every system by SciPy's sparse LU."""
        x = self.start()
        r, matrix = self.evaluate(x)
        first = np.linalg.norm(r[self.free])
        for _ in range(steps):
            change = np.zeros(len(x))
            change[self.free] = solve_sparse(matrix[self.free][:, self.free].tocsc(), -r[self.free])
            t, before = 1.0, np.linalg.norm(r[self.free])
            r, matrix = self.evaluate(x + change)
            while np.linalg.norm(r[self.free]) > before and t > 1e-3:
                t *= 0.5
                r, matrix = self.evaluate(x + t * change)
            x = x + t * change
            if np.linalg.norm(r[self.free]) < 1e-12 * first:
                return x
        raise AssertionError(
            f"Newton's method with a sparse direct solver: still {np.linalg.norm(r[self.free]) / first}"
        )
