"""Anisotropic tissue, contact resistances and resistive sheets: against closed forms, and for consistency.

Coaxial ones: test_cases.py.
"""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

from porefield.kernels import slabs
from porefield.kernels.cases.radial import Coaxial
from porefield.kernels.cases.slab import LayeredSlab
from porefield.kernels.certificate import audit
from porefield.kernels.conductivity import ConductivityLaw, conductivity
from porefield.kernels.electrodes import Needle, Rod
from porefield.kernels.field import solve_field, solve_fields
from porefield.kernels.grid import Grid
from porefield.kernels.nested import NestedGrid
from porefield.kernels.network import apply_newton, evaluate, linearise
from porefield.kernels.problem import FieldProblem, Sheet
from porefield.kernels.sampling import sample_field

from .problems import two_needles

RAMP = ConductivityLaw.ramp(0.08, 0.32, 20e3, 60e3)
LOGISTIC = ConductivityLaw.logistic(0.1, 0.4, 50e3, 6e3)
LAYERS = ((2e-3, RAMP), (2e-3, LOGISTIC))
ISOTROPIC = (1.0, 1.0, 1.0)


def root(function, low: float, high: float) -> float:
    """Of an increasing function, by bisection to the last digit."""
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if function(middle) < 0 else (low, middle)
    return 0.5 * (low + high)


def field_at(law: ConductivityLaw, factor: float, density: float) -> float:
    """|E| along x where the current density is k sigma(sqrt(k) E) E."""
    return root(lambda e: factor * float(conductivity(law, np.sqrt(factor) * e)) * e - density, 0.0, 1e8)


# -- slabs, exact ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("contacts", [None, (0.02, 0.005)])
@pytest.mark.parametrize("sheets", [(), (Sheet(0, 1, 0.03),), (Sheet(1, 0, 0.03), Sheet(0, 1, 0.01))])
@pytest.mark.parametrize("factors", [None, ((5.0, 1.0, 1.0), (0.5, 1.0, 2.0))])
def test_layered_slab_with_everything_in_series_is_exact(contacts, sheets, factors):
    """Two layers, kinked and smooth laws: V = J (contacts + sheets) + the layers' drops."""
    problem = replace(
        LayeredSlab(LAYERS, 400.0).problem(0.5e-3), contact_ohm_m2=contacts, sheets=sheets, axis_factors=factors
    )
    along = [1.0, 1.0] if factors is None else [k[0] for k in factors]
    series = sum(contacts or ()) + sum(sheet.resistance_ohm_m2 for sheet in sheets)

    def excess(density: float) -> float:
        drops = [d * field_at(law, k, density) for (d, law), k in zip(LAYERS, along, strict=True)]
        return density * series + sum(drops) - 400.0

    density = root(excess, 0.0, 1e6)
    s = solve_field(problem, tolerance=1e-9)
    assert s.converged
    assert s.newton_steps[-1] <= 8  # Newton's method, not a fixed point between sheets and tissue
    assert s.currents_a[0] / 1e-6 == pytest.approx(density, rel=1e-8)
    fields = [field_at(law, k, density) for (_, law), k in zip(LAYERS, along, strict=True)]
    # float32 maps
    np.testing.assert_allclose(s.field_v_per_m[1:-1, 0, 0], np.repeat(fields, 4), rtol=1e-6)
    assert s.power_imbalance < 1e-8
    if contacts:
        assert s.contact_drops_v == pytest.approx([density * contacts[0], -density * contacts[1]], rel=1e-6)


def test_samples_hold_the_field_in_the_tissue_not_what_drops_over_sheets_and_contacts():
    """Of a slab |E| is uniform in each layer; samples next to the plates and beside the sheet too."""
    slab = LayeredSlab(((4e-3, ConductivityLaw.constant(0.1)), (4e-3, ConductivityLaw.constant(0.1))), 400.0)
    problem = replace(slab.problem(1e-3, across=4), contact_ohm_m2=(0.03, 0.01), sheets=(Sheet(0, 1, 0.04),))
    s = solve_field(problem, tolerance=1e-9)
    density = 400.0 / (0.03 + 0.01 + 0.04 + 8e-3 / 0.1)
    samples = sample_field([problem], [s])
    # float32 potentials of 400 V over 0.25 mm
    np.testing.assert_allclose(samples.field_v_per_m, density / 0.1, rtol=1e-4)


# -- contacts ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("law", [ConductivityLaw.constant(0.1), ConductivityLaw.smoothed_step(0.08, 0.32, 10e3, 60e3)])
def test_needle_with_a_contact_in_a_tube(law):
    """Wire leaks: a needle of 2 mm through the whole grid, off its lines, in a cylinder of 12 mm. 0.36 and 0.07 % off
    when written; nonlinear -0.22 and -0.08 %."""
    contact, found = 0.01, []
    for h in (1e-3, 0.5e-3):
        base = Coaxial(1e-3, 12e-3, law, 400.0).problem(h, slices=4, offset_m=(0.13e-3, 0.31e-3))
        rod = base.electrodes[0]
        assert isinstance(rod, Rod)
        length = base.grid.size_m[2]
        needle = Needle((rod.point_m[0], rod.point_m[1], length + 40e-3), (0.0, 0.0, 1.0), 1e-3, length + 80e-3)
        problem = replace(base, electrodes=(needle, base.electrodes[1]), contact_ohm_m2=(contact, 0.0))

        def excess(current: float) -> float:
            return current * contact / (2 * np.pi * 1e-3) + Coaxial(1e-3, 12e-3, law, 1.0).drop_v(current) - 400.0

        s = solve_field(problem)
        assert s.converged
        found.append(s.currents_a[0] / (root(excess, 0.0, 1e4) * length) - 1)
    assert abs(found[0]) < 0.006
    assert abs(found[1]) < 0.0015


# -- anisotropy --------------------------------------------------------------------------------------------------------


def test_needles_along_the_fibres_are_shorter_needles_in_isotropic_tissue():
    """z = sqrt(k) z': the same network and near fields, but for how far along z links reach (0.3 % when written)."""
    k = 4.0
    law = ConductivityLaw.ramp(0.08, 0.32, 35_000, 70_000)

    def problem(stretch: float, factors) -> FieldProblem:
        grid = Grid((20, 20, 20), (1e-3, 1e-3, stretch * 1e-3))
        needles = [
            Needle((x, 9.7e-3, stretch * z), (0.0, 0.0, 1.0), 0.6e-3, stretch * 8e-3)
            for x, z in ((6.2e-3, 14.3e-3), (14.1e-3, 13.4e-3))
        ]
        tissue = np.zeros(grid.shape, np.uint8)
        return FieldProblem(grid, tissue, (law,), tuple(needles), (800.0, 0.0), axis_factors=factors)

    short = solve_field(problem(1.0, None))
    long = solve_field(problem(2.0, ((1.0, 1.0, k),)))
    assert long.converged
    assert long.currents_a[0] == pytest.approx(2.0 * short.currents_a[0], rel=0.006)


@pytest.mark.slow
def test_needle_across_the_fibres_agrees_with_a_resolved_rod():
    """The same round bar as a needle, from its stretched near field, and by cut edges on voxels up to eight times
    smaller: -0.01 and 0.04 % apart when written, which is what the resolved bar is sure to."""
    law = ConductivityLaw.constant(0.1)

    def current(h: float, needle: bool) -> float:
        n = round(24e-3 / h)
        grid = Grid((n, n, 2), (h, h, h))
        z = (0.0, 0.0, 1.0)
        metal = []
        for x in (7.63e-3, 16.41e-3):
            at = (x, 12.17e-3)
            long = Needle((*at, 40e-3), z, 0.8e-3, 80e-3)
            metal.append(long if needle else Rod((*at, 0.0), z, 0.8e-3))
        factors = ((4.0, 1.0, 1.0),)
        tissue = np.zeros(grid.shape, np.uint8)
        s = solve_field(FieldProblem(grid, tissue, (law,), tuple(metal), (100.0, 0.0), axis_factors=factors))
        assert s.converged
        return s.currents_a[0] / grid.size_m[2]

    fine = current(0.125e-3, needle=False)
    coarse = [current(h, needle=True) / fine - 1 for h in (1e-3, 0.5e-3)]
    assert abs(coarse[0]) < 0.003
    assert abs(coarse[1]) < 0.003


# -- consistency -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def everything():
    """Three needles with contacts, one of them floating, two tissues with factors, and sheets in both."""
    problem = replace(
        two_needles(
            shape=(7, 6, 8), spacing_m=2.5e-3, centre_mm=(9.1, 7.3, 10.2), potentials_v=(800.0, None, 0.0), third=True
        ),
        axis_factors=((3.0, 1.0, 1.0), (1.0, 0.5, 2.0)),
        contact_ohm_m2=(0.05, 0.02, 0.0),
    )
    tissue = problem.tissue.copy()
    tissue[3:6, 2:5, 3:7] = 1
    problem = replace(problem, tissue=tissue, sheets=(Sheet(0, 1, 0.02), Sheet(1, 0, 0.05)))
    with jax.enable_x64(True):
        yield NestedGrid(problem)


def random_state(level, seed=0):
    rng = np.random.default_rng(seed)
    nodes = level.with_metal(rng.uniform(0, 800, level.problem.grid.node_shape), level.volts())
    return nodes, rng.uniform(0, 800, 3)


@pytest.mark.parametrize("planes", [1, 3, 100])
@pytest.mark.parametrize("threads", [1, 2])
def test_audit_and_solver_agree(everything, monkeypatch, planes, threads):
    monkeypatch.setattr(slabs, "SLAB_NODES", planes * 9 * 7)
    monkeypatch.setattr(slabs, "compiler_threads", lambda: threads)
    nodes, volts = random_state(everything)
    state = evaluate(
        everything.layout, everything.kinds, everything.network, everything.embed(nodes), jax.device_put(volts)
    )
    found = audit(everything.problem, everything.couplings, nodes, volts)
    scale = np.abs(found.residual_a).max()
    np.testing.assert_allclose(everything.extract(state.residual), found.residual_a, atol=1e-6 * scale)
    q = everything.extract(state.q)[:-1, :-1, :-1]
    np.testing.assert_allclose(q, found.weighted_square_field, rtol=1e-6, atol=1e-6 * q.max())
    np.testing.assert_allclose(state.electrode_current, found.electrode_current_a, rtol=1e-6)
    sigma = everything.extract(state.sigma)[:-1, :-1, :-1]
    np.testing.assert_allclose(sigma, found.conductivity_s_per_m, rtol=1e-9)


def test_newton_matrix_is_symmetric_positive_and_the_residuals_derivative(everything):
    """Together they say that the residual is the gradient of a convex energy."""
    nodes, volts = random_state(everything)
    lay, net, kinds = everything.layout, everything.network, everything.kinds
    with jax.enable_x64(True):
        state = evaluate(lay, kinds, net, everything.embed(nodes), jax.device_put(volts))
        op = linearise(lay, net, everything.embed(nodes), state, np.dtype("float64"))
        free = np.flatnonzero(np.asarray(op.root))
        v, u = np.zeros((len(free) + 1, lay.n)), np.zeros((len(free) + 1, 3))
        v[np.arange(len(free)), free] = 1
        u[-1, 1] = 1
        out_v, out_u = jax.jit(jax.vmap(lambda v, u: apply_newton(lay, op, v, u)))(v, u)
        matrix = np.concatenate([np.asarray(out_v)[:, free], np.asarray(out_u)[:, 1:2]], axis=1).T
        direction = np.random.default_rng(1).normal(size=len(free) + 1)
        step = np.zeros(lay.n)
        step[free] = direction[:-1]

        def residual(sign):
            moved = everything.embed(nodes) + sign * 1e-5 * step
            s = evaluate(
                lay, kinds, net, moved, jax.device_put(volts + sign * 1e-5 * np.asarray([0, direction[-1], 0]))
            )
            return np.concatenate([np.asarray(s.residual)[free], [float(s.electrode_current[1])]])

        numeric = (residual(1) - residual(-1)) / 2e-5
    assert np.abs(matrix - matrix.T).max() < 1e-12 * np.abs(matrix).max()
    assert np.linalg.eigvalsh(matrix).min() > 0
    # differences of 1e-5 V in 800, through laws with kinks
    np.testing.assert_allclose(matrix @ direction, numeric, atol=1e-5 * np.abs(numeric).max())


def test_a_whole_problem_with_everything_converges():
    """Also through nested grids, with a floating electrode."""
    problem = replace(
        two_needles(shape=(56, 20, 20), potentials_v=(800.0, None, 0.0), third=True),
        axis_factors=((5.0, 1.0, 1.0), ISOTROPIC),
        contact_ohm_m2=(0.02, 0.02, 0.0),
        sheets=(Sheet(1, 0, 0.01),),
    )
    s = solve_field(problem)
    assert s.converged
    assert s.power_imbalance < 1e-5
    assert s.newton_steps[-1] <= 10


def test_side_by_side_they_give_what_they_give_by_themselves():
    """Of two lanes one has a sheet and contacts, the other fibres: each carries the other's empty arrays."""
    one = replace(two_needles(), sheets=(Sheet(1, 0, 0.05),), contact_ohm_m2=(0.01, 0.0))
    two = replace(two_needles(), axis_factors=((4.0, 1.0, 1.0), ISOTROPIC))
    for problem, found in zip((one, two), solve_fields([one, two]), strict=True):
        assert found.converged
        # two solves to a residual of 1e-7
        assert found.currents_a == pytest.approx(solve_field(problem).currents_a, rel=2e-6)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("axis_factors", ((1.0, 1.0, 1.0),)),
        ("axis_factors", ((1.0, 1.0, 0.0), ISOTROPIC)),
        ("contact_ohm_m2", (0.1,)),
        ("contact_ohm_m2", (0.1, -0.1)),
        ("sheets", (Sheet(0, 0, 0.1),)),
        ("sheets", (Sheet(0, 2, 0.1),)),
        ("sheets", (Sheet(0, 1, 0.0),)),
    ],
)
def test_problems_that_make_no_sense_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field}: expected"):
        replace(two_needles(), **{field: value})


def test_a_plain_problem_carries_nothing_of_it():
    """No array, no branch: what is compiled for it is what was compiled before any of this existed."""
    with jax.enable_x64(True):
        level = NestedGrid(replace(two_needles(), contact_ohm_m2=(0.0, 0.0)))
        assert level.network.plain
        phi, volts = jax.device_put(level.at_rest())
        state = evaluate(level.layout, level.kinds, level.network, phi, volts)
        op = linearise(level.layout, level.network, phi, state, np.dtype("float32"))
    assert (state.split, op.factors, op.pairs) == (None,) * 3
