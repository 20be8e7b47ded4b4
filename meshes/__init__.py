"""The domain vocabulary: plans, tissues, electrodes and anatomy, and their way into the kernels' arrays.

Names are imported from their modules when they are asked for: who only needs the errors does not wait for JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import AnatomyError, GeometryError, PlanError, PorefieldError, Problem, ResourceError
    from .generators import Generator, load_generators
    from .library import Value
    from .notes import Note
    from .plan import Plan, load_plan
    from .scene import PulseSetup, Scene, build_scene
    from .tissues import Tissue, load_tissues
    from .voxels import VoxelGrid

__all__ = [
    "AnatomyError",
    "Generator",
    "GeometryError",
    "Note",
    "Plan",
    "PlanError",
    "PorefieldError",
    "Problem",
    "PulseSetup",
    "ResourceError",
    "Scene",
    "Tissue",
    "Value",
    "VoxelGrid",
    "build_scene",
    "load_generators",
    "load_plan",
    "load_tissues",
]

_HOMES = {
    "AnatomyError": "errors",
    "Generator": "generators",
    "GeometryError": "errors",
    "Note": "notes",
    "Plan": "plan",
    "PlanError": "errors",
    "PorefieldError": "errors",
    "Problem": "errors",
    "PulseSetup": "scene",
    "ResourceError": "errors",
    "Scene": "scene",
    "Tissue": "tissues",
    "Value": "library",
    "VoxelGrid": "voxels",
    "build_scene": "scene",
    "load_generators": "generators",
    "load_plan": "plan",
    "load_tissues": "tissues",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
