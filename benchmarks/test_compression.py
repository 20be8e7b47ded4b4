"""What a codec makes of a sweep's maps: bytes, and seconds to encode and to decode, three points of one 64^3 plan.

Chunks are those of the store, in memory, so that no disk is timed. `bytes` counts the chunks of all points; `share` is
of the maps' own bytes. `decode_s` and the benchmark's own time (encoding) are for all three points. Where
POREFIELD_SHARED_DATA names the segmented CT, two plans on it are measured too, at one point each.

Rounded floats stand beside the others to tell what the last bits cost; no map is stored so.
"""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import BloscCodec, ZstdCodec
from zarr.storage import MemoryStore

from porefield.meshes.plan import Plan, load_plan
from porefield.service.environment import configure_numerics
from porefield.workers.progress import RunControl
from porefield.workers.store.maps import CHUNK
from porefield.workers.sweep.evaluate import EvaluatorSettings, PlanEvaluator

from .test_sweep import PLAN

VOLTAGES_V = (800, 1200, 1800)
EXAMPLES = Path(__file__).parents[1] / "examples"
ON_A_CT = ("liver_metastasis", "vertebra_metastasis")
Codec = BytesBytesCodec | None

CODECS: dict[str, Codec] = {
    "none": None,
    **{f"zstd-{level}": ZstdCodec(level=level) for level in (1, 3, 5, 9)},
    **{
        f"blosc-zstd-{shuffle}-{level}": BloscCodec(cname="zstd", clevel=level, shuffle=shuffle)
        for shuffle in ("noshuffle", "shuffle", "bitshuffle")
        for level in (1, 3, 5, 9)
    },
    **{
        f"blosc-lz4-{shuffle}-5": BloscCodec(cname="lz4", clevel=5, shuffle=shuffle)
        for shuffle in ("noshuffle", "shuffle", "bitshuffle")
    },
}
KEPT_BITS = (7, 11, 15)
"""Of the 23 bits of a mantissa: relative errors up to 2^-8, 2^-12 and 2^-16."""


@cache
def maps_of(anatomy: str) -> dict[str, list[NDArray[Any]]]:
    """By name, one array for each point."""
    configure_numerics()
    if anatomy == "phantom":
        plans = [load_plan({**PLAN, "pulses": [{**PLAN["pulses"][0], "voltage_v": v}]}) for v in VOLTAGES_V]
    else:
        plans = [load_plan(EXAMPLES / f"{anatomy}.yaml")]
    found: dict[str, list[NDArray[Any]]] = {"zone": [], "field": []}
    evaluator = PlanEvaluator(settings_of(plans[0]))
    for plan in plans:
        for name, data in evaluator.evaluate(plan, RunControl()).maps.items():
            found[name].append(data)
    return found


def settings_of(plan: Plan) -> EvaluatorSettings:
    folder = None if plan.folder is None else str(plan.folder)
    return EvaluatorSettings(plan.model_dump(mode="json"), folder, None, ("zone", "field"))


@pytest.fixture(params=["phantom", *ON_A_CT])
def anatomy(request: pytest.FixtureRequest) -> str:
    if request.param != "phantom" and "POREFIELD_SHARED_DATA" not in os.environ:
        pytest.skip("POREFIELD_SHARED_DATA names no folder with the segmented CT")
    return request.param


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("kind", ["zone", "field"])
def test_codec(benchmark: BenchmarkFixture, anatomy: str, kind: str, codec: str) -> None:
    measure(benchmark, maps_of(anatomy)[kind], CODECS[codec])


@pytest.mark.parametrize("bits", KEPT_BITS)
def test_rounded(benchmark: BenchmarkFixture, anatomy: str, bits: int) -> None:
    """With the codec that is the smallest without rounding."""
    data = maps_of(anatomy)["field"]
    rounded_maps = [rounded(one, bits) for one in data]
    measure(benchmark, rounded_maps, CODECS["blosc-zstd-bitshuffle-9"])
    errors = [np.abs(r - d)[d > 0] / d[d > 0] for r, d in zip(rounded_maps, data, strict=True)]
    benchmark.extra_info["largest_relative_error"] = max(float(e.max()) for e in errors)


def rounded(data: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    """To the nearest number with so many bits of mantissa."""
    drop = 23 - bits
    half = np.uint32(1 << (drop - 1))
    mask = np.uint32(0xFFFFFFFF ^ ((1 << drop) - 1))
    return ((data.view(np.uint32) + half) & mask).view(np.float32)


def measure(benchmark: BenchmarkFixture, maps: list[NDArray[Any]], codec: Codec) -> None:
    stored: dict[str, Any] = {}
    shape = maps[0].shape
    array = zarr.create_array(
        MemoryStore(stored),
        shape=(len(maps), *shape),
        chunks=(1, *(min(n, CHUNK) for n in shape)),
        dtype=maps[0].dtype,
        compressors=codec,
        zarr_format=3,
    )

    def encode() -> None:
        for i, data in enumerate(maps):
            array[i] = data

    benchmark.pedantic(encode, rounds=5, warmup_rounds=1)
    decode_s: list[float] = []
    for _ in range(5):
        start = time.perf_counter()
        back = array[...]
        decode_s.append(time.perf_counter() - start)
        np.testing.assert_array_equal(back, np.stack(maps))
    size = sum(len(data) for key, data in stored.items() if not key.endswith("zarr.json"))
    benchmark.extra_info.update(
        bytes=size, share=size / sum(data.nbytes for data in maps), decode_s=min(decode_s), points=len(maps)
    )
