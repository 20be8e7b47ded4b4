"""`porefield serve`: the application under uvicorn, in this process."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
import uvicorn

from .environment import configure_numerics
from .outcomes import told_errors
from .settings import ServiceSettings, load_settings

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
        for server in self.servers:
            for listening in server.sockets:
                host, port = listening.getsockname()[:2]
                url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
                keys = "API keys needed" if self._settings.protected else "no API key needed on this address"
                typer.echo(f"porefield listens on {url} ({keys}); documentation at {url}/v1/docs", err=True)


def serve(
    config: Annotated[Path | None, typer.Option(help="TOML file of settings; the environment goes over it.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on. 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 for any free one. 8000.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Uploads, results and SQLite. ./porefield-data.")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes. 1.")] = None,
    executor: Annotated[str | None, typer.Option(help="processes (default), ray or in_process.")] = None,
    print_config: Annotated[bool, typer.Option("--print-config", help="Show all settings and exit.")] = False,
) -> None:
    """Serve planning jobs over HTTP. Works without any set-up on this machine; docs/service.md tells the rest.

    Research software, not a medical device.
    """
    configure_numerics()
    with told_errors(as_json=False):
        settings = load_settings(config, host=host, port=port, data_dir=data_dir, workers=workers, executor=executor)
        if print_config:
            typer.echo(json.dumps(settings.model_dump(mode="json"), indent=2))
            return
        from .app import create_app
        from .log import configure_logging

        configure_logging(settings.log_format)
        app = create_app(settings)
    uvicorn_config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        proxy_headers=settings.public_url is not None,
    )
    server = Server(uvicorn_config, settings, app.state.services)
    server.run()
    if not server.started:
        raise typer.Exit(1)
