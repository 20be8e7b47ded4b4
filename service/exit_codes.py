"""What a command's exit code means; imports nothing, so that `porefield --help` does not wait."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit code means."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    """Wrong options, or an output directory that may not be replaced."""
    INVALID = 3
    """The plan or its anatomy is not valid, or they do not fit together."""
    NOT_CONVERGED = 4
    """The result was written, says so itself, and is not to be relied on; of a sweep, some points."""
    RESOURCES = 5
    """Not enough memory or disk; nothing was written, of a sweep nothing more."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C or a termination signal; nothing was written. A sweep keeps what is finished."""
