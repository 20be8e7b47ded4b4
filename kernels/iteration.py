"""Newton's method over nested grids, for one problem or for several side by side in the lanes of one compiled step.

The coarsest nested grid starts from tissue at rest (one linear solve); each solution starts the next finer grid by
trilinear interpolation. A problem that comes with a start begins on the finest grid. Every problem keeps its own
counts, residual and forcing; one that is through with a grid is held still there until the others are.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from . import caches
from .nested import Sizes, nested_grids
from .network import Network
from .newton import StepResult, blank_state, newton_step, newton_steps
from .problem import FieldProblem
from .solution import SolveCancelled, StepReport
from .spread import lane_sharding, spread_steps
from .step_cache import kept_step

COARSE_TOLERANCE = 3e-3
"""Relative residual asked of the coarser nested grids: they only start the next."""
MOST_COARSE_STEPS = 12
"""Newton steps spent on a coarser nested grid; what it has by then starts the next."""
LOOSEST_FORCING, TIGHTEST_FORCING = 0.1, 0.01
LAST_FORCING = 1e-3
"""Of a step that may be the last: two CG iterations more cost less than a step more."""
FIRST_FORCING, FIRST_FORCING_NEAR = 0.02, 0.01
"""Of the first step from a coarser grid's solution, and from a start near it: solving further saves a step."""
REST_FORCING = 1e-2
"""Of the linear solve with tissue at rest."""
HELD = math.inf
"""Forcing that holds a lane still."""
CURRENT_BALANCE = 5.0
"""Asked of the currents' sum over the largest current on the finest grid, in units of the tolerance, beside it."""
STAGNATION_STEPS = 8
"""Steps in a row without a new smallest residual after which a solve is called stagnated."""

OnStep = Callable[[StepReport], bool | None]
CompiledStep = Callable[..., StepResult]


@dataclass(frozen=True, eq=False)
class Start:
    """A guess near the solution.

    Attributes:
        potential_v: at the nodes, shape grid.node_shape; inside metal it does not matter.
        electrodes_v: of each electrode; only those of floating ones are used.
    """

    potential_v: NDArray[np.float64]
    electrodes_v: NDArray[np.float64]


class Member:
    """One problem on its way through its nested grids; counts are kept per grid, coarsest first."""

    def __init__(self, problem: FieldProblem, start: Start | None, tolerance: float, max_newton_steps: int) -> None:
        self.nested = nested_grids(problem, coarse=start is None)
        self.start, self.wanted, self.max_newton_steps = start, tolerance, max_newton_steps
        self.residual = math.inf
        self.phi: NDArray[np.float64] = np.zeros(0)
        self.volts: NDArray[np.float64] = np.zeros(0)
        self.newton_counts: list[int] = []
        self.cg_counts: list[int] = []

    def enter(self, index: int) -> None:
        """Begin on a nested grid, 0 being the finest."""
        level = self.nested[index]
        first, interpolated = index == len(self.nested) - 1, False
        if first and self.start is not None:
            self.phi, self.volts = level.from_guess(self.start.potential_v, self.start.electrodes_v)
        elif first or not self.residual < 1:  # a coarse grid that went astray (or is not a number) is no start
            self.phi, self.volts = level.at_rest()
        else:
            interpolated = True
            self.phi = level.interpolate(self.nested[index + 1], self.phi, self.volts)
        self.at_rest = first and self.start is None
        self.index, self.scale_a = index, level.scale_a
        self.tolerance = self.wanted if index == 0 else max(self.wanted, COARSE_TOLERANCE)
        self.most = self.max_newton_steps if index == 0 else min(self.max_newton_steps, MOST_COARSE_STEPS)
        self.best, self.since_best, self.residual = math.inf, 0, math.inf
        self.norm_a = math.nan
        self.forcing = LOOSEST_FORCING if self.start is None else FIRST_FORCING_NEAR
        if interpolated:
            self.forcing = FIRST_FORCING
        self.moving = self.most > 0
        self.newton_counts.append(0)
        self.cg_counts.append(0)

    def take(self, residual_a: float, imbalance: float, cg_iterations: int) -> None:
        """Take note of a step, and decide on the next."""
        self.newton_counts[-1] += 1
        self.cg_counts[-1] += cg_iterations
        self.residual, previous, self.norm_a = residual_a / self.scale_a, self.norm_a / self.scale_a, residual_a
        self.since_best = 0 if self.residual < self.best else self.since_best + 1
        self.best = min(self.best, self.residual)
        balanced = self.index > 0 or imbalance <= CURRENT_BALANCE * self.tolerance
        there = self.residual <= self.tolerance and balanced
        over = self.newton_counts[-1] >= self.most or self.since_best >= STAGNATION_STEPS
        self.moving = not (there or over) and math.isfinite(self.residual)
        if self.moving:
            self.forcing = next_forcing(self.residual, previous, self.tolerance)

    def report(self, member: int) -> StepReport:
        spacing_m = self.nested[self.index].problem.grid.spacing_m
        return StepReport(self.index, spacing_m, self.newton_counts[-1], self.residual, self.tolerance, member)

    @property
    def stagnated(self) -> bool:
        lost = self.since_best >= STAGNATION_STEPS or not math.isfinite(self.residual)
        return lost and not self.residual <= self.tolerance


def next_forcing(relative: float, previous: float, tolerance: float) -> float:
    """Eisenstat and Walker 1996 (choice 2), without solving further than the tolerance needs."""
    quadratic = 0.9 * (relative / previous) ** 2 if previous > 0 else LOOSEST_FORCING
    needed = 0.3 * tolerance / relative if relative > 0 else LOOSEST_FORCING
    tightest = TIGHTEST_FORCING if needed < LAST_FORCING else LAST_FORCING
    return min(max(quadratic, needed, tightest), LOOSEST_FORCING)


def iterate(
    members: Sequence[Member], lanes: int | None, on_step: OnStep | None, inner_dtype: str, devices: int = 1
) -> None:
    """Take all members through their nested grids.

    Args:
        lanes: of the compiled step, at least as many as members; None for one member without an axis of lanes.
        devices: that the lanes are spread over, equally many on each.

    Raises:
        SolveCancelled: on_step returned False.
    """
    deepest = max(len(member.nested) for member in members)
    grids = [LaneGrid(index, members, lanes, inner_dtype, devices) for index in range(deepest)]
    while grids:  # from the coarsest; its network is let go before the next finer one is solved
        grid = grids.pop()
        grid.solve(grid.compiled_step(), on_step)


class LaneGrid:
    """One nested grid of all members that have it: their networks side by side, padded to one size, numpy arrays.

    Lanes without a member hold a copy of the last one's network and are held still.
    """

    def __init__(
        self, index: int, members: Sequence[Member], lanes: int | None, inner_dtype: str, devices: int = 1
    ) -> None:
        self.index, self.lanes, self.devices = index, lanes, devices
        self.sharding = None if devices == 1 else lane_sharding(devices)
        self.members = [(i, member) for i, member in enumerate(members) if index < len(member.nested)]
        grids = [member.nested[index] for _, member in self.members]
        sizes = Sizes.of(grids)
        self.network: Network = self.side_by_side([grid.build_network(sizes) for grid in grids])
        self.first = grids[0]
        self.static: dict[str, Any] = {
            "levels": self.first.levels,
            "kinds": sizes.kinds,
            "floating": self.first.floating_count,
            "inner_dtype": inner_dtype,
        }
        self.state: Any = blank_state(
            self.network, self.first.layout.n, len(self.first.problem.potentials_v), inner_dtype
        )

    def solve(self, step: CompiledStep, on_step: OnStep | None) -> None:
        """Newton on this grid until each member has its tolerance, its step limit or stagnates."""
        for _, member in self.members:
            member.enter(self.index)
        network: Network = jax.device_put(self.network, self.sharding)
        phi: Any = jax.device_put(self.side_by_side([member.phi for _, member in self.members]), self.sharding)
        volts: Any = jax.device_put(self.side_by_side([member.volts for _, member in self.members]), self.sharding)
        if any(member.at_rest for _, member in self.members):
            linear = with_tissue_at_rest(network)
            last = self.begin(step, linear, phi, volts)
            forcing = self.forcing([REST_FORCING if member.at_rest else HELD for _, member in self.members])
            last = step(linear, last.phi, last.volts, last.state, last.residual_norm, forcing)
            for (_, member), cg in zip(self.members, np.atleast_1d(last.cg_iterations), strict=False):
                member.cg_counts[-1] += int(cg)
            phi, volts = last.phi, last.volts
        last = self.begin(step, network, phi, volts)
        for (_, member), norm in zip(self.members, np.atleast_1d(last.residual_norm), strict=False):
            member.norm_a = float(norm)
        while any(member.moving for _, member in self.members):
            forcing = self.forcing([member.forcing if member.moving else HELD for _, member in self.members])
            last = step(network, last.phi, last.volts, last.state, last.residual_norm, forcing)
            self.take(last, on_step)
        rows, row_volts = (np.asarray(x) if self.lanes else np.asarray(x)[None] for x in (last.phi, last.volts))
        for lane, (_, member) in enumerate(self.members):
            member.phi, member.volts = rows[lane], row_volts[lane]

    def begin(self, step: CompiledStep, network: Network, phi: Any, volts: Any) -> StepResult:
        """The state of a network at a potential that no step has been taken from."""
        front = () if self.lanes is None else (self.lanes,)
        blank, one = jax.device_put((self.state, np.ones(front)), self.sharding)
        return step(network, phi, volts, blank, one, np.full(front, HELD))

    def take(self, result: StepResult, on_step: OnStep | None) -> None:
        """Hand a step's numbers to the members that took it."""
        wanted = (result.residual_norm, result.current_imbalance, result.cg_iterations)
        residual, imbalance, cg = (np.atleast_1d(x) for x in jax.device_get(wanted))
        for lane, (i, member) in enumerate(self.members):
            if not member.moving:
                continue
            member.take(float(residual[lane]), float(imbalance[lane]), int(cg[lane]))
            if on_step is not None and on_step(member.report(i)) is False:
                step = member.newton_counts[-1]
                raise SolveCancelled(f"cancelled after Newton step {step} on nested grid {self.index}")

    def side_by_side(self, parts: list[Any]) -> Any:
        """Arrays (or trees of them) of the members with an axis of lanes in front."""
        if self.lanes is None:
            return parts[0]
        rows = parts + [parts[-1]] * (self.lanes - len(parts))
        return jax.tree.map(lambda *leaves: np.stack(leaves), *rows)

    def forcing(self, values: list[float]) -> NDArray[np.float64] | np.float64:
        """Of the lanes."""
        if self.lanes is None:
            return np.float64(values[0])
        return np.asarray(values + [HELD] * (self.lanes - len(values)), np.float64)

    def compiled_step(self) -> CompiledStep:
        """The Newton step compiled for these shapes; once per process, also when several threads ask."""
        shape_of = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self.sharding)  # noqa: E731
        network = jax.tree.map(shape_of, self.network)
        leaves, structure = jax.tree.flatten(network)
        key = (*self.static.values(), self.devices, structure, *((leaf.shape, str(leaf.dtype)) for leaf in leaves))
        with _compiling:  # one at a time: the compiler uses all cores
            step = caches.compiled.get(key)
            if step is None:
                caches.make_room()
                front = () if self.lanes is None else (self.lanes,)
                with jax.enable_x64(True):
                    electrodes = len(self.first.problem.potentials_v)
                    shapes = ((*front, self.first.layout.n), (*front, electrodes), front)
                    phi, volts, forcing = (shape_of(jax.ShapeDtypeStruct(s, jnp.float64)) for s in shapes)
                    traced = newton_step if self.lanes is None else newton_steps
                    if self.devices > 1:
                        traced = spread_steps(self.devices)
                    arguments = (network, phi, volts, jax.tree.map(shape_of, self.state), forcing, forcing)
                    options = compiler_options()
                    compiled = lambda: traced.lower(*arguments, **self.static).compile(options)  # noqa: E731
                    step = compiled() if self.devices > 1 else kept_step((key, options), compiled)
                caches.compiled[key] = step
                caches.count += 1
            return step


def compiler_options() -> dict[str, str | bool]:
    """Until some version after 0.10 XLA's CPU compiler took optimisation barriers out before it fused, then computed
    neighbours over and over: four times the time for a V-cycle. Without that pass they stand until the end; small loops
    must not be hoisted then, which has no code for barriers. From 0.12 on they stand as it is."""
    if jax.default_backend() != "cpu" or jax.__version_info__ >= (0, 12):
        return {}
    return {"xla_disable_hlo_passes": "cse_barrier_expander,small-while-loop-hoisting"}


_compiling = threading.Lock()


def compilations() -> int:
    """How many Newton steps this process has compiled."""
    return caches.count


def with_tissue_at_rest(network: Network) -> Network:
    """The same network, linear."""
    table = np.array(network.table)
    table[..., 2] = 0.0
    return network._replace(table=jax.device_put(table, network.table.sharding))
