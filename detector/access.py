"""Who may do what: permissions, the roles that hold them, and whoever calls.

Owns the table of roles and the rule whose name stands under an act. Refuses to know a route (api/gate/table.py does), a
password, a token or a store.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from models.errors import StrayframeError

TOKEN_PREFIX: Final = "token:"  # noqa: S105 - how names begin
"""Begins the name of every service token, and of no user: the two never sign as one another."""
_USER: Final = re.compile(r"[^\s:]{1,200}")


class Permission(StrEnum):
    """Something that one may do. The values are the scopes of tokens."""

    READ = "read"
    REACH = "reach"
    TRIAGE = "triage"
    ACT = "act"
    APPROVE = "approve"
    INGEST = "ingest"
    HOOKS = "hooks"
    METRICS = "metrics"
    AUDIT = "audit"
    ADMIN = "admin"


class Role(StrEnum):
    """What a person is here. A person may have several."""

    VIEWER = "viewer"
    ANALYST = "analyst"
    RESPONDER = "responder"
    APPROVER = "approver"
    ADMIN = "admin"
    AUDITOR = "auditor"


_VIEWER: Final = frozenset({Permission.READ, Permission.METRICS})
_ANALYST: Final = _VIEWER | {Permission.REACH, Permission.TRIAGE}
_RESPONDER: Final = _ANALYST | {Permission.ACT}
ROLES: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.VIEWER: _VIEWER,
    Role.ANALYST: _ANALYST,
    Role.RESPONDER: _RESPONDER,
    Role.APPROVER: _RESPONDER | {Permission.APPROVE},
    Role.ADMIN: _VIEWER | {Permission.HOOKS, Permission.ADMIN},
    Role.AUDITOR: _VIEWER | {Permission.REACH, Permission.AUDIT},
}
"""Admins decide who may act and do not act themselves; auditors see everything and change nothing."""
PERSONS_ONLY: Final = frozenset({Permission.APPROVE, Permission.ADMIN})
"""Never a token's: an approval is a second person's, and a token that makes tokens never ends."""
SCOPES: Final = frozenset(Permission) - PERSONS_ONLY
"""What a token may be given."""


class Via(StrEnum):
    """How a caller came in. The values are stored."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105 - a way in, not a secret
    NOBODY = "nobody"
    OPEN = "open"
    STORE = "store"
    PROGRAM = "program"


class NotYou(StrayframeError):
    """Whoever is signed in acts under the own name; another one was given."""


class Unnamed(StrayframeError):
    """Nobody is signed in, so an act has to say whose it is."""


class BadName(StrayframeError):
    """A user cannot have this name: one word of at most 200 characters, without a colon."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever calls. `integrations` None: all of them; else whose alerts may be seen, and no others'."""

    name: str
    via: Via
    permissions: frozenset[Permission] = frozenset()
    integrations: frozenset[str] | None = None
    roles: frozenset[Role] = frozenset()

    @property
    def is_known(self) -> bool:
        """Whether the name was proven, by a session or a token, and is not just said."""
        return self.via in (Via.SESSION, Via.TOKEN)

    def may(self, permission: Permission) -> bool:
        """Whether the caller has the permission."""
        return permission in self.permissions

    def sees(self, integration: str) -> bool:
        """Whether the integration's alerts are the caller's to see."""
        return self.integrations is None or integration in self.integrations

    def actor(self, said: str | None) -> str:
        """The name under an act. Raises NotYou for another name than the proven one, Unnamed where there is none."""
        if self.is_known:
            if said is not None and said != self.name:
                raise NotYou(f"you are signed in as {self.name}: leave the actor out, or give that name")
            return self.name
        if said is None:
            raise Unnamed("nobody is signed in: say who acts")
        return said


EVERYTHING: Final = frozenset(Permission)
NOBODY: Final = Caller("nobody", Via.NOBODY)
"""Somebody who has not signed in where one has to."""
LOCAL: Final = Caller("local", Via.OPEN, EVERYTHING)
"""Whoever reaches an address that only this machine reaches, where nobody signs in."""
PROGRAM: Final = Caller("strayframe", Via.PROGRAM, EVERYTHING)
"""This program by itself."""


def operator(login: str) -> Caller:
    """Whoever runs commands on the store itself: who can open the store needs no leave of ours."""
    return Caller(login, Via.STORE, EVERYTHING)


def person(name: str, roles: Iterable[Role]) -> Caller:
    """A person who signed in, with what the roles allow."""
    held = frozenset(roles)
    return Caller(name, Via.SESSION, frozenset().union(*(ROLES[role] for role in held)), None, held)


def service(name: str, scopes: Iterable[Permission], integrations: Iterable[str] | None) -> Caller:
    """A service's token; what only persons may is taken out, whatever its row says."""
    own = None if integrations is None else frozenset(integrations)
    return Caller(TOKEN_PREFIX + name, Via.TOKEN, frozenset(scopes) & SCOPES, own)


def user_name(text: str) -> str:
    """The name as it is kept: in small letters, so that nobody approves as Anna what anna asked for. Raises BadName."""
    name = text.strip().lower()
    if not _USER.fullmatch(name) or not name.isprintable():
        raise BadName(f"{text!r} cannot be a user's name: one word of at most 200 characters, without a colon")
    return name
