"""Servers for tests, on a free loopback port: in a thread of the test process, or in a process of their own."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import structlog
import uvicorn
from fastapi import FastAPI

from porefield.service.app import create_app
from porefield.service.log import silence_access_log
from porefield.service.settings import ServiceSettings, load_settings

START_S = 30.0
PATIENCE_S = 180.0
"""For a process to start or to stop: imports take seconds of CPU, of which a busy machine has few."""

SERVER_LOG = io.StringIO()
"""What servers in threads of this process log. Written to sys.stdout from a thread, while pytest puts another stream in
its place, it crashed the interpreter."""


def told() -> str:
    """What was logged since it was last asked for."""
    text = SERVER_LOG.getvalue()
    SERVER_LOG.seek(0)
    SERVER_LOG.truncate()
    return text


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The URL of an app that is served until the block ends."""
    silence_access_log()
    told()  # of servers before this one
    # rich's tracebacks, the default, show every local variable: seconds in a process that has run many tests
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    processors = [*structlog.get_config()["processors"][:-1], plain]
    structlog.configure(processors=processors, logger_factory=structlog.PrintLoggerFactory(SERVER_LOG))
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


class Server:
    """`porefield serve` in a process of its own; restarted on the same data."""

    program = "from porefield.service.cli import main; main()"

    def __init__(self, data: Path, **settings: Any) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url, self.data, self.log = f"http://127.0.0.1:{self.port}", data, data.with_suffix(".log")
        usual = {"lease_s": 3, "most_attempts": 50, "threads_per_worker": 1, "requests_per_minute": 1_000_000}
        self._environment = os.environ | {
            f"POREFIELD_{name.upper()}": str(value) for name, value in {**usual, **settings}.items()
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, before: Callable[[], None] | None = None) -> None:
        arguments = ["serve", "--port", str(self.port), "--data-dir", str(self.data)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", self.program, *arguments],
                env=self._environment,
                stderr=log,
                stdout=log,
                preexec_fn=before,
            )
        deadline = time.monotonic() + PATIENCE_S
        while True:
            assert self._process.poll() is None, self.log.read_text()[-2000:]
            assert time.monotonic() < deadline, "the server did not start"
            try:
                if httpx.get(f"{self.url}/health/live").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def end(self) -> None:
        """Whatever state it is in."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def workers(self) -> list[int]:
        """Child processes that compute."""
        found = []
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                text = status.read_text()
                command = (status.parent / "cmdline").read_bytes()
            except OSError:
                continue
            parent = re.search(r"^PPid:\t(\d+)$", text, re.MULTILINE)
            if parent and int(parent[1]) == self.process.pid and b"resource_tracker" not in command:
                found.append(int(status.parent.name))
        return found
