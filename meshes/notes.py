"""What a reader of a result must know about its making."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """One remark.

    Attributes:
        kind: a fixed word for machines, such as `no_body_mask`.
        message: one sentence for people.
        warning: whether it may change what one concludes from the result.
    """

    kind: str
    message: str
    warning: bool = False
