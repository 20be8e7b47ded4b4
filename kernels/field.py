"""Solve one pulse: nested grids, Newton on each, an independent audit of the result at the end.

The coarsest nested grid starts from tissue at rest (one linear solve); each solution starts the next finer grid by
trilinear interpolation. Between Newton steps the host sees the state: that is where progress is told and where a solve
is cancelled. One Newton step is compiled for each shape bucket and kept for the life of the process; the steps of all
nested grids of a solve compile side by side.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from .certificate import audit
from .conductivity import ConductivityLaw, law_kinds, law_table
from .coupling import Couplings, couple
from .electrodes import Electrode
from .grid import Grid
from .layout import Layout, level_layouts
from .multigrid import Levels
from .network import Network
from .newton import StepResult, newton_step
from .problem import FieldProblem
from .solution import Solution, SolveCancelled, SolveStatus, StepReport

NESTED_GRIDS = 3
"""At most this many grids, each twice as coarse as the next."""
SMALLEST_NESTED = 24
"""Voxels along the longest axis below which no coarser nested grid is worth it."""
COARSE_TOLERANCE = 1e-3
"""Relative residual asked of the coarser nested grids: they only start the next."""
MOST_COARSE_STEPS = 12
"""Newton steps spent on a coarser nested grid; what it has by then starts the next."""
LOOSEST_FORCING, TIGHTEST_FORCING = 0.1, 1e-3
FIRST_FORCING_NEAR = 0.01
"""Of the first step from a start near the solution: solving it further saves a step."""
CURRENT_BALANCE = 5e-7
"""Asked of the currents' sum over the largest current on the finest grid, beside the tolerance."""
STAGNATION_STEPS = 8
"""Steps in a row without a new smallest residual after which a solve is called stagnated."""

OnStep = Callable[[StepReport], bool | None]


@dataclass(frozen=True, eq=False)
class Start:
    """A guess near the solution.

    Attributes:
        potential_v: at the nodes, shape grid.node_shape; inside metal it does not matter.
        electrodes_v: of each electrode; only those of floating ones are used.
    """

    potential_v: NDArray[np.float64]
    electrodes_v: NDArray[np.float64]


def solve_field(
    problem: FieldProblem,
    *,
    tolerance: float = 1e-7,
    max_newton_steps: int = 60,
    on_step: OnStep | None = None,
    start: Start | None = None,
    inner_dtype: str = "float32",
) -> Solution:
    """Solve the nonlinear field equation of one pulse.

    Args:
        tolerance: wanted relative residual (see Solution).
        max_newton_steps: on the finest grid.
        on_step: called between Newton steps; returning False cancels.
        start: where to start from, in place of the nested grids.
        inner_dtype: precision of the linear solves; the residual is always float64.

    Returns:
        A Solution; look at its status: not converging is no exception.

    Raises:
        SolveCancelled: on_step returned False.
    """
    with jax.enable_x64(True):
        nested = [NestedGrid(problem)]
        if start is None:
            while len(nested) < NESTED_GRIDS and max(nested[-1].problem.grid.shape) >= 2 * SMALLEST_NESTED:
                nested.append(NestedGrid(coarser(nested[-1].problem)))
        with ThreadPoolExecutor(max_workers=len(nested)) as pool:
            steps = [pool.submit(compiled_step, level, inner_dtype) for level in nested]
            try:
                run = NestedRun(nested, steps, tolerance, max_newton_steps, on_step)
                phi, volts, stagnated = run.descend(start)
            finally:
                for step in steps:
                    step.cancel()
        return finish(nested[0], phi, volts, tolerance, stagnated, run)


@dataclass
class NestedRun:
    """The Newton iterations of one solve over its nested grids; counts are kept per grid, coarsest first."""

    nested: list[NestedGrid]
    steps: list[Future[Callable[..., StepResult]]]
    tolerance: float
    max_newton_steps: int
    on_step: OnStep | None

    def __post_init__(self) -> None:
        self.residual = math.inf
        self.near = False
        self.newton_counts: list[int] = []
        self.cg_counts: list[int] = []

    def descend(self, start: Start | None) -> tuple[jax.Array, jax.Array, bool]:
        """From the coarsest grid to the finest: potential (flat), electrode potentials, whether the finest
        stagnated."""
        index = len(self.nested) - 1
        level = self.nested[index]
        self.near = start is not None
        if start is None:
            phi, volts = level.at_rest()
            forcing = np.float64(1e-2)
            step = self.steps[index].result()(level.linear(), phi, volts, forcing)
            phi, volts, rest_cg = step.phi, step.volts, int(step.cg_iterations)
        else:
            phi, volts = level.from_start(start)
            rest_cg = 0
        while True:
            phi, volts, stagnated = self.iterate(index, phi, volts, rest_cg)
            if index == 0:
                return phi, volts, stagnated
            finer = self.nested[index - 1]
            if self.residual < 1:
                phi = finer.interpolate(level, phi)
            else:  # a coarse grid that went astray (or is not a number) is no start
                phi, volts = finer.at_rest()
            index, rest_cg, level = index - 1, 0, finer

    def iterate(self, index: int, phi: jax.Array, volts: jax.Array, cg: int) -> tuple[jax.Array, jax.Array, bool]:
        """Newton on one grid until its tolerance, its step limit or stagnation."""
        level, step = self.nested[index], self.steps[index].result()
        tolerance = self.tolerance if index == 0 else max(self.tolerance, COARSE_TOLERANCE)
        scale = level.scale_a
        best, since_best, newton = math.inf, 0, 0
        forcing = FIRST_FORCING_NEAR if self.near else LOOSEST_FORCING
        relative = math.inf
        most = self.max_newton_steps if index == 0 else min(self.max_newton_steps, MOST_COARSE_STEPS)
        while newton < most and since_best < STAGNATION_STEPS:
            result = step(level.network, phi, volts, np.float64(forcing))
            phi, volts = result.phi, result.volts
            newton, cg = newton + 1, cg + int(result.cg_iterations)
            relative, previous = float(result.residual_norm) / scale, float(result.previous_norm) / scale
            since_best = 0 if relative < best else since_best + 1
            best = min(best, relative)
            self.tell(index, newton, relative, tolerance)
            balanced = index > 0 or float(result.current_imbalance) <= CURRENT_BALANCE
            if (relative <= tolerance and balanced) or not math.isfinite(relative):
                break
            forcing = next_forcing(relative, previous, tolerance)
        self.residual = relative
        self.newton_counts.append(newton)
        self.cg_counts.append(cg)
        lost = since_best >= STAGNATION_STEPS or not math.isfinite(relative)
        return phi, volts, lost and not relative <= tolerance

    def tell(self, index: int, step: int, relative: float, tolerance: float) -> None:
        if self.on_step is None:
            return
        report = StepReport(index, self.nested[index].problem.grid.spacing_m, step, relative, tolerance)
        if self.on_step(report) is False:
            raise SolveCancelled(f"cancelled after Newton step {step} on nested grid {index}")


def next_forcing(relative: float, previous: float, tolerance: float) -> float:
    """Eisenstat and Walker 1996 (choice 2), without solving further than the tolerance needs."""
    quadratic = 0.9 * (relative / previous) ** 2 if previous > 0 else LOOSEST_FORCING
    needed = 0.3 * tolerance / relative
    return min(max(quadratic, needed, TIGHTEST_FORCING), LOOSEST_FORCING)


def finish(
    level: NestedGrid, phi: jax.Array, volts: jax.Array, tolerance: float, stagnated: bool, run: NestedRun
) -> Solution:
    """Audit the potential on the unpadded grid and put the solution together."""
    volts_v = np.asarray(volts, np.float64)
    metal = level.couplings.metal
    potential = np.where(metal >= 0, volts_v[metal], level.extract(phi))
    found = audit(level.problem, level.couplings, potential, volts_v)
    relative = found.residual_norm(level.floating_mask) / level.scale_a
    status = SolveStatus.STAGNATED if stagnated else SolveStatus.OUT_OF_ITERATIONS
    if relative <= tolerance:
        status = SolveStatus.CONVERGED
    currents = found.electrode_current_a
    largest = float(np.max(np.abs(currents)))
    delivered = float(np.sum(volts_v * currents))
    power = found.dissipated_power_w
    device = jax.devices()[0]
    return Solution(
        potential_v=potential,
        field_v_per_m=np.sqrt(found.mean_square_field).astype(np.float32),
        conductivity_s_per_m=found.conductivity_s_per_m.astype(np.float32),
        currents_a=tuple(float(i) for i in currents),
        electrode_potentials_v=tuple(float(v) for v in volts_v),
        status=status,
        relative_residual=relative,
        tolerance=tolerance,
        current_imbalance=abs(float(np.sum(currents))) / largest if largest > 0 else 0.0,
        power_imbalance=abs(delivered - power) / power if power > 0 else 0.0,
        dissipated_power_w=power,
        newton_steps=tuple(run.newton_counts),
        cg_iterations=tuple(run.cg_counts),
        device=f"{device.platform}: {device.device_kind}",
    )


def coarser(problem: FieldProblem) -> FieldProblem:
    """The same problem on voxels of twice the size (the tissue of every other voxel)."""
    grid = problem.grid
    nx, ny, nz = (math.ceil(n / 2) for n in grid.shape)
    hx, hy, hz = (2 * h for h in grid.spacing_m)
    every = (slice(None, None, 2),) * 3
    warmth = None if problem.warmth is None else problem.warmth[every]
    return replace(
        problem,
        grid=Grid((nx, ny, nz), (hx, hy, hz)),
        tissue=np.ascontiguousarray(problem.tissue[every]),
        warmth=warmth,
    )


class NestedGrid:
    """One nested grid: the problem, its couplings, and its network in the padded flat layout."""

    def __init__(self, problem: FieldProblem) -> None:
        self.problem = problem
        self.couplings: Couplings = couplings_of(problem.grid, problem.electrodes)
        self.levels: Levels = level_layouts(problem.grid.shape)
        self.layout: Layout = self.levels[0][0]
        self.floating_mask = np.asarray([v is None for v in problem.potentials_v])
        self.outside = ConductivityLaw.constant(0.0)
        self.laws = (*problem.laws, self.outside)
        self.kinds = law_kinds(self.laws)
        self.network = self.build_network()
        driven = [v for v in problem.potentials_v if v is not None]
        self.middle_v = 0.5 * (max(driven) + min(driven))
        self.scale_a = self.find_scale()

    @property
    def floating_count(self) -> int:
        return int(self.floating_mask.sum())

    def build_network(self) -> Network:
        c, lay = self.couplings, self.layout
        links, parts = bucket(len(c.link_node)), bucket(len(c.part_cell))
        cells = len(self.problem.laws)
        tissue = np.full(lay.nodes, cells, np.uint8)
        nx, ny, nz = self.problem.grid.shape
        tissue[:nx, :ny, :nz] = self.problem.tissue
        table = law_table(self.laws)
        table = np.concatenate([table, np.repeat(table[-1:], -len(table) % 16, axis=0)])
        warmth = None
        if self.problem.warmth is not None:
            padded = np.ones(lay.nodes, np.float32)
            padded[:nx, :ny, :nz] = self.problem.warmth
            warmth = jax.device_put(padded.reshape(-1))
        x, y, z = (jax.device_put(self.pad(share)) for share in c.open_edge)
        return Network(
            spacing_m=jax.device_put(np.asarray(self.problem.grid.spacing_m, np.float64)),
            tissue=jax.device_put(tissue.reshape(-1)),
            table=jax.device_put(table),
            warmth=warmth,
            open_edge=(x, y, z),
            free=jax.device_put(self.pad((c.metal < 0).astype(np.float32))),
            link_node=jax.device_put(fill(self.reindex(c.link_node), links)),
            link_electrode=jax.device_put(fill(c.link_electrode, links)),
            link_g_m=jax.device_put(fill(c.link_g_m, links)),
            link_cell=jax.device_put(fill(self.reindex(c.link_cell), links)),
            link_weight=jax.device_put(fill(c.link_weight, links)),
            part_cell=jax.device_put(fill(self.reindex(c.part_cell), parts)),
            part_inverse=jax.device_put(fill(1 / c.part_fill - 1, parts) + 1),
            floating=jax.device_put(self.floating_mask.astype(np.float32)),
        )

    def linear(self) -> Network:
        """The same network with tissue at rest."""
        table = np.array(self.network.table)
        table[:, 2] = 0.0
        return self.network._replace(table=jax.device_put(table))

    def find_scale(self) -> float:
        """Norm (A) of what the driven electrodes push into tissue at rest when all free nodes are at the middle
        potential."""
        audited = audit(self.problem, self.couplings, self.start_potential(), np.asarray(self.volts()), at_rest=True)
        return audited.residual_norm(np.zeros_like(self.floating_mask)) or 1.0

    def volts(self) -> jax.Array:
        return jax.device_put(
            np.asarray([self.middle_v if v is None else v for v in self.problem.potentials_v], np.float64)
        )

    def start_potential(self) -> NDArray[np.float64]:
        metal = self.couplings.metal
        return np.where(metal >= 0, np.asarray(self.volts())[metal], self.middle_v)

    def at_rest(self) -> tuple[jax.Array, jax.Array]:
        return jax.device_put(self.pad(self.start_potential())), self.volts()

    def from_start(self, start: Start) -> tuple[jax.Array, jax.Array]:
        volts = np.where(self.floating_mask, start.electrodes_v, np.asarray(self.volts()))
        metal = self.couplings.metal
        potential = np.where(metal >= 0, volts[metal], start.potential_v)
        return jax.device_put(self.pad(potential)), jax.device_put(volts)

    def embed(self, potential_v: NDArray[np.float64]) -> jax.Array:
        """A potential on the true nodes as a flat padded vector, metal nodes at their electrode's potential."""
        return jax.device_put(self.pad(self.with_metal(potential_v)))

    def with_metal(self, potential_v: NDArray[np.float64]) -> NDArray[np.float64]:
        metal = self.couplings.metal
        return np.where(metal >= 0, np.asarray(self.volts())[metal], potential_v)

    def interpolate(self, coarse: NestedGrid, phi: jax.Array) -> jax.Array:
        """Trilinear interpolation of a coarser grid's potential."""
        nodes = np.asarray(phi).reshape(coarse.layout.nodes)
        for axis, n in enumerate(self.problem.grid.node_shape):
            i = np.arange(n)
            low, high = i // 2, np.minimum((i + 1) // 2, nodes.shape[axis] - 1)
            nodes = 0.5 * (np.take(nodes, low, axis) + np.take(nodes, high, axis))
        return self.embed(nodes)

    def pad(self, x: NDArray[Any]) -> NDArray[Any]:
        """True nodes -> flat padded vector."""
        widths = [(0, m - n) for m, n in zip(self.layout.nodes, x.shape, strict=True)]
        return np.pad(x, widths).reshape(-1)

    def extract(self, phi: jax.Array) -> NDArray[np.float64]:
        """Flat padded vector -> true nodes."""
        nx, ny, nz = self.problem.grid.node_shape
        return np.array(np.asarray(phi).reshape(self.layout.nodes)[:nx, :ny, :nz])

    def reindex(self, flat: NDArray[np.int32]) -> NDArray[np.int32]:
        """Flat indices over the true nodes -> over the padded ones."""
        where = np.unravel_index(flat, self.problem.grid.node_shape)
        return np.ravel_multi_index(where, self.layout.nodes).astype(np.int32)


@functools.lru_cache(maxsize=8)
def couplings_of(grid: Grid, electrodes: tuple[Electrode, ...]) -> Couplings:
    """`couple`, kept for the next pulse through the same electrodes; never changed afterwards."""
    return couple(grid, electrodes)


def bucket(links: int) -> int:
    """Round up so that a moved needle rarely means another compilation."""
    return max(256, 2 ** math.ceil(math.log2(max(links, 1))))


def fill(a: NDArray[Any], length: int) -> NDArray[Any]:
    """Pad with zeros: links of no conductance."""
    return np.concatenate([a, np.zeros((length - len(a), *a.shape[1:]), a.dtype)])


# -- compiled steps ----------------------------------------------------------------------------------------------------

_compiled: dict[Any, Callable[..., StepResult]] = {}
_locks: dict[Any, threading.Lock] = {}
_guard = threading.Lock()


def compiled_step(level: NestedGrid, inner_dtype: str) -> Callable[..., StepResult]:
    """The Newton step compiled for a level's shapes; compiled once per process, also when several threads ask."""
    leaves, structure = jax.tree.flatten(level.network)
    shapes = tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)
    key = (level.levels, level.kinds, level.floating_count, shapes, structure, inner_dtype)
    with _guard:
        lock = _locks.setdefault(key, threading.Lock())
    with lock:
        if key not in _compiled:
            static = {
                "levels": level.levels,
                "kinds": level.kinds,
                "floating": level.floating_count,
                "inner_dtype": inner_dtype,
            }
            with jax.enable_x64(True):
                phi = jax.ShapeDtypeStruct((level.layout.n,), jnp.float64)
                volts = jax.ShapeDtypeStruct((len(level.problem.potentials_v),), jnp.float64)
                forcing = jax.ShapeDtypeStruct((), jnp.float64)
                _compiled[key] = newton_step.lower(level.network, phi, volts, forcing, **static).compile()
        return _compiled[key]


def compilations() -> int:
    """How many Newton steps this process has compiled."""
    return len(_compiled)


def estimate_bytes(grid: Grid, pulses: int) -> int:
    """Peak memory (bytes) of a process that solves pulses on a grid one after another, keeps their solutions and
    samples them: measured at 96^3 and 120^3 on the CPU, rounded up."""
    nodes = level_layouts(grid.shape)[0][0].n
    return FIXED_BYTES + nodes * (BYTES_PER_NODE + BYTES_PER_NODE_AND_PULSE * pulses)


FIXED_BYTES = 1_500_000_000
"""Interpreter, JAX, and what XLA takes to compile the Newton steps."""
BYTES_PER_NODE = 450
BYTES_PER_NODE_AND_PULSE = 20
