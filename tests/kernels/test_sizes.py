"""Lengths that arrays are padded to: the same wherever needles lie, so that a move compiles nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from porefield.kernels.coupling import couple
from porefield.kernels.electrodes import Needle
from porefield.kernels.nested import nested_grids
from porefield.kernels.sizes import Sizes, bucket

from .problems import two_needles


def test_moved_and_turned_needles_have_the_same_sizes() -> None:
    rng = np.random.default_rng(3)
    base = two_needles((40, 36, 32))
    sizes, links = set(), set()
    for _ in range(25):
        needles = []
        for needle in base.electrodes:
            assert isinstance(needle, Needle)
            x, y, z = np.asarray(needle.tip_m) + rng.uniform(-2e-3, 2e-3, 3)
            turned = np.asarray(needle.direction) + rng.uniform(-0.3, 0.3, 3)
            a, b, c = turned / np.linalg.norm(turned)
            needles.append(replace(needle, tip_m=(x, y, z), direction=(a, b, c)))
        (grid,) = nested_grids(replace(base, electrodes=tuple(needles)), coarse=False)
        sizes.add(Sizes.of([grid]))
        links.add(len(grid.couplings.link_node))
    assert len(sizes) == 1
    assert len(links) > 5
    assert all(bucket(n) <= next(iter(sizes)).links for n in links)


def test_links_without_fills_are_those_with_them() -> None:
    """What is left out is where in their voxels they lie."""
    problem = two_needles((20, 20, 20))
    whole, links = (couple(problem.grid, problem.electrodes, fills=fills) for fills in (True, False))
    np.testing.assert_array_equal(links.link_node, whole.link_node)
    np.testing.assert_array_equal(links.link_g_m, whole.link_g_m)
    np.testing.assert_allclose(links.link_weight.sum(axis=1), 1, rtol=1e-6)
    assert len(whole.part_cell)
    assert not len(links.part_cell)
