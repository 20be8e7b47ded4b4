"""The child's side of local_processes.py: one thread works, the other listens to the parent.

Messages are tuples whose payloads are pickled by themselves, so that one that can't be read is a failed task and not a
dead worker. From the parent: ("make", name, threads, payload), ("task", number, task_id, payload), ("stop", number),
("close",). To the parent: ("ready", info), ("unable", text), ("told" | "finished" | "failed", task_id, payload).
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import platform
import queue
import signal
import sys
import threading
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ...meshes.errors import PorefieldError
from .interface import Work, WorkerInfo, fault_of, ready_info

OUT_OF_MEMORY_SCORE = "500"
"""Linux, -1000 to 1000: when memory runs out, the system ends a worker rather than the server (which has 0)."""


class _Inbox:
    """What the parent has sent, and what it has asked to stop."""

    def __init__(self, pipe: Connection) -> None:
        self.messages: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self.stopped, self.closing = 0, False
        self._pipe = pipe

    def listen(self) -> None:
        """Until the parent closes the pipe, or is dead: then this process ends too, in the middle of whatever it does.

        The kernel closes the pipe however the parent died. (PR_SET_PDEATHSIG would end the child with the *thread* that
        started it, which need not be the whole parent.)
        """
        while True:
            try:
                message = self._pipe.recv()
            except (EOFError, OSError):
                os._exit(1)
            if message[0] == "stop":
                self.stopped = max(self.stopped, message[1])
                continue
            if message[0] == "close":
                self.closing = True
            self.messages.put(message)


def main(descriptor: int) -> None:
    """Serve the parent at the other end of a pipe until it says that it is enough."""
    os.set_inheritable(descriptor, False)
    # the parent decides when its workers end; Ctrl-C and a service manager's signal reach the whole group
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)
    faulthandler.enable()
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OUT_OF_MEMORY_SCORE)
    pipe = Connection(descriptor)
    inbox = _Inbox(pipe)
    threading.Thread(target=inbox.listen, daemon=True).start()
    work = _make(pipe, inbox.messages.get())
    while work is not None:
        message = inbox.messages.get()
        if message[0] == "close":
            break
        _run(pipe, inbox, work, *message[1:])


def _make(pipe: Connection, message: tuple[Any, ...]) -> Work | None:
    """The work, once the parent has said what it is; None where it can't be made, or is not wanted any more."""
    if message[0] == "close":
        return None
    _, name, threads, payload = message
    info = WorkerInfo(name, platform.node(), os.getpid(), threads)
    try:
        work: Work = pickle.loads(payload)(info)
    except PorefieldError as error:
        pipe.send(("unable", str(error)))
        return None
    except Exception:
        pipe.send(("unable", traceback.format_exc()))
        return None
    pipe.send(("ready", ready_info(info, work)))
    return work


def _run(pipe: Connection, inbox: _Inbox, work: Work, number: int, task_id: int, payload: bytes) -> None:
    def stop() -> bool:
        return inbox.closing or number <= inbox.stopped

    def tell(what: Any) -> None:
        pipe.send(("told", task_id, pickle.dumps(what)))

    try:
        answer = ("finished", task_id, pickle.dumps(work.run(pickle.loads(payload), stop, tell)))
    except Exception as error:
        answer = ("failed", task_id, pickle.dumps(fault_of(error)))
    pipe.send(answer)


def start(paths: list[str], descriptor: int, niceness: int) -> None:
    """What local_processes.py has the interpreter call; `paths` are the parent's."""
    sys.path[:] = paths
    os.nice(niceness)  # before there are threads: on Linux only those that come later have it from this one
    main(descriptor)
