"""Reaching an object store: from the usual AWS_* environment variables, with errors that name `out`, within seconds.

Credentials stay in the environment, where obstore reads them. What an error tells is the store's own code and message:
obstore's full text repeats requests.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from ...meshes.errors import PorefieldError
from .places import PlaceError

if TYPE_CHECKING:
    from obstore.store import S3Store

CONNECT_S = 3


class Patience(NamedTuple):
    """How long a request is repeated that meets no connection, a busy server or silence; how long one may take."""

    retries: int
    seconds: int
    request_s: int
    shortest_wait_s: float


FIRST = Patience(6, 10, 10, 0.1)
"""A store that was never reached: a wrong endpoint is told after about 3 s, a silent one after 10 s."""
LATER = Patience(1000, 60, 30, 0.5)
"""A store that has answered before: a sweep that runs for days sits out the restart of a gateway. Waits are drawn at
random and mostly short, so that only the time may end them."""
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_INSTANCE = re.compile(r"/latest/(api/token|meta-data)")
"""Where obstore asks for a role when the environment has no credentials."""


def open_bucket(url: str, patience: Patience) -> S3Store:
    """A client for the objects below an s3:// URL; no request is made.

    Raises:
        PlaceError: not such a URL, or plain http to another machine.
        PorefieldError: obstore is not installed.
    """
    bucket, prefix = parts_of(url)
    try:
        from obstore.store import S3Store
    except ImportError as error:
        expected = "obstore, of the extra: pip install 'porefield[cluster]'"
        raise PorefieldError.of("out", expected, str(error)) from None
    with errors_told(url):
        return S3Store(
            bucket,
            prefix=prefix,
            client_options={
                "allow_http": _plain_http_allowed(),
                "connect_timeout": timedelta(seconds=CONNECT_S),
                "timeout": timedelta(seconds=patience.request_s),
            },
            retry_config={
                "max_retries": patience.retries,
                "retry_timeout": timedelta(seconds=patience.seconds),
                "backoff": {
                    "init_backoff": timedelta(seconds=patience.shortest_wait_s),
                    "max_backoff": timedelta(seconds=2),
                    "base": 2,
                },
            },
        )


def parts_of(url: str) -> tuple[str, str]:
    """Bucket and prefix of an s3:// URL.

    Raises:
        PlaceError: not such a URL.
    """
    expected = "a directory, or s3://bucket/prefix"
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query:  # may hold secrets: not repeated
        raise PlaceError.of("out", f"{expected}; credentials come from AWS_* variables", "a URL with more in it")
    prefix = "/".join(part for part in parts.path.split("/") if part)
    if parts.scheme != "s3" or not parts.netloc or not prefix or {".", ".."} & set(prefix.split("/")):
        raise PlaceError.of("out", expected, url)
    return parts.netloc, prefix


@contextmanager
def errors_told(url: str) -> Iterator[None]:
    """Errors of requests below `url` as PlaceErrors.

    An object that is not there, is there already or has changed stays what it is: FileNotFoundError,
    AlreadyExistsError, PreconditionError.
    """
    from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

    try:
        yield
    except (AlreadyExistsError, PreconditionError):
        raise
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise _told(str(error), url) from None
        raise
    except BaseError as error:
        raise _told(str(error), url) from None


def _told(text: str, url: str) -> PlaceError:
    bucket, _ = parts_of(url)
    at = _endpoint() or "AWS"
    if "NoSuchBucket" in text:
        return PlaceError.of("out", "a bucket that exists", f"no bucket {bucket} at {at}")
    if _INSTANCE.search(text):
        got = "none, and no role of this machine to take their place"
        return PlaceError.of("out", f"credentials for {url} in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", got)
    if re.search("status code: (401|403)", text):
        return PlaceError.of("out", f"credentials that may read and write {url}", f"refused by {at}: {_reason(text)}")
    return PlaceError.of("out", f"an object store that serves {url}", f"{_reason(text)}, from {at}")


def _reason(text: str) -> str:
    """The store's code and message, or what came in their place."""
    found = [m.group(1) for tag in ("Code", "Message") if (m := re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL))]
    if found:
        return ": ".join(found)
    return text.splitlines()[0].rpartition(" - ")[2][:200]


def _endpoint() -> str | None:
    """Where the environment says the store is, without what a URL may hold in front of the host."""
    url = next((os.environ[name] for name in ENDPOINTS if os.environ.get(name)), None)
    if url is None:
        return None
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _plain_http_allowed() -> bool:
    """Whether requests may go unencrypted: to this machine, or where the environment says so.

    Raises:
        PlaceError: they would, to another machine, unasked.
    """
    endpoint = _endpoint()
    if endpoint is None or not endpoint.startswith("http://"):
        return False
    if os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true", "yes", "on"):
        return True
    if _is_loopback(urlsplit(endpoint).hostname or ""):
        return True
    expected = "an https:// endpoint, or AWS_ALLOW_HTTP=true for a network that you trust"
    raise PlaceError.of("out", expected, f"{endpoint} as the endpoint")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name
        return False
