"""What child processes can do to their parent, and it to them: nothing may block it, and none may outlive it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from porefield.workers.executors import local_processes
from porefield.workers.executors.interface import Failed, Finished, Joined, Lost, WorkersError
from porefield.workers.executors.local_processes import LocalProcesses

from .works import PATIENCE_S, Odd, counting, gather, refuses, stillborn, until

ROOT = Path(__file__).parents[2]
PARENT = """
import time
from porefield.workers.executors.interface import Joined
from porefield.workers.executors.local_processes import LocalProcesses
from tests.executors.works import counting, gather
if __name__ == "__main__":
    with LocalProcesses(counting, workers=2) as executor:
        one, two = gather(executor, 2)
        executor.submit(one.worker, 1, "deaf")
        time.sleep(0.5)
        print(one.info.pid, two.info.pid, flush=True)
        time.sleep(600)
"""


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_workers_stand_back_for_their_parent_where_they_are_told_to() -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    for niceness in (0, 7):
        with LocalProcesses(counting, workers=1, niceness=niceness) as executor:
            (joined,) = gather(executor, 1)
            assert isinstance(joined, Joined)
            assert os.getpriority(os.PRIO_PROCESS, joined.info.pid) == min(own + niceness, 19)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks processes up in /proc")
def test_children_die_with_a_parent_that_is_killed_whatever_they_do() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert all(map(alive, pids))
    for pid in pids:
        assert os.getsid(pid) != os.getsid(parent.pid)  # Ctrl-C in a terminal is the parent's alone
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
    time.sleep(0.3)
    assert all(map(alive, pids))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while any(map(alive, pids)):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_worker_that_hangs_blocks_nobody() -> None:
    with LocalProcesses(counting, workers=1) as executor:
        (joined,) = gather(executor, 1)
        assert isinstance(joined, Joined)
        os.kill(joined.info.pid, signal.SIGSTOP)  # not even its listening thread goes on
        start = time.monotonic()
        for i in range(3):
            executor.submit(joined.worker, i, ("more than a pipe holds", b"x" * 5_000_000))
        executor.stop(joined.worker)
        assert executor.wait(0.1) == []
        executor.kill(joined.worker)
        assert time.monotonic() - start < 3
        lost, again = gather(executor, 2)
        assert isinstance(lost, Lost)
        assert lost.task_ids == (0, 1, 2)
        assert isinstance(again, Joined)
        executor.submit(again.worker, 5, ("huge", 20_000_000))
        (finished,) = gather(executor, 1)
        assert isinstance(finished, Finished)
        assert len(finished.result) == 20_000_000
        os.kill(again.info.pid, signal.SIGSTOP)
        start = time.monotonic()
        executor.close(grace_s=0.5)
        assert time.monotonic() - start < 5


@pytest.mark.slow
def test_odd_tasks_and_results_fail_alone_and_workers_have_an_environment_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert refuses(Odd("a", "b"))
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    with LocalProcesses(counting, workers=2, threads_per_worker=2, gpus_per_worker=1) as executor:
        workers = sorted(e.worker for e in gather(executor, 2) if isinstance(e, Joined))
        executor.submit(workers[0], 1, "odd")
        (failed,) = gather(executor, 1)
        assert isinstance(failed, Failed)
        assert "TypeError" in failed.error
        executor.submit(workers[0], 2, Odd("a", "b"))
        (failed,) = gather(executor, 1)
        assert isinstance(failed, Failed)
        assert "TypeError" in failed.error
        with pytest.raises(Exception, match="pickle"):
            executor.submit(workers[0], 3, lambda: None)
        executor.submit(workers[0], 4, "environment")
        executor.submit(workers[1], 5, "environment")
        found = {e.task_id: e.result for e in gather(executor, 2) if isinstance(e, Finished)}
        assert [found[i]["CUDA_VISIBLE_DEVICES"] for i in (4, 5)] == ["4", "6"]
        assert found[4]["OMP_NUM_THREADS"] == "2"
        # the one that replaces a worker has its GPU
        executor.submit(workers[1], 6, "exit")
        lost, again = gather(executor, 2)
        assert isinstance(lost, Lost)
        assert lost.reason == "ended by itself with code 3"
        assert isinstance(again, Joined)
        executor.submit(again.worker, 7, "environment")
        (finished,) = gather(executor, 1)
        assert isinstance(finished, Finished)
        assert finished.result["CUDA_VISIBLE_DEVICES"] == "6"


@pytest.mark.slow
def test_workers_that_die_at_every_task_end_it_unless_somebody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalProcesses(counting, workers=1, most_losses=1) as executor:
        (joined,) = gather(executor, 1)
        assert isinstance(joined, Joined)
        executor.submit(joined.worker, 1, "die")
        lost, again = gather(executor, 2)
        assert isinstance(lost, Lost)
        assert "SIGKILL, as the system does when memory runs out" in lost.reason
        assert isinstance(again, Joined)
        executor.submit(again.worker, 1, "die")
        with pytest.raises(WorkersError, match="2 died in a row"):
            until(executor, Lost)
    monkeypatch.setattr(local_processes, "LOSSES_IN_A_ROW", 1)
    with (
        LocalProcesses(stillborn, workers=1, most_losses=None) as executor,
        pytest.raises(WorkersError, match="ended by itself with code 5"),
    ):
        gather(executor, 5, PATIENCE_S)


def test_gpus_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def devices(gpus: float, count: int) -> list[str]:
        return [local_processes._device(slot, gpus)["CUDA_VISIBLE_DEVICES"] for slot in range(count)]

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert local_processes._device(3, 0) == {}
    assert devices(1, 3) == ["0", "1", "2"]
    assert devices(0.5, 5) == ["0", "0", "1", "1", "2"]
    assert devices(0.33, 4) == ["0", "0", "0", "1"]
    assert devices(2, 2) == ["0,1", "2,3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    assert devices(0.5, 4) == ["GPU-a", "GPU-a", "GPU-b", "GPU-b"]
    with pytest.raises(WorkersError, match="worker 5, which needs GPU 3"):
        devices(0.5, 5)
