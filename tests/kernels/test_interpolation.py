"""Starts from coarser grids: trilinear away from needles, along the near field beside them."""

from __future__ import annotations

import numpy as np

from porefield.kernels.interpolation import interpolate
from porefield.kernels.links import NearField

COARSE, FINE = (5, 4, 6), (9, 7, 10)
BOX = (slice(1, 8), slice(0, 6), slice(2, 10))


def on_nodes(shape: tuple[int, int, int], h: float) -> tuple[np.ndarray, ...]:
    return np.meshgrid(*(h * np.arange(n) for n in shape), indexing="ij")


def test_a_trilinear_potential_is_exact_on_grids_of_odd_and_even_numbers():
    def phi(x, y, z):
        return 3 + x - 2 * y + 0.5 * z + x * y * z

    fine = interpolate(phi(*on_nodes(COARSE, 2.0)), FINE, [], np.zeros(0))
    np.testing.assert_allclose(fine, phi(*on_nodes(FINE, 1.0)), rtol=1e-13)


def test_a_multiple_of_a_near_field_is_exact_where_the_field_reaches():
    """F as beside a thin needle at (3.2, 2.3), far from linear between the nodes; 0 within it."""

    def f(x, y, z):
        return np.log(np.maximum(np.hypot(x - 3.2, y - 2.3) / 0.4, 1)) * (1 + 0.1 * z)

    coarse = 120 - 30 * f(*on_nodes(COARSE, 2.0))
    of_fine = f(*on_nodes(FINE, 1.0))
    share = np.zeros(FINE)
    share[2:7, 0:5, 2:9] = 1
    near = NearField(1, BOX, of_fine[BOX].astype(np.float32), share[BOX].astype(np.float32))
    plain, fine = (interpolate(coarse, FINE, fields, np.asarray([0.0, 120.0])) for fields in ([], [near]))
    # the box's first even nodes to its last
    reached = (slice(2, 7), slice(0, 5), slice(2, 9))
    np.testing.assert_allclose(fine[reached], (120 - 30 * of_fine)[reached], rtol=1e-5)
    assert np.abs(plain[reached] - (120 - 30 * of_fine)[reached]).max() > 10
    away = share == 0
    np.testing.assert_array_equal(fine[away], plain[away])
