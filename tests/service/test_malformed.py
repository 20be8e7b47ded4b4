"""Requests that are wrong in a thousand ways: each is answered with problem details that say where, at little cost."""

from __future__ import annotations

import copy
import json
import math
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from .conftest import plan
from .server import service, told

EXAMPLES = 1000
REFUSALS = {400, 413, 415, 422}
MILLION = 1_000_000
QUICK = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example]
"""Not looked at: requests are drawn at random, and large."""

FULL = plan(
    description="With a part of each kind.",
    grid={"spacing_mm": [1.0, 1.0, 1.1], "region": {"from_mm": [-8, 0, 100], "to_mm": [8, 14, 112]}},
    tissues={"liver": {"reversible_v_per_cm": 400, "conductivity": {"law": "constant", "conductivity_s_per_m": 0.1}}},
    avoid={"liver": {"max_v_per_cm": 5000}},
    generator={"max_voltage_v": 3000, "max_current_a": 50},
    thresholds_v_per_cm=[400, 800],
    solver={"tolerance": 1e-6, "max_newton_steps": 30},
)
SCAN = plan(
    anatomy={
        "label_map": {
            "path": "upload:" + "0" * 64,
            "names": {"1": "liver", "2": "lesion"},
            "background": "fat",
            "tissue_of": {"lesion": "tumour"},
        }
    }
)
AXES = [
    {"name": "voltage", "field": "pulses.*.voltage_v", "values": [700, 800, 900]},
    {"name": "depth", "fields": {"electrodes.A.needle.exposed_mm": [6, 7], "electrodes.B.needle.exposed_mm": [6, 7]}},
    {"name": "shaft", "field": "electrodes.A.needle.shaft_mm", "grid": {"start": 6, "stop": 8, "count": 3}},
]
DESIGN = {"method": "random", "points": 4, "seed": 3, "fields": {"electrodes.B.needle.exposed_mm": {"uniform": [6, 8]}}}
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("plan", FULL),
    ("plan", SCAN),
    ("sweep", {"plan": FULL, "axes": AXES, "constraints": [{"require": "voltage < 850", "reason": "r"}]}),
    ("sweep", {"plan": plan(), "axes": AXES[:1], "design": DESIGN, "maps": ["zone"]}),
    (
        "robustness",
        {
            "plan": FULL,
            "placement": {"shift_mm": 0.5, "depth_mm": 0.5, "tilt_deg": 1, "together": False},
            "conductivity": {"liver": 0.1, "*": 0.2},
            "threshold": {"tumour": 0.1},
            "samples": 4,
            "seed": 1,
            "groups": "kind",
        },
    ),
]


def nested(depth: int, kind: str) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if kind == "list" else {"a": value}
    return value


ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
WORDS = st.sampled_from(
    [
        *("", " ", ".", "..", "*", "a.b", "a/b", "a~b", "a[0]", "\0", "\ud800", "\u00e9" * 90, "x" * 5000),
        *("../../etc/passwd", "/etc/passwd", "upload:../x", "upload:" + "a" * 64, "%00", "{{x}}"),
        *("liver", "A", "lesion", "plan", "grid", "pulses.0", "electrodes.*.needle", "1e5", "NaN", "true", "null"),
        *("voltage < 9**9**9**9", "voltage <", "__import__('os')"),
    ]
)
NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0, -1, 1e-300, 1e300, -1e300, 1e17, 2**31, 2**63, 2**64, 10**400, math.nan, math.inf, -0.0]),
)
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, ANY_TEXT, WORDS)
SMALL = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT | WORDS, inner, max_size=4),
    max_leaves=8,
)
DEEP = st.builds(nested, st.sampled_from([3, 50, 400, 900]), st.sampled_from(["list", "table"]))
VALUES = st.one_of(LEAVES, SMALL, DEEP)
Steps = tuple[Any, ...]


def places(value: Any, steps: Steps = ()) -> Iterator[Steps]:
    """Where something is in nested data."""
    yield steps
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*steps, key))


def change(draw: Any, body: Any) -> Any:
    """The body with one thing changed somewhere."""
    *before, last = ("body", *draw(st.sampled_from(list(places(body)))))
    root = {"body": body}
    holder: Any = root
    for step in before:
        holder = holder[step]
    here = holder[last]
    match draw(st.sampled_from(["replace", "replace", "remove", "add", "repeat", "wrap", "rename", "as text"])):
        case "remove" if before:
            del holder[last]
        case "add" if isinstance(here, dict):
            here[draw(ANY_TEXT | WORDS)] = draw(VALUES)
        case "add" | "repeat" if isinstance(here, list):
            here += [draw(VALUES)] if draw(st.booleans()) else list(here) * draw(st.sampled_from([1, 3, 300]))
        case "wrap":
            holder[last] = [here] if draw(st.booleans()) else {draw(WORDS): here}
        case "rename" if before and isinstance(holder, dict):
            holder[draw(ANY_TEXT | WORDS)] = holder.pop(last)
        case "as text":
            holder[last] = json.dumps(here) if draw(st.booleans()) else repr(here)
        case _:
            holder[last] = draw(VALUES)
    return root["body"]


def spoil(draw: Any, text: bytes) -> bytes:
    """Bytes that are hardly JSON any more."""
    cut = draw(st.integers(0, len(text)))
    match draw(st.sampled_from(["cut", "insert", "twice", "other", "utf-16", "mark", "none"])):
        case "cut":
            return text[:cut]
        case "insert":
            return text[:cut] + draw(st.binary(min_size=1, max_size=9)) + text[cut:]
        case "twice":
            return text[:-1] + b"," + text[1:]
        case "other":
            return draw(st.binary(max_size=200))
        case "utf-16":
            return text.decode().encode("utf-16")
        case "mark":
            return b"\xef\xbb\xbf" + text
        case _:
            return b""


@dataclass(frozen=True)
class Wrong:
    """A request's process, its body, and the data that it holds; None where it holds none."""

    process: str
    text: bytes
    body: Any

    def __repr__(self) -> str:
        return f"{self.process}: {self.text[:2000]!r}"


@st.composite
def requests(draw: Any) -> Wrong:
    """A request in which something is not as it should be, most often."""
    process, inputs = draw(st.sampled_from(REQUESTS))
    body: Any = {"inputs": copy.deepcopy(inputs)}
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        body = change(draw, body)
    text = json.dumps(body).encode()
    spoilt = draw(st.integers(0, 7)) == 0
    return Wrong(process, spoil(draw, text), None) if spoilt else Wrong(process, text, body)


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    data = tmp_path_factory.mktemp("malformed")
    limits = {"max_body_bytes": 8 * 2**20}
    with service(data, workers=0, **limits) as url, httpx.Client(base_url=f"{url}/v1", timeout=60) as client:
        yield client


def send(http: httpx.Client, process: str, body: bytes) -> httpx.Response:
    headers = {"Content-Type": "application/json"}
    answer = http.post(f"/processes/{process}/execution", content=body, headers=headers)
    if answer.is_success:
        assert http.delete(f"/jobs/{answer.json()['jobID']}").json()["status"] == "dismissed"
    else:
        assert answer.status_code in REFUSALS, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["status"] == answer.status_code
        assert problem["detail"] or problem["errors"]
        assert len(answer.content) < 100_000
    return answer


def has_holder(body: Any, pointer: str) -> bool:
    """Whether what holds the place of a JSON pointer is there: the place itself may be missing."""
    here = body
    for step in pointer.split("/")[1:-1]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(here, list) and name.isdigit() and int(name) < len(here):
            here = here[int(name)]
        elif isinstance(here, dict) and name in here:
            here = here[name]
        else:
            return False
    return True


@pytest.mark.parametrize("request_", REQUESTS)
def test_the_requests_are_good_before_they_are_changed(
    http: httpx.Client, request_: tuple[str, dict[str, Any]]
) -> None:
    process, inputs = request_
    answer = send(http, process, json.dumps({"inputs": inputs}).encode())
    if inputs is SCAN:  # but for its upload
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/inputs/anatomy/label_map/path"]
    else:
        assert answer.status_code == 201, answer.text


@pytest.mark.slow
def test_a_thousand_malformed_requests_are_refused_by_field(
    http: httpx.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    send(http, "plan", b"{}")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    statuses: dict[int, int] = {}

    @examples(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=QUICK)
    @given(requests())
    def refused(request: Wrong) -> None:
        answer = send(http, request.process, request.text)
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        if answer.status_code == 422:
            pointers = [error["pointer"] for error in answer.json()["errors"]]
            assert pointers
            if request.body is not None:
                assert all(has_holder(request.body, pointer) for pointer in pointers), pointers

    refused()
    assert sum(statuses.values()) >= EXAMPLES
    assert statuses[422] > EXAMPLES // 2, statuses
    assert statuses[400] > EXAMPLES // 20, statuses
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (after - before) * 1024 < 300_000_000
    assert http.get("/jobs", params={"status": "accepted"}).json()["jobs"] == []
    assert "Traceback" not in told() + "".join(capfd.readouterr())


def with_inputs(**parts: str) -> bytes:
    """A plan with parts as JSON text."""
    inputs = {**FULL, **dict.fromkeys(parts, "@@")}
    text = json.dumps({"inputs": inputs})
    for name, part in parts.items():
        text = text.replace(f'"{name}": "@@"', f'"{name}": {part}')
    return text.encode()


def swept(**parts: Any) -> bytes:
    return json.dumps({"inputs": {"plan": FULL, "axes": AXES, **parts}}).encode()


HUGE: dict[str, tuple[str, bytes, int, str]] = {
    "a million numbers for pulses": ("plan", with_inputs(pulses=f"[{'1,' * MILLION}1]"), 422, "/inputs/pulses"),
    "a million pulses": ("plan", with_inputs(pulses=f"[{'{},' * MILLION}1]"), 422, "/inputs/pulses"),
    "a million targets": ("plan", with_inputs(targets=f"[{'[],' * MILLION}1]"), 422, "/inputs/targets"),
    "a million axes": ("sweep", swept(axes=[1] * MILLION), 422, "/inputs/axes"),
    "a million values": ("sweep", swept(axes=[{**AXES[0], "values": [1] * MILLION}]), 422, "/inputs/axes/0"),
    "a million wrong values": (
        "sweep",
        swept(axes=[{**AXES[0], "values": ["x"] * MILLION}]),
        422,
        "/inputs/axes/0/values",
    ),
    "a hundred thousand unknown fields": (
        "plan",
        with_inputs(avoid=json.dumps({f"k{i}": 1 for i in range(300_000)})),
        422,
        "/inputs/avoid",
    ),
    "unknown keys beside the inputs": ("plan", json.dumps({f"k{i}": 1 for i in range(300_000)}).encode(), 422, ""),
    "a key of megabytes": ("plan", json.dumps({"inputs": {"." * 7_000_000: 1}}).encode(), 422, "/inputs/plan"),
    "a key of megabytes beside the inputs": ("plan", json.dumps({"." * 7_000_000: 1}).encode(), 422, ""),
    "a key of megabytes twice": ("plan", b'{"%s": 1, "%s": 1}' % (b"." * 3_000_000, b"." * 3_000_000), 400, ""),
    "a name of megabytes": ("plan", with_inputs(targets=json.dumps(["a" * 7_000_000])), 422, "/inputs/targets/0"),
    "a condition of megabytes": (
        "sweep",
        swept(constraints=[{"require": "+".join("1" * 1_000_000) + "<2"}]),
        422,
        "/inputs/constraints/0/require",
    ),
    "a million brackets": ("plan", with_inputs(title="[" * MILLION + "]" * MILLION), 400, ""),
    "a million tables": ("plan", with_inputs(title='{"a":' * MILLION + "1" + "}" * MILLION), 400, ""),
    "a million digits": ("plan", with_inputs(title="9" * MILLION), 400, ""),
    "a number beyond all": ("plan", with_inputs(thresholds_v_per_cm="[1e999]"), 422, "/inputs/thresholds_v_per_cm/0"),
    "NaN": ("plan", with_inputs(thresholds_v_per_cm="[NaN]"), 400, ""),
    "a key twice": ("plan", with_inputs(title='"a", "title": "b"'), 400, ""),
    "no UTF-8": ("plan", b'{"inputs": {"title": "\xff"}}', 400, ""),
    "more bytes than are taken": ("plan", b" " * (8 * 2**20 + 1), 413, ""),
}


@pytest.mark.parametrize("name", HUGE)
def test_huge_requests_cost_little(http: httpx.Client, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    process, body, status, pointer = HUGE[name]
    memory, seconds = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    answer = send(http, process, body)
    assert answer.status_code == status, answer.text[:500]
    assert time.process_time() - seconds < 10  # it was a minute and more where a million errors were told
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) * 1024 < 500_000_000
    if status == 422:
        assert all(error["pointer"].startswith(pointer) for error in answer.json()["errors"])
    assert "Traceback" not in told() + "".join(capfd.readouterr())


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
def test_only_json_is_taken(http: httpx.Client, media_type: str) -> None:
    body = json.dumps({"inputs": FULL}).encode()
    headers = {"Content-Type": media_type} if media_type else {}
    answer = http.post("/processes/plan/execution", content=body, headers=headers)
    assert answer.status_code == 415
    assert "Content-Type: application/json" in answer.json()["detail"]


def test_how_long_a_result_is_kept_has_bounds(http: httpx.Client) -> None:
    for seconds in ("0", "-1", "1e300", "3.2e9", '"long"'):
        answer = send(http, "plan", b'{"inputs": %s, "retain_s": %s}' % (json.dumps(plan()).encode(), seconds.encode()))
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/retain_s"]
    assert send(http, "plan", b'{"inputs": %s, "retain_s": 3.1e9}' % json.dumps(plan()).encode()).status_code == 201
