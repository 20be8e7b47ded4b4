"""moto's S3 server in a thread, on a free port of the loopback, with a list of the requests that it got."""

from __future__ import annotations

import os
import secrets
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from moto.server import ThreadedMotoServer
from werkzeug.serving import WSGIRequestHandler

SECRET = "a-key-that-nobody-may-tell"


class S3Server:
    """A running server.

    Attributes:
        requests: method and path of each request, in order.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.requests: list[tuple[str, str]] = []
        self.bucket = ""
        self.environment = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    def foreign_variables(self) -> list[str]:
        """Of the environment that the tests run in."""
        return [name for name in os.environ if name.startswith("AWS_") and name not in self.environment]

    def make_bucket(self) -> None:
        """A new one, named by `bucket`."""
        self.bucket = f"bucket-{secrets.token_hex(4)}"  # moto's servers of one process share their buckets
        request = urllib.request.Request(f"{self.endpoint}/{self.bucket}", method="PUT")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            assert answer.status == 200

    def url(self, prefix: str = "study/sweep") -> str:
        return f"s3://{self.bucket}/{prefix}"


@contextmanager
def serving() -> Iterator[S3Server]:
    """The server, until the block ends."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    mine = S3Server(f"http://{host}:{port}")

    def note(handler: WSGIRequestHandler, *_: Any) -> None:
        mine.requests.append((handler.command, handler.path))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WSGIRequestHandler, "log_request", note)
        yield mine
        server.stop()
