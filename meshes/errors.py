"""Everything that porefield refuses, as one tree.

    PorefieldError
    +-- PlanError        the plan itself: syntax, unknown keys and names, values out of range
    +-- AnatomyError     a file of the anatomy: missing, truncated, not a label map, no usable orientation
    +-- GeometryError    plan and anatomy do not fit: electrodes outside the tissue or touching, empty targets
    +-- ResourceError    the plan is sound but too large for this machine

Each carries `problems`, a list of (field, expected, got), and its message says the same in words.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple, Self

LONGEST_NAME = 200
"""Characters of what may be a slip of the pen."""


class Problem(NamedTuple):
    """One thing that is wrong.

    Attributes:
        field: where, as a dotted path into the plan, such as `electrodes[1].needle.tip_mm`.
        expected: what would have been right, in words.
        got: what came, in words.
    """

    field: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}; got {self.got}"


class PorefieldError(Exception):
    """Base of all errors that a user can cause and mend; `problems` is never empty."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: list[Problem] = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @classmethod
    def of(cls, field: str, expected: str, got: str) -> Self:
        """The error with a single problem."""
        return cls([Problem(field, expected, got)])

    def __reduce__(self) -> tuple[type[Self], tuple[list[Problem]]]:
        return type(self), (self.problems,)


class PlanError(PorefieldError):
    """The plan is not valid by itself, or names something that does not exist."""


class AnatomyError(PorefieldError):
    """A file that the plan names cannot be used."""


class GeometryError(PorefieldError):
    """Electrodes, targets and anatomy do not fit together."""


class ResourceError(PorefieldError):
    """The plan asks for more than this machine has; raised before anything large is allocated."""


def one_of(names: Iterable[str], got: str, also: Iterable[str] = (), limit: int = 12) -> str:
    """'one of ...' for an `expected`: the names, shortened when there are many, those closest to `got` first.

    Args:
        names: what to list.
        got: what came.
        also: valid as well, but mentioned only when close to `got`.
    """
    listed = sorted(set(names))
    # a long text is like no name, and would take long to compare
    close = get_close_matches(got, sorted({*listed, *also}), n=3, cutoff=0.6) if len(got) <= LONGEST_NAME else []
    shown = (close + [name for name in listed if name not in close])[:limit]
    left = len({*listed, *close}) - len(shown)
    more = f", ... ({left} more)" if left else ""
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"one of {', '.join(shown)}{more}{hint}" if shown else "no such name: there are none"
