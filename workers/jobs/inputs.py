"""Inputs of jobs, as they come from outside: everything is checked that can be without reading an anatomy.

A plan's label map and masks are uploads, named `upload:<sha256>` where a plan file has a path. Any other path is
refused, so that no file of the server can be read, or be found out about, through a plan. Needles on markups hold their
points themselves; a CT, which uploads are not, is refused.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...meshes.errors import PlanError, PorefieldError, Problem, one_of
from ...meshes.generators import choose_generator
from ...meshes.memory import MAX_VOXELS
from ...meshes.model import shown
from ...meshes.plan import Plan, load_plan
from ...meshes.scene import SceneBuilder
from ...meshes.tissues import load_tissues
from ..robustness.settings import load_robustness
from ..sweep.points import Points
from ..sweep.spec import Axis, Sweep, load_sweep
from .task import PROCESSES, JobTask

FINEST_MM = 0.01
"""Smallest voxel: the size of a cell, below which tissue is no continuum."""
MOST_VALUES = 20_000
"""In a plan, or in a sweep or study beside its plan and lists of numbers: as a hundred tubes through fifty points each.
Each value may be wrong. 20,000 of them take a second to tell, a million took a minute and gigabytes."""
LONGEST_KEY = 1000
"""Characters; the longest keys are paths of fields in sweeps, and errors tell them in full."""
_UPLOAD = re.compile(r"upload:([0-9a-f]{64})")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NUMBERS = re.compile(r"axes\[\d+\]\.(values|fields\..+)|design\.table\..+", re.DOTALL)


def check_inputs(
    process: str, inputs: Mapping[str, Any], *, most_voxels: int | None = None, most_points: int | None = None
) -> None:
    """Refuse what can't be executed.

    Args:
        most_voxels: of a phantom's grid; a scan's grid is known when the scan is read.
        most_points: of a sweep; of a study, at least as many as its electrodes and settings ask for.

    Raises:
        PorefieldError: a PlanError with one problem for everything found wrong, its fields relative to `inputs`; a
            GeometryError for electrodes outside of a phantom.
    """
    if process not in PROCESSES:
        raise PlanError.of("process", one_of(PROCESSES, process), process)
    _check_size_and_text(inputs)
    table, prefix = _plan_of(process, inputs)
    problems = [Problem(prefix + p.field, p.expected, p.got) for p in _file_problems(table)]
    plan: Plan | None = None
    try:
        with _within(prefix):
            plan = load_plan(table, markups=False)
    except PlanError as error:
        problems += error.problems
    if process == "sweep":
        problems += _problems_of_sweep(inputs, plan, most_points)
    elif process == "robustness":
        problems += _problems_of_study(inputs, plan, prefix, most_points)
    if problems or plan is None:
        raise PlanError(problems)
    with _within(prefix):
        _check_plan(plan, most_voxels)


def uploads_of(process: str, inputs: Mapping[str, Any]) -> dict[str, str]:
    """Field of checked inputs -> SHA-256 of the upload that it names."""
    table, prefix = _plan_of(process, inputs)
    found = {prefix + field: _UPLOAD.fullmatch(str(part.get(name))) for field, part, name in _files(table)}
    return {field: match[1] for field, match in found.items() if match}


def with_files(task: JobTask) -> tuple[dict[str, Any], Path | None]:
    """A task's inputs with its uploads as files, and the folder to look for them in: that one, and nowhere else.

    Returns:
        The inputs, and the folder; None without uploads.

    Raises:
        PlanError: an upload that the task does not bring along.
    """
    uploads, inputs = uploads_of(task.process, task.inputs), copy.deepcopy(task.inputs)
    missing = [Problem(field, "an upload that is there", sha) for field, sha in uploads.items()]
    missing = [problem for problem in missing if problem.got not in task.anatomies]
    if missing:
        raise PlanError(missing)
    if not uploads:
        return inputs, None
    task.anatomy_dir.mkdir(parents=True, exist_ok=True)
    table, prefix = _plan_of(task.process, inputs)
    for field, part, key in _files(table):
        sha = uploads.get(prefix + field)
        if sha is None:
            continue
        source = Path(task.anatomies[sha]).resolve()
        name = sha + "".join(source.suffixes[-2:] if source.name.endswith(".gz") else source.suffixes[-1:])
        part[key] = name
        link = task.anatomy_dir / name
        link.unlink(missing_ok=True)
        link.symlink_to(source)
    return inputs, task.anatomy_dir


def _check_size_and_text(inputs: Mapping[str, Any]) -> None:
    """Refuse more than can be checked in a moment, and text that no file can hold.

    JSON may escape halves of surrogate pairs and NUL, which neither UTF-8 nor a database takes.
    """
    plan = inputs.get("plan")
    if isinstance(plan, dict):
        _check_part("plan", plan, numbers=False)
        _check_part("", {name: value for name, value in inputs.items() if name != "plan"}, numbers=True)
    else:
        _check_part("", inputs, numbers=False)


def _check_part(prefix: str, part: Mapping[str, Any], *, numbers: bool) -> None:
    """One of them; `numbers`: a sweep's lists of them may be of any length."""
    count, waiting = 1, [(prefix, part)]
    while waiting:
        field, value = waiting.pop()
        if isinstance(value, str) and not _is_text(value):
            raise PlanError.of(field, "text without NUL and halves of surrogate pairs", shown(value))
        if not isinstance(value, dict | list) or (numbers and _NUMBERS.fullmatch(field) and _is_numbers(value)):
            continue
        count += len(value)
        if count > MOST_VALUES:
            raise PlanError.of(prefix or field or "plan", f"at most {MOST_VALUES} values", f"at least {count}")
        if isinstance(value, list):
            waiting += [(f"{field}[{i}]", item) for i, item in enumerate(value)]
            continue
        # labels come as numbers from Python and YAML, as text from JSON
        wrong = next((key for key in value if not (0 < len(str(key)) <= LONGEST_KEY and _is_text(str(key)))), None)
        if wrong is not None:
            expected = f"keys of 1 to {LONGEST_KEY} characters, without NUL and halves of surrogate pairs"
            raise PlanError.of(field or "plan", expected, shown(wrong))
        waiting += [(f"{field}.{key}" if field else str(key), item) for key, item in value.items()]


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) in (int, float) for item in value)


def _is_text(text: str) -> bool:
    return "\0" not in text and not _SURROGATE.search(text)


def _plan_of(process: str, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The table of the plan in the inputs, and what stands before its fields in theirs."""
    if process == "plan" or (process == "robustness" and "plan" not in inputs):
        return inputs if isinstance(inputs, dict) else dict(inputs), ""
    plan = inputs.get("plan")
    if not isinstance(plan, dict):
        raise PlanError.of("plan", "the plan's table", "nothing" if plan is None else shown(plan))
    return plan, "plan."


def _files(plan: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Where a plan's table names files of its anatomy: the field, the table that has it, its key there."""
    for where, listed in (("label_map", "masks"), ("masks", "structures")):
        segmented = _part(_part(plan, "anatomy"), where)
        names = ("path", "body") if where == "label_map" else ("body",)
        yield from ((f"anatomy.{where}.{name}", segmented, name) for name in names)
        masks = segmented.get(listed)
        for i, mask in enumerate(masks if isinstance(masks, list) else []):
            if isinstance(mask, dict):
                yield f"anatomy.{where}.{listed}[{i}].path", mask, "path"


def _part(table: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A table within a table; empty where there is none, or something else in its place."""
    part = table.get(name)
    return part if isinstance(part, dict) else {}


def _file_problems(plan: Mapping[str, Any]) -> Iterator[Problem]:
    for field, part, name in _files(plan):
        stated = part.get(name)
        if stated is not None and not (isinstance(stated, str) and _UPLOAD.fullmatch(stated)):
            yield Problem(field, "an upload, upload:<SHA-256 in lower case>", shown(stated))
    anatomy = _part(plan, "anatomy")
    if anatomy.get("ct") is not None:
        yield Problem("anatomy.ct", "none over HTTP: uploads are label maps and masks", shown(anatomy["ct"]))
    names = _part(anatomy, "label_map").get("names")
    if isinstance(names, str) and names not in ("totalsegmentator", "segments"):
        expected = "'totalsegmentator', 'segments', or a table number: name"
        yield Problem("anatomy.label_map.names", expected, shown(names))


@contextmanager
def _within(prefix: str) -> Iterator[None]:
    """Fields of errors about the plan as fields of the inputs."""
    try:
        yield
    except PorefieldError as error:
        if not prefix:
            raise
        raise type(error)(Problem(prefix + p.field, p.expected, p.got) for p in error.problems) from None


def _check_plan(plan: Plan, most_voxels: int | None) -> None:
    """What the plan's own schema does not say: names of the libraries, and a phantom's grid."""
    if min(plan.grid.spacing_mm) < FINEST_MM:
        raise PlanError.of("grid.spacing_mm", f"at least {FINEST_MM:g} mm", str(plan.grid.spacing_mm))
    if plan.anatomy.phantom is None:
        load_tissues(plan.tissues)
        choose_generator(plan.generator)
        return
    most = MAX_VOXELS if most_voxels is None else most_voxels
    edges = [float(n) for n in plan.anatomy.phantom.size_mm]
    if plan.grid.region is not None:
        corners = zip(plan.grid.region.from_mm, plan.grid.region.to_mm, strict=True)
        edges = [min(edge, high - low) for edge, (low, high) in zip(edges, corners, strict=True)]
    roughly = math.prod(max(edge / h, 1.0) for edge, h in zip(edges, plan.grid.spacing_mm, strict=True))
    if not roughly < 2 * most:  # also what is too large to be counted
        raise PlanError.of("grid.spacing_mm", f"at most {most} voxels", f"about {roughly:.3g}")
    SceneBuilder(plan, most_voxels=most_voxels)


def _problems_of_sweep(inputs: Mapping[str, Any], plan: Plan | None, most_points: int | None) -> list[Problem]:
    try:
        sweep = load_sweep(inputs)
        points = math.prod(map(_size, sweep.axes)) * (sweep.design.size if sweep.design else 1)
        if most_points is not None and points > most_points:
            raise PlanError.of(_largest(sweep), f"at most {most_points} points in all", str(points))
    except PlanError as error:
        return error.problems
    try:
        if plan is not None:
            Points(sweep, plan)
    except PlanError as error:
        return [problem._replace(field=_named_by(sweep, problem.field)) for problem in error.problems]
    return []


def _named_by(sweep: Sweep, field: str) -> str:
    """Where a sweep names a field of its plan; the field itself where it doesn't."""
    for i, axis in enumerate(sweep.axes):
        if axis.field == field:
            return f"axes[{i}].field"
        if field in (axis.fields or ()):
            return f"axes[{i}].fields"
    if sweep.design is not None and field in {**(sweep.design.fields or {}), **(sweep.design.table or {})}:
        return f"design.{'table' if sweep.design.table else 'fields'}"
    return field


def _size(axis: Axis) -> int:
    """Points along an axis, without making them."""
    return axis.grid.count if axis.grid is not None else axis.size


def _largest(sweep: Sweep) -> str:
    """The field that asks for most points."""
    sizes = {f"axes[{i}]": _size(axis) for i, axis in enumerate(sweep.axes)}
    if sweep.design is not None:
        sizes["design"] = sweep.design.size
    return max(sizes, key=lambda field: sizes[field])


def _problems_of_study(
    inputs: Mapping[str, Any], plan: Plan | None, prefix: str, most_points: int | None
) -> list[Problem]:
    try:
        settings = load_robustness(inputs)
    except PlanError as error:
        return error.problems
    problems: list[Problem] = []
    if plan is not None and not plan.targets:
        problems.append(Problem(f"{prefix}targets", "a target whose coverage is studied", "none"))
    if plan is not None and most_points is not None:
        groups = len(plan.electrodes) if settings.groups == "each" and not settings.placement.together else 1
        if not any((settings.placement.shift_mm, settings.placement.depth_mm, settings.placement.tilt_deg)):
            groups = 0
        points = settings.samples * (groups + 2)
        if points > most_points:
            problems.append(Problem("samples", f"at most {most_points} points in all", f"at least {points}"))
    return problems
