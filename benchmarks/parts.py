"""Parts of a solve by themselves, on a problem's own grid: the network's state, one V-cycle, one Newton step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from porefield.kernels.field import solve_field
from porefield.kernels.iteration import LaneGrid, Member, compiler_options
from porefield.kernels.multigrid import build_levels, v_cycle
from porefield.kernels.network import linearise
from porefield.kernels.newton import network_state
from porefield.kernels.problem import FieldProblem

from .problems import at_voltage

FORCING = 0.1
Call = tuple[tuple[Any, ...], dict[str, Any]]


class Parts:
    """Each part waits for its result; `for_*` give what it takes; a step takes its potential and state away."""

    def __init__(self, problem: FieldProblem) -> None:
        driven = problem.potentials_v[0] or 0.0
        near = solve_field(at_voltage(problem, 0.9 * driven))
        with jax.enable_x64(True):
            grid = LaneGrid(0, [Member(problem, None, 1e-7, 60)], None, "float32")
            level = grid.first
            guess, volts = level.from_guess(near.potential_v / 0.9, near.electrode_potentials_v)  # type: ignore[arg-type]
            self.static, self.step, self.begin = grid.static, grid.compiled_step(), grid.begin
            self.network = jax.device_put(grid.network)
            self.guess, self.volts = guess, jax.device_put(volts)
            self.phi = jax.device_put(guess)
            levels = grid.static["levels"]
            self.levels, self.kinds = levels, grid.static["kinds"]
            self.compiled_cycle = self.compile_cycle(levels)

    def compile_cycle(self, levels: Any) -> Callable[[], Any]:
        """The networks of all levels are made once; what is timed is the cycle."""
        state = network_state(self.network, self.phi, self.volts, levels=levels, kinds=self.kinds)

        def networks(net: Any, phi: Any, state: Any) -> Any:
            op = linearise(levels[0][0], net, phi, state, jnp.dtype("float32"))
            defect = op.scale * state.residual.astype(jnp.float32)
            return build_levels(levels, net, op), levels[0][0].extend(defect)

        made, defect = jax.jit(networks)(self.network, self.phi, state)
        cycle = jax.jit(lambda nets, r: v_cycle(levels, nets, r), compiler_options=compiler_options())
        cycle(made, defect).block_until_ready()
        return lambda: cycle(made, defect)

    def evaluation(self) -> Any:
        with jax.enable_x64(True):
            state = network_state(self.network, self.phi, self.volts, levels=self.levels, kinds=self.kinds)
            return jax.block_until_ready(state)

    def cycle(self) -> Any:
        with jax.enable_x64(True):
            return jax.block_until_ready(self.compiled_cycle())

    def newton_step(self, last: Any) -> Any:
        with jax.enable_x64(True):
            taken = (last.phi, last.volts, last.state, last.residual_norm, jnp.asarray(FORCING, jnp.float64))
            return jax.block_until_ready(self.step(self.network, *taken))

    def for_evaluation(self) -> Call:
        return (), {}

    def for_cycle(self) -> Call:
        return (), {}

    def for_newton_step(self) -> Call:
        with jax.enable_x64(True):
            begun = self.begin(self.step, self.network, jax.device_put(self.guess.copy()), self.volts)
            return (jax.block_until_ready(begun),), {}
