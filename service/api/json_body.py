"""Routes whose body is JSON, as RFC 8259 has it and no more: what is ambiguous is refused, as it is in plan files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from ...meshes.model import shown
from ..problems import ApiError


class JsonRoute(APIRoute):
    """A route that takes nothing but JSON where it takes a body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def strictly(request: Request) -> Response:
            _check_media_type(request.headers.get("content-type", ""))
            return await handle(JsonRequest(request.scope, request.receive))

        return strictly


class JsonRequest(Request):
    """A request whose JSON has each key once, and no numbers that JSON doesn't know."""

    async def json(self) -> Any:
        """The body.

        Raises:
            JSONDecodeError: it is not JSON, whichever way; FastAPI makes a 400 of it.
        """
        body = await self.body()
        try:
            data = json.loads(body, object_pairs_hook=_unique, parse_constant=_refuse_constant)
        except json.JSONDecodeError:
            raise
        except (ValueError, RecursionError) as error:  # no UTF-8, a number of thousands of digits, thousands of levels
            raise json.JSONDecodeError(str(error), "", 0) from None
        self.state.json_body = data  # for whoever has to tell where in it something is wrong
        return data


def _check_media_type(stated: str) -> None:
    kind = stated.partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        detail = f"expected Content-Type: application/json; got {stated or 'none'}"
        raise ApiError(415, "unsupported-media-type", "Not JSON", detail)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        key, times = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"expected each key once, got the key {shown(key)} {times} times")
    return table


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"expected finite numbers, got {name}")
