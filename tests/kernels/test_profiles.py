"""Distances to needles of every tip, against the nearest of many points on their surface."""

import numpy as np
import pytest

from porefield.kernels.profiles import Profile, Solid

SOLIDS = [
    Solid(Profile(0.6), 0.0, 4.0),
    Solid(Profile(0.6, "conical", 2.0), 0.0, 4.0),
    Solid(Profile(0.6, "conical", 2.0), 0.0, 1.5),
    Solid(Profile(0.6, "conical", 2.0), 0.5, 4.0),
    Solid(Profile(0.6, "rounded"), 0.0, 4.0),
    Solid(Profile(0.6, "rounded"), 0.2, 0.5),
    Solid(Profile(0.6, "conical", 2.0), 3.0, 4.5),
]


@pytest.mark.parametrize("solid", SOLIDS)
def test_distance_is_that_to_the_nearest_point_of_the_surface(solid):
    behind = np.linspace(solid.start, solid.stop, 4001)
    side = np.stack([solid.profile.radius_at(behind), -behind], axis=1)
    faces = [np.stack([np.linspace(0, side[i, 0], 1001), np.full(1001, side[i, 1])], axis=1) for i in (0, -1)]
    surface = np.concatenate([side, *faces])
    rng = np.random.default_rng(2)
    r, z = rng.uniform(0, 2, 1500), rng.uniform(-6, 1.5, 1500)
    nearest = np.hypot(r[:, None] - surface[:, 0], z[:, None] - surface[:, 1]).min(axis=1)
    found = solid.distance(r, z)
    # a rounded side rises steeply behind the foremost point: its points are up to 0.02 apart
    np.testing.assert_allclose(np.abs(found), nearest, atol=0.004)
    inside = (z < -solid.start) & (z > -solid.stop) & (r < solid.profile.radius_at(-z))
    assert inside.sum() > 5
    np.testing.assert_array_equal(found < 0, inside)
