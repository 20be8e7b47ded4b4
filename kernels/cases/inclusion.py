"""A nonlinear sphere in a linear host."""

from __future__ import annotations

from ..conductivity import ConductivityLaw, conductivity
from .current_tubes import root


def sphere_interior_field(law: ConductivityLaw, host_s_per_m: float, far_v_per_m: float) -> float:
    """Uniform |E| in a nonlinear sphere in a linear host under a uniform far field:
    E_in [1 + (sigma(E_in) / sigma_h - 1) / 3] = E_far."""

    def excess(e: float) -> float:
        return e * (1 + (float(conductivity(law, e)) / host_s_per_m - 1) / 3) - far_v_per_m

    return root(excess, 3 * far_v_per_m)
