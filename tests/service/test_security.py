"""Who may see what: keys, owners, capability URLs, paths, headers, limits; and what never reaches a log."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from porefield.meshes.errors import PlanError
from porefield.service.client import Client, ServiceError, ServiceJob
from porefield.service.database.engine import make_engine
from porefield.service.database.keys import create_key, revoke_key
from porefield.service.database.schema import upgrade
from porefield.service.limits import Rates
from porefield.service.links import Links
from porefield.service.log import hide_secrets
from porefield.service.problems import ApiError
from porefield.service.results import safe_file
from porefield.service.settings import load_settings

from .conftest import plan
from .server import service, settings, told


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """URL of a server that needs keys, and the keys of two people and one that was revoked."""
    data = tmp_path_factory.mktemp("protected")
    url = settings(data).database
    upgrade(url)
    engine = make_engine(url)
    made = {name: create_key(engine, name) for name in ("ada", "bela", "gone")}
    revoke_key(engine, made["gone"].key.prefix)
    engine.dispose()
    with service(data, require_keys=True, max_unfinished_jobs=3) as address:
        yield address, {name: key.secret for name, key in made.items()}


def test_a_server_on_a_public_address_does_not_start_without_keys(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="require_keys: expected true on an address that others can reach"):
        load_settings(host="0.0.0.0", require_keys=False, data_dir=tmp_path).check()
    assert load_settings(host="0.0.0.0", data_dir=tmp_path).protected
    for host in ("127.0.0.1", "::1", "localhost"):
        assert not load_settings(host=host, data_dir=tmp_path).protected
    assert load_settings(host="porefield.example", data_dir=tmp_path).protected


def test_requests_without_a_valid_key_are_refused(protected: tuple[str, dict[str, str]]) -> None:
    url, keys = protected
    tampered = keys["ada"][:-1] + ("A" if keys["ada"][-1] != "A" else "B")
    for headers in (
        {},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": f"Bearer {tampered}"},
        {"Authorization": f"Bearer {keys['gone']}"},
        {"Authorization": f"Basic {keys['ada']}"},
    ):
        answer = httpx.get(f"{url}/v1/jobs", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/problem+json"
    headers = {"Authorization": f"Bearer {keys['ada']}"}
    assert httpx.get(f"{url}/v1/jobs", headers=headers).status_code == 200
    for path in ("/health/live", "/health/ready", "/metrics", "/v1/"):
        assert httpx.get(f"{url}{path}").status_code == 200


def test_a_key_sees_only_its_own_jobs_and_uploads(protected: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    url, keys = protected
    upload = tmp_path / "labels.nii.gz"
    upload.write_bytes(small_nifti())
    with Client(url, keys["ada"]) as ada, Client(url, keys["bela"]) as bela:
        job = ada.submit("plan", plan()).wait(120)
        sha = ada.upload(upload).removeprefix("upload:")
        assert [j.id for j in ada.jobs()] == [job.id]
        assert list(bela.jobs()) == []
        assert bela.request("GET", "/anatomies").json()["anatomies"] == []
        for method, path in (
            ("GET", f"/jobs/{job.id}"),
            ("DELETE", f"/jobs/{job.id}"),
            ("GET", f"/jobs/{job.id}/results"),
            ("GET", f"/jobs/{job.id}/events"),
            ("GET", f"/jobs/{job.id}/files/summary.json"),
            ("GET", f"/jobs/{job.id}/result.zarr/zarr.json"),
            ("GET", f"/jobs/{job.id}/nifti/zone"),
            ("POST", f"/jobs/{job.id}/links"),
            ("GET", f"/anatomies/{sha}"),
            ("DELETE", f"/anatomies/{sha}"),
        ):
            with pytest.raises(ServiceError) as refused:
                bela.request(method, path, json={} if method == "POST" else None)
            assert refused.value.status == 404, path
        scan = plan(anatomy={"label_map": {"path": f"upload:{sha}", "names": {1: "liver"}, "background": "fat"}})
        with pytest.raises(ServiceError, match="an upload of this key"):
            bela.submit("plan", scan)
        # the same inputs are answered from the cache of results, across keys
        assert bela.submit("plan", plan()).status["cached"]


def test_unfinished_jobs_of_a_key_are_bounded(protected: tuple[str, dict[str, str]]) -> None:
    url, keys = protected
    with Client(url, keys["bela"]) as bela:
        slow = [bela.submit("plan", plan(900 + i, grid={"spacing_mm": 0.4})) for i in range(3)]
        answer = httpx.post(
            f"{url}/v1/processes/plan/execution",
            json={"inputs": plan(990)},
            headers={"Authorization": f"Bearer {keys['bela']}"},
        )
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.json()["type"] == "/problems/too-many-jobs"
        for job in slow:
            job.cancel()


def test_capability_urls_show_one_result_until_they_expire(protected: tuple[str, dict[str, str]]) -> None:
    url, keys = protected
    with Client(url, keys["ada"]) as ada:
        job = ada.submit("plan", plan()).wait(120)
        other = ada.submit("plan", plan(905)).wait(120)
        link = job.share(3600)
        assert httpx.get(link["href"]).status_code == 200
        assert httpx.get(f"{link['store']}/zarr.json").status_code == 200
        token = link["href"].split("/shared/")[1].split("/")[0]
        assert job.id not in link["href"]
        forged = token[:10] + ("A" if token[10] != "A" else "B") + token[11:]
        for wrong in (forged, token + "A", "x", token.split(".")[0]):
            assert httpx.get(f"{url}/v1/shared/{wrong}/report.html").status_code == 404
        assert httpx.get(f"{url}/v1/shared/{token}/../{other.id}/summary.json").status_code == 404
        short = job.share(1)
        time.sleep(2.1)
        assert httpx.get(short["href"]).status_code == 404


def test_tokens_are_bound_to_job_and_time() -> None:
    links, job = Links(b"secret" * 6), "0123456789abcdef0123456789abcdef"
    token = links.token(job, 1000.0)
    assert links.job_of(token, now_s=999) == job
    assert links.job_of(token, now_s=1001) is None
    assert Links(b"another" * 6).job_of(token, now_s=999) is None


ESCAPES = (
    "../{other}/summary.json",
    "..%2f{other}%2fsummary.json",
    "%2e%2e/{other}/summary.json",
    "%252e%252e/{other}/summary.json",
    "result.zarr/../../{other}/summary.json",
    "/etc/passwd",
    "//etc/passwd",
    "..\\{other}\\summary.json",
    "link.json",
    "linked/passwd",
    ".hidden",
    "summary.json%00.png",
    "summary.json/",
    "x" * 5000,
)


@pytest.mark.parametrize("name", ESCAPES)
def test_no_path_leaves_a_result(name: str, url: str, solved: ServiceJob) -> None:
    name = name.replace("{other}", solved.id)
    for route in (f"/v1/jobs/{solved.id}/files/", f"/v1/jobs/{solved.id}/result.zarr/"):
        address = httpx.URL(url).copy_with(raw_path=(route + name).encode())
        answer = httpx.get(address)
        assert answer.status_code in (404, 414), (answer.status_code, name)
        assert b"root:" not in answer.content


def test_links_and_hidden_files_lead_nowhere(tmp_path: Path) -> None:
    inside = tmp_path / "result"
    (inside / "sub").mkdir(parents=True)
    (inside / "a.json").write_text("{}")
    (inside / "sub" / "b").write_text("b")
    (inside / ".hidden").write_text("x")
    (tmp_path / "secret").write_text("x")
    os.symlink(tmp_path / "secret", inside / "link.json")
    os.symlink("/etc", inside / "linked")
    os.symlink(inside / "a.json", inside / "own")
    assert safe_file(inside, "a.json") == inside / "a.json"
    assert safe_file(inside, "sub/b") == inside / "sub" / "b"
    for name in (
        "link.json",
        "linked/passwd",
        "own",
        ".hidden",
        "sub",
        "",
        ".",
        "..",
        "../secret",
        "sub/../a.json",
        "sub//b",
    ):
        assert safe_file(inside, name) is None, name


def test_every_response_carries_security_headers(url: str, solved: ServiceJob) -> None:
    for path in ("/v1/", "/v1/nothing", f"/v1/jobs/{solved.id}/files/report.html", "/health/live"):
        headers = httpx.get(url + path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Request-ID"]
        assert "server" not in headers
    report = httpx.get(f"{url}/v1/jobs/{solved.id}/files/report.html").headers["Content-Security-Policy"]
    assert "sandbox" in report
    assert "script-src" not in report


def test_bodies_are_bounded_before_they_are_read(url: str) -> None:
    large = b'{"inputs": {"title": "' + b"x" * 9_000_000 + b'"}}'
    answer = httpx.post(
        f"{url}/v1/processes/plan/execution", content=large, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413
    assert answer.json()["type"] == "/problems/body-too-large"

    def chunks() -> Iterator[bytes]:
        yield b'{"inputs": {"title": "'
        for _ in range(90):
            yield b"x" * 100_000

    headers = {"Content-Type": "application/json"}
    answer = httpx.post(f"{url}/v1/processes/plan/execution", content=chunks(), headers=headers)
    assert answer.status_code == 413
    deep = b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    answer = httpx.post(f"{url}/v1/processes/plan/execution", content=deep, headers=headers)
    assert answer.status_code in (400, 422)


def test_rates_are_bounded_and_refill() -> None:
    now = [0.0]
    rates = Rates(60, clock=lambda: now[0])
    for _ in range(30):
        rates.take("ada")
    with pytest.raises(ApiError) as refused:
        rates.take("ada")
    assert refused.value.status == 429
    assert int(refused.value.headers["Retry-After"]) >= 1
    rates.take("bela")
    now[0] = 1.01
    rates.take("ada")


def test_server_paths_can_not_be_read_through_a_plan(client: Client) -> None:
    for path in ("/etc/passwd", "../labels.nii.gz", "${HOME}/x.nii", "upload:zz", "upload:" + "0" * 64):
        scan = plan(anatomy={"label_map": {"path": path, "names": {1: "liver"}, "background": "fat"}})
        with pytest.raises(ServiceError) as refused:
            client.submit("plan", scan)
        assert refused.value.status == 422
        assert refused.value.problem["errors"][0]["pointer"] == "/inputs/anatomy/label_map/path"
    for field in ("names", "body"):
        given: dict[str, Any] = {"path": "upload:" + "0" * 64, "names": {1: "liver"}, "background": "fat"}
        scan = plan(anatomy={"label_map": {**given, field: "/etc/passwd"}})
        with pytest.raises(ServiceError) as refused:
            client.submit("plan", scan)
        assert any(e["pointer"].endswith(f"label_map/{field}") for e in refused.value.problem["errors"])
    with pytest.raises(ServiceError) as refused:
        client.submit("sweep", {"plan": "/etc/passwd", "axes": []})
    assert refused.value.status == 422


def test_secrets_do_not_reach_the_log(
    protected: tuple[str, dict[str, str]], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    url, keys = protected
    with caplog.at_level(logging.DEBUG):
        with Client(url, keys["ada"]) as ada:
            job = ada.submit("plan", plan()).wait(60)
            link = job.share(60)
            httpx.get(link["href"])
        httpx.get(f"{url}/v1/jobs", headers={"Authorization": "Bearer pfk_wrong"})
    token = link["href"].split("/shared/")[1].split("/")[0]
    server_lines = [
        f"{r.name} {r.getMessage()}" for r in caplog.records if not r.name.startswith(("httpx", "httpcore"))
    ]
    logged = told()
    assert "/jobs/{job_id}/links" in logged  # the log is looked at where it is written
    logged += "\n".join(server_lines) + "".join(capsys.readouterr())
    for secret in (keys["ada"], keys["ada"].split("_")[-1], token, "pfk_wrong"):
        assert secret not in logged
    assert hide_secrets(None, "info", {"authorization": "Bearer x", "path": "/"}) == {
        "authorization": "***",
        "path": "/",
    }


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_in_the_log_shows_no_variables(log_format: str) -> None:
    """They may hold keys, and what is known of a patient."""
    program = f"""
from porefield.service.log import configure_logging, logger
def authenticate(key):
    raise RuntimeError("out of reach")
configure_logging({log_format!r})
try:
    authenticate("pfk_" + "secret")
except RuntimeError as error:
    logger().error("unexpected error", exc_info=error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "RuntimeError: out of reach" in done.stderr
    assert "in authenticate" in done.stderr
    assert "pfk_secret" not in done.stderr + done.stdout


def small_nifti() -> bytes:
    """An asymmetric label map in mm."""
    import gzip

    import nibabel as nib
    import numpy as np

    data = np.zeros((7, 6, 5), np.uint8)
    data[1:6, 1:5, 1:4] = 1
    image = nib.Nifti1Image(data, np.diag([2.0, 2.0, 2.0, 1.0]))
    image.header.set_xyzt_units("mm")
    return gzip.compress(image.to_bytes(), mtime=0)
