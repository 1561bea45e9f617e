"""The door that every request goes through: who asks, whether that is allowed, how often, and what the audit notes.

Owns that nothing passes without a row of the table. It stands before routing and before a body is read. Refuses to know
what a route does: who asks is in `streams.acting` from here on, and the house narrows the store by it.
"""

from __future__ import annotations

import time
from functools import partial
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.gate.keys import Keys, key_of
from api.gate.rates import Rate, hold_back
from api.gate.table import Anybody, Asked, row_of
from api.house import House
from api.problems import (
    NOT_ALLOWED,
    NOT_LOCAL,
    NOT_SIGNED_IN,
    STORE_UNAVAILABLE,
    ProblemError,
    response,
)
from detector.access import LOCAL, NOBODY, Caller, Permission
from models.errors import StrayframeError
from streams.acting import acting_as
from streams.store.audit import Audit

COOKIE: Final = "strayframe_session"
REFUSALS_A_MINUTE: Final = 10
"""Entries that one caller's refusals make: the audit tells that somebody tries, and nobody fills it by trying."""
_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="strayframe"'}

_log = structlog.get_logger()


class Door:
    """ASGI middleware, around all of the app."""

    def __init__(self, app: ASGIApp, house: House, keys: Keys) -> None:
        settings = house.settings
        self._app, self._house, self._keys = app, house, keys
        self._is_open = settings.access == "open"
        self._site = urlsplit(settings.public_url).netloc
        self._of_keys, self._of_addresses = Rate(settings.rate_token), Rate(settings.rate_address)
        self._refusals = Rate(REFUSALS_A_MINUTE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in, or answer with the problem."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":  # there are no websockets here
            await self._request(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            asked = row_of(scope["method"], scope["path"])
            caller = await self._who(asked, scope)
            await self._allowed(caller, asked, scope)
        except ProblemError as error:
            await response(error)(scope, receive, send)
            return
        except StrayframeError as error:
            _log.warning("http.unavailable", path=scope["path"], error=str(error))
            await response(ProblemError(STORE_UNAVAILABLE))(scope, receive, send)
            return
        if scope["method"] == "GET" and asked.row.needs is not Anybody.PROBE:
            send = _private(send)
        if asked.row.noted:
            send = self._noting(asked, scope, receive, send)
        with acting_as(caller):
            await self._app(scope, receive, send)

    # --- who ---------------------------------------------------------------------------------------------

    async def _who(self, asked: Asked, scope: Scope) -> Caller:
        if asked.row.needs is Anybody.PROBE:
            return LOCAL if self._is_open else NOBODY
        headers = Headers(scope=scope)
        bearer = _bearer(headers)
        if bearer is None and scope["method"] not in _SAFE and _is_foreign(headers, self._site):
            raise ProblemError(NOT_ALLOWED, "A page of another site sent this.")
        if self._is_open:
            _refuse_strangers(headers)
            return LOCAL
        secret = bearer or cookie_parser(headers.get("cookie", "")).get(COOKIE)
        return await self._holder(secret, bearer is not None, _address(scope))

    async def _holder(self, secret: str | None, is_bearer: bool, address: str) -> Caller:
        if not secret:
            hold_back(self._of_addresses, address)
            return NOBODY
        key = key_of(secret)
        caller = self._keys.known(key)
        if caller is None:
            hold_back(self._of_addresses, address)
            caller = await self._keys.look_up(key, secret)
        if caller is not None:
            hold_back(self._of_keys, key)
        elif is_bearer:
            raise ProblemError(
                NOT_SIGNED_IN,
                "This token is not known, was revoked or has expired.",
                headers={"WWW-Authenticate": f'{_CHALLENGE["WWW-Authenticate"]}, error="invalid_token"'},
            )
        return caller or NOBODY

    # --- whether -----------------------------------------------------------------------------------------

    async def _allowed(self, caller: Caller, asked: Asked, scope: Scope) -> None:
        needs = asked.row.needs
        if needs in (Anybody.PROBE, Anybody.ANYBODY):
            return
        if caller is NOBODY:
            raise ProblemError(NOT_SIGNED_IN, "Sign in, or send a token.", headers=_CHALLENGE)
        if isinstance(needs, Permission) and not caller.may(needs):
            await self._note_refusal(caller, asked, scope["method"])
            raise ProblemError(NOT_ALLOWED, f"This asks for the permission `{needs.value}`.", permission=needs.value)
        if caller.integrations is not None and not asked.row.own:
            await self._note_refusal(caller, asked, scope["method"])
            raise ProblemError(NOT_ALLOWED, "This is about all integrations, and yours are named.")

    async def _note_refusal(self, caller: Caller, asked: Asked, method: str) -> None:
        if not self._refusals.wait(caller.name, time.monotonic()):
            await self._note("refused", asked.subject, caller, method=method, path=asked.path)

    # --- what is noted -----------------------------------------------------------------------------------

    def _noting(self, asked: Asked, scope: Scope, receive: Receive, send: Send) -> Send:
        """`send`, which notes before the first byte of a good answer; where that fails, nothing is answered."""
        failed = False
        query = scope["query_string"].decode("latin-1")

        async def noting(message: Message) -> None:
            nonlocal failed
            if message["type"] == "http.response.start" and message["status"] < 300:
                try:
                    await self._note(asked.row.noted, asked.subject, path=asked.path, query=query)
                except StrayframeError as error:
                    failed = True
                    _log.warning("http.unavailable", path=scope["path"], error=str(error))
                    await response(ProblemError(STORE_UNAVAILABLE))(scope, receive, send)
            if not failed:
                await send(message)

        return noting

    async def _note(self, what: str, subject: str, caller: Caller | None = None, **detail: str) -> None:
        told = {name: value for name, value in detail.items() if value}
        note = partial(Audit(self._house.store().database).note, what, subject, **told)
        if caller is None:
            await run_in_threadpool(note)
            return
        with acting_as(caller):
            await run_in_threadpool(note)


def _private(send: Send) -> Send:
    """`send`, which tells caches on the way to keep nothing, and browsers to ask again each time."""

    async def private(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).setdefault("Cache-Control", "private, no-cache")
        await send(message)

    return private


def _bearer(headers: Headers) -> str | None:
    """The token that the request shows (RFC 6750). Raises ProblemError for credentials of another scheme."""
    given = headers.get("authorization")
    if given is None:
        return None
    scheme, _, secret = given.partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise ProblemError(NOT_SIGNED_IN, "Only `Authorization: Bearer TOKEN` is read.", headers=_CHALLENGE)
    return secret.strip()


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _is_foreign(headers: Headers, site: str) -> bool:
    """Whether a browser says that a page of another site sent this: a session's cookie comes along by itself."""
    fetched = headers.get("sec-fetch-site")
    if fetched is not None:
        return fetched not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and _place(origin) not in {headers.get("host", ""), site} - {""}


def _refuse_strangers(headers: Headers) -> None:
    """Where nobody signs in: refuse what was sent on from elsewhere, by a proxy or by a name that leads here."""
    if not is_loopback(_name(headers.get("host", ""))) or "x-forwarded-for" in headers or "forwarded" in headers:
        raise ProblemError(NOT_LOCAL, "Set access to sign-in before others reach this; docs/access.md says how.")


def _place(origin: str) -> str:
    """Host and port of an origin; empty where it has none, as `null` has."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _name(host: str) -> str:
    """The host without its port; empty for what is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
