"""A manufactured solution in three dimensions: a chosen potential, tissue in blocks whose conductivity rises.

The potential is made the solution by a load: node i, with the trilinear hat N_i, gets the current
s_i = int sigma(|grad phi|) grad phi . grad N_i dx. Tissue interfaces and insulating walls need no terms of their own.
The solver knows no loads, so Newton's method is run here on the network's own residual, matrix and preconditioner.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..conductivity import ConductivityLaw, conductivity
from ..grid import Grid
from ..multigrid import Levels
from ..nested import NestedGrid
from ..network import Network, evaluate
from ..newton import solve_linear
from ..points import smooth_gradient
from ..problem import FieldProblem
from .case import Case, Figure, Floats, Measured, norm
from .inclusion import plates

GAUSS, WEIGHTS = np.polynomial.legendre.leggauss(3)
BLOCKS = 4
"""Of tissue along each axis."""


@dataclass(frozen=True)
class Manufactured:
    """A cube between plates at 0 and V:  phi = V [ x/L + a sin(pi x/L) cos(pi y/L) cos(2 pi z/L) ].

    Constant on the plates, no current through the walls, |E| from about half to one and a half of V / L: over the whole
    rise of the laws, which differ by a factor of five from block to block.
    """

    size_m: float = 16e-3
    voltage_v: float = 880.0
    amplitude: float = 0.12
    laws: tuple[ConductivityLaw, ...] = (
        ConductivityLaw.smoothed_step(0.08, 0.32, 35e3, 70e3),
        ConductivityLaw.logistic(0.2, 0.7, 55e3, 6e3),
        ConductivityLaw.gompertz(0.04, 0.16, 3.053, 0.00233e-2),
    )

    def potential_v(self, p: Floats) -> Floats:
        x, y, z = (math.pi * p[..., i] / self.size_m for i in range(3))
        return self.voltage_v * (x / math.pi + self.amplitude * np.sin(x) * np.cos(y) * np.cos(2 * z))

    def gradient_v_per_m(self, p: Floats) -> Floats:
        """At points (..., 3), of their shape."""
        x, y, z = (math.pi * p[..., i] / self.size_m for i in range(3))
        wave = self.amplitude * math.pi
        slopes = (
            1 + wave * np.cos(x) * np.cos(y) * np.cos(2 * z),
            -wave * np.sin(x) * np.sin(y) * np.cos(2 * z),
            -2 * wave * np.sin(x) * np.cos(y) * np.sin(2 * z),
        )
        return self.voltage_v / self.size_m * np.stack(slopes, axis=-1)

    def problem(self, spacing_m: float) -> FieldProblem:
        n = round(self.size_m / spacing_m)
        grid = Grid((n, n, n), (spacing_m, spacing_m, spacing_m))
        blocks = np.random.default_rng(4).integers(0, len(self.laws), (BLOCKS,) * 3).astype(np.uint8)
        tissue = blocks
        for axis in range(3):
            tissue = np.repeat(tissue, n // BLOCKS, axis)
        return FieldProblem(grid, np.ascontiguousarray(tissue), self.laws, plates(self.size_m), (0.0, self.voltage_v))

    def load_a(self, problem: FieldProblem) -> Floats:
        """s_i at the nodes, by 3 x 3 x 3 Gauss points in each voxel."""
        grid = problem.grid
        h = grid.spacing_m[0]
        out = np.zeros(grid.node_shape)
        corner = np.stack(np.meshgrid(*(np.arange(n) * h for n in grid.shape), indexing="ij"), axis=-1)
        for at in product(range(3), repeat=3):
            s = np.asarray([0.5 + 0.5 * GAUSS[i] for i in at])
            share = math.prod(0.5 * WEIGHTS[i] for i in at) * grid.voxel_volume_m3
            gradient = self.gradient_v_per_m(corner + h * s)
            flux = share * self.conductivity(problem, np.linalg.norm(gradient, axis=-1))[..., None] * gradient
            for end in product((0, 1), repeat=3):
                shape = [s[a] if end[a] else 1 - s[a] for a in range(3)]
                slope = [(1 if end[a] else -1) / h * math.prod(shape[:a] + shape[a + 1 :]) for a in range(3)]
                box = tuple(slice(e, e + n) for e, n in zip(end, grid.shape, strict=True))
                out[box] += flux @ np.asarray(slope)
        return out

    @staticmethod
    def conductivity(problem: FieldProblem, e: Floats) -> Floats:
        return np.choose(problem.tissue, [conductivity(law, e) for law in problem.laws])

    def solve(self, spacing_m: float) -> tuple[FieldProblem, Floats, float]:
        """Problem, potential at the nodes, and what is left of the residual over the load."""
        problem = self.problem(spacing_m)
        with jax.enable_x64(True):
            level = NestedGrid(problem)
            load = jnp.asarray(level.pad(self.load_a(problem)) * np.asarray(level.network.free))
            # full steps, without a line search, converge from nearby
            nodes = np.stack(np.meshgrid(*problem.grid.node_coordinates_m(), indexing="ij"), axis=-1)
            phi, volts = jax.device_put((level.embed(self.potential_v(nodes)), level.volts()))
            left = 1.0
            for _ in range(12):
                phi, left = step(level.network, phi, volts, load, levels=level.levels, kinds=level.kinds)
                if left < 1e-10:
                    break
            return problem, level.extract(phi), float(left)


@functools.partial(jax.jit, static_argnames=("levels", "kinds"))
def step(
    net: Network,
    phi: Float[Array, " n"],
    volts: Float[Array, " electrodes"],
    load: Float[Array, " n"],
    *,
    levels: Levels,
    kinds: tuple[int, ...],
) -> tuple[Float[Array, " n"], Float[Array, ""]]:
    """One full Newton step, and the residual over the load after it."""
    lay = levels[0][0]
    state = evaluate(lay, kinds, net, phi, volts)
    rhs = (load - state.residual, jnp.zeros_like(volts))
    change, _, _ = solve_linear(levels, 0, net, phi, state, rhs, jnp.asarray(1e-3, phi.dtype))
    new = phi + change
    after = evaluate(lay, kinds, net, new, volts).residual - load
    return new, jnp.linalg.norm(after) / jnp.linalg.norm(load)


class ManufacturedCase(Case):
    """The order at which potential and gradient approach a smooth solution."""

    group = "Manufactured solution"
    name = "manufactured"
    title = "cube of 64 blocks of three tissues"
    source = "the chosen potential itself"
    spacings_mm = (1.0, 0.5, 0.25)

    def __init__(self) -> None:
        self.exact = Manufactured()

    def figures(self) -> tuple[Figure, ...]:
        return (
            norm("potential, rms over V"),
            norm("gradient in voxel centres, rms"),
            norm("gradient at random points, rms"),
        )

    def measure(self, spacing_mm: float) -> Measured:
        exact = self.exact
        problem, phi, left = exact.solve(1e-3 * spacing_mm)
        nodes = np.stack(np.meshgrid(*problem.grid.node_coordinates_m(), indexing="ij"), axis=-1)
        middles = np.stack(np.meshgrid(*problem.grid.voxel_coordinates_m(), indexing="ij"), axis=-1).reshape(-1, 3)
        anywhere = np.random.default_rng(5).uniform(0, exact.size_m, (20_000, 3))
        errors = [root_mean_square(phi - exact.potential_v(nodes)) / exact.voltage_v]
        for points in (middles, anywhere):
            gradient = exact.gradient_v_per_m(points)
            difference = smooth_gradient(problem, phi, points) - gradient
            errors.append(root_mean_square(difference) / root_mean_square(gradient))
        values = {f.name: e for f, e in zip(self.figures(), errors, strict=True)}
        return Measured(values, left < 1e-10, left, math.prod(problem.grid.shape))


def root_mean_square(a: Floats) -> float:
    return float(np.sqrt(np.mean(a**2)))
