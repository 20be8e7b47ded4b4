"""Running plans: solves, measures, the result store and its report."""

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
