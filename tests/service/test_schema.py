"""The OpenAPI document against the server: schemathesis, all checks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from porefield.service.client import Client
from porefield.service.database.engine import make_engine
from porefield.service.database.keys import create_key
from porefield.service.database.schema import upgrade

from .conftest import plan
from .server import service, settings
from .test_security import small_nifti


def test_the_document_tells_of_problem_details_and_of_no_other_error(url: str) -> None:
    document = httpx.get(f"{url}/v1/openapi.json").json()
    assert "Problem" in document["components"]["schemas"]
    assert "HTTPValidationError" not in str(document)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["operationId"], (method, path)
            for status, response in operation["responses"].items():
                if int(status) >= 400 and "/health/" not in path:
                    assert list(response["content"]) == ["application/problem+json"], (method, path, status)


CONFIG = """
[parameters]
"path.job_id" = "{job}"
"path.sha256" = "{sha256}"

# What a file or a plan must be goes beyond what a schema can say: these refusals of valid requests are documented.
[[operations]]
include-operation-id = "uploadAnatomy"
checks.positive_data_acceptance.expected-statuses = ["2xx", 413, 415, 422]

[[operations]]
include-operation-id = "execute"
checks.positive_data_acceptance.expected-statuses = ["2xx", 404, 422]

# a cursor is what an earlier page gave
[[operations]]
include-operation-id = "listJobs"
checks.positive_data_acceptance.expected-statuses = ["2xx", 422]
"""


@pytest.mark.slow
def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    upgrade(settings(data).database)
    engine = make_engine(settings(data).database)
    key = create_key(engine, "schemathesis").secret
    engine.dispose()
    with service(data, require_keys=True) as url, Client(url, key) as client:
        (tmp_path / "labels.nii.gz").write_bytes(small_nifti())
        sha256 = client.upload(tmp_path / "labels.nii.gz").removeprefix("upload:")
        job = client.submit("plan", plan()).wait(300)
        config = tmp_path / "schemathesis.toml"
        config.write_text(CONFIG.format(job=job.id, sha256=sha256))
        program = str(Path(sys.executable).with_name("schemathesis"))
        command = [
            program,
            "--config-file",
            str(config),
            "run",
            f"{url}/v1/openapi.json",
            "-H",
            f"Authorization: Bearer {key}",
        ]
        options = [
            "--checks",
            "all",
            "--max-examples",
            "20",
            "--seed",
            "7",
            "--workers",
            "1",
            "--request-timeout",
            "20",
        ]
        done = subprocess.run([*command, *options], capture_output=True, text=True, cwd=tmp_path, timeout=500)
    assert done.returncode == 0, done.stdout[-6000:]
