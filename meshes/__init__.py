"""The domain vocabulary: plans, tissues, electrodes and anatomy, and their way into the kernels' arrays."""

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
