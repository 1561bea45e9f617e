"""`strayframe users` and `strayframe tokens`: on the store itself, by whoever can open it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import typer
from rich.console import Console

from api.commands.opened import opened
from api.commands.shown import print_json
from api.commands.tables import minute, table_of
from api.gate.bodies import TokenBody, TokenSecret, UserBody
from api.gate.keys import key_of
from api.gate.secret import BadPassword, drawn_token, password_digest
from api.options import fail
from detector.access import BadName, Permission, Role, user_name
from streams.acting import login
from streams.settings import Settings
from streams.store.access import Access, Taken, Token, User


def add(settings: Settings, name: str, roles: Sequence[str]) -> int:
    """Add a local user. Exit code 1: the name is taken. 2: name or password will not do."""
    try:
        kept, password = user_name(name), password_digest(_password())
    except (BadName, BadPassword) as error:
        fail(str(error))
    with opened(settings) as store:
        try:
            user = Access(store.database).add_user(kept, password, map(Role, roles), _now())
        except Taken as error:
            fail(str(error), 1)
    typer.echo(f"{user.name} may sign in: {', '.join(sorted(user.roles))}")
    return 0


def show_users(settings: Settings, *, as_json: bool) -> int:
    """Print users by name."""
    with opened(settings) as store:
        found = Access(store.database).users()
    if as_json:
        return print_json([UserBody.of(user) for user in found])
    if not found:
        typer.echo("no users: `strayframe users add NAME --role admin` adds one")
        return 0
    Console(highlight=False).print(table_of(("name", "roles", "known to", "last signed in (UTC)"), map(_user, found)))
    return 0


def set_roles(settings: Settings, name: str, roles: Sequence[str]) -> int:
    """Set a local user's roles."""
    with opened(settings) as store:
        user = Access(store.database).set_roles(name.strip().lower(), map(Role, roles))
    if user is None:
        fail(f"there is no local user {name}", 1)
    typer.echo(f"{user.name}: {', '.join(sorted(user.roles))}")
    return 0


def remove(settings: Settings, name: str) -> int:
    """Remove a user."""
    with opened(settings) as store:
        if not Access(store.database).remove_user(name.strip().lower()):
            fail(f"there is no user {name}", 1)
    typer.echo(f"{name} removed; the sessions have ended")
    return 0


def create_token(
    settings: Settings,
    name: str,
    scopes: Sequence[str],
    integrations: Sequence[str] | None,
    days: float,
    *,
    as_json: bool,
) -> int:
    """Make a token and print its secret, this once."""
    if not name.strip() or not name.isprintable():
        fail(f"{name!r} cannot be a token's name")
    secret, now = drawn_token(), _now()
    with opened(settings) as store:
        token = Access(store.database).add_token(
            name,
            key_of(secret),
            map(Permission, scopes),
            integrations or None,
            now,
            now + timedelta(days=days),
            login(),
        )
    if as_json:
        return print_json(TokenSecret.with_secret(token, now, secret))
    typer.echo(f"{token.id}\nsecret {secret}\nIt is shown this once, and good until {minute(token.expires)} UTC.")
    return 0


def show_tokens(settings: Settings, *, as_json: bool) -> int:
    """Print tokens, newest first."""
    with opened(settings) as store:
        found = Access(store.database).tokens()
    if as_json:
        return print_json([TokenBody.of(token, _now()) for token in found])
    if not found:
        typer.echo("no tokens: `strayframe tokens create NAME --scope read` makes one")
        return 0
    headings = ("id", "name", "scopes", "integrations", "made by", "state")
    Console(highlight=False).print(table_of(headings, map(_token, found)))
    return 0


def revoke(settings: Settings, id: str) -> int:
    """Revoke a token."""
    with opened(settings) as store:
        token = Access(store.database).revoke_token(id, _now())
    if token is None:
        fail(f"there is no token {id}; `strayframe tokens list` shows all", 1)
    typer.echo(f"{token.id} ({token.name}) is revoked")
    return 0


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    told: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return told


def _user(user: User) -> list[str]:
    return [user.name, ", ".join(sorted(user.roles)), "the provider" if user.provided else "us", minute(user.signed_in)]


def _token(token: Token) -> list[str]:
    own = "all" if token.integrations is None else ", ".join(sorted(token.integrations))
    return [token.id, token.name, ", ".join(sorted(token.scopes)), own, token.created_by, _state(token)]


def _state(token: Token) -> str:
    if token.revoked is not None:
        return f"revoked {minute(token.revoked)}"
    return f"{'good until' if token.holds(_now()) else 'expired'} {minute(token.expires)}"


def _now() -> datetime:
    return datetime.now(UTC)
