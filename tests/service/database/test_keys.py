"""API keys: shown once, kept as a hash, revoked."""

from __future__ import annotations

import hashlib
import hmac
import logging
from datetime import timedelta

import pytest
from sqlalchemy import Engine, select, text

from porefield.meshes.errors import PorefieldError
from porefield.service.database.keys import UnknownKeyError, authenticate, create_key, list_keys, revoke_key
from porefield.service.database.tables import ApiKeyRow

from .conftest import Clock


def test_a_key_opens_until_it_is_revoked(engine: Engine, clock: Clock) -> None:
    made = create_key(engine, " Ann's laptop ", clock)
    clock.move(10)
    other = create_key(engine, "Bob", clock)
    assert made.key.name == "Ann's laptop"
    assert made.secret.startswith(f"pfk_{made.key.prefix}_")
    opened = authenticate(engine, made.secret, clock)
    assert opened is not None
    assert opened.id == made.key.id
    clock.move(10)
    revoked = revoke_key(engine, made.key.prefix, clock)
    assert revoked.revoked == clock.now
    assert authenticate(engine, made.secret, clock) is None
    assert authenticate(engine, other.secret, clock) is not None
    clock.move(10)
    assert revoke_key(engine, made.key.prefix, clock) == revoked
    assert [key.name for key in list_keys(engine)] == ["Ann's laptop", "Bob"]
    with pytest.raises(UnknownKeyError, match="prefix"):
        revoke_key(engine, "000000000000", clock)


def test_only_the_whole_key_opens(engine: Engine, clock: Clock) -> None:
    made, other = create_key(engine, "Ann", clock), create_key(engine, "Bob", clock)
    head, secret = made.secret[: -len("x" * 43)], made.secret[-43:]
    last = "A" if secret[-2] != "A" else "B"
    wrong = [
        "",
        "pfk_",
        head,
        secret,
        f" {made.secret}",
        f"{made.secret}\n",
        made.secret.upper(),
        made.secret[:-1],
        head + secret[:-2] + last + secret[-1],
        other.secret[:17] + secret,
        f"pfk_{'0' * 12}_{secret}",
        "\0" + made.secret[1:],
        "\u00e9" * 60,
        "x" * 10**6,
    ]
    for presented in wrong:
        assert authenticate(engine, presented, clock) is None, presented[:80]


def test_the_secret_is_kept_nowhere(engine: Engine, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        made = create_key(engine, "Ann", clock)
        authenticate(engine, made.secret, clock)
    secret = made.secret[-43:]
    assert secret not in caplog.text
    assert secret not in repr(made)
    with engine.connect() as connection:
        row = connection.execute(select(ApiKeyRow)).one()
        assert secret not in str(connection.execute(text("SELECT * FROM api_keys")).one())
    assert bytes(row.secret_sha256) == hashlib.sha256(secret.encode()).digest()


def test_keys_that_differ_in_the_prefix_only_are_compared_all_the_same(
    engine: Engine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown prefix, a wrong secret and a revoked key each cost one comparison, which takes constant time."""
    made = create_key(engine, "Ann", clock)
    compared = []

    def compare(one: bytes, two: bytes) -> bool:
        compared.append((len(one), len(two)))
        return original(one, two)

    original = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", compare)
    authenticate(engine, f"pfk_{'0' * 12}_{'A' * 43}", clock)
    authenticate(engine, f"pfk_{made.key.prefix}_{'A' * 43}", clock)
    revoke_key(engine, made.key.prefix, clock)
    authenticate(engine, made.secret, clock)
    assert compared == [(32, 32)] * 3


def test_its_use_is_noted_once_a_minute(engine: Engine, clock: Clock) -> None:
    made = create_key(engine, "Ann", clock)
    used = []
    for seconds in (0, 59, 1, 30):
        clock.move(seconds)
        authenticate(engine, made.secret, clock)
        used.append(list_keys(engine)[0].last_used)
    start = clock.now - timedelta(seconds=90)
    assert used == [start, start, start + timedelta(seconds=60), start + timedelta(seconds=60)]
    authenticate(engine, made.secret[:-1] + "-", clock)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "\0", "x" * 101])
def test_names_are_for_people(engine: Engine, name: str) -> None:
    with pytest.raises(PorefieldError, match="name"):
        create_key(engine, name)
    assert list_keys(engine) == []
