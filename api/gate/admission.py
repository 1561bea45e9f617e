"""Users and tokens over HTTP, for admins: /v1/users, /v1/tokens.

Owns the routes. Refuses to show a secret twice.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from api.gate.bodies import NewToken, NewUser, RolesHeld, TokenBody, TokenList, TokenSecret, UserBody, UserList
from api.gate.keys import Keys, key_of
from api.gate.secret import drawn_token, password_digest
from api.gate.sessions import keys
from api.house import House, house
from api.pages import Name
from api.problems import (
    BAD_PARAMETER,
    NAME_TAKEN,
    NO_SUCH_TOKEN,
    NO_SUCH_USER,
    STORE_UNAVAILABLE,
    ProblemError,
    documented,
)
from streams.acting import acting
from streams.store.access import Access, Taken

router = APIRouter(tags=["access"])
Here = Annotated[House, Depends(house)]
Known = Annotated[Keys, Depends(keys)]
UserId = Annotated[Name, Path(examples=["kim@example.com"])]
TokenId = Annotated[Name, Path(examples=["tk-5f0c31aa90b2c4d1"])]


@router.get("/v1/users", summary="List users", responses=documented(STORE_UNAVAILABLE))
def list_users(here: Here) -> UserList:
    """Local users, and those of the provider who have signed in, by name."""
    return UserList(items=[UserBody.of(user) for user in _access(here).users()])


@router.post(
    "/v1/users",
    summary="Add a local user",
    status_code=201,
    responses=documented(NAME_TAKEN, BAD_PARAMETER, STORE_UNAVAILABLE),
)
def add_user(given: NewUser, here: Here) -> UserBody:
    """A person of whom no provider knows. Whoever it knows signs in there and needs no user here."""
    password = password_digest(given.password.get_secret_value())
    try:
        return UserBody.of(_access(here).add_user(given.name, password, given.roles, here.now()))
    except Taken:
        raise ProblemError(NAME_TAKEN) from None


@router.put(
    "/v1/users/{name}/roles",
    summary="Set a local user's roles",
    responses=documented(NO_SUCH_USER, BAD_PARAMETER, STORE_UNAVAILABLE),
)
def set_roles(name: UserId, given: RolesHeld, here: Here, known: Known) -> UserBody:
    """In place of those held, for open sessions too. A provided user's roles come from the provider."""
    user = _access(here).set_roles(name, given.roles)
    known.forget()
    if user is None:
        raise ProblemError(NO_SUCH_USER, "Roles are set of local users only.")
    return UserBody.of(user)


@router.delete(
    "/v1/users/{name}",
    summary="Remove a user",
    status_code=204,
    responses=documented(NO_SUCH_USER, BAD_PARAMETER, STORE_UNAVAILABLE),
)
def remove_user(name: UserId, here: Here, known: Known) -> None:
    """The sessions end. Somebody whom the provider still lets in can sign in again."""
    gone = _access(here).remove_user(name)
    known.forget()
    if not gone:
        raise ProblemError(NO_SUCH_USER)


@router.get("/v1/tokens", summary="List tokens", responses=documented(STORE_UNAVAILABLE))
def list_tokens(here: Here) -> TokenList:
    """All tokens, newest first, without their secrets; those that ended stay."""
    return TokenList(items=[TokenBody.of(token, here.now()) for token in _access(here).tokens()])


@router.post(
    "/v1/tokens", summary="Make a token", status_code=201, responses=documented(BAD_PARAMETER, STORE_UNAVAILABLE)
)
def add_token(given: NewToken, response: Response, here: Here) -> TokenSecret:
    """For a program. The answer holds the secret, this once; it is sent as `Authorization: Bearer SECRET`."""
    secret, now = drawn_token(), here.now()
    token = _access(here).add_token(
        given.name,
        key_of(secret),
        given.scopes,
        given.integrations,
        now,
        now + timedelta(days=given.days),
        acting.get().name,
    )
    response.headers["Cache-Control"] = "no-store"
    return TokenSecret.with_secret(token, now, secret)


@router.delete(
    "/v1/tokens/{id}", summary="Revoke a token", responses=documented(NO_SUCH_TOKEN, BAD_PARAMETER, STORE_UNAVAILABLE)
)
def revoke_token(id: TokenId, here: Here, known: Known) -> TokenBody:
    """It ends at once here, and within five seconds in every other process."""
    token = _access(here).revoke_token(id, here.now())
    known.forget()
    if token is None:
        raise ProblemError(NO_SUCH_TOKEN)
    return TokenBody.of(token, here.now())


def _access(here: House) -> Access:
    return Access(here.store().database)
