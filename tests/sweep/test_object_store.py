"""Sweeps on an object store: all that a folder can do, with moto's S3 server in its place."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
import yaml
from typer.testing import CliRunner

from porefield.meshes.errors import PorefieldError
from porefield.service.cli import app
from porefield.workers.executors.ray_cluster import environment
from porefield.workers.publish import OutputExistsError
from porefield.workers.store import object_lease
from porefield.workers.store.files import BusyError
from porefield.workers.store.places import PlaceError, place_of
from porefield.workers.store.sweep_store import SweepStore, open_sweep
from porefield.workers.sweep import drive
from porefield.workers.sweep.drive import resume_sweep, run_sweep
from porefield.workers.sweep.progress import SweepProgress
from porefield.workers.sweep.same import is_sweep
from porefield.workers.sweep.spec import load_sweep

from .driver import LEASE_S, POINTS, the_sweep
from .s3_server import SECRET, S3Server
from .stub import PLAN, stub, voltages
from .test_killed import begun, finished

SECONDS_NOT_MINUTES = 20.0
"""The client gives an endpoint that refuses connections about 3 s, one that is silent 10 s (object_client.py)."""


@pytest.fixture(autouse=True)
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_lease, "LEASE_S", LEASE_S)


def comparable(data: xr.Dataset) -> xr.Dataset:
    """Without what differs between any two runs of a sweep: when, and how long it took."""
    del data.attrs["sweep"]["created"]
    return data.drop_vars("seconds").load()


def test_the_dataset_is_the_same_as_on_disk(s3: S3Server, tmp_path: Path) -> None:
    axes = [
        {"name": "shift", "field": "electrodes.A.shift_mm.x", "grid": {"start": -1, "stop": 1, "count": 3}},
        {"name": "voltage", "field": "pulses.*.voltage_v", "values": [900, 500, 9500, 99_000]},
    ]
    sweep = load_sweep({"plan": PLAN, "axes": axes, "maps": ["zone"]})
    said: list[str] = []
    outcomes = [
        run_sweep(sweep, out, make_evaluator=stub(), on_progress=lambda p: said.append(p.message))
        for out in (s3.url(), tmp_path / "out")
    ]
    assert [(o.done, o.failed, o.skipped) for o in outcomes] == [(6, 3, 3)] * 2
    assert outcomes[0].out == s3.url()
    with open_sweep(s3.url()) as stored, open_sweep(tmp_path / "out") as on_disk:
        xr.testing.assert_identical(comparable(stored), comparable(on_disk))
    tables = [SweepStore.open(out).table().drop(columns=["started", "seconds"]) for out in (s3.url(), tmp_path / "out")]
    assert tables[0].equals(tables[1])
    (note,) = (text for text in said if "MB" in text)
    assert note.startswith("up to ")
    assert "free room can't be looked up" in note

    with pytest.raises(OutputExistsError, match="resume"):
        run_sweep(sweep, s3.url(), make_evaluator=stub())


def test_no_secret_is_stored(s3: S3Server) -> None:
    run_sweep(load_sweep(voltages(500, maps=["zone"])), s3.url(), make_evaluator=stub())
    place = place_of(s3.url())
    contents = [place.get(key) or b"" for key in place.list("")]
    assert len(contents) > 10
    assert not any(SECRET.encode() in content or b"AWS_" in content for content in contents)
    assert SECRET not in repr(vars(place))


def test_requests_per_point_are_those_that_the_documentation_tells(s3: S3Server) -> None:
    """docs/cluster.md: a record and each chunk of a map are one PUT, a hand-over of up to 64 points another."""

    def requests(points: int) -> Counter[str]:
        sweep = load_sweep(voltages(*range(1000, 1000 + points), maps=["zone"]))
        s3.requests.clear()
        run_sweep(sweep, s3.url(f"sweep-{points}"), make_evaluator=stub())
        kinds = {"records": "record", "maps.zarr": "map", "journal": "journal"}
        return Counter(
            f"{method} {next((kind for part, kind in kinds.items() if f'/{part}' in path), 'other')}"
            for method, path in s3.requests
        )

    few, many = requests(40), requests(80)
    more = many - few
    assert {what: n for what, n in more.items() if what not in ("PUT journal", "GET other", "PUT other")} == {
        "PUT record": 40,
        "PUT map": 40,
        "GET record": 40,  # once, to make the dataset
    }
    assert more["PUT journal"] <= 40 / 4
    assert more["GET other"] + more["PUT other"] < 20  # by the second, not by the point: lease, cancel


def test_a_cancelled_sweep_goes_on_where_it_stopped(s3: S3Server, tmp_path: Path) -> None:
    sweep, log = load_sweep(voltages(*range(100, 140))), tmp_path / "log"
    asked: list[int] = []

    def cancel(progress: SweepProgress) -> None:
        if progress.finished >= 3 and not asked:
            asked.append(progress.finished)
            assert call("cancel", s3.url()) == (0, {"ok": True, "exit_code": 0, "running": True})

    outcome = run_sweep(sweep, s3.url(), make_evaluator=stub(log, seconds=0.1), on_progress=cancel)
    assert outcome.cancelled
    assert 3 <= outcome.done < 40
    with open_sweep(s3.url()) as data:
        assert data.attrs["complete"] is False
    assert resume_sweep(s3.url(), make_evaluator=stub(log)).complete
    begun = [float(line) for line in log.read_text().splitlines()]
    assert len(begun) - len(set(begun)) <= 1  # the one that was stopped half way
    with open_sweep(s3.url()) as data:
        assert data.attrs["complete"] is True


def test_only_one_driver_at_a_time(s3: S3Server) -> None:
    run_sweep(load_sweep(voltages(500)), s3.url(), make_evaluator=stub())
    store = SweepStore.open(s3.url())
    with store.lease("someone"), pytest.raises(BusyError, match=f"out: .*{s3.url()}, run by someone"):
        resume_sweep(s3.url(), make_evaluator=stub())
    assert not store.running()
    assert resume_sweep(s3.url(), make_evaluator=stub()).computed == 0


@pytest.mark.slow
def test_killed_drivers_block_for_a_lease_and_their_attempts_count(s3: S3Server) -> None:
    for _ in range(2):
        command = [sys.executable, "-m", "tests.sweep.driver", s3.url()]
        assert subprocess.run(command, cwd=Path(__file__).parents[2]).returncode == -9
    assert b'"free": false' in (place_of(s3.url()).get(".driver") or b"")  # the dead give nothing back
    said: list[str] = []
    start = time.monotonic()
    outcome = resume_sweep(
        s3.url(), make_evaluator=stub(deadly_v=600), on_progress=lambda progress: said.append(progress.message)
    )
    assert time.monotonic() - start >= LEASE_S
    assert any("waiting up to 2 s" in text for text in said)
    assert (outcome.done, outcome.failed) == (2, 1)
    record = SweepStore.open(s3.url()).read_record(1)
    assert record is not None
    assert record.attempts == 2
    assert "died" in (record.error or "")


def test_a_half_created_sweep_is_none(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = load_sweep(voltages(500, 600, maps=["zone"]))
    run_sweep(sweep, s3.url("whole"), make_evaluator=stub())
    whole, half = place_of(s3.url("whole")), place_of(s3.url("half"))
    for key in [".driver", "layout.json", *whole.list("maps.zarr")]:  # a creator that died before sweep.json
        half.put(key, whole.get(key) or b"")
    half.put("maps.zarr/field/zarr.json", b"of another sweep")
    assert not is_sweep(half.url)
    with pytest.raises(PorefieldError, match=r"sweep: expected .*half"):
        resume_sweep(half.url, make_evaluator=stub())
    assert run_sweep(sweep, half.url, make_evaluator=stub()).complete
    assert not half.exists("maps.zarr/field/zarr.json")

    whole.delete(["sweep.json"])  # results without it are somebody's: neither a sweep nor to be overwritten
    with pytest.raises(OutputExistsError, match="below which"):
        run_sweep(sweep, whole.url, make_evaluator=stub())


def test_a_bucket_that_is_not_there_is_told(s3: S3Server) -> None:
    sweep = load_sweep(voltages(500))
    with pytest.raises(PlaceError, match=r"out: expected a bucket that exists; got no bucket nowhere at http://127"):
        run_sweep(sweep, "s3://nowhere/x", make_evaluator=stub())
    with pytest.raises(PlaceError, match="no bucket nowhere"):
        open_sweep("s3://nowhere/x")


def test_an_endpoint_that_does_not_answer_is_told_in_seconds(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    start = time.monotonic()
    with pytest.raises(PlaceError, match=r"out: expected an object store that serves s3://.*from http://127.0.0.1:1"):
        run_sweep(load_sweep(voltages(500)), s3.url(), make_evaluator=stub())
    assert time.monotonic() - start < SECONDS_NOT_MINUTES


@pytest.mark.slow
def test_an_endpoint_that_keeps_silent_is_told_in_seconds(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        with pytest.raises(PlaceError, match="out: expected an object store that serves"):
            SweepStore.open(s3.url())
        assert time.monotonic() - start < SECONDS_NOT_MINUTES


def test_missing_credentials_are_told_in_seconds(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")  # no machine of a cloud either
    start = time.monotonic()
    with pytest.raises(PlaceError, match=r"out: expected credentials .* in AWS_ACCESS_KEY_ID and .*got none"):
        SweepStore.open(s3.url())
    assert time.monotonic() - start < SECONDS_NOT_MINUTES


def test_plain_http_leaves_the_machine_only_when_asked_to(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:word@minio.example:9000")
    with pytest.raises(PlaceError, match=r"AWS_ALLOW_HTTP=true .*got http://minio.example:9000 as the endpoint"):
        place_of(s3.url())
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    assert place_of(s3.url()).url == s3.url()


def test_workers_are_told_the_endpoint_but_no_key(s3: S3Server) -> None:
    passed = environment(1, 0)
    assert passed["AWS_ENDPOINT_URL"] == s3.endpoint
    assert SECRET not in str(passed)
    assert "AWS_ACCESS_KEY_ID" not in passed


def test_the_extra_is_named_where_it_is_missing(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(
        PorefieldError, match=r"out: expected obstore, of the extra: pip install 'porefield\[cluster\]'"
    ):
        run_sweep(load_sweep(voltages(500)), s3.url(), make_evaluator=stub())


def call(*arguments: str) -> tuple[int, dict[str, object]]:
    """Exit code and the JSON object of a command."""
    result = CliRunner().invoke(app, ["sweep", *arguments, "--json"])
    assert result.stdout, f"no answer; {result.exception!r}, stderr {result.stderr!r}"
    return result.exit_code, json.loads(result.stdout)


def test_the_commands_take_urls(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("run_sweep", "resume_sweep"):
        monkeypatch.setattr(drive, name, partial(getattr(drive, name), make_evaluator=stub()))
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump(voltages(500, 9500, maps=["zone"])))
    for computed in (2, 0):
        code, told = call("run", str(file), "--out", s3.url(), "--resume")
        assert (code, told["outcome"]["computed"]) == (4, computed)  # type: ignore[index]
    SweepStore.open(s3.url()).remove_records([0])
    code, told = call("status", s3.url())
    assert (code, told["status"]["finished"], told["status"]["running"]) == (0, 1, False)  # type: ignore[index]
    code, told = call("resume", s3.url(), "--accept-failed")
    assert (code, told["outcome"]["computed"]) == (0, 1)  # type: ignore[index]
    assert call("cancel", s3.url())[1]["running"] is False
    code, told = call("export", s3.url())
    assert code == 0
    dataset, table = told["written"]  # type: ignore[misc]
    assert table == f"{s3.url()}/points.parquet"
    assert place_of(dataset).exists("zarr.json")
    code, told = call("status", "s3://nowhere/x")
    assert (code, told["error"]["kind"]) == (5, "PlaceError")  # type: ignore[index]


# Ray leaves sockets and log files to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.slow
@pytest.mark.parametrize("cluster", [2], indirect=True)
def test_workers_in_other_processes_write_to_the_store_and_a_killed_driver_is_followed(
    s3: S3Server, cluster: Any, tmp_path: Path
) -> None:
    """On a cluster that stays: to start Ray for each driver would take most of the time. It is started after the store,
    whose keys its workers have from its environment."""
    log, place = tmp_path / "log", place_of(s3.url())
    command = [sys.executable, "-m", "tests.sweep.driver", s3.url(), str(log), "stub", cluster.address]
    driver = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 240
    while len(place.list("records")) < 10:
        assert driver.poll() is None, "the driver ended by itself"
        assert time.monotonic() < deadline, "the sweep stood still"
        time.sleep(0.3)  # the store is a thread of this process
    driver.kill()
    driver.wait()
    before, mark = finished(s3.url()), len(begun(log))
    assert len(before) < POINTS, "nothing was left to resume"
    assert subprocess.run(command, cwd=Path(__file__).parents[2], timeout=240).returncode == 0

    records = SweepStore.open(s3.url()).read_records()
    assert {record.worker for record in records.values()} == {"ray-0", "ray-1"}
    assert not set(begun(log)[mark:]) & before, "a finished point was computed again"
    run_sweep(the_sweep(), tmp_path / "out", make_evaluator=stub())
    with open_sweep(s3.url()) as stored, open_sweep(tmp_path / "out") as on_disk:
        xr.testing.assert_identical(*(comparable(data).drop_vars("attempts") for data in (stored, on_disk)))
