"""`porefield serve`: the application under uvicorn, in this process."""

from __future__ import annotations

import gc
import signal
import socket
from types import FrameType

import typer
import uvicorn

from .app import create_app
from .log import configure_logging
from .settings import ServiceSettings

GRACE_S = 5
"""Open connections may take so long to end once the server was told to stop; jobs have `drain_s` after that."""


class Server(uvicorn.Server):
    """uvicorn, with streams that end when the server is told to stop, and a word on where it listens."""

    def __init__(self, config: uvicorn.Config, settings: ServiceSettings, services: object) -> None:
        super().__init__(config)
        self._settings, self._services = settings, services

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._services.closing.set()  # type: ignore[attr-defined]
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        # What was imported and made so far stays until the end. The collector need not look through it again, which
        # kept everyone waiting for 0.2 s each time.
        gc.collect()
        gc.freeze()
        for server in self.servers:
            for listening in server.sockets:
                host, port = listening.getsockname()[:2]
                url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
                keys = "API keys needed" if self._settings.protected else "no API key needed on this address"
                typer.echo(f"porefield listens on {url} ({keys}); documentation at {url}/v1/docs", err=True)


def run_server(settings: ServiceSettings) -> bool:
    """Serve until the process is told to stop; whether it ever listened.

    Raises:
        PorefieldError: settings that must not be started, a database or data folder that can't be used.
    """
    configure_logging(settings.log_format)
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        proxy_headers=settings.public_url is not None,
    )
    server = Server(config, settings, app.state.services)
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn raises the signal anew once it has shut down in order; by then it has been heeded
        signal.signal(number, lambda *_: None)
    server.run()
    return server.started
