"""The uncertain factors of a plan: which fields vary, how, in which group, and where that is known from.

Placement errors are normal; a tissue's conductivities share one factor, its two thresholds another, both lognormal with
median 1, so that they keep their order and their sign.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ...meshes.errors import PlanError, one_of
from ...meshes.plan import Plan
from ...meshes.plan_electrodes import ElectrodeSettings
from ...meshes.scene import Scene
from ...meshes.spreads import Quantity, Spread, conductivity_spread, threshold_spread
from ...meshes.tissues import Tissue
from ..sweep.distributions import Distribution, LogNormal, Normal
from .settings import Robustness

ALL = "*"
_SPREADS: Mapping[Quantity, Callable[[Tissue], Spread]] = {
    "conductivity": conductivity_spread,
    "threshold": threshold_spread,
}
_FIELDS: Mapping[Quantity, str] = {
    "conductivity": "tissues.{}.conductivity.scale",
    "threshold": "tissues.{}.threshold_scale",
}


@dataclass(frozen=True)
class Factor:
    """One uncertain field.

    Attributes:
        field: path into the plan, as sweeps write it.
        group: whose share of the variance it counts to.
        words: the distribution for people.
        source: where the spread comes from. verified: whether somebody found it there.
    """

    field: str
    group: str
    distribution: Distribution
    words: str
    source: str
    verified: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        told = asdict(self)
        return told | {"distribution": self.distribution.model_dump(exclude_none=True)}


def factors_of(settings: Robustness, plan: Plan, scene: Scene) -> list[Factor]:
    """All uncertain factors of a plan on its anatomy.

    Raises:
        PlanError: a tissue that the solved region does not hold; nothing that varies.
    """
    factors = [*_placement(settings, plan), *_tissues(settings, scene, "conductivity")]
    factors += _tissues(settings, scene, "threshold")
    if not factors:
        raise PlanError.of("placement", "something that varies", "no placement error and no spread of any tissue")
    return factors


def groups_of(factors: list[Factor]) -> list[str]:
    """Names of the groups, in order."""
    return list(dict.fromkeys(factor.group for factor in factors))


def _placement(settings: Robustness, plan: Plan) -> Iterator[Factor]:
    errors, each = settings.placement, settings.groups == "each"
    movers = ["all"] if errors.together else [electrode.name for electrode in plan.electrodes]
    needles = {e.name for e in plan.electrodes if e.plate is None and e.tube is None and not _lies_on_skin(e)}
    pushed = needles == {e.name for e in plan.electrodes}
    for name in movers:
        group = f"placement of {name}" if each and not errors.together else "placement"
        moves = [(f"shift_mm.{axis}", errors.shift_mm, f"moved along {axis}", "mm") for axis in "xyz"]
        moves += [(f"tilt_deg.{axis}", errors.tilt_deg, f"tilted about {axis}", "degrees") for axis in "xyz"]
        if name in needles or (name == "all" and pushed):
            moves.append(("depth_mm", errors.depth_mm, "pushed along its direction", "mm"))
        for path, sd, what, unit in moves:
            if sd > 0:
                words = f"{what} by 0 +- {sd:g} {unit} (normal)"
                normal = Distribution(normal=Normal(sd=sd))
                yield Factor(f"electrodes.{name}.{path}", group, normal, words, "settings of this study", True)


def _lies_on_skin(electrode: ElectrodeSettings) -> bool:
    """Whether it is a device of plates, which nobody pushes in."""
    return electrode.device is not None and electrode.device.layout.parts[0].size is not None


def _tissues(settings: Robustness, scene: Scene, quantity: Quantity) -> Iterator[Factor]:
    stated: Mapping[str, float] = getattr(settings, quantity)
    tissues = [t for t in scene.tissues if not t.insulating and (quantity == "conductivity" or _has_threshold(t))]
    names = [t.name for t in tissues]
    for name in stated:
        if name != ALL and name not in names:
            expected = f"'*' or a tissue of the solved region with a {quantity}, {one_of(names, name)}"
            raise PlanError.of(f"{quantity}.{name}", expected, name)
    for tissue in tissues:
        spread = _SPREADS[quantity](tissue)
        sd = stated.get(tissue.name, stated.get(ALL))
        if sd is not None:
            spread = Spread(tissue.name, quantity, sd, "settings of this study", True)
        if spread.relative_sd == 0:
            continue
        what = "conductivities" if quantity == "conductivity" else "thresholds"
        group = f"{quantity} of {tissue.name}" if settings.groups == "each" else quantity
        words = f"all {what} times a factor, 68 % within {1 / spread.factor:.2f} to {spread.factor:.2f} (lognormal)"
        distribution = Distribution(lognormal=LogNormal(factor=spread.factor))
        yield Factor(
            _FIELDS[quantity].format(tissue.name), group, distribution, words, _origin(spread), spread.verified
        )


def _has_threshold(tissue: Tissue) -> bool:
    return all(value.value is not None for value in tissue.thresholds)


def _origin(spread: Spread) -> str:
    return f"{spread.source} ({spread.note})" if spread.note else spread.source
