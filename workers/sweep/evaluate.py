"""From a plan to the measures and maps of one point of a sweep, keeping what the next point can use.

An evaluator lives as long as its worker: compiled kernels, the anatomy that was read, the samples' places and the last
solutions stay. Any class with the members of `Evaluator` can take its place (another model, a stub in a test); one that
has those of `BatchEvaluator` too is given several points at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ...kernels import coverage
from ...kernels.batch_size import batch_size, free_device_bytes, lane_bytes, most_lanes, padded_nodes
from ...kernels.sampling import FieldSamples, SampleGeometry
from ...kernels.solution import Solution
from ...kernels.spread import device_count, devices_for
from ...meshes.errors import PorefieldError, ResourceError
from ...meshes.memory import available_bytes, in_words
from ...meshes.plan import Plan
from ...meshes.scene import Scene, SceneBuilder
from ..dataset import SPACE, ZONES, axis_origin_mm, conducting, describe_electrode, zone_map
from ..limits import generator_current_a
from ..measures import (
    measure_avoided,
    measure_targets,
    measure_volumes,
    threshold_key,
    tissue_thresholds_v_per_m,
)
from ..progress import RunControl
from ..solve import currents_by_name, fits_generator, memory_limits_named, voltage_of
from ..summary import DISCLAIMER, AvoidMeasures, TargetMeasures
from .model import Evaluation, Layout, MapVariable, Variable
from .pulses import PulseSolver, SolvedPoint, attempt

MAPS = {
    "zone": MapVariable(
        "uint8",
        "1",
        "zone of most of the voxel",
        {"flag_values": list(range(len(ZONES))), "flag_meanings": " ".join(ZONES)},
    ),
    "field": MapVariable("float32", "V m-1", "largest |E| over the pulses, root mean square over the voxel"),
}
QUANTILES = ("min", "q01", "q02", "q05", "median", "max")


class Evaluator(Protocol):
    """What a sweep computes at each of its points."""

    @property
    def layout(self) -> Layout:
        """The measures and maps that every point gives."""
        ...

    @property
    def inputs(self) -> str:
        """Hash of all that a point's result depends on beside its plan: files, versions, settings."""
        ...

    def evaluate(self, plan: Plan, control: RunControl) -> Evaluation:
        """One point.

        Raises:
            PorefieldError: the point has no result; the sweep goes on.
            RunCancelled: asked for through `control`.
        """
        ...


@runtime_checkable
class BatchEvaluator(Evaluator, Protocol):
    """An evaluator that can take several points at once."""

    def choose_batch(self) -> int:
        """How many points to take at once when nobody says."""
        ...

    def check_batch(self, batch: int) -> None:
        """Refuse more points at once than fit.

        Raises:
            ResourceError: saying how many do.
        """
        ...

    def evaluate_many(self, plans: Sequence[Plan], control: RunControl, batch: int) -> list[Evaluation | Exception]:
        """Up to `batch` points; for each its values, or the error that `evaluate` would have raised.

        Raises:
            RunCancelled: asked for through `control`.
        """
        ...


@dataclass(frozen=True)
class EvaluatorSettings:
    """What a worker needs to make its evaluator; plain data, sent between processes.

    Attributes:
        plan: of the sweep's base, validated, as JSON data.
        maps: names out of `MAPS`.
        warm_starts: start each solve from its neighbours; False makes every point independent of all others.
    """

    plan: dict[str, Any]
    base_dir: str | None
    anatomy: str | None
    maps: tuple[str, ...] = ()
    warm_starts: bool = True


MakeEvaluator = Callable[[EvaluatorSettings], Evaluator]


def plan_evaluator(settings: EvaluatorSettings) -> Evaluator:
    """The evaluator of plans: what sweeps use unless told otherwise."""
    return PlanEvaluator(settings)


def limited_evaluator(most_voxels: int | None, settings: EvaluatorSettings) -> Evaluator:
    """The evaluator of plans for a service: a point with more voxels than that fails, before anything is allocated."""
    return PlanEvaluator(settings, most_voxels)


class PlanEvaluator:
    """Solves the plan of each point and measures it as `run_plan` does, without searching for fitting voltages."""

    def __init__(self, settings: EvaluatorSettings, most_voxels: int | None = None) -> None:
        """Read the anatomy and check the base plan; see `build_scene` for errors."""
        self.settings = settings
        base = Plan.model_validate(settings.plan)
        base_dir = Path(settings.base_dir) if settings.base_dir else None
        anatomy = Path(settings.anatomy) if settings.anatomy else None
        self._scenes = SceneBuilder(base, base_dir=base_dir, anatomy=anatomy, most_voxels=most_voxels)
        scene = self._scenes.build(base)
        self._layout = layout_of(scene, settings.maps)
        self._inputs = inputs_of(scene, settings)
        self._shape = scene.grid.shape
        self._nodes = padded_nodes(scene.grid.kernel_grid)
        self._floating = max(pulse.potentials_v.count(None) for pulse in scene.pulses)
        self._directional = not scene.problem(0).plain
        self._pulses = PulseSolver(settings.warm_starts)
        self._geometry: SampleGeometry | None = None

    @property
    def layout(self) -> Layout:
        return self._layout

    @property
    def inputs(self) -> str:
        return self._inputs

    def choose_batch(self) -> int:
        """As many as fit into the free memory of a GPU, or of all that this process sees; 1 on a CPU, where more are no
        faster."""
        free = free_device_bytes()
        if free is None:
            return 1
        return device_count() * batch_size(free, self._nodes, self._floating, directional=self._directional)

    def check_batch(self, batch: int) -> None:
        device = free_device_bytes()
        free = available_bytes() if device is None else device
        devices = 1 if device is None else devices_for(batch)
        fitting = devices * max(most_lanes(free, self._nodes, self._floating, self._directional), 1)
        if batch > fitting:
            each = in_words(lane_bytes(self._nodes, self._floating, self._directional))
            expected = f"at most {fitting}: each point takes {each}, and {in_words(free)} are free"
            raise ResourceError.of("batch", expected, str(batch))

    def evaluate(self, plan: Plan, control: RunControl) -> Evaluation:
        (found,) = self.evaluate_many([plan], control, 1)
        if isinstance(found, Exception):
            raise found
        return found

    def evaluate_many(self, plans: Sequence[Plan], control: RunControl, batch: int) -> list[Evaluation | Exception]:
        scenes = [attempt(self._scene, plan) for plan in plans]
        points = iter(self._pulses.solve([s for s in scenes if isinstance(s, Scene)], control, batch))
        found: list[Evaluation | Exception] = []
        for scene in scenes:
            control.check()
            found.append(scene if isinstance(scene, Exception) else attempt(self._measure, next(points)))
        return found

    def _scene(self, plan: Plan) -> Scene:
        scene = self._scenes.build(plan)
        if self.settings.maps and scene.grid.shape != self._shape:
            shapes = (" x ".join(map(str, s)) for s in (self._shape, scene.grid.shape))
            raise PorefieldError.of("maps", f"the same voxels at every point, {next(shapes)}", next(shapes))
        return scene

    def _measure(self, point: SolvedPoint) -> Evaluation:
        if point.fault is not None:
            raise point.fault
        scene, solutions = point.scene, point.solutions
        with memory_limits_named(scene):
            problem = scene.problem(0)
            if self._geometry is None or not self._geometry.fits(problem):
                self._geometry = None  # frees the old one before the new one is made
                self._geometry = SampleGeometry(problem)
            samples = self._geometry.samples(solutions)
        measures = measures_of(scene, solutions, samples, point.warm)
        return Evaluation(measures, maps_of(scene, solutions, samples, self.settings.maps))


def layout_of(scene: Scene, maps: Sequence[str]) -> Layout:
    """The measures of every point of a sweep over a plan."""
    share, v_cm = "1", "V cm-1"
    variables = {
        "volume_reversible_mm3": Variable("mm3", "tissue at or above its reversible threshold"),
        "volume_irreversible_mm3": Variable("mm3", "tissue at or above its irreversible threshold"),
        "volume_above_mm3": Variable("mm3", "tissue at or above a field", ("threshold_v_per_cm",)),
        "target_tissue_volume_mm3": Variable("mm3", "target without metal and shafts", ("target",)),
        "target_coverage_reversible": Variable(share, "share of the target at or above its threshold", ("target",)),
        "target_coverage_irreversible": Variable(share, "share of the target at or above its threshold", ("target",)),
        "target_coverage_above": Variable(
            share, "share of the target at or above a field", ("target", "threshold_v_per_cm")
        ),
        **{f"target_field_{q}_v_per_cm": Variable(v_cm, f"{q} of |E| in the target", ("target",)) for q in QUANTILES},
        "avoid_field_max_v_per_cm": Variable(v_cm, "largest |E| in an avoided structure", ("avoided",)),
        "avoid_volume_above_limit_mm3": Variable("mm3", "avoided structure above its limit", ("avoided",)),
        "current_a": Variable("A", "current out of each electrode into the tissue", ("pulse", "electrode")),
        "generator_current_a": Variable("A", "what the generator delivers", ("pulse",)),
        "voltage_v": Variable("V", "between anodes and cathodes", ("pulse",)),
        "peak_power_w": Variable("W", "power into the tissue", ("pulse",)),
        "within_generator_limits": Variable(share, "1 within voltage and current limits, 0 not", ("pulse",)),
        "relative_residual": Variable(share, "of the current balance", ("pulse",)),
        "current_imbalance": Variable(share, "sum of currents / largest current", ("pulse",)),
        "power_imbalance": Variable(share, "(V I - dissipated power) / dissipated power", ("pulse",)),
        "newton_steps": Variable(share, "Newton steps on all nested grids", ("pulse",)),
        "cg_iterations": Variable(share, "CG iterations on all nested grids", ("pulse",)),
        "warm_pulses": Variable(share, "pulses that started from a neighbouring solution"),
    }
    corner, grid = axis_origin_mm(scene.grid), scene.grid
    space = {
        name: (corner[a] + (np.arange(grid.shape[a]) + 0.5) * grid.spacing_mm[a]).tolist()
        for a, name in enumerate(SPACE)
    }
    coords: dict[str, list[Any]] = {
        "threshold_v_per_cm": [float(t) for t in scene.plan.thresholds_v_per_cm],
        "target": list(scene.targets),
        "avoided": list(scene.avoid),
        "pulse": [pulse.name for pulse in scene.pulses],
        "electrode": list(scene.electrodes),
    }
    attrs = {
        "disclaimer": DISCLAIMER,
        "affine": grid.affine.tolist(),
        "space": "RAS",
        "electrodes": [describe_electrode(n, e, grid) for n, e in scene.electrodes.items()],
        "provenance": dict(scene.provenance),
    }
    return Layout(variables, coords, {name: MAPS[name] for name in maps}, space if maps else {}, attrs)


def inputs_of(scene: Scene, settings: EvaluatorSettings) -> str:
    """Hash of the anatomy files, the grid, the versions and the settings that a point's result depends on."""
    told = {
        "provenance": scene.provenance,
        "versions": {name: metadata.version(name) for name in ("porefield", "jax", "numpy")},
        "maps": sorted(settings.maps),
        "warm_starts": settings.warm_starts,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def measures_of(scene: Scene, solutions: Sequence[Solution], samples: FieldSamples, warm: int) -> dict[str, Any]:
    """The values that `layout_of` announces; None for a number that does not exist."""
    volumes = measure_volumes(scene, samples)
    targets, avoided = measure_targets(scene, samples, histogram=False), measure_avoided(scene, samples)
    keys = [threshold_key(t) for t in scene.plan.thresholds_v_per_cm]
    return {
        "volume_reversible_mm3": volumes.reversible,
        "volume_irreversible_mm3": volumes.irreversible,
        "volume_above_mm3": [volumes.above_v_per_cm[key] for key in keys],
        **_target_measures([targets[name] for name in scene.targets], keys),
        **_avoid_measures([avoided[name] for name in scene.avoid]),
        **_pulse_measures(scene, solutions),
        "warm_pulses": warm,
    }


def _target_measures(targets: Sequence[TargetMeasures], keys: Sequence[str]) -> dict[str, Any]:
    return {
        "target_tissue_volume_mm3": [t.tissue_volume_mm3 for t in targets],
        "target_coverage_reversible": [t.coverage.reversible for t in targets],
        "target_coverage_irreversible": [t.coverage.irreversible for t in targets],
        "target_coverage_above": [[t.coverage.above_v_per_cm[key] for key in keys] for t in targets],
        **{f"target_field_{q}_v_per_cm": [getattr(t.field_v_per_cm, q) for t in targets] for q in QUANTILES},
    }


def _avoid_measures(avoided: Sequence[AvoidMeasures]) -> dict[str, Any]:
    return {
        "avoid_field_max_v_per_cm": [a.max_v_per_cm for a in avoided],
        "avoid_volume_above_limit_mm3": [a.volume_above_limit_mm3 for a in avoided],
    }


def _pulse_measures(scene: Scene, solutions: Sequence[Solution]) -> dict[str, Any]:
    pulses = list(zip(scene.pulses, solutions, strict=True))
    drawn_a = [generator_current_a(pulse, currents_by_name(scene, s)) for pulse, s in pulses]
    within = [fits_generator(scene, pulse, s) for pulse, s in pulses]
    return {
        "current_a": [list(s.currents_a) for s in solutions],
        "generator_current_a": drawn_a,
        "voltage_v": [voltage_of(scene, pulse, s) for pulse, s in pulses],
        "peak_power_w": [s.dissipated_power_w for s in solutions],
        "within_generator_limits": [None if w is None else float(w) for w in within],
        "relative_residual": [s.relative_residual for s in solutions],
        "current_imbalance": [s.current_imbalance for s in solutions],
        "power_imbalance": [s.power_imbalance for s in solutions],
        "newton_steps": [sum(s.newton_steps) for s in solutions],
        "cg_iterations": [sum(s.cg_iterations) for s in solutions],
    }


def maps_of(
    scene: Scene, solutions: Sequence[Solution], samples: FieldSamples, wanted: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """The maps asked for, over the scene's voxels."""
    maps: dict[str, NDArray[Any]] = {}
    if "zone" in wanted:
        shape, conducts = scene.grid.shape, conducting(scene)
        reversible, irreversible = (
            coverage.voxel_fraction(samples, shape, thresholds[scene.tissue])
            for thresholds in tissue_thresholds_v_per_m(scene)
        )
        tissue_fraction = coverage.tissue_fraction(samples, scene.grid.kernel_grid)
        maps["zone"] = zone_map(conducts, tissue_fraction, reversible, irreversible)
    if "field" in wanted:
        largest = np.max([s.field_v_per_m for s in solutions], axis=0)
        maps["field"] = np.where(conducting(scene), largest, np.float32(0))
    return maps
