"""`strayframe users`, `tokens` and `audit`: arguments and help of their commands.

Owns what a person types. The work lies in api/commands/access.py and api/commands/audit.py.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from api.options import takes_settings
from streams.settings import Settings

users = typer.Typer(
    help="Persons who may sign in. Whoever can open the store may run these: they are its operator.",
    no_args_is_help=True,
)
tokens = typer.Typer(help="Tokens of programs: make them, list them, revoke them.", no_args_is_help=True)
audit = typer.Typer(help="Who did what: verify the chain of entries, export it.", no_args_is_help=True)
room = typer.Typer()
room.add_typer(users, name="users")
room.add_typer(tokens, name="tokens")
room.add_typer(audit, name="audit")


class RoleName(StrEnum):
    """`detector.access.Role` by name."""

    viewer = "viewer"
    analyst = "analyst"
    responder = "responder"
    approver = "approver"
    admin = "admin"
    auditor = "auditor"


class ScopeName(StrEnum):
    """What a token may be given, of `detector.access.Permission`, by name."""

    read = "read"
    reach = "reach"
    triage = "triage"
    act = "act"
    ingest = "ingest"
    hooks = "hooks"
    metrics = "metrics"
    audit = "audit"


Name = Annotated[str, typer.Argument(metavar="NAME", help="The user's name: one word, such as an email address.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, for programs.")]


@users.command("add")
@takes_settings("store")
def add_user(
    settings: Settings,
    name: Name,
    role: Annotated[list[RoleName], typer.Option("--role", help="A role; may be given again.")],
) -> None:
    """Add a local user. The password is asked for, or read as one line from standard input."""
    from api.commands.access import add

    raise typer.Exit(add(settings, name, [each.value for each in role]))


@users.command("list")
@takes_settings("store")
def list_users(settings: Settings, json: AsJson = False) -> None:
    """List users: local ones, and those of the provider who have signed in."""
    from api.commands.access import show_users

    raise typer.Exit(show_users(settings, as_json=json))


@users.command("roles")
@takes_settings("store")
def roles(
    settings: Settings,
    name: Name,
    role: Annotated[list[RoleName], typer.Argument(metavar="ROLE...", help="All roles that the user has from now on.")],
) -> None:
    """Set a local user's roles, in place of those held."""
    from api.commands.access import set_roles

    raise typer.Exit(set_roles(settings, name, [each.value for each in role]))


@users.command("remove")
@takes_settings("store")
def remove_user(settings: Settings, name: Name) -> None:
    """Remove a user and end the sessions."""
    from api.commands.access import remove

    raise typer.Exit(remove(settings, name))


@tokens.command("create")
@takes_settings("store")
def create_token(
    settings: Settings,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The program's name; it acts as token:NAME.")],
    scope: Annotated[list[ScopeName], typer.Option("--scope", help="What it may; may be given again.")],
    integration: Annotated[
        list[str] | None,
        typer.Option("--integration", metavar="NAME", help="It sees this one; may be given again. None: all."),
    ] = None,
    days: Annotated[float, typer.Option(help="Days until it expires.", min=0.001, max=3650)] = 90,
    json: AsJson = False,
) -> None:
    """Make a token and print its secret, this once."""
    from api.commands.access import create_token as create

    raise typer.Exit(create(settings, name, [each.value for each in scope], integration, days, as_json=json))


@tokens.command("list")
@takes_settings("store")
def list_tokens(settings: Settings, json: AsJson = False) -> None:
    """List tokens, newest first, without their secrets."""
    from api.commands.access import show_tokens

    raise typer.Exit(show_tokens(settings, as_json=json))


@tokens.command("revoke")
@takes_settings("store")
def revoke_token(
    settings: Settings, id: Annotated[str, typer.Argument(metavar="ID", help="The token's id, as `list` shows it.")]
) -> None:
    """Revoke a token. Running servers hold to it within five seconds."""
    from api.commands.access import revoke

    raise typer.Exit(revoke(settings, id))


@audit.command("verify")
@takes_settings("store")
def verify(
    settings: Settings,
    anchor: Annotated[
        list[str] | None,
        typer.Option(metavar="NUMBER:DIGEST", help="What an earlier run printed; may be given again."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Say whether every entry is there, as it was written and in its place; print the anchor to keep.

    Exit code 1: something is wrong, and which entry. Whoever can write to the store can also write its chain anew: an
    anchor that is kept elsewhere shows that.
    """
    from api.commands.audit import verify

    raise typer.Exit(verify(settings, anchor or [], as_json=json))


@audit.command("export")
@takes_settings("store")
def export(
    settings: Settings,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to this file; else to standard output.")
    ] = None,
    since: Annotated[int, typer.Option(metavar="NUMBER", help="Only entries behind this one.", min=0)] = 0,
) -> None:
    """Write the entries as JSON lines, oldest first. Exit code 2: the file cannot be written."""
    from api.commands.audit import export

    raise typer.Exit(export(settings, out, since))
