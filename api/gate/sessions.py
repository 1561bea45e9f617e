"""Signing in by name and password, signing out, and who is signed in: /v1/session.

Owns the session's cookie. Refuses to say whether a name exists, and to be asked for passwords quickly.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response

from api.gate.bodies import Credentials, SessionBody
from api.gate.door import COOKIE
from api.gate.keys import Keys, key_of
from api.gate.rates import Rate, hold_back
from api.gate.secret import drawn_session, is_password
from api.house import House, house
from api.problems import (
    BAD_PARAMETER,
    SIGN_IN_FAILED,
    STORE_UNAVAILABLE,
    TOO_MANY_REQUESTS,
    ProblemError,
    documented,
)
from streams.acting import acting
from streams.settings import Settings
from streams.store.access import Access
from streams.store.audit import Audit

router = APIRouter(tags=["access"])
TRIES_A_MINUTE: Final = 10
"""Sign-ins tried for one name, and from one address: 14,400 a day find no password of twelve characters."""

Here = Annotated[House, Depends(house)]


async def keys(request: Request) -> Keys:
    """The dependency by which a route gets at the keys that the door remembers."""
    found: Keys = request.app.state.keys
    return found


async def tries(request: Request) -> Rate:
    """The dependency that counts tried sign-ins of this app."""
    found: Rate = request.app.state.tries
    return found


@router.get("/v1/session", summary="Show who is signed in", responses=documented(STORE_UNAVAILABLE))
async def show_session(here: Here) -> SessionBody:
    """Who asks, with what permissions. Where access is `open` nobody is signed in, and everybody may do everything."""
    return SessionBody.of(here.settings.access, acting.get())


@router.post(
    "/v1/session",
    summary="Sign in as a local user",
    responses=documented(SIGN_IN_FAILED, BAD_PARAMETER, TOO_MANY_REQUESTS, STORE_UNAVAILABLE),
)
def sign_in(
    given: Credentials, request: Request, response: Response, here: Here, tried: Annotated[Rate, Depends(tries)]
) -> SessionBody:
    """The session is a cookie that scripts cannot read and other sites cannot send. With a provider, go to
    `/v1/session/oidc` instead.
    """
    address = request.client.host if request.client else ""
    for who in (f"name {given.name}", f"address {address}"):
        hold_back(tried, who)
    store = here.store()
    access = Access(store.database)
    if not is_password(given.password.get_secret_value(), access.password(given.name)):
        Audit(store.database).note("sign-in.refused", given.name, by="password", address=address)
        raise ProblemError(SIGN_IN_FAILED)
    secret, now = drawn_session(), here.now()
    user = access.sign_in(given.name, key_of(secret), now, now + lasting(here.settings))
    if user is None:
        raise ProblemError(SIGN_IN_FAILED)
    keep(response, secret, request, here.settings)
    return SessionBody.of(here.settings.access, user.caller())


@router.delete("/v1/session", summary="Sign out", status_code=204, responses=documented(STORE_UNAVAILABLE))
def sign_out(request: Request, response: Response, here: Here, known: Annotated[Keys, Depends(keys)]) -> None:
    """Ends the session for good. A token ends when an admin revokes it."""
    secret = request.cookies.get(COOKIE)
    if secret:
        Access(here.store().database).sign_out(key_of(secret), acting.get().name)
    known.forget()
    response.delete_cookie(COOKIE, path="/")


def lasting(settings: Settings) -> timedelta:
    """How long a session lasts."""
    return timedelta(hours=settings.session_hours)


def keep(response: Response, secret: str, request: Request, settings: Settings) -> None:
    """Have the browser keep the session. Lax: a session comes back from the provider by a link from another site."""
    response.set_cookie(
        COOKIE,
        secret,
        max_age=int(lasting(settings).total_seconds()),
        path="/",
        secure=is_secure(request, settings),
        httponly=True,
        samesite="lax",
    )


def is_secure(request: Request, settings: Settings) -> bool:
    """Whether browsers come by https."""
    return request.url.scheme == "https" or settings.public_url.startswith("https://")
