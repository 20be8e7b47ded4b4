"""A server in a thread of the test process, on a free loopback port."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from porefield.service.app import create_app
from porefield.service.log import silence_access_log
from porefield.service.settings import ServiceSettings, load_settings

START_S = 30.0


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The URL of an app that is served until the block ends."""
    silence_access_log()
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False, server_header=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + START_S
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        assert thread.is_alive(), "the server ended by itself"
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        app.state.services.closing.set()
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive(), "the server did not stop"


def settings(data_dir: Path, **more: Any) -> ServiceSettings:
    """Settings of a server for tests: small limits, short leases."""
    usual: dict[str, Any] = {
        "data_dir": data_dir,
        "port": 0,
        "threads_per_worker": 1,
        "lease_s": 5,
        "drain_s": 2,
        "cancel_grace_s": 3,
        "max_voxels": 200_000,
        "max_points": 500,
        "max_upload_bytes": 2_000_000,
        "max_decompressed_bytes": 20_000_000,
        "requests_per_minute": 1_000_000,
    }
    return load_settings(**{**usual, **more})


@contextmanager
def service(data_dir: Path, **more: Any) -> Iterator[str]:
    """A whole service with its workers."""
    with serving(create_app(settings(data_dir, **more))) as url:
        yield url
