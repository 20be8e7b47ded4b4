"""The conductance network that all peers solve, from arrays that porefield wrote: the same nodes, edges, links, laws.

Assembled by compiled loops on one thread, so that a peer's time is that of its solver and not of Python. Vectors are
over all nodes; metal nodes have rows of their own in the matrix, uncoupled, so that nobody has to gather.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numba  # pyright: ignore[reportMissingImports]
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
compiled = numba.njit(cache=True, fastmath=True)


@compiled
def mean_squares(phi, ox, oy, oz, weight, q):
    """Mean square field of each voxel: on each axis the mean over its four edges."""
    nx, ny, nz = q.shape
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                x = y = z = 0.0
                for a in range(2):
                    for b in range(2):
                        x += ox[i, j + a, k + b] * (phi[i + 1, j + a, k + b] - phi[i, j + a, k + b]) ** 2
                        y += oy[i + a, j, k + b] * (phi[i + a, j + 1, k + b] - phi[i + a, j, k + b]) ** 2
                        z += oz[i + a, j + b, k] * (phi[i + a, j + b, k + 1] - phi[i + a, j + b, k]) ** 2
                q[i, j, k] = weight[0] * x + weight[1] * y + weight[2] * z


@compiled
def conduct(q, tissue, table, sigma, slope):
    """Logistic laws: sigma at sqrt(q), and its derivative by q."""
    nx, ny, nz = q.shape
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                t = tissue[i, j, k]
                rise = table[t, 1] - table[t, 0]
                if rise == 0.0:
                    sigma[i, j, k] = table[t, 0]
                    slope[i, j, k] = 0.0
                    continue
                e = np.sqrt(max(q[i, j, k], 1e-12))
                s = 1.0 / (1.0 + np.exp(-(e - table[t, 2]) / table[t, 3]))
                sigma[i, j, k] = table[t, 0] + rise * s
                slope[i, j, k] = rise * s * (1.0 - s) / (table[t, 3] * 2.0 * e)


@compiled
def assemble(sigma, ox, oy, oz, factor, metal, volts, ex, ey, ez, diagonal, rhs):
    """Edges between free nodes, diagonal and right-hand side. An edge into metal is in the diagonal alone."""
    nx, ny, nz = diagonal.shape
    diagonal[:] = 0.0
    rhs[:] = 0.0
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                for axis in range(3):
                    a, b, c = i + (axis == 0), j + (axis == 1), k + (axis == 2)
                    g = 0.0
                    if a < nx and b < ny and c < nz:
                        total = 0.0
                        for u in range(2):
                            for v in range(2):
                                p = i if axis == 0 else i - u
                                r = j if axis == 1 else (j - u if axis == 0 else j - v)
                                s = k if axis == 2 else k - v
                                if 0 <= p < nx - 1 and 0 <= r < ny - 1 and 0 <= s < nz - 1:
                                    total += sigma[p, r, s]
                        share = ox[i, j, k] if axis == 0 else (oy[i, j, k] if axis == 1 else oz[i, j, k])
                        g = factor[axis] * total * share
                        here, there = metal[i, j, k], metal[a, b, c]
                        if here < 0:
                            diagonal[i, j, k] += g
                            if there >= 0:
                                rhs[i, j, k] += g * volts[there]
                        if there < 0:
                            diagonal[a, b, c] += g
                            if here >= 0:
                                rhs[a, b, c] += g * volts[here]
                        if here >= 0 or there >= 0:
                            g = 0.0
                    if axis == 0:
                        ex[i, j, k] = g
                    elif axis == 1:
                        ey[i, j, k] = g
                    else:
                        ez[i, j, k] = g


@compiled
def multiply(ex, ey, ez, diagonal, x, out):
    """The network times x."""
    nx, ny, nz = x.shape
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                s = diagonal[i, j, k] * x[i, j, k]
                if i > 0:
                    s -= ex[i - 1, j, k] * x[i - 1, j, k]
                if i < nx - 1:
                    s -= ex[i, j, k] * x[i + 1, j, k]
                if j > 0:
                    s -= ey[i, j - 1, k] * x[i, j - 1, k]
                if j < ny - 1:
                    s -= ey[i, j, k] * x[i, j + 1, k]
                if k > 0:
                    s -= ez[i, j, k - 1] * x[i, j, k - 1]
                if k < nz - 1:
                    s -= ez[i, j, k] * x[i, j, k + 1]
                out[i, j, k] = s


@compiled
def project(phi, v, ox, oy, oz, weight, t):
    """For each voxel grad q / 2 times v."""
    nx, ny, nz = t.shape
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                x = y = z = 0.0
                for a in range(2):
                    for b in range(2):
                        p, r, s = i, j + a, k + b
                        x += ox[p, r, s] * (phi[p + 1, r, s] - phi[p, r, s]) * (v[p + 1, r, s] - v[p, r, s])
                        p, r, s = i + a, j, k + b
                        y += oy[p, r, s] * (phi[p, r + 1, s] - phi[p, r, s]) * (v[p, r + 1, s] - v[p, r, s])
                        p, r, s = i + a, j + b, k
                        z += oz[p, r, s] * (phi[p, r, s + 1] - phi[p, r, s]) * (v[p, r, s + 1] - v[p, r, s])
                t[i, j, k] = weight[0] * x + weight[1] * y + weight[2] * z


@compiled
def spread(phi, t, ox, oy, oz, weight, out):
    """Adds the transpose of `project` times t."""
    nx, ny, nz = t.shape
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                for a in range(2):
                    for b in range(2):
                        p, r, s = i, j + a, k + b
                        f = weight[0] * t[i, j, k] * ox[p, r, s] * (phi[p + 1, r, s] - phi[p, r, s])
                        out[p + 1, r, s] += f
                        out[p, r, s] -= f
                        p, r, s = i + a, j, k + b
                        f = weight[1] * t[i, j, k] * oy[p, r, s] * (phi[p, r + 1, s] - phi[p, r, s])
                        out[p, r + 1, s] += f
                        out[p, r, s] -= f
                        p, r, s = i + a, j + b, k
                        f = weight[2] * t[i, j, k] * oz[p, r, s] * (phi[p, r, s + 1] - phi[p, r, s])
                        out[p, r, s + 1] += f
                        out[p, r, s] -= f


class Network:
    """One grid. `update(phi)` assembles at a potential; after it stand the edges ex, ey, ez between free nodes, the
    diagonal and the right-hand side (shape of the nodes), and `residual` (A, zero at metal)."""

    def __init__(self, stored: Mapping[str, Any], prefix: str) -> None:
        def read(name: str) -> Any:
            return stored[f"{prefix}{name}"]

        self.spacing_m, self.tissue, self.table = read("spacing_m"), read("tissue"), read("table")
        x, y, z = (np.ascontiguousarray(read(f"open_{a}")) for a in "xyz")
        self.open = (x, y, z)
        self.metal, self.volts, self.scale_a = read("metal"), read("volts"), float(read("scale_a"))
        self.free = self.metal < 0
        self.links = tuple(read(f"link_{n}") for n in ("node", "electrode", "g_m", "weight"))
        self.link_cell = self.voxel_index(read("link_cell"))
        self.part_cell, self.part_fill = self.voxel_index(read("part_cell")), read("part_fill")
        self.volume = float(np.prod(self.spacing_m))
        self.weight = 0.25 / self.spacing_m**2
        shape = self.metal.shape
        self.ex, self.ey, self.ez, self.diagonal, self.rhs, self.residual = (np.zeros(shape) for _ in range(6))
        self.q, self.sigma, self.slope, self.t = (np.zeros(self.tissue.shape) for _ in range(4))
        self.current = np.zeros(len(self.volts))

    def voxel_index(self, over_nodes: NDArray[np.int32]) -> NDArray[np.int64]:
        """Flat indices over the nodes -> over the voxels; those off the voxels (of weight 0) become voxel 0."""
        where = np.unravel_index(over_nodes, self.metal.shape)
        inside = np.all([w < n for w, n in zip(where, self.tissue.shape, strict=True)], axis=0)
        return np.ravel_multi_index(tuple(np.where(inside, w, 0) for w in where), self.tissue.shape)

    def at_rest(self) -> Floats:
        """All free nodes at the middle potential."""
        return np.where(self.free, 0.5 * (self.volts.max() + self.volts.min()), self.volts[self.metal])

    def update(self, phi: Floats, linear: bool = False) -> float:
        """Assemble at phi, with tissue at rest if `linear`; the relative residual there."""
        node, electrode, g_m, weight = self.links
        drop = phi.reshape(-1)[node] - self.volts[electrode]
        if linear:
            self.sigma[:] = self.table[:, 0][self.tissue]
        else:
            mean_squares(phi, *self.open, self.weight, self.q)
            flat = self.q.reshape(-1)
            np.add.at(flat, self.link_cell, (g_m / self.volume * drop**2)[:, None] * weight)
            flat[self.link_cell] = np.maximum(flat[self.link_cell], 0)
            flat[self.part_cell] /= self.part_fill
            conduct(self.q, self.tissue, self.table, self.sigma, self.slope)
        self.assemble()
        link = self.link_conductance
        multiply(self.ex, self.ey, self.ez, self.diagonal, phi, self.residual)
        self.residual -= self.rhs
        self.residual[~self.free] = 0
        self.current[:] = np.bincount(electrode, -link * drop, len(self.volts))
        self.phi = phi
        return float(np.linalg.norm(self.residual)) / self.scale_a

    def assemble(self) -> None:
        """Edges, diagonal and right-hand side of the conductivities that stand in `sigma`."""
        node, electrode, g_m, weight = self.links
        factor = self.volume * self.weight
        edges = (self.ex, self.ey, self.ez)
        assemble(self.sigma, *self.open, factor, self.metal, self.volts, *edges, self.diagonal, self.rhs)
        self.link_conductance = g_m * np.sum(weight * self.sigma.reshape(-1)[self.link_cell], axis=1)
        np.add.at(self.diagonal.reshape(-1), node, self.link_conductance)
        np.add.at(self.rhs.reshape(-1), node, self.link_conductance * self.volts[electrode])
        self.diagonal[~self.free] = float(self.diagonal[0, 0, 0]) * 8  # as large as an inner node's, roughly
        self.rhs[~self.free] = self.diagonal[~self.free] * self.volts[self.metal[~self.free]]

    def newton(self, v: Floats) -> Floats:
        """The Newton matrix at the last update times v (zero at metal)."""
        node, electrode, g_m, weight = self.links
        out = np.empty_like(v)
        multiply(self.ex, self.ey, self.ez, self.diagonal, v, out)
        project(self.phi, v, *self.open, self.weight, self.t)
        drop = g_m / self.volume * (self.phi.reshape(-1)[node] - self.volts[electrode])
        t = self.t.reshape(-1)
        np.add.at(t, self.link_cell, (drop * v.reshape(-1)[node])[:, None] * weight)
        t[self.part_cell] /= self.part_fill
        self.t *= self.slope
        self.t *= 2 * self.volume
        spread(self.phi, self.t, *self.open, self.weight, out)
        np.add.at(out.reshape(-1), node, drop * np.sum(weight * t[self.link_cell], axis=1))
        out[~self.free] = 0
        return out

    def electrode_currents(self) -> Floats:
        """Current (A) out of each electrode at the last update, through links and through edges that end in metal."""
        out = self.current.copy()
        axes = np.eye(3, dtype=int)
        for axis, share in enumerate(self.open):
            low = tuple(slice(None, -1) if a else slice(None) for a in axes[axis])
            high = tuple(slice(1, None) if a else slice(None) for a in axes[axis])
            for inside, outside in ((low, high), (high, low)):
                at = np.nonzero((self.metal[inside] >= 0) & (self.metal[outside] < 0))
                step = self.phi[inside][at] - self.phi[outside][at]
                start = np.stack(at, 1)
                g = self.edge_conductance(axis, start) * share[low][at]
                out += np.bincount(self.metal[inside][at], g * step, len(out))
        return out

    def edge_conductance(self, axis: int, start: NDArray[np.int64]) -> Floats:
        """Of fully open edges that start at nodes, from the voxels round them."""
        total = np.zeros(len(start))
        others = [a for a in range(3) if a != axis]
        for u in range(2):
            for v in range(2):
                voxel = start.copy()
                voxel[:, others[0]] -= u
                voxel[:, others[1]] -= v
                inside = np.all((voxel >= 0) & (voxel < self.tissue.shape), axis=1)
                total[inside] += self.sigma[tuple(voxel[inside].T)]
        return self.volume * self.weight[axis] * total


def interpolate(coarse: Floats, fine: Network) -> Floats:
    """Trilinear interpolation of a potential on voxels of twice the size."""
    nodes = coarse
    for axis, n in enumerate(fine.metal.shape):
        i = np.arange(n)
        low, high = i // 2, np.minimum((i + 1) // 2, nodes.shape[axis] - 1)
        nodes = 0.5 * (np.take(nodes, low, axis) + np.take(nodes, high, axis))
    return np.where(fine.free, nodes, fine.volts[fine.metal])
