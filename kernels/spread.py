"""Lanes of a batch spread over several devices: each solves its own ones and hears nothing of the others.

`shard_map` gives every device a program for its lanes alone, with loops of its own: nothing is exchanged, and a device
waits for the slowest of its own lanes only. (Under `jit` with sharded arrays the loops would run until the slowest
lane of all devices is through, with a message between the devices at each iteration to find out.)
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from .newton import newton_steps

LANES = PartitionSpec("lanes")


def device_count() -> int:
    """How many devices of the default kind this process sees."""
    return jax.local_device_count()


def devices_for(lanes: int) -> int:
    """The most devices that take equally many of some lanes."""
    return max(n for n in range(1, device_count() + 1) if lanes % n == 0)


def lane_sharding(devices: int) -> NamedSharding:
    """Of arrays whose first axis are the lanes.

    Raises:
        ValueError: there are not that many devices.
    """
    if not 1 <= devices <= device_count():
        raise ValueError(f"devices: expected 1 to the {device_count()} that this process sees, got {devices}")
    return NamedSharding(Mesh(np.asarray(jax.local_devices()[:devices]), ("lanes",)), LANES)


@functools.lru_cache(maxsize=8)
def spread_steps(devices: int) -> Any:
    """`newton_steps` on several devices, the same arguments; the lanes must be a multiple of the devices."""
    mesh = lane_sharding(devices).mesh

    def steps(net: Any, phi: Any, volts: Any, state: Any, norm: Any, forcing: Any, **static: Any) -> Any:
        own = functools.partial(newton_steps, **static)
        # types of loop variables need not tell that they differ between devices: nothing is ever exchanged
        spread = jax.shard_map(own, mesh=mesh, in_specs=LANES, out_specs=LANES, check_vma=False)
        return spread(net, phi, volts, state, norm, forcing)

    return jax.jit(
        steps, static_argnames=("levels", "kinds", "floating", "inner_dtype"), donate_argnames=("phi", "state")
    )
