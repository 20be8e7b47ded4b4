"""API keys: `pfk_<prefix>_<secret>`. The secret is 256 random bits, shown once and kept as its SHA-256: slow hashes
are for passwords that people think up. The prefix is public: it finds the key's row, and people tell keys apart by it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Engine, Row, insert, select, update

from ...meshes.errors import PorefieldError
from ..clock import Clock, utc_now
from .engine import reading, writing
from .tables import ApiKeyRow

SECRET_BYTES, PREFIX_BYTES = 32, 6
LONGEST_NAME = 100
FORM = re.compile(r"pfk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
USE_NOTED_EVERY = timedelta(minutes=1)
"""`last_used` is for people; not every request shall write."""
NO_HASH = bytes(32)


class UnknownKeyError(PorefieldError):
    """There is no such API key."""


@dataclass(frozen=True)
class ApiKey:
    """An API key as the database has it.

    Attributes:
        id: the owner of what is submitted with it, 32 hexadecimal digits.
        prefix: the public part.
        name: for people.
        revoked: since when it opens nothing.
    """

    id: str
    prefix: str
    name: str
    created: datetime
    revoked: datetime | None = None
    last_used: datetime | None = None


@dataclass(frozen=True)
class NewKey:
    """A key that was just made; `secret` is the whole key as clients send it, and can't be had again."""

    key: ApiKey
    secret: str = field(repr=False)


def create_key(engine: Engine, name: str, clock: Clock = utc_now) -> NewKey:
    """Make a key.

    Raises:
        PorefieldError: naming `name`, when it is blank, has control characters or is longer than 100.
    """
    if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise PorefieldError.of("name", f"1 to {LONGEST_NAME} printable characters", repr(name[: 2 * LONGEST_NAME]))
    secret = secrets.token_urlsafe(SECRET_BYTES)
    key = ApiKey(id=uuid.uuid4().hex, prefix=secrets.token_hex(PREFIX_BYTES), name=name.strip(), created=clock())
    with writing(engine) as connection:
        connection.execute(insert(ApiKeyRow).values(**vars(key), secret_sha256=_hash(secret)))
    return NewKey(key, f"pfk_{key.prefix}_{secret}")


def revoke_key(engine: Engine, prefix: str, clock: Clock = utc_now) -> ApiKey:
    """Make a key open nothing any more, from now on; again changes nothing.

    Raises:
        UnknownKeyError: no key has this prefix.
    """
    with writing(engine) as connection:
        alive = (ApiKeyRow.prefix == prefix) & ApiKeyRow.revoked.is_(None)
        connection.execute(update(ApiKeyRow).where(alive).values(revoked=clock()))
        row = connection.execute(select(ApiKeyRow).where(ApiKeyRow.prefix == prefix)).one_or_none()
    if row is None:
        raise UnknownKeyError.of("prefix", "the prefix of a key, as 'porefield keys list' shows it", repr(prefix))
    return _key_of(row)


def list_keys(engine: Engine) -> Sequence[ApiKey]:
    """All keys, revoked ones included, oldest first."""
    with reading(engine) as connection:
        return [_key_of(row) for row in connection.execute(select(ApiKeyRow).order_by(ApiKeyRow.created, ApiKeyRow.id))]


def authenticate(engine: Engine, presented: str, clock: Clock = utc_now) -> ApiKey | None:
    """The key that a client sent, if it is one of ours and has not been revoked; its use is noted once a minute."""
    form = FORM.fullmatch(presented)
    if form is None:
        return None
    prefix, secret = form.groups()
    with reading(engine) as connection:
        row = connection.execute(select(ApiKeyRow).where(ApiKeyRow.prefix == prefix)).one_or_none()
    # An unknown prefix is compared as well: how long the answer takes tells nothing.
    kept = NO_HASH if row is None else bytes(row.secret_sha256)
    if not hmac.compare_digest(_hash(secret), kept) or row is None or row.revoked is not None:
        return None
    now = clock()
    if row.last_used is None or now - row.last_used >= USE_NOTED_EVERY:
        with writing(engine) as connection:
            connection.execute(update(ApiKeyRow).where(ApiKeyRow.id == row.id).values(last_used=now))
    return _key_of(row)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _key_of(row: Row) -> ApiKey:
    return ApiKey(row.id, row.prefix, row.name, row.created, row.revoked, row.last_used)
