"""Random secrets that all servers of a database share, made when first asked for."""

from __future__ import annotations

import secrets

from sqlalchemy import Engine, select

from .engine import reading, writing
from .statements import insert_or_leave
from .tables import SecretRow

BYTES = 32


def shared_secret(engine: Engine, name: str) -> bytes:
    """The secret of this name, 32 bytes; the same for every server."""
    wanted = select(SecretRow.value).where(SecretRow.name == name)
    with reading(engine) as connection:
        found = connection.execute(wanted).scalar()
    if found is not None:
        return bytes(found)
    with writing(engine) as connection:
        connection.execute(insert_or_leave(connection, SecretRow).values(name=name, value=secrets.token_bytes(BYTES)))
        return bytes(connection.execute(wanted).scalar_one())
