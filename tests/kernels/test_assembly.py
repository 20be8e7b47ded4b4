"""Matrix-free network and solver against sparse matrices put together independently (assembly.py)."""

import jax
import numpy as np
import pytest

from porefield.kernels.conductivity import ConductivityLaw
from porefield.kernels.field import solve_field
from porefield.kernels.nested import NestedGrid
from porefield.kernels.network import apply_newton, evaluate, linearise

from .assembly import Assembly
from .problems import two_needles

LINEAR = (ConductivityLaw.constant(0.1), ConductivityLaw.constant(0.3))


@pytest.fixture(scope="module")
def tiny():
    """Two thick driven needles and one that floats, both ramps, at random potentials."""
    problem = two_needles(
        shape=(7, 6, 8), spacing_m=2.5e-3, centre_mm=(9.1, 7.3, 10.2), potentials_v=(150.0, None, 0.0), third=True
    )
    rng = np.random.default_rng(3)
    nodes = rng.uniform(0, 150, problem.grid.node_shape)
    return problem, nodes, np.asarray([150.0, rng.uniform(0, 150), 0.0])


def test_matrix_free_operator_equals_the_assembly_to_rounding(tiny):
    problem, nodes, volts = tiny
    by_hand = Assembly(problem)
    metal = by_hand.couplings.metal
    nodes = np.where(metal >= 0, volts[metal], nodes)
    residual, matrix = by_hand.evaluate(np.concatenate([nodes.reshape(-1), volts]))
    assert by_hand.free[-1] == nodes.size + 1
    with jax.enable_x64(True):
        level = NestedGrid(problem)
        state = evaluate(level.layout, level.kinds, level.network, jax.device_put(level.pad(nodes)), volts)
        op = linearise(level.layout, level.network, jax.device_put(level.pad(nodes)), state, np.dtype("float64"))
        unknowns = by_hand.free[:-1]
        where = np.ravel_multi_index(np.unravel_index(unknowns, nodes.shape), level.layout.nodes)
        v, u = np.zeros((len(where) + 1, level.layout.n)), np.zeros((len(where) + 1, 3))
        v[np.arange(len(where)), where] = 1
        u[-1, 1] = 1
        out_v, out_u = jax.jit(jax.vmap(lambda v, u: apply_newton(level.layout, op, v, u)))(v, u)
    ours = np.concatenate([np.asarray(out_v)[:, where], np.asarray(out_u)[:, 1:2]], axis=1).T
    theirs = matrix[by_hand.free][:, by_hand.free].toarray()
    # sums of about a hundred products in double precision
    assert np.abs(ours - theirs).max() < 1e-13 * np.abs(theirs).max()
    own = np.concatenate([np.asarray(state.residual)[where], [float(state.electrode_current[1])]])
    assert np.abs(own - residual[by_hand.free]).max() < 1e-13 * np.abs(residual).max()
    # the state is one where conductivity rises, or the test would not see that part of the matrix
    assert np.count_nonzero(np.asarray(state.slope)) > 50


@pytest.mark.parametrize("name", ["linear", "ramps", "ramps, one needle floats"])
def test_sparse_direct_solver_gives_the_same_potential(name):
    third = "floats" in name
    problem = two_needles(
        shape=(10, 9, 10),
        spacing_m=2e-3,
        potentials_v=(800.0, 0.0, None) if third else (800.0, 0.0),
        third=third,
        **({"laws": LINEAR} if name == "linear" else {}),
    )
    s = solve_field(problem, tolerance=1e-10)
    by_hand = Assembly(problem)
    x = by_hand.solve()
    assert s.converged
    # residuals of 1e-10 leave 1e-8 in the potential, the condition of so small a grid being some hundred
    ours = np.concatenate([s.potential_v.reshape(-1), s.electrode_potentials_v])
    assert np.abs(ours - x)[by_hand.free].max() < 1e-8 * 800
