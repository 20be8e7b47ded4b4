"""Cursors of listings: where the next page begins, signed, so that only ours are followed and only in their listing."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from ...meshes.errors import PorefieldError

ID_BYTES, SIGNATURE_BYTES = 16, 16


def make_cursor(secret: bytes, listing: str, last_id: str) -> str:
    """A cursor for what comes after a job.

    Args:
        secret: of the database.
        listing: owner and filters, as text.
        last_id: id of the page's last job, 32 hexadecimal digits.
    """
    token = bytes.fromhex(last_id) + _signature(secret, listing, last_id)
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def read_cursor(secret: bytes, listing: str, cursor: str) -> str:
    """The id in a cursor.

    Raises:
        PorefieldError: naming `cursor`, when it was not made for this listing of this database.
    """
    expected = "the cursor of an earlier page of this listing, unchanged, with the same filters"
    try:
        token = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise PorefieldError.of("cursor", expected, "text of another kind") from None
    last_id = token[:ID_BYTES].hex()
    # Bytes that decode the same in more than one way count as changed, too: compared as they came.
    if not hmac.compare_digest(make_cursor(secret, listing, last_id), cursor):
        raise PorefieldError.of("cursor", expected, "another one")
    return last_id


def _signature(secret: bytes, listing: str, last_id: str) -> bytes:
    return hmac.digest(secret, f"{listing}\n{last_id}".encode(), hashlib.sha256)[:SIGNATURE_BYTES]
