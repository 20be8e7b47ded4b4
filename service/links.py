"""Capability URLs: who has one may read one job's result until it expires, without an API key.

    token = base64url(job id | expiry) . base64url(HMAC-SHA-256)

Nothing is stored for a link. The secret lies in the database; a new one makes all links void.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import struct
import time

_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}\.[A-Za-z0-9_-]{43}")


class Links:
    """Makes and checks tokens with one secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def token(self, job_id: str, expires_s: float) -> str:
        """A token for a job's result until a moment (seconds since 1970)."""
        payload = bytes.fromhex(job_id) + struct.pack(">Q", int(expires_s))
        return f"{_text(payload)}.{_text(self._signature(payload))}"

    def job_of(self, token: str, now_s: float | None = None) -> str | None:
        """The job that a token leads to; None when it is forged, mangled or expired."""
        if not _TOKEN.fullmatch(token):
            return None
        body, signature = (_bytes(part) for part in token.split("."))
        if not hmac.compare_digest(signature, self._signature(body)):
            return None
        job, (expires_s,) = body[:16].hex(), struct.unpack(">Q", body[16:])
        return job if expires_s > (time.time() if now_s is None else now_s) else None

    def _signature(self, payload: bytes) -> bytes:
        return hmac.new(self._secret, b"porefield link\0" + payload, hashlib.sha256).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
