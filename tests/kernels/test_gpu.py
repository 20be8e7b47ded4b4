"""What a GPU would be handed, looked at without one: every kernel exported for CUDA on this machine.

Lowering stops before the GPU's own compiler, so this says that each operation has a form there and what the program
asks for, not how fast it is.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from porefield.kernels.conductivity import ConductivityLaw, LawKind
from porefield.kernels.electrodes import Needle
from porefield.kernels.grid import Grid
from porefield.kernels.iteration import LaneGrid, Member
from porefield.kernels.newton import network_state, newton_step, newton_steps
from porefield.kernels.problem import FieldProblem, Sheet
from porefield.kernels.sampling import _eight_fields, regular_spread

LAWS = tuple(ConductivityLaw(kind, 0.1, 0.4, 1.0, 2.0) for kind in LawKind if kind is not LawKind.CONSTANT)
"""One of each kind that is not constant."""
SOLVES_A_SMALL_SYSTEM = {"cusolver_getrf_ffi", "cu_lu_pivots_to_permutation"}
"""On the device: the inverse of a matrix with a row for each floating electrode, once a Newton step."""
AWAY_FROM_THE_DEVICE = r"callback|infeed|outfeed|stablehlo\.(?:send|recv)|annotate_device_placement"
BETWEEN_DEVICES = r"all_reduce|all_gather|all_to_all|reduce_scatter|collective_"
OF_UNKNOWN_SHAPE = (
    r"tensor<[^>]*\?|set_dimension_size|real_dynamic_slice|dynamic_(?:reshape|broadcast|pad|iota|gather|conv)"
)


@functools.cache
def problem(everything: bool = False) -> FieldProblem:
    """10 x 8 x 8 voxels: the fewest with two multigrid levels. `everything`: all kinds of law, a floating needle,
    fibres, a contact and a sheet."""
    grid = Grid((10, 8, 8), (1e-3, 1e-3, 1e-3))
    places = ((2.6e-3, 4e-3), (7.4e-3, 4e-3), (5e-3, 2e-3))[: 3 if everything else 2]
    needles = tuple(Needle((x, y, 3.1e-3), (0.0, 0.0, -1.0), 0.5e-3, 3e-3) for x, y in places)
    tissue = np.zeros(grid.shape, np.uint8)
    plain = FieldProblem(grid, tissue, LAWS[:1], needles[:2], (800.0, 0.0))
    if not everything:
        return plain
    tissue = tissue.copy()
    tissue[5:] = 1
    fibres = ((5.0, 1.0, 1.0), *((1.0, 1.0, 1.0) for _ in LAWS[1:]))
    return replace(
        plain,
        tissue=tissue,
        laws=LAWS,
        electrodes=needles,
        potentials_v=(800.0, 0.0, None),
        warmth=np.full(grid.shape, 1.1, np.float32),
        axis_factors=fibres,
        contact_ohm_m2=(1e-3, 0.0, 0.0),
        sheets=(Sheet(0, 1, 1e-2),),
    )


def lane_grid(lanes: int | None, dtype: str, everything: bool) -> tuple[LaneGrid, tuple[Any, ...]]:
    """A grid of a solve, and what its Newton step takes beside the network."""
    member = Member(problem(everything), None, 1e-7, 60)
    grid = LaneGrid(0, [member] * (lanes or 1), lanes, dtype)
    front = () if lanes is None else (lanes,)
    shapes = (*front, grid.first.layout.n), (*front, len(member.nested[0].problem.electrodes)), front
    phi, volts, number = (jax.ShapeDtypeStruct(s, np.float64) for s in shapes)
    return grid, (phi, volts, grid.state, number, number)


def for_cuda(function: Any, *arguments: Any, **static: Any) -> str:
    exported = jax.export.export(function, platforms=["cuda"])(*arguments, **static)
    assert exported.platforms == ("cuda",)
    return exported.mlir_module()


def stays_on_the_device(module: str) -> None:
    """No call of the host, no transfer, no message, no shape that is only known while it runs; in the whole module, so
    in its loops too."""
    for pattern in (AWAY_FROM_THE_DEVICE, BETWEEN_DEVICES, OF_UNKNOWN_SHAPE):
        assert not (found := re.search(pattern, module)), found
    assert set(re.findall(r"custom_call @(\w+)", module)) <= SOLVES_A_SMALL_SYSTEM


@pytest.mark.parametrize("everything", [False, True], ids=["plain", "everything"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lanes", [None, 2], ids=["single", "batch"])
def test_the_newton_step_stays_on_an_nvidia_gpu(lanes: int | None, dtype: str, everything: bool) -> None:
    with jax.enable_x64(True):
        grid, arguments = lane_grid(lanes, dtype, everything)
        module = for_cuda(newton_step if lanes is None else newton_steps, grid.network, *arguments, **grid.static)
    assert module.count("stablehlo.while") >= 3  # PCG, the coarsest level's Chebyshev iteration, the line search
    stays_on_the_device(module)


def test_so_does_the_network_by_itself() -> None:
    with jax.enable_x64(True):
        grid, (phi, volts, *_) = lane_grid(None, "float32", everything=True)
        static = {name: grid.static[name] for name in ("levels", "kinds")}
        stays_on_the_device(for_cuda(network_state, grid.network, phi, volts, **static))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shared", [False, True])
def test_so_do_the_samples(dtype: type, shared: bool) -> None:
    """The code of workers takes them in single precision."""
    of = jax.ShapeDtypeStruct
    with jax.enable_x64(dtype is np.float64):
        share = of((3, 4, 4, 4), dtype) if shared else None
        stays_on_the_device(
            for_cuda(_eight_fields, of((5, 5, 5), dtype), of((4, 4, 4), np.uint8), of((3,), dtype), share)
        )
        stays_on_the_device(for_cuda(regular_spread, of((8, 64), dtype)))


def loops(jaxpr: Any) -> Iterator[Any]:
    """All `while` loops of a traced function, at any depth."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "while":
            yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from loops(inner)


def dtypes_inside(jaxpr: Any, least: int) -> set[str]:
    """Types of all floating arrays of at least some size that equations make, at any depth."""
    found = set()
    for equation in jaxpr.eqns:
        arrays = [v.aval for v in equation.outvars if getattr(v.aval, "size", 0) >= least]
        found |= {str(a.dtype) for a in arrays if jnp.issubdtype(a.dtype, jnp.floating)}
        for inner in jaxprs_in_params(equation.params):
            found |= dtypes_inside(inner, least)
    return found


def test_pcg_is_in_single_precision_throughout() -> None:
    """A cheap GPU does double precision at 1/64 of the rate: nothing of a grid's size may slip into it. The line
    search, in double precision on purpose, shows that the question can be answered the other way."""
    with jax.enable_x64(True):
        grid, arguments = lane_grid(None, "float32", everything=False)
        traced = newton_step.trace(grid.network, *arguments, **grid.static)
    n = grid.first.layout.n
    pcg, line_search = (dtypes_inside(loop.params["body_jaxpr"].jaxpr, n) for loop in loops(traced.jaxpr.jaxpr))
    assert pcg == {"float32"}
    assert "float64" in line_search


def test_what_leaves_the_device_would_be_found() -> None:
    def calls(x: Any) -> Any:
        return jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

    text = jax.jit(calls).lower(jnp.zeros(3)).as_text()
    for module in (text, "%1 = stablehlo.add %0, %0 : tensor<?x3xf32>", '"stablehlo.all_reduce"', "custom_call @odd()"):
        with pytest.raises(AssertionError):
            stays_on_the_device(module)
