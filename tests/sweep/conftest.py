"""An S3 server, and a Ray cluster, on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .s3_server import S3Server, serving


@pytest.fixture(scope="module")
def s3_server() -> Iterator[S3Server]:
    with serving() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server with an empty bucket, and the environment that leads to it."""
    s3_server.make_bucket()
    for name in s3_server.foreign_variables():
        monkeypatch.delenv(name)
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A running Ray head, with one CPU or as many as the test's parameter says; tests may add nodes."""
    from ray.cluster_utils import Cluster

    cpus = getattr(request, "param", 1)
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": cpus, "include_dashboard": False})
    yield made
    made.shutdown()
