"""What the API says of callers, users, tokens and audit entries, and what it is told of them.

Owns names, meanings and examples. Refuses to decide. A secret is in exactly one answer: the one that made it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from api.gate.secret import PASSWORD_LEAST, PASSWORD_MOST, is_text
from api.pages import Name
from api.schemas import Answer, Instant
from detector.access import PERSONS_ONLY, SCOPES, BadName, Caller, Permission, Role, Via, user_name
from detector.chain import Entry
from streams.store.access import Token, User


def _as_user_name(text: str) -> str:
    try:
        return user_name(text)
    except BadName as error:
        raise ValueError(str(error)) from None


def _for_tokens(scopes: list[Permission]) -> list[Permission]:
    if wrong := PERSONS_ONLY.intersection(scopes):
        raise ValueError(f"{', '.join(sorted(wrong))}: only persons may; tokens have {', '.join(sorted(SCOPES))}")
    return scopes


def _as_text(password: SecretStr) -> SecretStr:
    if not is_text(password.get_secret_value()):
        raise ValueError("is not text")
    return password


Password = Annotated[SecretStr, AfterValidator(_as_text)]
UserName = Annotated[str, Field(examples=["kim@example.com"]), AfterValidator(_as_user_name)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Credentials(_Request):
    """A local user's name and password."""

    name: UserName
    password: Password = Field(min_length=1, max_length=PASSWORD_MOST)


class NewUser(_Request):
    """A local user."""

    name: UserName
    password: Password = Field(min_length=PASSWORD_LEAST, max_length=PASSWORD_MOST)
    roles: list[Role] = Field(min_length=1, examples=[["analyst"]])


class RolesHeld(_Request):
    """The roles that a local user has from now on."""

    roles: list[Role] = Field(min_length=1, examples=[["responder"]])


class NewToken(_Request):
    """A token for a program."""

    name: Annotated[Name, Field(max_length=100, description="Of the program. It acts as `token:NAME`.")] = Field(
        examples=["siem"]
    )
    scopes: Annotated[list[Permission], AfterValidator(_for_tokens)] = Field(min_length=1, examples=[["read"]])
    integrations: list[Name] | None = Field(
        None, min_length=1, description="It sees these and no others; null: all.", examples=[["homeview"]]
    )
    days: float = Field(90, gt=0, le=3650, description="Until it expires.")


class SessionBody(Answer):
    """Who asks, and what that allows."""

    access: Literal["open", "sign-in"] = Field(
        description="open: nobody signs in, and whoever reaches this address, which is this machine, may do everything."
    )
    name: str | None = Field(description="null: nobody is signed in.", examples=["kim@example.com"])
    via: Literal["session", "token"] | None
    roles: list[Role]
    permissions: list[Permission]
    integrations: list[str] | None = Field(description="null: all.")

    @classmethod
    def of(cls, access: Literal["open", "sign-in"], caller: Caller) -> SessionBody:
        """Of whoever calls."""
        return cls(
            access=access,
            name=caller.name if caller.is_known else None,
            via="session" if caller.via is Via.SESSION else "token" if caller.via is Via.TOKEN else None,
            roles=sorted(caller.roles),
            permissions=sorted(caller.permissions),
            integrations=None if caller.integrations is None else sorted(caller.integrations),
        )


class UserBody(Answer):
    """A person who may sign in."""

    name: str = Field(examples=["kim@example.com"])
    roles: list[Role]
    provided: bool = Field(description="The provider knows the person, and says the roles at each sign-in.")
    created: Instant
    signed_in: Instant | None = Field(description="Last time; null: never.")

    @classmethod
    def of(cls, user: User) -> UserBody:
        return cls(
            name=user.name,
            roles=sorted(user.roles),
            provided=user.provided,
            created=user.created,
            signed_in=user.signed_in,
        )


class UserList(Answer):
    """Everybody who may sign in, or did, by name."""

    items: list[UserBody]


class TokenBody(Answer):
    """A program's token, without its secret."""

    id: str = Field(examples=["tk-5f0c31aa90b2c4d1"])
    name: str = Field(examples=["siem"])
    scopes: list[Permission]
    integrations: list[str] | None = Field(description="It sees these and no others; null: all.")
    created: Instant
    created_by: str
    expires: Instant
    revoked: Instant | None
    holds: bool = Field(description="false: revoked or expired.")

    @classmethod
    def of(cls, token: Token, now: datetime) -> TokenBody:
        return cls(**_token(token, now))


class TokenList(Answer):
    """All tokens, newest first; those that ended stay."""

    items: list[TokenBody]


class TokenSecret(TokenBody):
    """A new token with its secret."""

    secret: str = Field(description="Shown this once; only its digest is kept.", examples=["sf_..."])

    @classmethod
    def with_secret(cls, token: Token, now: datetime, secret: str) -> TokenSecret:
        return cls(**_token(token, now), secret=secret)


class EntryBody(Answer):
    """One entry of the audit chain."""

    number: int
    at: str = Field(description="To the microsecond: it is part of what the digest covers.")
    actor: str = Field(examples=["kim@example.com"])
    via: str = Field(
        description="session, token, nobody (a sign-in), open, store (with the login), program.", examples=["session"]
    )
    what: str = Field(description="docs/audit.md lists them.", examples=["triage"])
    subject: str = Field(description="An id, mostly.", examples=["in-77ab"])
    integration: str
    detail: dict[str, Any]
    before: str = Field(description="Digest of the entry before.")
    digest: str

    @classmethod
    def of(cls, entry: Entry) -> EntryBody:
        return cls(**entry.record())


class EntryPage(Answer):
    """Entries, newest first."""

    items: list[EntryBody]
    next: str | None = Field(description="Cursor of the next page; null on the last one.")
    head: str = Field(description="NUMBER:DIGEST of the last entry: keep it elsewhere, for `audit verify --anchor`.")


def _token(token: Token, now: datetime) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "scopes": sorted(token.scopes),
        "integrations": None if token.integrations is None else sorted(token.integrations),
        "created": token.created,
        "created_by": token.created_by,
        "expires": token.expires,
        "revoked": token.revoked,
        "holds": token.holds(now),
    }
