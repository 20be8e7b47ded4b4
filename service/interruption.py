"""Ctrl-C and termination signals: the first asks the run to stop where it can, the second stops it at once.

A run that computes has nothing to clean up, so the second signal may end the process wherever it is, even inside the
compiler. A run that writes is interrupted by an exception, so that its half-written directory is removed.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from .exit_codes import ExitCode

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Signals turned into an event that the run asks for."""

    def __init__(self, say: Callable[[str], None], leave: Callable[[int], None] = os._exit) -> None:
        self.requested = threading.Event()
        self.writing = False
        self._say, self._leave = say, leave

    def handle(self, signum: int, frame: FrameType | None) -> None:
        """The signal handler."""
        if not self.requested.is_set():
            self.requested.set()
            self._say("stopping at the next step; once more to stop at once")
        elif self.writing:
            raise KeyboardInterrupt
        else:
            self._leave(ExitCode.INTERRUPTED)


@contextmanager
def interruptible(say: Callable[[str], None]) -> Iterator[Interruption]:
    """Handle SIGINT and SIGTERM while the block runs; the former handlers come back after it.

    Outside of the main thread no signals arrive and no handler can be set: then nothing changes.
    """
    interruption = Interruption(say)
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    former = {s: signal.signal(s, interruption.handle) for s in SIGNALS}
    try:
        yield interruption
    finally:
        for s, handler in former.items():
            signal.signal(s, handler)
