"""Records become columns batch by batch: the dataset and table are those of all records at once, in less memory."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pyarrow.parquet import ParquetFile

from porefield.workers.store import records, tables
from porefield.workers.store.columns import STATES, counts_of
from porefield.workers.store.records import record_key
from porefield.workers.store.sweep_store import SweepStore
from porefield.workers.sweep.model import Dim, Layout, PointRecord, PointState, Variable

from .plain_tables import plain_dataset, plain_table

LAYOUT = Layout(
    {
        "volume": Variable("mm3", "a number"),
        "limit": Variable("1", "a number that often does not exist"),
        "coverage": Variable("1", "by target", ("target",)),
        "above": Variable("1", "by target and threshold", ("target", "threshold")),
        "avoided_field": Variable("1", "by nothing at all", ("avoided",)),
    },
    {"target": ["tumour", "margin"], "threshold": [200.0, 400.0, 650.5], "avoided": [], "unused": ["a"]},
    attrs={"disclaimer": "none"},
)
DIMS = (
    Dim("shift", 7, {"shift": ([-3.0, -2, -1, 0, 1, 2, 3], {"units": "mm"}), "side": ([0, 0, 0, 1, 2, 2, 2], {})}),
    Dim("voltage", 11, {"voltage": ([500 + 50 * i for i in range(11)], {"units": "V"})}),
)
N = 77
HEADER = {"porefield": "0", "created": "now"}


@pytest.fixture(params=["local", "object"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> SweepStore:
    url = tmp_path / "sweep" if request.param == "local" else request.getfixturevalue("s3").url()
    return SweepStore.create(url, HEADER, LAYOUT, DIMS)


def record_of(index: int, rng: random.Random) -> PointRecord:
    state = rng.choice([PointState.DONE, PointState.DONE, PointState.FAILED, PointState.SKIPPED])
    told: dict[str, Any] = {}
    if state is PointState.DONE:
        told["measures"] = {
            "volume": rng.random(),
            "limit": rng.choice([None, rng.random()]),
            "coverage": [rng.random(), None],
            "above": [[rng.random(), rng.random(), None], [1, 0, rng.random()]],
            "avoided_field": [],
        }
        if index % 5 == 0:
            del told["measures"]["coverage"]
    else:
        told["error"] = rng.choice(["often the same", f"got {rng.random()}", "ä" * 40, ""])
    return PointRecord(
        index=index,
        key=rng.choice(["", f"{rng.getrandbits(256):064x}"]),
        state=state,
        attempts=rng.randint(1, 3),
        worker=rng.choice(["", "node-1", "node-2"]),
        started=rng.choice(["", "2026-01-01T00:00:00.000+00:00"]),
        seconds=rng.random(),
        batch=rng.choice([1, 8]),
        warm=rng.random() < 0.5,
        values={"pulses.0.voltage_v": 500.0},
        **told,
    )


def fill(store: SweepStore, indices: list[int]) -> dict[int, PointRecord]:
    rng = random.Random(7)
    found = {i: record_of(i, rng) for i in indices}
    for record in found.values():
        store.write_record(record)
    assert {r.state for r in found.values()} == {PointState.DONE, PointState.FAILED, PointState.SKIPPED}
    return found


@pytest.mark.parametrize("missing", [0, 20])
@pytest.mark.parametrize(("at_once", "rows"), [(64, 1 << 16), (3, 10)])
def test_streamed_results_are_those_of_all_records_at_once(
    store: SweepStore, monkeypatch: pytest.MonkeyPatch, missing: int, at_once: int, rows: int
) -> None:
    monkeypatch.setattr(records, "MOST_AT_ONCE", at_once)
    monkeypatch.setattr(tables, "ROWS_AT_ONCE", rows)
    known = fill(store, random.Random(3).sample(range(N), N - missing))
    assert store.read_records() == known

    store.pack()
    plain = plain_dataset(HEADER, LAYOUT, DIMS, known)
    with store.dataset() as packed:
        xr.testing.assert_identical(packed.load(), plain.reset_coords())  # as Zarr has them
        assert packed.attrs["complete"] is (missing == 0)
        assert {k: v.dtype for k, v in packed.variables.items()} == {k: v.dtype for k, v in plain.variables.items()}
    table = plain_table(LAYOUT, DIMS, known)
    pd.testing.assert_frame_equal(store.table(), table, check_exact=True)
    parquet, whole = store.place.get("points.parquet") or b"", BytesIO()
    table.to_parquet(whole, index=False)
    pd.testing.assert_frame_equal(pd.read_parquet(BytesIO(parquet)), pd.read_parquet(whole), check_exact=True)
    written = ParquetFile(BytesIO(parquet))
    assert written.num_row_groups == -(-N // rows)
    assert written.schema_arrow.equals(ParquetFile(whole).schema_arrow, check_metadata=True)


def test_a_sweep_without_records_has_a_dataset_and_a_table(store: SweepStore) -> None:
    store.pack()
    with store.dataset() as packed:
        xr.testing.assert_identical(packed.load(), plain_dataset(HEADER, LAYOUT, DIMS, {}).reset_coords())
    pd.testing.assert_frame_equal(store.table(), plain_table(LAYOUT, DIMS, {}), check_exact=True)


def test_states_say_what_is_finished(store: SweepStore) -> None:
    assert not store.read_states().any()
    known = fill(store, list(range(0, N, 2)))
    store.place.put(record_key(1), b'{"index": 1, "sta')
    states = store.read_states()
    assert states.dtype == np.uint8
    assert {i: STATES[code] for i, code in enumerate(states) if code} == {i: r.state for i, r in known.items()}
    assert counts_of(states) == Counter(r.state for r in known.values())


@pytest.mark.slow
def test_memory_is_that_of_the_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As objects, 40 numbers take 3 kB, as columns 320 bytes; records of a few batches are alive at once."""
    monkeypatch.setattr(records, "MOST_AT_ONCE", 3)
    monkeypatch.setattr(tables, "ROWS_AT_ONCE", 300)
    n, rng = 3000, random.Random(1)
    measures = {f"m{k}": Variable("1", "") for k in range(40)}
    layout = Layout(measures)
    store = SweepStore.create(tmp_path / "sweep", HEADER, layout, [Dim("point", n, {})])
    for i in range(n):
        path = tmp_path / "sweep" / record_key(i)  # not flushed to disk, which takes longest
        path.parent.mkdir(parents=True, exist_ok=True)
        record = PointRecord(index=i, key="", state=PointState.DONE, measures={name: rng.random() for name in measures})
        path.write_bytes(record.model_dump_json().encode())

    SweepStore.create(tmp_path / "other", HEADER, layout, [Dim("point", 1, {})]).pack()  # imports what packing needs
    kept = peak_bytes(store.read_records)
    assert kept > n * 40 * 24  # a float alone takes 24 bytes
    # measured: 0.05, 0.23 and 0.28
    assert peak_bytes(store.read_states) < 0.1 * kept
    assert peak_bytes(store.table) < 0.5 * kept
    assert peak_bytes(store.pack) < 0.5 * kept


def peak_bytes(what: Callable[[], Any]) -> int:
    """The most that is allocated at once while something is done."""
    tracemalloc.start()
    try:
        what()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
