"""All settings of the service: one model, read from the environment (POREFIELD_...) over a TOML file.

    POREFIELD_DATA_DIR=/srv/porefield POREFIELD_PORT=8080 porefield serve
    porefield serve --config porefield.toml

`porefield serve --print-config` lists them with what they are now; secrets are not shown.
"""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ..meshes.errors import PlanError, Problem

PREFIX = "POREFIELD_"


class ServiceSettings(BaseSettings):
    """The service's settings; every field may be set as POREFIELD_<NAME IN CAPITALS>."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    data_dir: Path = Field(default=Path("porefield-data"), description="Uploads, results, work in progress, SQLite.")
    database_url: SecretStr | None = Field(
        default=None,
        description="sqlite:///PATH or postgresql+psycopg://...; SQLite in data_dir by default. Several servers need "
        "PostgreSQL and a data_dir that all of them see.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 for any free one.")
    public_url: str | None = Field(default=None, description="URL under which clients see the server, behind a proxy.")
    require_keys: bool | None = Field(
        default=None,
        description="Whether requests need an API key; by default not on a loopback address, and always on others.",
    )
    cors_origins: tuple[str, ...] = Field(default=("*",), description="Web origins whose pages may read the API.")
    openapi: bool = Field(default=True, description="Serve the interactive documentation.")

    executor: Literal["processes", "ray", "in_process"] = Field(
        default="processes", description="Where jobs are computed: child processes, Ray, or the server itself (tests)."
    )
    workers: int = Field(default=1, ge=0, description="Worker processes; 0: this server only accepts jobs.")
    threads_per_worker: int = Field(default=2, ge=1, description="CPU threads of each worker's numerics.")
    worker_niceness: int = Field(
        default=10,
        ge=0,
        le=19,
        description="Of child processes: how far they stand back for a core, as nice(1) has it, so that the server "
        "answers while they compute.",
    )
    gpus_per_worker: float = Field(default=0, ge=0, description="Ray: GPUs of each worker; a fraction shares one.")
    ray_address: str | None = Field(default=None, description="Ray: of a running cluster; one is started otherwise.")

    lease_s: float = Field(default=30, gt=0, description="How long a server that fell silent keeps its jobs, s.")
    heartbeat_s: float = Field(default=5, gt=0, description="How often leases are renewed, s.")
    most_attempts: int = Field(default=3, ge=1, description="Tries of a job whose worker dies or hangs.")
    hang_s: float = Field(default=600, gt=0, description="A worker that tells nothing for so long is ended, s.")
    cancel_grace_s: float = Field(default=8, ge=0, description="After it was asked to stop, a worker is ended, s.")
    drain_s: float = Field(default=20, ge=0, description="On shutdown, running jobs may finish within, s.")

    max_upload_bytes: int = Field(default=2**31, gt=0, description="Of one uploaded file, as it is sent.")
    max_decompressed_bytes: int = Field(default=2**33, gt=0, description="Of one uploaded file, unpacked.")
    max_body_bytes: int = Field(default=8 * 2**20, gt=0, description="Of any other request's body.")
    max_voxels: int = Field(default=64 * 2**20, gt=0, description="Of a solve's grid, and of an uploaded image / 8.")
    max_points: int = Field(default=100_000, gt=0, description="Of a sweep or a robustness study.")
    max_unfinished_jobs: int = Field(default=1000, gt=0, description="Of one API key.")
    requests_per_minute: int = Field(default=6000, gt=0, description="Of one API key, or one address without keys.")

    retain_s: float | None = Field(
        default=30 * 86400.0, description="How long results are kept after a job ended, s; null: until deleted."
    )
    link_s: float = Field(default=86400.0, gt=0, description="How long capability URLs hold at most, s.")
    sync_wait_s: float = Field(default=60, ge=0, description="Longest wait of a synchronous execution, s.")
    log_format: Literal["json", "console"] = Field(default="console", description="Of the log on stderr.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Options of the command line over the environment; a .env file is never read."""
        return (init_settings, env_settings)

    @property
    def database(self) -> str:
        """The database's URL, secrets included."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir.expanduser().resolve() / 'porefield.sqlite'}"

    @property
    def loopback(self) -> bool:
        """Whether nobody outside of this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def protected(self) -> bool:
        """Whether requests need an API key."""
        return not self.loopback if self.require_keys is None else self.require_keys

    def check(self) -> None:
        """Refuse what must not be started.

        Raises:
            PlanError: an unprotected server on an address that others reach.
        """
        if not self.loopback and not self.protected:
            expected = "true on an address that others can reach, or a loopback host such as 127.0.0.1"
            raise PlanError.of("require_keys", expected, f"false on {self.host}")


def load_settings(config: Path | None = None, **options: Any) -> ServiceSettings:
    """Settings of a TOML file, the environment over it, options over both (None: not given).

    Raises:
        PlanError: naming the setting, what was expected and what came.
    """
    table: dict[str, Any] = {}
    if config is not None:
        try:
            table = tomllib.loads(config.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise PlanError.of("config", "a readable TOML file", f"{config}: {error}") from None
    stated = {name: value for name, value in options.items() if value is not None}
    try:
        from_environment = ServiceSettings().model_dump(exclude_unset=True)
        return ServiceSettings(**{**table, **from_environment, **stated})
    except ValidationError as error:
        raise PlanError(_problem(one) for one in error.errors()) from None


def _problem(error: ErrorDetails) -> Problem:
    """A wrong setting; what came is not repeated where it may hold a password."""
    name = ".".join(map(str, error["loc"])) or "settings"
    got = "something else" if name == "database_url" else repr(error["input"])
    return Problem(name, error["msg"].removeprefix("Input should be "), got)
