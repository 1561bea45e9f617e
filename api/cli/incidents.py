"""`strayframe incidents`: arguments and help of its commands. The work lies in `api.commands.incidents`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from api.options import takes_settings
from streams.settings import Settings

incidents = typer.Typer(
    help="Incidents: see what leaked, why and to whom; say what you make of it.", no_args_is_help=True
)
room = typer.Typer()
room.add_typer(incidents, name="incidents")
Id = Annotated[str, typer.Argument(metavar="ID", help="Its id, or how that begins.")]
Actor = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who says so. Without it, your login name.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, for programs.")]


class Which(StrEnum):
    """Incidents that `list` shows."""

    OPEN = "open"
    RESOLVED = "resolved"
    ALL = "all"


class Is(StrEnum):
    """What a person rules; `none` takes it back."""

    TRUE = "true"
    FALSE = "false"
    NONE = "none"


@incidents.command("list")
@takes_settings("store")
def list_(
    settings: Settings,
    state: Annotated[Which, typer.Option(help="Which ones.")] = Which.ALL,
    integration: Annotated[str | None, typer.Option(help="Of this integration only.")] = None,
    limit: Annotated[int, typer.Option(help="The latest so many.", min=1)] = 20,
    json: AsJson = False,
) -> None:
    """List incidents, latest first."""
    from api.commands.incidents import show_all

    raise typer.Exit(show_all(settings, None if state is Which.ALL else state.value, integration, limit, as_json=json))


@incidents.command()
@takes_settings("store")
def show(settings: Settings, id: Id, json: AsJson = False) -> None:
    """Show one incident: what sets its leaks apart, what persons said, which deadlines run."""
    from api.commands.incidents import show_one

    raise typer.Exit(show_one(settings, id, as_json=json))


@incidents.command()
@takes_settings("store")
def ack(settings: Settings, id: Id, actor: Actor = None) -> None:
    """Acknowledge an incident: somebody looks after it."""
    from api.commands.incidents import say

    raise typer.Exit(say(settings, id, actor, acknowledged=True))


@incidents.command()
@takes_settings("store")
def assign(
    settings: Settings,
    id: Id,
    whose: Annotated[str, typer.Argument(metavar="WHO", help="Whose it is; '' takes it back.")],
    actor: Actor = None,
) -> None:
    """Assign an incident."""
    from api.commands.incidents import say

    raise typer.Exit(say(settings, id, actor, assignee=whose or None))


@incidents.command()
@takes_settings("store")
def verdict(
    settings: Settings,
    id: Annotated[str, typer.Argument(metavar="ID", help="Id of an incident or of one alert, or how it begins.")],
    positive: Annotated[Is, typer.Argument(metavar="true|false|none", help="Whether it is a true positive.")],
    note: Annotated[str | None, typer.Option(help="Why.")] = None,
    placeholder: Annotated[
        bool, typer.Option("--placeholder", help="Of an alert, with `false`: its picture is nobody's home.")
    ] = False,
    actor: Actor = None,
) -> None:
    """Rule an incident, or one alert, a true or a false positive. `true` on an incident starts its deadlines."""
    from api.commands.incidents import say

    ruled = {Is.TRUE: "true_positive", Is.FALSE: "false_positive", Is.NONE: None}[positive]
    more: dict[str, Any] = {} if note is None else {"note": note}
    if placeholder:
        more["placeholder"] = True
    raise typer.Exit(say(settings, id, actor, verdict=ruled, **more))


@incidents.command()
@takes_settings("store")
def note(
    settings: Settings,
    id: Annotated[str, typer.Argument(metavar="ID", help="Id of an incident or of one alert, or how it begins.")],
    text: Annotated[str, typer.Argument(metavar="TEXT")],
    actor: Actor = None,
) -> None:
    """Write a note to an incident or an alert."""
    from api.commands.incidents import say

    raise typer.Exit(say(settings, id, actor, note=text))


@incidents.command()
@takes_settings("store")
def snooze(
    settings: Settings,
    id: Id,
    until: Annotated[str, typer.Argument(metavar="UNTIL", help="RFC 3339 with a zone; '' ends the snooze.")],
    actor: Actor = None,
) -> None:
    """Hold back notices of what goes on in an incident. Evidence and suspensions go on as without it."""
    from api.commands.incidents import say

    raise typer.Exit(say(settings, id, actor, snoozed_until=until or None))


@incidents.command()
@takes_settings("store")
def reach(
    settings: Settings,
    id: Id,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write one row a viewer and camera.")
    ] = None,
    json: AsJson = False,
) -> None:
    """List whom an incident reached."""
    from api.commands.incidents import show_reach

    raise typer.Exit(show_reach(settings, id, csv, as_json=json))


@incidents.command()
@takes_settings("store")
def rulings(settings: Settings) -> None:
    """Write the scene shifts that persons ruled true or false, as `strayframe train --rulings FILE` reads them.

    JSON lines with the figures of each, without pictures, accounts and camera ids.
    """
    from api.commands.incidents import write_rulings

    raise typer.Exit(write_rulings(settings))


@incidents.command()
@takes_settings("store")
def notification(settings: Settings, id: Id) -> None:
    """Draft the facts that GDPR Art. 33 and CRA Art. 14 ask for, as Markdown."""
    from api.commands.incidents import show_notification

    raise typer.Exit(show_notification(settings, id))
