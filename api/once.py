"""What is done once: requests with an Idempotency-Key, on every route that acts.

Owns the header, what makes two requests the same, and the way into the transaction in which `streams.store.answers`
keeps the answer. Refuses to know what a route does: it is called within that transaction, and whatever it writes joins
it. Routes that answer with a secret stay away: a secret is never kept.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from hashlib import blake2b
from typing import Any, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from api.house import House
from api.problems import BAD_PARAMETER, IN_FLIGHT, KEY_REUSED, ProblemError, documented, together
from streams.acting import acting
from streams.store.answers import Answer, InFlight, KeyReused

HEADER: Final = "Idempotency-Key"
AGAIN: Final = "Idempotency-Replayed"
"""Header of an answer that was given before, with the value `true`."""
LONGEST_KEY: Final = 200
"""Characters of a key: a UUID has 36."""
_PARAMETER: Final[dict[str, Any]] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "Names the request: sent again within a day, it is done once and answered as before.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[!-~]+$"},
}


@dataclass(frozen=True, slots=True)
class _Asked:
    key: str
    digest: str


_asked: ContextVar[_Asked | None] = ContextVar("asked", default=None)


class ActionRoute(APIRoute):
    """A route that acts: it takes an Idempotency-Key. Its function is a plain one and takes the house as `here`."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **given: Any) -> None:
        if not {"GET", "DELETE"} & set(given.get("methods") or ["GET"]):
            status = given.get("status_code")
            endpoint = _once(endpoint, status if isinstance(status, int) else 200)
            given["responses"] = together(given.get("responses") or {}, documented(IN_FLIGHT, KEY_REUSED))
            extra = dict(given.get("openapi_extra") or {})
            parameter = _PARAMETER | {"example": f"{endpoint.__name__}-8e03978e"}
            given["openapi_extra"] = extra | {"parameters": [*extra.get("parameters", []), parameter]}
        super().__init__(path, endpoint, **given)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, with what the request asks for laid down where the route's thread finds it."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            key = request.headers.get(HEADER)
            # set in any case: a request that came in behind another one, on one connection, begins with what that set
            _asked.set(None if key is None else _Asked(_own(_accepted(key)), _digest(request, await request.body())))
            return await handle(request)

        return handler


def _accepted(key: str) -> str:
    if not 1 <= len(key) <= LONGEST_KEY or not all("!" <= character <= "~" for character in key):
        raise ProblemError(BAD_PARAMETER, f"{HEADER} takes 1 to {LONGEST_KEY} visible ASCII characters.")
    return key


def _own(key: str) -> str:
    """The key as it is kept: everybody's keys are their own, and nobody gets another's answer."""
    return blake2b(f"{acting.get().name}\0{key}".encode(), digest_size=16).hexdigest()


def _digest(request: Request, body: bytes) -> str:
    asked = (request.method, request.url.path, request.url.query, request.headers.get("if-match", ""))
    return blake2b("\0".join(asked).encode() + b"\0" + body, digest_size=16).hexdigest()


def _once(endpoint: Callable[..., Any], status: int) -> Callable[..., Any]:
    @wraps(endpoint)
    def act(*given: Any, **named: Any) -> Any:
        asked = _asked.get()
        if asked is None:
            return endpoint(*given, **named)
        here: House = named["here"]
        try:
            with here.store().answers.once(asked.key, asked.digest, here.now()) as once:
                if once.before is not None:
                    return _response(once.before, {AGAIN: "true"})
                answer = _answer(endpoint(*given, **named), status, named.get("response"))
                once.keep(answer)
        except KeyReused:
            raise ProblemError(KEY_REUSED, "Take a new key for a new request.") from None
        except InFlight:
            raise ProblemError(IN_FLIGHT) from None
        here.noticed()
        return _response(answer)

    return act


def _answer(body: BaseModel, status: int, response: Response | None) -> Answer:
    told = ("etag", "location")
    headers = {} if response is None else {name: response.headers[name] for name in told if name in response.headers}
    return Answer(status, headers, body.model_dump_json())


def _response(answer: Answer, more: dict[str, str] | None = None) -> Response:
    return Response(answer.body, answer.status, {**answer.headers, **(more or {})}, "application/json")
