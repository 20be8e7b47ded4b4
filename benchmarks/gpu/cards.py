"""GPUs to expect: memory bandwidth and size by their makers' data sheets."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """A GPU as its data sheet has it.

    Attributes:
        pattern: that finds it in the name a driver gives.
        bandwidth_gb_per_s: of its memory, 1e9 bytes a second. memory_gb: likewise.
    """

    name: str
    pattern: str
    bandwidth_gb_per_s: float
    memory_gb: float
    source: str

    def matches(self, device_kind: str) -> bool:
        return re.search(rf"\b{self.pattern}\b", device_kind) is not None


CARDS = (
    Card("A100 80 GB SXM", "A100", 2039, 80, "NVIDIA A100 Tensor Core GPU, data sheet 1758950"),
    Card("H100 SXM", "H100", 3350, 80, "NVIDIA H100 Tensor Core GPU, data sheet"),
    Card("H200 SXM", "H200", 4800, 141, "NVIDIA H200 Tensor Core GPU, data sheet"),
    Card("L4", "L4", 300, 24, "NVIDIA L4 Tensor Core GPU, data sheet"),
    Card("RTX 4090", "RTX 4090", 1008, 24, "NVIDIA Ada GPU Architecture, white paper"),
)
