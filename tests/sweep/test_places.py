"""One suite for all places that a sweep may lie in: what is put is whole, journals keep order, one driver at a time."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import zarr

from porefield.workers.publish import OutputExistsError
from porefield.workers.store import object_lease, object_place
from porefield.workers.store.files import BusyError
from porefield.workers.store.local_place import LocalPlace
from porefield.workers.store.object_place import ObjectPlace
from porefield.workers.store.places import Place, PlaceError, place_of

from .s3_server import S3Server

SHORT_S = 2.0
"""A lease in tests: long enough for renewals (six in that time) on a machine that has much else to do."""


@pytest.fixture(params=["local", "object"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "local":
        return str(tmp_path / "sweep")
    monkeypatch.setattr(object_lease, "LEASE_S", SHORT_S)
    return request.getfixturevalue("s3").url()


@pytest.fixture
def place(url: str) -> Place:
    return place_of(url)


def test_objects_are_put_got_listed_and_removed(place: Place) -> None:
    assert place.get("records/000/000001.json") is None
    assert place.list("records") == []
    place.put("records/000/000001.json", b"one")
    place.put("records/001/001000.json", b"")
    place.put("records/000/000001.json", b"two")
    place.put("recordsx/other", b"not below records/")
    assert place.get("records/000/000001.json") == b"two"
    assert place.get("records/001/001000.json") == b""
    assert place.exists("records/001/001000.json")
    assert not place.exists("records/000")
    assert place.list("records") == ["records/000/000001.json", "records/001/001000.json"]
    place.delete(["records/000/000001.json", "never/there"])
    assert place.list("records") == ["records/001/001000.json"]
    assert place_of(place.url).get("recordsx/other") == b"not below records/"


def test_listing_goes_beyond_a_page(place: Place) -> None:
    count = 100 if isinstance(place, LocalPlace) else 1100  # a folder has no pages, and flushes each file
    keys = [f"records/{i // 1000:03d}/{i:06d}.json" for i in range(count)]
    for key in keys:
        place.put(key, b"x")
    assert place.list("records") == keys
    place.delete(keys)
    assert place.list("records") == []


def test_an_object_is_never_seen_half_written(place: Place) -> None:
    contents = [bytes([i]) * 200_000 for i in range(8)]
    place.put("big", contents[0])
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for content in contents:
                place.put("big", content)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(30):
            assert place.get("big") in contents
    finally:
        stop.set()
        writer.join()
    assert place.list("") == ["big"]


def test_journals_keep_what_was_added_in_order(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_place, "SEGMENT_CHARS", 50)
    lines = [f"event {i}\n" for i in range(20)]
    for i, line in enumerate(lines):
        place.append("journal/a", line)
        assert "".join(place_of(place.url).journals("journal")) == "".join(lines[: i + 1])
    place.append("journal/b", "of another\n")
    assert sorted("".join(place.journals("journal")).splitlines()) == sorted(["of another", *map(str.strip, lines)])


def put_and_fail(place: Place) -> None:
    place.put("layout.json", b"{}")
    raise ZeroDivisionError


def test_a_place_is_created_whole_and_only_once(place: Place, url: str) -> None:
    with pytest.raises(ZeroDivisionError), place.created() as new:
        put_and_fail(new)
    assert not place.exists("sweep.json")
    with place.created() as new:  # what the first try left does not matter
        new.put("layout.json", b"{}")
        new.put("sweep.json", b"{}")
    assert [key for key in place.list("") if key != ".driver"] == ["layout.json", "sweep.json"]
    with pytest.raises(OutputExistsError, match="out"), place_of(url).created():
        pass
    assert not place.leased()


def test_nothing_is_created_where_other_things_lie(place: Place) -> None:
    place.put("thesis.txt", b"mine")
    with pytest.raises(OutputExistsError, match="out"), place.created():
        pass
    assert place.get("thesis.txt") == b"mine"


def test_one_holder_at_a_time(place: Place, url: str) -> None:
    place.put("sweep.json", b"{}")
    assert not place.leased()
    with place.lease("first", print):
        assert place_of(url).leased()
        with pytest.raises(BusyError, match="run by first"), place_of(url).lease("second", print):
            pass
        assert place.leased()
    assert not place.leased()
    start = time.monotonic()
    with place_of(url).lease("third", print):
        assert time.monotonic() - start < SHORT_S  # one that was given back blocks nobody


def test_zarr_hierarchies_are_written_in_place_and_replaced_as_a_whole(place: Place) -> None:
    assert place.published("dataset.zarr") is None
    for value in (1.0, 2.0):
        with place.replaced("dataset.zarr") as partial:
            root = zarr.open_group(partial, mode="w", zarr_format=3)
            root.create_array("a", shape=(3,), dtype="float64")[...] = np.full(3, value)
    with pytest.raises(ZeroDivisionError), place.replaced("dataset.zarr") as partial:
        zarr.open_group(partial, mode="w", zarr_format=3).create_array("b", shape=(1 // 0,), dtype="float64")
    published = place.published("dataset.zarr")
    assert published is not None
    root = zarr.open_group(published, mode="r")
    assert list(root) == ["a"]
    assert np.asarray(root["a"]).tolist() == [2.0] * 3
    assert place.publication("dataset.zarr").startswith(place.location("dataset.zarr"))

    maps = zarr.create_group(place.zarr_store("maps.zarr"), zarr_format=3)
    maps.create_array("zone", shape=(2, 3), chunks=(1, 3), dtype="uint8")[1, ...] = np.asarray([1, 2, 3], np.uint8)
    again = zarr.open_group(place.zarr_store("maps.zarr"), mode="r")["zone"]
    assert np.asarray(again).tolist() == [[0, 0, 0], [1, 2, 3]]


def test_what_is_no_place_is_refused() -> None:
    with pytest.raises(PlaceError, match=r"out: expected a directory, or s3://bucket/prefix; got gs://bucket/x"):
        place_of("gs://bucket/x")
    with pytest.raises(PlaceError, match="s3://bucket/prefix"):
        place_of("s3://bucket")
    with pytest.raises(PlaceError, match="lost a slash"):
        place_of(Path("s3://bucket/prefix"))
    with pytest.raises(PlaceError) as told:
        place_of("s3://key:secret@bucket/prefix")
    assert "secret" not in str(told.value)


# -- of object stores alone --------------------------------------------------------------------------------------------


def test_a_lease_that_is_not_renewed_is_taken_over_and_its_holder_hears_of_it(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_lease, "LEASE_S", SHORT_S)
    monkeypatch.setattr(object_lease, "BEATS", 0.1)  # the first one falls asleep
    asleep, awake = ObjectPlace(s3.url()), ObjectPlace(s3.url())
    said: list[str] = []
    with asleep.lease("asleep", said.append):
        monkeypatch.setattr(object_lease, "BEATS", 6)
        start = time.monotonic()
        with awake.lease("awake", said.append):
            assert SHORT_S <= time.monotonic() - start < 3 * SHORT_S
            assert said == ["asleep was at the sweep: waiting up to 2 s to see whether it still is"]
            awake.append("journal/awake", "x\n")
    assert not awake.leased()  # the one that was asleep did not give back what was no longer its own


def test_a_holder_that_lost_its_lease_hands_nothing_over(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_lease, "LEASE_S", SHORT_S)
    place = ObjectPlace(s3.url())
    with place.lease("first", print):
        place.append("journal/first", "begin\n")
        place.put(".driver", b'{"holder": "second", "token": "t", "free": false, "until": "2030-01-01T00:00:00+00:00"}')
        time.sleep(SHORT_S / 2)  # three renewals
        with pytest.raises(BusyError, match="taken over by second"):
            place.append("journal/first", "begin\n")
    assert b"second" in (place.get(".driver") or b"")


class Acknowledging(BaseHTTPRequestHandler):
    """A store that has nothing and takes everything."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.end_headers()

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("ETag", '"x"')
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.slow
def test_an_outage_is_sat_out_once_the_store_has_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(port: int, requests: int) -> int:
        server = HTTPServer(("127.0.0.1", port), Acknowledging)

        def answer() -> None:
            with server:
                for _ in range(requests):
                    server.handle_request()

        threading.Thread(target=answer, daemon=True).start()
        return server.server_port

    port = serve(0, 1)
    for name, value in S3Server(f"http://127.0.0.1:{port}").environment.items():
        monkeypatch.setenv(name, value)
    place = place_of("s3://bucket/prefix")
    assert place.get("sweep.json") is None
    outage_s = 12.0  # beyond what a store is given that never answered
    threading.Timer(outage_s, serve, (port, 1)).start()
    start = time.monotonic()
    place.put("records/000/000000.json", b"{}")
    assert time.monotonic() - start > 0.9 * outage_s


def test_older_datasets_go_but_not_the_one_before(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    place = ObjectPlace(s3.url())

    def publish() -> str:
        with place.replaced("dataset.zarr") as partial:
            zarr.open_group(partial, mode="w", zarr_format=3)
        return place.publication("dataset.zarr").rpartition("/")[2]

    def kept() -> set[str]:
        return {key.split("/")[1] for key in place.list("dataset.zarr")} - {"current"}

    first = publish()
    second = publish()
    third = publish()
    assert kept() == {first, second, third}  # the first might be one that is still being written
    monkeypatch.setattr(object_place, "STILL_WRITTEN_S", 0)
    fourth = publish()
    assert kept() == {third, fourth}
