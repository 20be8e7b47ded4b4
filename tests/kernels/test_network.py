"""The network, its Newton matrix and the audit, against each other and against a dense assembly."""

from itertools import pairwise

import jax
import numpy as np
import pytest

from porefield.kernels.certificate import audit
from porefield.kernels.conductivity import conductivity
from porefield.kernels.multigrid import build_levels, v_cycle
from porefield.kernels.nested import NestedGrid
from porefield.kernels.network import apply_newton, evaluate, linearise

from .problems import two_needles


@pytest.fixture(scope="module")
def tiny():
    """A 7 x 6 x 8 grid round two thick needles: small enough for dense matrices."""
    problem = two_needles(
        shape=(7, 6, 8), spacing_m=2.5e-3, centre_mm=(9.1, 7.3, 10.2), potentials_v=(800.0, None, 0.0), third=True
    )
    with jax.enable_x64(True):
        yield NestedGrid(problem)


def random_state(level, seed=0):
    rng = np.random.default_rng(seed)
    nodes = level.with_metal(rng.uniform(0, 800, level.problem.grid.node_shape), level.volts())
    return nodes, rng.uniform(0, 800, 3)


def test_audit_and_solver_agree_on_residual_field_and_currents(tiny):
    nodes, volts = random_state(tiny)
    state = evaluate(tiny.layout, tiny.kinds, tiny.network, tiny.embed(nodes), jax.device_put(volts))
    found = audit(tiny.problem, tiny.couplings, nodes, volts)
    scale = np.abs(found.residual_a).max()
    np.testing.assert_allclose(tiny.extract(state.residual), found.residual_a, atol=1e-6 * scale)
    q = tiny.extract(state.q)[:-1, :-1, :-1]
    np.testing.assert_allclose(q, found.mean_square_field, rtol=1e-6, atol=1e-6 * q.max())
    np.testing.assert_allclose(state.electrode_current, found.electrode_current_a, rtol=1e-6)


def test_residual_is_the_gradient_of_the_energy(tiny):
    """Central differences of the energy, integrated law by law, in single nodes and in a floating electrode."""
    nodes, volts = random_state(tiny)
    found = audit(tiny.problem, tiny.couplings, nodes, volts)
    free = np.argwhere((tiny.couplings.metal < 0) & (np.abs(found.residual_a) > 0))
    for i in free[:: max(1, len(free) // 12)]:
        step = np.zeros(nodes.shape)
        step[tuple(i)] = 1e-3
        slope = (energy(tiny, nodes + step, volts) - energy(tiny, nodes - step, volts)) / 2e-3
        assert slope == pytest.approx(found.residual_a[tuple(i)], rel=2e-4, abs=1e-6 * np.abs(found.residual_a).max())
    bump = np.asarray([0, 1e-3, 0])
    slope = (energy(tiny, nodes, volts + bump) - energy(tiny, nodes, volts - bump)) / 2e-3
    assert slope == pytest.approx(found.electrode_current_a[1], rel=2e-4)


def energy(level, nodes, volts) -> float:
    """sum of w V int_0^q sigma(sqrt s) / 2 ds, by Gauss points in E on each side of the laws' kinks."""
    found = audit(level.problem, level.couplings, nodes, volts)
    fill = np.ones(level.problem.grid.shape)
    fill[np.unravel_index(level.couplings.part_cell, level.problem.grid.node_shape)] = level.couplings.part_fill
    e = np.sqrt(found.mean_square_field)
    x, w = np.polynomial.legendre.leggauss(8)
    total = np.zeros(e.shape)
    for i, law in enumerate(level.problem.laws):
        pieces = [np.zeros(e.shape), np.minimum(e, law.a), np.clip(e, law.a, law.b), np.maximum(e, law.b)]
        pieces[3] = np.where(e > law.b, e, pieces[2])
        part = np.zeros(e.shape)
        for lo, hi in pairwise(pieces):
            half, middle = 0.5 * (hi - lo), 0.5 * (hi + lo)
            at = middle[..., None] + half[..., None] * x
            part += np.sum(w * half[..., None] * at * conductivity(law, at), axis=-1)
        total += np.where(level.problem.tissue == i, part, 0)
    return float(level.problem.grid.voxel_volume_m3 * np.sum(fill * total))


@pytest.fixture(scope="module")
def dense(tiny):
    """The Newton matrix of a random state from the operator, over free nodes and the floating needle."""
    nodes, volts = random_state(tiny)
    with jax.enable_x64(True):
        state = evaluate(tiny.layout, tiny.kinds, tiny.network, tiny.embed(nodes), jax.device_put(volts))
        op = linearise(tiny.layout, tiny.network, tiny.embed(nodes), state, np.dtype("float64"))
        apply = jax.jit(jax.vmap(lambda v, u: apply_newton(tiny.layout, op, v, u)))
        free = np.flatnonzero(np.asarray(op.root))
        v = np.zeros((len(free) + 1, tiny.layout.n))
        u = np.zeros((len(free) + 1, 3))
        v[np.arange(len(free)), free] = 1
        u[-1, 1] = 1
        out_v, out_u = apply(v, u)
        matrix = np.concatenate([np.asarray(out_v)[:, free], np.asarray(out_u)[:, 1:2]], axis=1).T
        return matrix, free, state, op


def test_newton_matrix_is_symmetric_and_positive(dense):
    matrix = dense[0]
    assert np.abs(matrix - matrix.T).max() < 1e-12 * np.abs(matrix).max()
    assert np.linalg.eigvalsh(matrix).min() > 0


def test_newton_matrix_is_the_derivative_of_the_residual(tiny, dense):
    matrix, free, _, _ = dense
    nodes, volts = random_state(tiny)
    direction = np.random.default_rng(1).normal(size=len(free) + 1)
    step = np.zeros(tiny.layout.n)
    step[free] = direction[:-1]
    bump = np.asarray([0, direction[-1], 0])
    size = 1e-5

    def residual(sign):
        s = evaluate(
            tiny.layout,
            tiny.kinds,
            tiny.network,
            tiny.embed(nodes) + sign * size * step,
            jax.device_put(volts + sign * size * bump),
        )
        return np.concatenate([np.asarray(s.residual)[free], [float(s.electrode_current[1])]])

    with jax.enable_x64(True):
        numeric = (residual(1) - residual(-1)) / (2 * size)
    np.testing.assert_allclose(matrix @ direction, numeric, atol=1e-6 * np.abs(numeric).max())


def test_network_part_equals_a_dense_assembly_by_hand(tiny, dense):
    """Frozen conductivity: edges and links one at a time from the couplings."""
    _, free, _, op = dense
    grid, c = tiny.problem.grid, tiny.couplings
    nodes, volts = random_state(tiny)
    sigma = audit(tiny.problem, c, nodes, volts).conductivity_s_per_m
    size = int(np.prod(grid.node_shape))
    by_hand = np.zeros((size, size))
    for axis in range(3):
        others = [b for b in range(3) if b != axis]
        whole = grid.voxel_volume_m3 / grid.spacing_m[axis] ** 2
        for i in np.ndindex(*(n + (b != axis) for b, n in enumerate(grid.shape))):
            j = tuple(v + (b == axis) for b, v in enumerate(i))
            mean = 0.0
            for db in (0, 1):
                for dc in (0, 1):
                    cell = list(i)
                    cell[others[0]] -= db
                    cell[others[1]] -= dc
                    if all(0 <= q < n for q, n in zip(cell, grid.shape, strict=True)):
                        mean += 0.25 * sigma[tuple(cell)]
            g = whole * mean * c.open_edge[axis][i]
            a, b = np.ravel_multi_index(i, grid.node_shape), np.ravel_multi_index(j, grid.node_shape)
            by_hand[a, a] += g
            by_hand[b, b] += g
            by_hand[a, b] -= g
            by_hand[b, a] -= g
    for node, g, cells, weights in zip(c.link_node, c.link_g_m, c.link_cell, c.link_weight, strict=True):
        where = [np.unravel_index(q, grid.node_shape) for q, w in zip(cells, weights, strict=True) if w > 0]
        used = weights[weights > 0]
        by_hand[node, node] += g * sum(w * sigma[q] for q, w in zip(where, used, strict=True))
    flat_op = op._replace(curvature=op.curvature * 0)
    with jax.enable_x64(True):
        apply = jax.jit(jax.vmap(lambda v: apply_newton(tiny.layout, flat_op, v, jax.numpy.zeros(3))[0]))
        v = np.zeros((len(free), tiny.layout.n))
        v[np.arange(len(free)), free] = 1
        matrix = np.asarray(apply(v))[:, free]
    true = np.ravel_multi_index(np.unravel_index(free, tiny.layout.nodes), grid.node_shape)
    np.testing.assert_allclose(matrix, by_hand[np.ix_(true, true)], atol=1e-6 * by_hand.max())


def test_v_cycle_is_symmetric_and_near_the_inverse():
    """Eigenvalues of the preconditioned network; with links carried down from the fine grid the least was 0.3."""
    with jax.enable_x64(True):
        level = NestedGrid(two_needles(shape=(14, 10, 10), spacing_m=1.6e-3))
        assert len(level.levels) > 1
        phi, volts = jax.device_put(level.at_rest())
        state = evaluate(level.layout, level.kinds, level.network, phi, volts)
        op = linearise(level.layout, level.network, phi, state, np.dtype("float64"))
        networks = build_levels(level.levels, level.network, op)
        free = np.flatnonzero(np.asarray(op.root))
        v = np.zeros((len(free), level.layout.n))
        v[np.arange(len(free)), free] = 1
        lay, scale = level.layout, op.scale

        def precondition(r):
            """The cycle is one of the scaled network."""
            return scale * lay.take(v_cycle(level.levels, networks, lay.extend(scale * r)), 0)

        cycle = np.asarray(jax.jit(jax.vmap(precondition))(v))[:, free]
        flat_op = op._replace(curvature=op.curvature * 0)
        matrix = np.asarray(jax.jit(jax.vmap(lambda x: apply_newton(level.layout, flat_op, x, volts * 0)[0]))(v))[
            :, free
        ]
    assert np.abs(cycle - cycle.T).max() < 1e-10 * np.abs(cycle).max()
    root = np.linalg.cholesky(matrix)
    spectrum = np.linalg.eigvalsh(root.T @ cycle @ root)
    assert spectrum.min() > 0.7
    assert spectrum.max() < 1.7
