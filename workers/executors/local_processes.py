"""Workers as child processes of this one, so that a crash, a hang or a lack of memory in one leaves this one alone.

Each is a new interpreter (`subprocess`) at the other end of a pipe, not a `multiprocessing.Process`: a child needs an
environment of its own before anything is imported (threads of the numerics, its GPU), must not run this process'
`__main__` again, and must not be forked from a process in which JAX has threads.

What passes through a pipe is pickled. No trust boundary lies there: a pipe connects this process and the one child that
it started, has no name, and nobody else holds an end of it. Nothing that came from outside is ever unpickled.

For each worker, one thread sends and one receives: whatever a worker does, `submit`, `stop` and `kill` never block, and
may be called from any thread while another one is in `wait`.
"""

from __future__ import annotations

import json
import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Self

from .environment import environment
from .interface import Event, Failed, Finished, Joined, Lost, MakeWork, Told, WorkerInfo, WorkersError

LOSSES_IN_A_ROW = 5
"""Workers that may die one after the other without a task being finished in between."""
START_TIMEOUT_S = 300.0
"""Without any worker at all."""
REAP_S = 2.0
"""Between a child's end of the pipe closing and the child being gone, or being ended."""
_BOOT = "import json, sys; from {module} import start; start(json.loads(sys.argv[1]), *map(int, sys.argv[2:]))"


class LocalProcesses:
    """The executor on this machine.

    Args:
        workers: how many; None for as many as the cores that this process may use allow.
        threads_per_worker: of the numerics on the CPU.
        gpus_per_worker: 1 for a GPU of its own, a fraction to share one; 0 leaves the choice to JAX.
        most_losses: workers that may die one after the other without a task being finished in between; None for any
            number of those that were ready, where the caller gives up on what kills them.
        niceness: how far workers stand back behind this process for a core, 0 to 19, as nice(1) has it.
    """

    def __init__(
        self,
        make_work: MakeWork,
        *,
        workers: int | None = None,
        threads_per_worker: int = 1,
        gpus_per_worker: float = 0,
        most_losses: int | None = LOSSES_IN_A_ROW,
        niceness: int = 0,
    ) -> None:
        self._payload = pickle.dumps(make_work)
        self._threads, self._gpus, self._most_losses = threads_per_worker, gpus_per_worker, most_losses
        self._niceness = niceness
        self._wanted = workers or max(_cores() // threads_per_worker, 1)
        self._inbox: queue.SimpleQueue[tuple[_Child, tuple[Any, ...]]] = queue.SimpleQueue()
        self._lock = threading.RLock()
        self._children: dict[str, _Child] = {}
        self._count, self._submitted = 0, 0
        self._losses, self._stillborn = 0, 0
        self._closing = False
        self._last_alive_s = time.monotonic()

    def __enter__(self) -> Self:
        self._last_alive_s = time.monotonic()
        try:
            for slot in range(self._wanted):
                self._start(slot)
        except BaseException:
            self.close(0)
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def submit(self, worker: str, task_id: int, task: Any) -> None:
        payload = pickle.dumps(task)
        with self._lock:
            child = self._children[worker]
            self._submitted += 1
            child.tasks.append(task_id)
            child.send(("task", self._submitted, task_id, payload))

    def wait(self, timeout_s: float) -> list[Event]:
        events: list[Event] = []
        until_s = time.monotonic() + timeout_s
        while not events:
            try:
                arrived = [self._inbox.get(timeout=max(until_s - time.monotonic(), 0))]
            except queue.Empty:
                break
            arrived += [self._inbox.get_nowait() for _ in range(self._inbox.qsize())]
            for child, message in arrived:
                with self._lock:
                    if self._children.get(child.name) is child:
                        events += self._event(child, message)
        if any(child.info for child in list(self._children.values())):
            self._last_alive_s = time.monotonic()
        elif time.monotonic() - self._last_alive_s > START_TIMEOUT_S and not self._closing:
            raise WorkersError.of("workers", "a process that gets ready", f"none after {START_TIMEOUT_S:g} s")
        return events

    def stop(self, worker: str) -> None:
        with self._lock:
            if child := self._children.get(worker):
                child.send(("stop", self._submitted))

    def kill(self, worker: str) -> None:
        with self._lock:
            if child := self._children.get(worker):
                child.killed = True
                child.process.kill()

    def close(self, grace_s: float = 10.0) -> None:
        with self._lock:
            self._closing = True
            children = list(self._children.values())
            self._children.clear()
        until_s = time.monotonic() + grace_s
        for child in children:
            if child.info is None:  # nothing to lose yet, and it may take seconds until it listens
                child.process.kill()
            child.send(("close",))
        for child in children:
            child.end(max(until_s - time.monotonic(), 0))

    def _start(self, slot: int) -> None:
        """A new worker; `slot` counts from 0 and says which GPU is its."""
        name = f"local-{self._count}"
        self._count += 1
        variables = os.environ | environment(self._threads, self._gpus) | _device(slot, self._gpus)
        try:
            child = _Child(name, slot, variables, self._niceness, self._inbox.put)
        except OSError as error:
            raise WorkersError.of("workers", "a process that can be started", str(error)) from error
        self._children[name] = child
        child.send(("make", name, self._threads, self._payload))

    def _event(self, child: _Child, message: tuple[Any, ...]) -> list[Event]:
        match message:
            case "ready", info:
                child.info, self._stillborn = info, 0
                return [Joined(child.name, info)]
            case "unable", text:
                raise WorkersError.of("workers", "a worker that starts", text)
            case "told", task_id, payload:
                return [Told(child.name, task_id, pickle.loads(payload))]
            case ("finished" | "failed") as how, task_id, payload:
                child.tasks.remove(task_id)
                self._losses = 0
                return [_ended(child.name, task_id, how, payload)]
            case _:
                return [self._lose(child)]

    def _lose(self, child: _Child) -> Lost:
        del self._children[child.name]
        reason = child.reason
        if not child.killed:
            self._losses += 1
            self._stillborn += child.info is None
        given_up = self._most_losses is not None and self._losses > self._most_losses
        if given_up or self._stillborn > LOSSES_IN_A_ROW:
            died = max(self._losses, self._stillborn)
            raise WorkersError.of("workers", "workers that stay alive", f"{died} died in a row; the last {reason}")
        if not self._closing:
            self._start(child.slot)
        return Lost(child.name, tuple(child.tasks), reason)


class _Child:
    """A worker's process, seen from the parent.

    Attributes:
        tasks: what it was given and has not ended, in order.
        info: who it is, once it is ready.
        killed: whether this process has ended it.
    """

    def __init__(
        self,
        name: str,
        slot: int,
        variables: dict[str, str],
        niceness: int,
        put: Callable[[tuple[_Child, tuple[Any, ...]]], None],
    ) -> None:
        self.name, self.slot = name, slot
        self.tasks: list[int] = []
        self.info: WorkerInfo | None = None
        self.killed = False
        self._put = put
        self._outbox: queue.SimpleQueue[tuple[Any, ...] | None] = queue.SimpleQueue()
        ours, theirs = socket.socketpair()
        self._pipe = Connection(ours.detach())
        try:
            self.process = _spawn(theirs, variables, niceness)
        except OSError:
            self._pipe.close()
            raise
        finally:
            theirs.close()
        self._threads = [threading.Thread(target=t, name=name, daemon=True) for t in (self._sending, self._receiving)]
        for thread in self._threads:
            thread.start()

    def send(self, message: tuple[Any, ...]) -> None:
        """Without waiting for the child to take it."""
        self._outbox.put(message)

    @property
    def reason(self) -> str:
        """Why the process has ended."""
        code = self.process.returncode
        if self.killed:
            return "ended on request"
        if code == -signal.SIGKILL:
            return "killed by SIGKILL, as the system does when memory runs out"
        if code is not None and code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"ended by itself with code {code}"

    def end(self, grace_s: float) -> None:
        """Give the process time to end by itself, then end it."""
        try:
            self.process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for thread in self._threads:
            thread.join(REAP_S)

    def _sending(self) -> None:
        while (message := self._outbox.get()) is not None:
            try:
                self._pipe.send(message)
            except OSError:  # it is dead, which the other thread hears of
                return

    def _receiving(self) -> None:
        while True:
            try:
                message = self._pipe.recv()
            except (EOFError, OSError):
                break
            self._put((self, message))
        try:
            self.process.wait(REAP_S)
        except subprocess.TimeoutExpired:  # it can't be talked to any more
            self.process.kill()
            self.process.wait()
        self._outbox.put(None)
        self._threads[0].join()
        self._pipe.close()
        self._put((self, ("gone",)))


def _spawn(theirs: socket.socket, variables: dict[str, str], niceness: int) -> subprocess.Popen[bytes]:
    """The child's process, in a session of its own: signals to this process' group don't reach it."""
    boot = _BOOT.format(module=f"{__package__}.local_worker")
    # what this process can import, the child can import too: the factory and the tasks travel by reference
    command = [
        sys.executable,
        "-c",
        boot,
        json.dumps([p for p in sys.path if isinstance(p, str)]),
        str(theirs.fileno()),
        str(niceness),
    ]
    return subprocess.Popen(
        command,
        env=variables,
        pass_fds=(theirs.fileno(),),
        stdin=subprocess.DEVNULL,
        stdout=2,  # what a library prints must not end up in a command's JSON
        start_new_session=True,
    )


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _device(slot: int, gpus: float) -> dict[str, str]:
    """The GPUs that a worker sees: its own ones, or one that it shares with as many others as its part allows."""
    if not gpus:
        return {}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    known = visible.split(",") if visible else None
    each = max(int(gpus), 1)
    first = slot // max(int(1 / gpus), 1) * each
    if known is not None and first + each > len(known):
        expected = f"workers that share the {len(known)} GPUs of CUDA_VISIBLE_DEVICES"
        raise WorkersError.of("workers", expected, f"worker {slot + 1}, which needs GPU {first + each} of them")
    return {"CUDA_VISIBLE_DEVICES": ",".join(known[i] if known else str(i) for i in range(first, first + each))}


def _ended(worker: str, task_id: int, how: str, payload: bytes) -> Finished | Failed:
    try:
        told = pickle.loads(payload)
        return Failed(worker, task_id, *told) if how == "failed" else Finished(worker, task_id, told)
    except Exception:  # of a class that can't be made again here: the task's fault, not this process'
        return Failed(worker, task_id, traceback.format_exc())
