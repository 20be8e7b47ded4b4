"""Poses from 3D Slicer markups: points of a file in the place of a tip and a direction, when a plan is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError, ValidationInfo

from .errors import PorefieldError
from .markups import MarkupsFiles, fiducial_ends, line_ends
from .model import problems_of, refuse
from .plan_markups import FiducialSettings, LineSettings

POSE = ("tip_mm", "centre_mm", "direction", "entry_mm")
"""Fields that `line` and `fiducials` stand in place of."""


def placed_by_markups(data: Any, info: ValidationInfo) -> Any:
    """A pose's table with points of markups in their place, so that a plan that was read stands by itself.

    For validators before a model is made: refuses what can't be read, with the field.
    """
    if not isinstance(data, Mapping):
        return data
    given = [name for name in ("line", "fiducials") if data.get(name) is not None]
    if not given:
        return data
    stated = [name for name in (*POSE, *given[1:]) if data.get(name) is not None]
    if stated:
        refuse(stated[0], f"none beside {given[0]}", data[stated[0]])
    files = info.context if isinstance(info.context, MarkupsFiles) else MarkupsFiles()
    try:
        if given[0] == "line":
            ends = line_ends(LineSettings.model_validate(data["line"]), files)
        else:
            ends = fiducial_ends(FiducialSettings.model_validate(data["fiducials"]), files)
    except ValidationError as error:
        problem = problems_of(error, data[given[0]])[0]
        field = problem.field if problem.field != "plan" else ""
        refuse(f"{given[0]}.{field}".rstrip("."), problem.expected, problem.got)
    except PorefieldError as error:
        problem = error.problems[0]
        refuse(f"{given[0]}.{problem.field}", problem.expected, problem.got)
    rest = {name: value for name, value in data.items() if name not in ("line", "fiducials")}
    return {**rest, "tip_mm": ends.tip_mm, "entry_mm": ends.entry_mm}
