"""Fields of a plan by dotted path: what a sweep may vary.

A path leads through the plan as its file has it: `pulses[0].voltage_v`, `electrodes.A.needle.diameter_mm`; items of
`electrodes`, `pulses` and `anatomy.add` also by their name, and `*` for each of them. Beside those there are

    electrodes.NAME.shift_mm.x|y|z      moved along a patient axis; NAME may be `*` (each) or `all` (as one body)
    electrodes.NAME.tilt_deg.x|y|z      turned about a patient axis through a needle's far end or a plate's or tube's
                                        middle; `all`: about the middle of all tips and centres
    electrodes.NAME.depth_mm            a needle, probe or device, pushed along the direction of insertion
    electrodes.NAME.device.set.NUMBER   of a device, over the library's
    protocol.set.NUMBER                 of the protocol, over the library's
    tissues.NAME.conductivity.scale     all conductivities of the tissue's law, times this
    tissues.NAME.threshold_scale        both thresholds of the tissue, times this
    tissues.NAME.anisotropy.ratio       of a tissue that has fibres in the plan
    tissues.NAME.FIELD                  also for tissues that the plan takes from the library
    anatomy.add.NAME.grow_mm            radii, or half edge lengths, longer by this
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from ...meshes.errors import PlanError, one_of
from ...meshes.model import problems_of
from ...meshes.plan import load_plan
from ...meshes.plan_devices import DeviceSettings
from ...meshes.plan_tissues import RANGES, THRESHOLDS
from ...meshes.tissues import GENERIC_THRESHOLDS_V_PER_CM, load_tissues

Table = dict[str, Any]
Steps = Sequence[str]
MOVES = ("tilt_deg", "depth_mm", "shift_mm")
"""In the order in which they are applied."""
THRESHOLD_SCALE = "threshold_scale"


def steps_of(path: str) -> Steps:
    """`a.b[0].c` -> ("a", "b", "0", "c")."""
    steps = [step for step in re.split(r"\.|\[|\]", path) if step]
    if len(steps) == 0:
        raise PlanError.of("field", "a dotted path into the plan", repr(path))
    return steps


def apply_fields(plan: Table, values: Mapping[str, float]) -> None:
    """Set fields of a plan's table, in place: plain ones first, then scales and growths, then moves.

    Raises:
        PlanError: a path that leads nowhere.
    """
    for path in sorted(values, key=_rank):
        if _moves(steps_of(path)):
            keep_voltages(plan)
        set_field(plan, path, values[path])


def set_field(plan: Table, path: str, value: float) -> None:
    """Set one field; see the module for paths."""
    steps = steps_of(path)
    if _moves(steps):
        move_electrodes(plan, path, steps, value)
    elif steps[0] == "tissues" and len(steps) >= 3:
        set_tissue(plan, path, steps, value)
    elif steps[-1] == "grow_mm":
        for shape in _select(plan, path, steps[:-1]):
            grow(shape, path, value)
    else:
        _make_room(plan, path, steps)
        parents = _select(plan, path, steps[:-1])
        for parent in parents:
            _put(parent, path, steps[-1], value)


def expand(plan: Table, path: str) -> list[str]:
    """The paths that a `*` stands for, one for each item; the path itself without one."""
    steps = steps_of(path)
    if "*" not in steps:
        return [path]
    at = steps.index("*")
    (parent,) = _select(plan, path, steps[:at])
    names = list(parent) if isinstance(parent, dict) else [_name(item, i) for i, item in enumerate(parent)]
    return [one for name in names for one in expand(plan, ".".join((*steps[:at], name, *steps[at + 1 :])))]


def keeps_geometry(path: str) -> bool:
    """Whether a field leaves electrodes, anatomy and grid as they are: voltages, tissue values, limits."""
    return steps_of(path)[0] in (
        "pulses",
        "protocol",
        "tissues",
        "sheets",
        "avoid",
        "thresholds_v_per_cm",
        "generator",
        "solver",
    )


def keeps_field(path: str) -> bool:
    """Whether a field leaves the electric field as it is: thresholds and limits."""
    steps = steps_of(path)
    return steps[0] in ("avoid", "thresholds_v_per_cm") or steps[-1] in (*THRESHOLDS, THRESHOLD_SCALE)


def _make_room(plan: Table, path: str, steps: Steps) -> None:
    """A table for the numbers of devices and protocols that the plan leaves to the library."""
    if len(steps) >= 3 and steps[-2] == "set" and (steps[0] == "protocol" or steps[-3] == "device"):
        for owner in _select(plan, path, steps[:-2]):
            owner.setdefault("set", {})


def keep_voltages(plan: Table) -> None:
    """A protocol as the pulses that it stands for: electrodes that end up elsewhere get the voltages that were planned.

    Raises:
        PlanError: the plan is not valid.
    """
    if plan.get("protocol") is None:
        return
    trains = load_plan(plan).trains
    plan["pulses"] = [train.pulse.model_dump(mode="json", exclude_none=True) for train in trains]
    del plan["protocol"]


def _moves(steps: Steps) -> bool:
    return steps[0] == "electrodes" and len(steps) >= 3 and steps[2] in MOVES


# -- electrodes --------------------------------------------------------------------------------------------------------


def move_electrodes(plan: Table, path: str, steps: Steps, value: float) -> None:
    """Shift, push or tilt one electrode, each of them, or all as one body."""
    kind, together = steps[2], steps[1] == "all"
    electrodes = _select(plan, path, ("electrodes", "*" if together else steps[1]))
    if kind == "depth_mm":
        if len(steps) != 3:
            raise PlanError.of(path, "electrodes.NAME.depth_mm", path)
        for electrode in electrodes:
            _move(electrode, np.eye(3), np.zeros(3), value * _insertion(electrode, path))
        return
    if len(steps) != 4 or steps[3] not in "xyz":
        raise PlanError.of(path, f"electrodes.NAME.{kind}.x, .y or .z", path)
    axis = np.eye(3)["xyz".index(steps[3])]
    if kind == "shift_mm":
        for electrode in electrodes:
            _move(electrode, np.eye(3), np.zeros(3), value * axis)
        return
    turn = Rotation.from_rotvec(math.radians(value) * axis).as_matrix()
    middle = np.mean([_tip(electrode) for electrode in electrodes], axis=0)
    for electrode in electrodes:
        _move(electrode, turn, middle if together else _pivot(electrode), np.zeros(3))


def _move(electrode: Table, turn: NDArray[np.float64], pivot: NDArray[np.float64], by: NDArray[np.float64]) -> None:
    solid = _solid(electrode)
    if electrode.get("device"):  # its default depends on the direction, and would not turn with it
        solid["across"] = list(_device(electrode).across_or_default)
    for point in ("tip_mm", "entry_mm", "centre_mm"):
        if solid.get(point) is not None:
            solid[point] = (turn @ (np.asarray(solid[point], float) - pivot) + pivot + by).tolist()
    for direction in ("direction", "across", "normal", "up", "axis"):
        if solid.get(direction) is not None:
            solid[direction] = (turn @ np.asarray(solid[direction], float)).tolist()


def _solid(electrode: Table) -> Table:
    return next(electrode[kind] for kind in ("needle", "probe", "plate", "tube", "device") if electrode.get(kind))


def _device(electrode: Table) -> DeviceSettings:
    try:
        return DeviceSettings.model_validate(electrode["device"])
    except ValidationError as error:
        raise PlanError(problems_of(error, electrode["device"])) from None


def _tip(electrode: Table) -> NDArray[np.float64]:
    solid = _solid(electrode)
    return np.asarray(solid.get("tip_mm") or solid["centre_mm"], float)


def _pivot(electrode: Table) -> NDArray[np.float64]:
    if electrode.get("device"):
        return _device(electrode).far_end_mm
    needle = electrode.get("needle") or electrode.get("probe")
    if needle is None:
        return _tip(electrode)
    bare = needle.get("exposed_mm") or max(band["to_mm"] for band in needle["bands"])
    return _tip(electrode) - (bare + needle.get("shaft_mm", 0)) * _insertion(electrode, "")


def _insertion(electrode: Table, path: str) -> NDArray[np.float64]:
    if electrode.get("device"):
        return _device(electrode).unit_direction
    needle = electrode.get("needle") or electrode.get("probe")
    if needle is None:
        raise PlanError.of(path, "a needle, a probe or a device", f"{electrode.get('name')}, which is none")
    along = needle.get("direction")
    vector = np.asarray(along, float) if along is not None else _tip(electrode) - np.asarray(needle["entry_mm"], float)
    return vector / np.linalg.norm(vector)


# -- tissues and shapes ------------------------------------------------------------------------------------------------


def set_tissue(plan: Table, path: str, steps: Steps, value: float) -> None:
    """Set a tissue's value over the plan's or the library's."""
    overrides: Table = plan.setdefault("tissues", {})
    known = [*overrides, *(name for name in load_tissues() if name not in overrides)]
    names = list(overrides) if steps[1] == "*" else [steps[1]]
    for name in names:
        if name not in known:
            raise PlanError.of(path, f"a tissue, {one_of(known, name)}", name)
        override: Table = overrides.setdefault(name, {})
        if steps[2] == THRESHOLD_SCALE:
            scale_thresholds(override, name, path, value)
            continue
        if steps[2] == "anisotropy" and len(steps) > 3:
            _put(override.get("anisotropy"), path, steps[3], value)
            continue
        if steps[2] != "conductivity":
            _put(override, path, steps[2], value)
            continue
        if len(steps) != 4:
            raise PlanError.of(path, "tissues.NAME.conductivity.PARAMETER, or .scale", path)
        law: Table = override.get("conductivity") or {}
        override["conductivity"] = law
        if not law:
            tissue = load_tissues()[name]
            law.update({"law": tissue.law_name, **{v.quantity: v.value for v in tissue.conductivity}})
        if steps[3] != "scale":
            _put(law, path, steps[3], value)
            continue
        for parameter in [p for p in law if p.endswith("_s_per_m")]:
            law[parameter] *= value


def scale_thresholds(override: Table, name: str, path: str, factor: float) -> None:
    """Multiply both thresholds, so that they keep their order; a tissue without cells has none."""
    library = load_tissues().get(name)
    known = dict(zip(THRESHOLDS, GENERIC_THRESHOLDS_V_PER_CM, strict=True))
    if library is not None:
        known = {v.quantity: v.value for v in library.thresholds}
    for quantity in THRESHOLDS:
        value = override.get(quantity, known.get(quantity))
        if value is None:
            raise PlanError.of(path, f"a tissue whose {quantity} the plan or the library states", name)
        override[quantity] = value * factor
        ends = override.get(RANGES[quantity])
        if ends is not None:
            override[RANGES[quantity]] = [end * factor for end in ends]


def grow(shape: Table, path: str, by_mm: float) -> None:
    """Make an added shape larger all round."""
    solid: Table = next((shape[k] for k in ("sphere", "ellipsoid", "cylinder", "box") if shape.get(k)), {})
    for key, size in solid.items():
        if key in ("radius_mm", "radii_mm"):
            solid[key] = [s + by_mm for s in size] if isinstance(size, list) else size + by_mm
        elif key == "size_mm":
            solid[key] = [s + 2 * by_mm for s in size]


# -- walking -----------------------------------------------------------------------------------------------------------


def _rank(path: str) -> tuple[int, str]:
    steps = steps_of(path)
    moves = [i for i, kind in enumerate(MOVES) if kind in steps]
    return (2 + moves[0] if moves else 1 if steps[-1] in ("scale", THRESHOLD_SCALE, "grow_mm") else 0), path


def _select(plan: Any, path: str, steps: Iterable[str]) -> list[Any]:
    """Everything that the steps lead to."""
    here = [plan]
    for step in steps:
        here = [item for parent in here for item in _children(parent, path, step)]
    return here


def _children(parent: Any, path: str, step: str) -> list[Any]:
    if isinstance(parent, dict):
        if step == "*":
            return list(parent.values())
        if parent.get(step) is None:
            given = [key for key, value in parent.items() if value is not None]
            raise PlanError.of(path, f"a path into the plan, {one_of(given, step)}", step)
        return [parent[step]]
    if isinstance(parent, list):
        if step == "*":
            return parent
        names = [_name(item, i) for i, item in enumerate(parent)]
        if step.isdigit() and int(step) < len(parent):
            return [parent[int(step)]]
        if step in names:
            return [parent[names.index(step)]]
        raise PlanError.of(path, f"an item, {one_of(names, step)}", step)
    raise PlanError.of(path, "a path to a number", f"{step!r} under a {type(parent).__name__}")


def _name(item: Any, index: int) -> str:
    return str((item.get("name") or item.get("tissue") if isinstance(item, dict) else None) or index)


def _put(parent: Any, path: str, step: str, value: float) -> None:
    """Set a number; what is not a number in the plan can't be swept. Unknown keys are refused by the plan itself."""
    if isinstance(parent, list):
        if not step.isdigit() or int(step) >= len(parent):
            raise PlanError.of(path, f"an index below {len(parent)}", step)
        parent[int(step)] = value
        return
    if not isinstance(parent, dict) or isinstance(parent.get(step), dict | list | str | bool):
        raise PlanError.of(path, "a path to a number", repr(parent.get(step) if isinstance(parent, dict) else parent))
    parent[step] = value
