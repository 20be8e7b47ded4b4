"""How many problems fit: the formula against XLA's own analysis, and its arithmetic with made-up numbers."""

from __future__ import annotations

import jax
import pytest

from porefield.kernels import batch_size as sizes
from porefield.kernels.batch_size import batch_size, free_device_bytes, lane_bytes, most_lanes, padded_nodes
from porefield.kernels.grid import Grid
from porefield.kernels.iteration import LaneGrid, Member
from porefield.kernels.problem import FieldProblem

from .problems import two_needles


def analysed_bytes(problem: FieldProblem, lanes: int | None) -> int:
    """Memory of the compiled step by XLA's analysis, for each lane; None for a solve by itself."""
    members = lanes or 1
    with jax.enable_x64(True):
        grid = LaneGrid(0, [Member(problem, None, 1e-7, 60)] * members, lanes, "float32")
        step: jax.stages.Compiled = grid.compiled_step()  # type: ignore[assignment]
    analysis = step.memory_analysis()
    assert analysis is not None
    taken = analysis.temp_size_in_bytes + analysis.argument_size_in_bytes + analysis.output_size_in_bytes
    return (taken - analysis.alias_size_in_bytes) // members


@pytest.mark.parametrize(
    ("shape", "floating", "lanes"),
    [
        ((20, 20, 20), 1, None),
        ((20, 20, 20), 0, 3),
        ((20, 20, 20), 1, 3),
        pytest.param((48, 24, 20), 0, 2, marks=pytest.mark.slow),
        pytest.param((48, 24, 20), 0, None, marks=pytest.mark.slow),
        pytest.param((64, 64, 64), 0, None, marks=pytest.mark.slow),
        pytest.param((64, 64, 64), 0, 8, marks=pytest.mark.slow),
        pytest.param((40, 40, 40), 2, 2, marks=pytest.mark.slow),
    ],
)
def test_the_formula_is_within_a_tenth_of_xlas_analysis(shape, floating, lanes) -> None:
    potentials: tuple[float | None, ...] = (800.0, 0.0, None) if floating == 1 else (800.0, None, None)
    problem = two_needles(shape, potentials_v=potentials, third=True) if floating else two_needles(shape)
    found = analysed_bytes(problem, lanes)
    said = lane_bytes(padded_nodes(problem.grid), floating)
    assert said == pytest.approx(found, rel=0.1)


def test_what_fits_by_made_up_numbers() -> None:
    """Lanes of 100 MB (to a per mil) in 1 GB, a quarter of which is left alone: 7 fit, so 4."""
    nodes = 742_164
    assert lane_bytes(nodes) == pytest.approx(100_000_000, rel=1e-3)
    assert most_lanes(10**9, nodes) == 7
    assert batch_size(10**9, nodes) == 4
    assert batch_size(10**9, nodes, floating=7) == 2
    assert batch_size(10**12, nodes) == sizes.MOST == 64
    assert batch_size(10**12, nodes, most=10) == 8
    assert batch_size(10**8, nodes) == 1
    assert most_lanes(10**8, nodes) == 0


@pytest.mark.parametrize("free_bytes", [0, 3 * 10**8, 10**9, 4 * 10**10])
def test_what_is_chosen_fits(free_bytes: int) -> None:
    nodes = padded_nodes(Grid((64, 64, 64), (1e-3, 1e-3, 1e-3)))
    lanes = batch_size(free_bytes, nodes)
    assert lanes == 1 or lanes * lane_bytes(nodes) <= 0.75 * free_bytes


class Card:
    """A device as JAX shows it."""

    device_kind = "a card"

    def __init__(self, platform: str, stats: dict[str, int] | None) -> None:
        self.platform, self._stats = platform, stats

    def memory_stats(self) -> dict[str, int] | None:
        return self._stats


def test_free_memory_of_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def devices(card: Card) -> None:
        monkeypatch.setattr(jax, "devices", lambda: [card])

    devices(Card("gpu", {"bytes_limit": 1000, "bytes_in_use": 300}))
    assert free_device_bytes() == 700
    devices(Card("cpu", None))
    assert free_device_bytes() is None
    devices(Card("gpu", None))
    with pytest.raises(RuntimeError, match="a device that tells its memory"):
        free_device_bytes()
