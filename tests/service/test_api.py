"""The API as a client meets it: processes, execution, status, results, dismissal, and the errors of each."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import nibabel as nib
import numpy as np
import pytest
from jsonschema import Draft202012Validator

from porefield.service.client import Client, ServiceError, ServiceJob

from .conftest import plan
from .test_crash import Server

EXECUTION = "/processes/plan/execution"


SOME, ENDLESS = 40, 1000
"""Pulses: 40 are solved in some 2 s, in which progress is noted four times; 1000 outlast every wait of a test."""


def many_pulses(voltage_v: float, pulses: int = SOME) -> dict[str, Any]:
    """A plan that takes several seconds, Newton step after Newton step."""
    pulse = plan()["pulses"][0]
    return plan(grid={"spacing_mm": 0.5}, pulses=[{**pulse, "voltage_v": voltage_v + i} for i in range(pulses)])


def wait_for_step(job: ServiceJob) -> None:
    """Until the job is between Newton steps, as its events say.

    Progress is noted twice a second, and about every second time a pulse has just been begun and has no step yet: a
    job for this has to go on for many times as long. The status is not asked for over and over, because the server is
    a thread of this process.
    """
    with closing(job.events()) as events:
        for _, kind, data in events:
            if kind == "progress" and data["progress"]["step"]:
                return
            assert data.get("status", "running") in ("accepted", "running"), data
    pytest.fail("the job has ended, and never was between two steps")


def test_the_landing_page_leads_to_everything(client: Client) -> None:
    page = client.request("GET", "/").json()
    assert "not a medical device" in page["description"]
    for link in page["links"]:
        assert httpx.get(link["href"]).status_code == 200, link["href"]
    conformance = client.request("GET", "/conformance").json()["conformsTo"]
    assert "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/core" in conformance


def test_each_process_has_the_schema_of_its_inputs(client: Client) -> None:
    listed = client.request("GET", "/processes").json()["processes"]
    assert [p["id"] for p in listed] == ["plan", "sweep", "robustness"]
    for process in listed:
        described = client.request("GET", f"/processes/{process['id']}").json()
        Draft202012Validator.check_schema(described["inputs"]["inputs"]["schema"])
        Draft202012Validator.check_schema(described["outputs"]["summary"]["schema"])
    schema = client.request("GET", "/processes/plan").json()["inputs"]["inputs"]["schema"]
    Draft202012Validator(schema).validate(plan())


def test_a_plan_becomes_a_result(solved: ServiceJob) -> None:
    status = solved.status
    assert (status["status"], status["progress"], status["attempts"]) == ("successful", 100, 1)
    assert status["created"] <= status["started"] <= status["finished"] <= status["expires"]
    results = solved.results
    assert results["summary"]["targets"]["lesion"]["coverage"]["reversible"] > 0
    assert "not a medical device" in results["disclaimer"]
    names = {link["title"] for link in results["files"]}
    assert {"summary.json", "report.html", "coverage.png"} <= names
    for link in results["files"]:
        assert httpx.get(link["href"]).status_code == 200


def test_a_job_with_a_grid_check_has_an_uncertainty_for_its_numbers(client: Client) -> None:
    job = client.submit("plan", plan(solver={"check_grid": True})).wait(240)
    assert job.state == "successful"
    check = job.summary["grid_check"]
    assert check["done"]
    assert [other["ratio"] for other in check["coarser"]] == pytest.approx([2.0, 1.5], rel=0.1)
    current = check["numbers"]["/pulses/0/generator_current_a"]
    assert current["value"] == job.summary["pulses"][0]["generator_current_a"]
    # voxels of 2 mm do not resolve needles of 1.2 mm in so small a block: a third of the current
    assert 0 < current["uncertainty"] < current["value"]
    assert job.summary["pulses"][0]["solver"]["definite"] is True


def test_waiting_gives_the_result_at_once(client: Client) -> None:
    answer = client.request("POST", EXECUTION, json={"inputs": plan(810)}, headers={"Prefer": "wait=60"})
    assert answer.status_code == 200
    assert answer.headers["Preference-Applied"] == "wait=60"
    assert answer.json()["summary"]["pulses"][0]["voltage_v"] == 810
    assert answer.headers["Location"].endswith(answer.json()["jobID"])


def test_without_waiting_the_job_is_accepted(client: Client) -> None:
    answer = client.request("POST", EXECUTION, json={"inputs": plan(820)}, headers={"Prefer": "respond-async"})
    assert answer.status_code == 201
    assert answer.json()["status"] in ("accepted", "running")
    assert client.job(answer.json()["jobID"]).wait(60).state == "successful"


def test_the_same_inputs_are_answered_from_the_cache_and_say_so(client: Client, solved: ServiceJob) -> None:
    again = client.submit("plan", plan())
    assert again.id != solved.id
    assert again.state == "successful"
    assert again.status["cached"] is True
    assert again.results["cached"] is True
    assert again.summary == solved.summary
    assert solved.results["cached"] is False


def test_a_retried_submission_is_the_same_job(client: Client) -> None:
    body, headers = {"inputs": plan(830)}, {"Idempotency-Key": "retry-830"}
    first = client.request("POST", EXECUTION, json=body, headers=headers)
    second = client.request("POST", EXECUTION, json=body, headers=headers)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["jobID"] == second.json()["jobID"]
    with pytest.raises(ServiceError, match="idempotency") as refused:
        client.request("POST", EXECUTION, json={"inputs": plan(831)}, headers=headers)
    assert refused.value.status == 409


def test_events_tell_the_course_of_a_job_and_can_be_taken_up_again(client: Client) -> None:
    job = client.submit("plan", many_pulses(840))
    events = list(job.events())
    numbers = [number for number, _, _ in events]
    assert numbers == sorted(set(numbers))
    states = [data["status"] for _, kind, data in events if kind == "status"]
    assert states[0] == "accepted"
    assert states[-1] == "successful"
    stages = [data["progress"]["stage"] for _, kind, data in events if kind == "progress"]
    assert "solve" in stages
    assert stages == sorted(stages, key=("prepare", "solve", "sample", "limits", "measure", "write").index)
    middle = numbers[len(numbers) // 2]
    assert [n for n, _, _ in job.events(after=middle)] == [n for n in numbers if n > middle]


def test_jobs_are_listed_by_pages_and_filters(client: Client, solved: ServiceJob) -> None:
    for voltage_v in (851, 852, 853):
        client.submit("plan", plan(voltage_v)).wait(60)
    page = client.request("GET", "/jobs", params={"limit": 2}).json()
    assert len(page["jobs"]) == 2
    everything = [job.id for job in client.jobs(limit=2)]
    assert len(everything) == len(set(everything)) >= 4
    assert solved.id in everything
    assert everything == sorted(everything, reverse=True)
    assert all(job.state == "successful" for job in client.jobs(status="successful", limit=3))
    assert list(client.jobs(processID="sweep", since="2100-01-01T00:00:00Z")) == []
    with pytest.raises(ServiceError) as refused:
        client.request("GET", "/jobs", params={"cursor": "forged"})
    assert refused.value.status == 422
    assert refused.value.problems[0].field == "query.cursor"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"electrodes": []}, "/inputs/electrodes"),
        ({"unknown": 1}, "/inputs/unknown"),
        ({"pulses": [{"anode": ["A"], "cathode": ["B"], "voltage_v": -1}]}, "/inputs/pulses/0/voltage_v"),
        ({"grid": {"spacing_mm": 0.05}}, "/inputs/grid/spacing_mm"),
    ],
)
def test_wrong_plans_are_refused_by_json_pointer(client: Client, change: dict[str, Any], pointer: str) -> None:
    with pytest.raises(ServiceError) as refused:
        client.submit("plan", {**plan(), **change})
    assert refused.value.status == 422
    assert refused.value.problem["type"] == "/problems/invalid-inputs"
    assert any(error["pointer"].startswith(pointer) for error in refused.value.problem["errors"])


def test_a_plan_that_fails_in_its_anatomy_fails_as_a_job_with_its_fields(client: Client) -> None:
    apart = plan(
        electrodes=[
            plan()["electrodes"][0],
            {
                **plan()["electrodes"][1],
                "needle": {"tip_mm": [-3.9, 7, 102], "direction": [0, 0, -1], "diameter_mm": 1.2, "exposed_mm": 7},
            },
        ]
    )
    with pytest.raises(ServiceError) as failed:
        client.submit("plan", apart).wait(60)
    assert failed.value.problem["type"] == "/problems/job/geometry"
    assert failed.value.problem["errors"][0]["pointer"] == "/inputs/electrodes/1"
    answer = httpx.post(f"{client.url}/v1{EXECUTION}", json={"inputs": apart}, headers={"Prefer": "wait=60"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nothing", None, 404),
        ("GET", "/jobs/0123", None, 404),
        ("GET", "/processes/other", None, 404),
        ("POST", "/processes/other/execution", b'{"inputs": {}}', 404),
        ("PUT", "/jobs", None, 405),
        ("POST", EXECUTION, b"{not json", 400),
        ("POST", EXECUTION, b"[]", 422),
        ("POST", EXECUTION, b'{"inputs": 3}', 422),
        ("GET", "/jobs?limit=0", None, 422),
        ("GET", "/jobs?status=odd", None, 422),
    ],
)
def test_every_error_is_a_problem(url: str, method: str, path: str, body: bytes | None, status: int) -> None:
    headers = {"Content-Type": "application/json"} if body else {}
    answer = httpx.request(method, f"{url}/v1{path}", content=body, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"].startswith("/problems/")
    assert problem["instance"] == f"/v1{path}".partition("?")[0]


def test_a_job_without_a_result_yet_says_so(client: Client) -> None:
    job = client.submit("plan", plan(860, grid={"spacing_mm": 0.5}))
    with pytest.raises(ServiceError) as refused:
        _ = job.results
    assert (refused.value.status, refused.value.problem["type"]) == (404, "/problems/result-not-ready")
    job.wait(60)


def test_a_running_job_stops_when_it_is_dismissed(client: Client) -> None:
    job = client.submit("plan", many_pulses(870, ENDLESS))
    wait_for_step(job)
    assert job.refresh().status["detail"]["stage"] == "solve"
    job.cancel()
    with pytest.raises(ServiceError, match="dismissed"):
        job.wait(60, progress=False)
    assert job.status["message"] == ""  # heard between Newton steps; a worker that has to be ended is told of here


def test_an_ended_job_is_removed_with_its_result_but_not_that_of_others(client: Client) -> None:
    first = client.submit("plan", plan(880)).wait(60)
    second = client.submit("plan", plan(880))
    assert second.status["cached"]
    first.cancel()
    with pytest.raises(ServiceError) as gone:
        first.refresh()
    assert gone.value.status == 404
    assert second.summary["pulses"][0]["voltage_v"] == 880
    assert second.dataset()["zone"].shape == (16, 14, 12)
    second.cancel()
    with pytest.raises(ServiceError):
        second.refresh()
    third = client.submit("plan", plan(880))
    assert third.status["cached"] is False  # nothing is left to answer with
    third.wait(60)


def test_nifti_is_in_the_patients_frame(solved: ServiceJob, tmp_path: Path) -> None:
    path = solved.nifti("zone", tmp_path)
    image: Any = nib.load(path)
    maps = solved.dataset()
    np.testing.assert_array_equal(np.asarray(image.dataobj), maps["zone"].to_numpy())
    np.testing.assert_allclose(image.affine @ [0, 0, 0, 1], [-7.5, 0.5, 100.5, 1])
    assert image.header.get_xyzt_units()[0] == "mm"
    field: Any = nib.load(solved.nifti("field_v_per_m", tmp_path, pulse=0))
    np.testing.assert_array_equal(np.asarray(field.dataobj), maps["field_v_per_m"].to_numpy()[0])
    for name in ("nothing", "probability_reversible"):
        with pytest.raises(ServiceError) as refused:
            solved.nifti(name, tmp_path)
        assert refused.value.status == 404


def test_a_sweep_and_a_robustness_study_run_too(client: Client) -> None:
    axes = [{"name": "voltage", "field": "pulses.*.voltage_v", "values": [700, 800, 900]}]
    sweep = client.submit("sweep", {"plan": plan(), "axes": axes, "maps": ["zone"]}).wait(120)
    data = sweep.dataset()
    assert data["voltage"].values.tolist() == [700, 800, 900]
    assert (np.diff(data["generator_current_a"].values[:, 0]) > 0).all()
    assert "points.parquet" in {link["title"] for link in sweep.results["files"]}
    study = client.submit("robustness", {"plan": plan(), "samples": 4, "groups": "kind"}).wait(180)
    assert study.summary["points"]["total"] == 20
    assert study.dataset()["probability_reversible"].shape == (16, 14, 12)
    assert httpx.get(f"{client.url}/v1/jobs/{study.id}/files/report.html").status_code == 200
    too_many = {"plan": plan(), "axes": [{**axes[0], "values": list(range(100, 700))}]}
    with pytest.raises(ServiceError) as refused:
        client.submit("sweep", too_many)
    assert refused.value.status == 422


def test_health_and_metrics(url: str, solved: ServiceJob) -> None:
    assert httpx.get(f"{url}/health/live").json() == {"status": "ok", "problems": {}}
    ready = httpx.get(f"{url}/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ok")
    text = httpx.get(f"{url}/metrics").text
    for name in ("porefield_jobs{", "porefield_solve_seconds_count", "porefield_iterations_total", "process_resident"):
        assert name in text
    assert json.dumps(solved.id) not in text


@pytest.mark.slow
def test_ray_takes_the_place_of_child_processes_by_one_setting(tmp_path: Path) -> None:
    """The server in a process of its own: Ray's workers import the product, not this test."""
    server = Server(tmp_path / "data", executor="ray", workers=1)
    try:
        server.start()
        with Client(server.url) as client:
            job = client.submit("plan", plan(), idempotency_key="ray").wait(180, progress=False)
            assert job.summary["status"] == "converged"
            slow = client.submit("plan", many_pulses(700, ENDLESS))
            wait_for_step(slow)
            slow.cancel()
            with pytest.raises(ServiceError, match="dismissed"):
                slow.wait(60, progress=False)
        assert server.stop() == 0
    finally:
        server.end()
