"""What a worker process does with a job of the service, from its inputs to a published result.

    outcome = JobWork().run(task, stop, tell)
    {"state": "successful", "result": "<job id>", "files": ["report.html", ...], "converged": True}
    {"state": "failed", "error": {"kind": "PlanError", "message": "...", "problems": [{"field": ...}]}}
    {"state": "stopped"}

A job ends well when its result is published, which may say of itself that it is not to be relied on: a plan that did
not converge (`converged` is False, as the command line writes such a result with exit code 4), points that failed
(`points`). It ends badly with an error that a user can mend, and leaves nothing behind. One that was stopped keeps what
a sweep has computed, for the next attempt. Anything else is raised: a fault of the program or the machine, after which
another attempt may do better.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...meshes.errors import PorefieldError, Problem, ResourceError
from ..executors.interface import Stop, Tell, WorkerInfo
from ..progress import RunCancelled
from ..publish import recover
from ..store.files import BusyError
from .inputs import check_inputs
from .memory import Keeper
from .plan_job import about_plan, run_plan_job
from .progress import Reporter
from .robustness_job import about_study, run_robustness_job
from .sweep_job import about_sweep, run_sweep_job
from .task import JobTask

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True)
class JobProcess:
    """How one process is executed.

    Attributes:
        run: computes and publishes the result; raises RunCancelled when it is stopped.
        about: what an outcome says of a published result.
    """

    run: Callable[[JobTask, Reporter], None]
    about: Callable[[Path], dict[str, Any]]


JOB_PROCESSES: Mapping[str, JobProcess] = {
    "plan": JobProcess(run_plan_job, about_plan),
    "sweep": JobProcess(run_sweep_job, about_sweep),
    "robustness": JobProcess(run_robustness_job, about_study),
}


@dataclass(frozen=True)
class MakeJobWork:
    """Makes a worker's `JobWork`, in its process."""

    def __call__(self, info: WorkerInfo) -> JobWork:
        return JobWork()


class JobWork:
    """A worker of the service: one job after another; compiled kernels stay, within bounds, nothing else does."""

    def __init__(self, processes: Mapping[str, JobProcess] = JOB_PROCESSES) -> None:
        self._processes, self._keeper = processes, Keeper()

    def run(self, task: JobTask, stop: Stop, tell: Tell) -> dict[str, Any]:
        """Execute a job, or go on with it; see above for what comes back, and for what is raised.

        Args:
            tell: is given progress as plain data.
        """
        reporter = Reporter(tell, stop)
        try:
            self._execute(task, reporter)
            outcome = self._succeeded(task)
        except RunCancelled:
            outcome = {"state": "stopped"}
        except BusyError:  # an earlier attempt is still at it: its folder is not ours to remove
            raise
        except (PorefieldError, MemoryError, OSError) as error:
            outcome = {"state": "failed", "error": _error_as_dict(task, _told(error))}
        finally:
            self._keeper.settle()
        if outcome["state"] != "stopped" or task.process == "plan":
            shutil.rmtree(task.work_dir, ignore_errors=True)
        reporter.flush()
        return outcome

    def _execute(self, task: JobTask, reporter: Reporter) -> None:
        recover(task.result_dir)  # an earlier attempt may have died while it published
        if task.result_dir.is_dir():  # or after that, before it could say so
            return
        check_inputs(task.process, task.inputs, most_voxels=task.most_voxels, most_points=task.most_points)
        if reporter.stop():
            raise RunCancelled("the job was stopped before it began")
        self._processes[task.process].run(task, reporter)

    def _succeeded(self, task: JobTask) -> dict[str, Any]:
        return {
            "state": "successful",
            "result": task.job_id,
            "files": sorted(entry.name for entry in task.result_dir.iterdir()),
            **self._processes[task.process].about(task.result_dir),
        }


def _told(error: PorefieldError | MemoryError | OSError) -> PorefieldError:
    """A lack of memory or disk as an error that says so.

    Raises:
        OSError: any other one, as it is.
    """
    if isinstance(error, PorefieldError):
        return error
    if isinstance(error, MemoryError):
        return ResourceError.of("grid.spacing_mm", "a job that fits into memory", "memory ran out")
    if error.errno not in _FULL:
        raise error
    return ResourceError.of("out", "room to write the result", os.strerror(error.errno or errno.ENOSPC))


def _error_as_dict(task: JobTask, error: PorefieldError) -> dict[str, Any]:
    """An error as JSON data, without this machine's paths."""
    told = PorefieldError(Problem(*(_without_paths(task, text) for text in problem)) for problem in error.problems)
    problems = [problem._asdict() for problem in told.problems]
    return {"kind": type(error).__name__, "message": str(told), "problems": problems}


def _without_paths(task: JobTask, text: str) -> str:
    for folder in (task.anatomy_dir, task.work_dir, task.result_dir, Path(task.work), Path(task.results)):
        for path in dict.fromkeys((str(folder.resolve()), str(folder))):
            text = text.replace(f"{path}/", "").replace(path, folder.name)
    return text
