"""Running plans: solves, measures, the result store and its report.

Names are imported from their modules when they are asked for: commands that compute nothing do not wait for JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .describe import PlanDescription, describe_plan
    from .progress import RunCancelled, RunProgress
    from .publish import OutputExistsError
    from .run import RunResult, check_output, run_plan, run_scene
    from .store.run_store import open_result, read_summary
    from .summary import RunSummary

__all__ = [
    "OutputExistsError",
    "PlanDescription",
    "RunCancelled",
    "RunProgress",
    "RunResult",
    "RunSummary",
    "check_output",
    "describe_plan",
    "open_result",
    "read_summary",
    "run_plan",
    "run_scene",
]

_HOMES = {
    "OutputExistsError": "publish",
    "PlanDescription": "describe",
    "RunCancelled": "progress",
    "RunProgress": "progress",
    "RunResult": "run",
    "RunSummary": "summary",
    "check_output": "run",
    "describe_plan": "describe",
    "open_result": "store.run_store",
    "read_summary": "store.run_store",
    "run_plan": "run",
    "run_scene": "run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
