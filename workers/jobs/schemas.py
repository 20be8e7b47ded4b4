"""JSON Schemas of what jobs take and tell, made from the models that check them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from ...meshes.plan import Plan
from ..robustness.settings import Robustness
from ..robustness.summary import RobustnessSummary
from ..summary import RunSummary
from ..sweep.spec import Sweep
from .sweep_job import SweepSummary

_UPLOAD = {"type": "string", "pattern": "^upload:[0-9a-f]{64}$"}
_OUTPUTS: dict[str, type[BaseModel]] = {"plan": RunSummary, "sweep": SweepSummary, "robustness": RobustnessSummary}


def inputs_schema(process: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of a process' inputs: as the files have it, with uploads for paths."""
    plan = Plan.model_json_schema()
    fields = plan["$defs"]["LabelMap"]["properties"]
    fields["path"] = {**_UPLOAD, "description": "The label map, an upload by its SHA-256."}
    fields["body"] = {
        "anyOf": [_UPLOAD, {"type": "null"}],
        "default": None,
        "description": "Mask on the same voxels, an upload: non-zero inside the body; outside it is insulating air.",
    }
    fields["names"] = {
        "anyOf": [
            {"enum": ["totalsegmentator", "segments"]},
            {"type": "object", "additionalProperties": {"type": "string"}, "propertyNames": {"pattern": "^[0-9]+$"}},
        ],
        "description": "Names of the numbers: 'totalsegmentator' (task 'total', version 2), 'segments' (those that a "
        ".seg.nrrd file states), or a table number: name.",
    }
    parts = plan["$defs"]
    parts["Masks"]["properties"]["body"] = fields["body"]
    parts["Mask"]["properties"]["path"] = {**_UPLOAD, "description": "The mask, an upload by its SHA-256."}
    _hold_points(parts)
    del parts["Anatomy"]["properties"]["ct"], parts["Ct"]  # uploads are label maps and masks
    if process == "plan":
        return plan
    schema = (Sweep if process == "sweep" else Robustness).model_json_schema()
    schema["$defs"] = {**plan.pop("$defs"), **schema.get("$defs", {}), "Plan": plan}
    schema["properties"]["plan"] = {"$ref": "#/$defs/Plan"}
    return schema


def _hold_points(parts: dict[str, Any]) -> None:
    """Needles on markups hold their points themselves: no file is read for them."""
    del parts["FiducialSettings"], parts["LineSettings"]["properties"]["path"]
    del parts["LineSettings"]["properties"]["name"]
    parts["LineSettings"]["required"] = ["points_mm", "space", "tip"]
    for pose in ("NeedleSettings", "ProbeSettings"):
        del parts[pose]["properties"]["fiducials"]


def outputs_schema(process: str) -> dict[str, Any]:
    """JSON Schema of the summary in a process' result."""
    return _OUTPUTS[process].model_json_schema()
