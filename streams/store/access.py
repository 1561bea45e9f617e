"""Users, sessions and service tokens as the store holds them, each change with its audit entry in one transaction.

Owns the tables `users`, `sessions` and `tokens`. Refuses to see a password, a session's or a token's secret: it is
given digests. Expired sessions are swept when a new one begins.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, select, update

from detector.access import TOKEN_PREFIX, Caller, Permission, Role, person, service
from models.errors import StrayframeError
from streams.cloudevents import instant
from streams.store import audit
from streams.store.access_schema import sessions, tokens, users
from streams.store.database import Database

ID_BYTES: Final = 8
"""Of a token's id, drawn at random: enough that an id is never met again."""
_COUNTED: Final = {"preserve_rowcount": True}
"""Of an insert: SQLAlchemy counts its rows on PostgreSQL only where it is told to."""


class Taken(StrayframeError):
    """There is a user of that name."""


class Elsewhere(StrayframeError):
    """The name belongs to another account: a local user's, or another one's at the provider."""


@dataclass(frozen=True, slots=True)
class User:
    """A person. `provided`: known to the OIDC provider, which says what roles are held; else a local one."""

    name: str
    roles: frozenset[Role]
    provided: bool
    created: datetime
    signed_in: datetime | None

    def caller(self) -> Caller:
        """The person, signed in."""
        return person(self.name, self.roles)


@dataclass(frozen=True, slots=True)
class Token:
    """A service's token, without its secret. `integrations` None: all."""

    id: str
    name: str
    scopes: frozenset[Permission]
    integrations: frozenset[str] | None
    created: datetime
    created_by: str
    expires: datetime
    revoked: datetime | None

    def holds(self, now: datetime) -> bool:
        """Whether it is good for anything at that time."""
        return self.revoked is None and now < self.expires

    def caller(self) -> Caller:
        """The service that shows it."""
        return service(self.name, self.scopes, self.integrations)


class Access:
    """Who may, over one database. Safe for several threads; every method may raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- users -------------------------------------------------------------------------------------------

    def users(self) -> list[User]:
        """All users by name, those of the provider that have signed in among them."""
        with self._database.reading() as connection:
            return [_user(row) for row in connection.execute(select(users).order_by(users.c.name))]

    def password(self, name: str) -> str | None:
        """The digest of a local user's password; None where there is no such one."""
        with self._database.reading() as connection:
            return connection.scalar(select(users.c.password).where(users.c.name == name))

    def add_user(self, name: str, password: str, roles: Iterable[Role], now: datetime) -> User:
        """A new local user. Raises Taken."""
        held = frozenset(roles)
        row = {"name": name, "password": password, "roles": _words(held), "created_at": now}
        with self._database.writing() as connection:
            if connection.execute(self._insert(users, "name"), row, execution_options=_COUNTED).rowcount != 1:
                raise Taken(f"there is a user {name}")
            audit.write(connection, "user.added", name, roles=sorted(held))
        return User(name, held, provided=False, created=now, signed_in=None)

    def set_roles(self, name: str, roles: Iterable[Role]) -> User | None:
        """Give a local user these roles in place of those held; None where there is no such local user."""
        held = frozenset(roles)
        with self._database.writing() as connection:
            mine = (users.c.name == name, users.c.subject.is_(None))
            row = connection.execute(update(users).where(*mine).values(roles=_words(held)).returning(*users.c)).first()
            if row is not None:
                audit.write(connection, "user.roles", name, roles=sorted(held))
            return None if row is None else _user(row)

    def remove_user(self, name: str) -> bool:
        """Forget a user and end the sessions. False: there is none of that name."""
        with self._database.writing() as connection:
            found = connection.execute(delete(users).where(users.c.name == name)).rowcount == 1
            if found:
                connection.execute(delete(sessions).where(sessions.c.user == name))
                audit.write(connection, "user.removed", name)
            return found

    # --- sessions ----------------------------------------------------------------------------------------

    def sign_in(self, name: str, digest: str, now: datetime, expires: datetime) -> User | None:
        """Begin a session of a local user whose password was right; None when the user is gone meanwhile."""
        with self._database.writing() as connection:
            row = connection.execute(_signed_in(name, now)).first()
            if row is not None:
                _begin(connection, name, digest, now, expires, by="password")
            return None if row is None else _user(row)

    def sign_in_provided(
        self, name: str, subject: str, roles: Iterable[Role], digest: str, now: datetime, expires: datetime
    ) -> User:
        """Begin a session of somebody whom the provider knows as `subject`, with the roles that it says.

        Raises Elsewhere when the name is a local user's or another subject's: a name is one person's for good.
        """
        row = {"name": name, "subject": subject, "roles": _words(roles), "created_at": now}
        with self._database.writing() as connection:
            connection.execute(self._insert(users, "name"), row)
            mine = (users.c.name == name, users.c.subject == subject)
            found = connection.execute(
                update(users).where(*mine).values(roles=_words(roles), signed_in_at=now).returning(*users.c)
            ).first()
            if found is None:
                raise Elsewhere(f"the name {name} belongs to another account")
            _begin(connection, name, digest, now, expires, by="oidc", known_as=subject, roles=sorted(roles))
            return _user(found)

    def session(self, digest: str, now: datetime) -> User | None:
        """Whose session it is, with the roles of now; None where there is none, or it has ended."""
        found = select(users).join(sessions, sessions.c.user == users.c.name)
        with self._database.reading() as connection:
            row = connection.execute(found.where(sessions.c.digest == digest, sessions.c.expires_at > now)).first()
            return None if row is None else _user(row)

    def sign_out(self, digest: str, name: str) -> None:
        """End a session."""
        with self._database.writing() as connection:
            if connection.execute(delete(sessions).where(sessions.c.digest == digest)).rowcount == 1:
                audit.write(connection, "signed-out", name)

    # --- tokens ------------------------------------------------------------------------------------------

    def add_token(
        self,
        name: str,
        digest: str,
        scopes: Iterable[Permission],
        integrations: Iterable[str] | None,
        now: datetime,
        expires: datetime,
        by: str,
    ) -> Token:
        """A new token, whose secret has this digest."""
        own = None if integrations is None else frozenset(integrations)
        token = Token(f"tk-{secrets.token_hex(ID_BYTES)}", name, frozenset(scopes), own, now, by, expires, revoked=None)
        may: dict[str, Any] = {"scopes": sorted(token.scopes), "integrations": None if own is None else sorted(own)}
        row = {"id": token.id, "name": name, "digest": digest, "access": may, "created_at": now, "created_by": by}
        with self._database.writing() as connection:
            connection.execute(tokens.insert(), row | {"expires_at": expires})
            audit.write(
                connection, "token.created", token.id, name=TOKEN_PREFIX + name, **may, expires=instant(expires)
            )
        return token

    def tokens(self) -> list[Token]:
        """All tokens, newest first; those that are revoked or expired stay."""
        found = select(tokens).order_by(tokens.c.created_at.desc(), tokens.c.id)
        with self._database.reading() as connection:
            return [_token(row) for row in connection.execute(found)]

    def token(self, digest: str) -> Token | None:
        """The token whose secret has that digest, whether it holds or not."""
        with self._database.reading() as connection:
            row = connection.execute(select(tokens).where(tokens.c.digest == digest)).first()
            return None if row is None else _token(row)

    def revoke_token(self, id: str, now: datetime) -> Token | None:
        """End a token; one that ended stays as it was. None: there is none of that id."""
        with self._database.writing() as connection:
            standing = (tokens.c.id == id, tokens.c.revoked_at.is_(None))
            ended = connection.execute(update(tokens).where(*standing).values(revoked_at=now)).rowcount == 1
            row = connection.execute(select(tokens).where(tokens.c.id == id)).first()
            if row is None:
                return None
            if ended:
                audit.write(connection, "token.revoked", id, name=TOKEN_PREFIX + row.name)
            return _token(row)

    def _insert(self, table: Any, key: str) -> Any:
        return self._database.insert(table).on_conflict_do_nothing(index_elements=[key])


def _signed_in(name: str, now: datetime) -> Any:
    return update(users).where(users.c.name == name).values(signed_in_at=now).returning(*users.c)


def _begin(connection: Connection, name: str, digest: str, now: datetime, expires: datetime, **how: Any) -> None:
    connection.execute(delete(sessions).where(sessions.c.expires_at <= now))
    row = {"digest": digest, "user": name, "created_at": now, "expires_at": expires}
    connection.execute(sessions.insert(), row)
    audit.write(connection, "signed-in", name, actor=name, **how)


def _words(roles: Iterable[Role]) -> str:
    return " ".join(sorted(roles))


def _user(row: Row[Any]) -> User:
    roles = frozenset(map(Role, row.roles.split()))
    return User(row.name, roles, row.subject is not None, row.created_at, row.signed_in_at)


def _token(row: Row[Any]) -> Token:
    may = row.access
    own = None if may["integrations"] is None else frozenset(may["integrations"])
    scopes = frozenset(map(Permission, may["scopes"]))
    return Token(row.id, row.name, scopes, own, row.created_at, row.created_by, row.expires_at, row.revoked_at)
