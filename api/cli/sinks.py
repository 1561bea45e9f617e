"""`strayframe sinks`: arguments and help of its commands. The work lies in `api.commands.sinks`."""

from __future__ import annotations

from typing import Annotated

import typer

from api.options import takes_settings
from streams.settings import Settings

sinks = typer.Typer(help="Sinks: SIEM, pager and files that are told, and what came of it.", no_args_is_help=True)
room = typer.Typer()
room.add_typer(sinks, name="sinks")

Named = Annotated[str, typer.Argument(metavar="NAME", help="The sink's name, its table in the file of sinks.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, for programs.")]


@sinks.command("list")
@takes_settings("store", "sinks", "kafka")
def list_(settings: Settings, json: AsJson = False) -> None:
    """List all sinks, where each leads, and what waits for it. Exit code 2: the file of sinks is no good."""
    from api.commands.sinks import show_all

    raise typer.Exit(show_all(settings, as_json=json))


@sinks.command("show")
@takes_settings("store", "sinks", "kafka")
def show(settings: Settings, name: Named, json: AsJson = False) -> None:
    """Show one sink, without its secrets."""
    from api.commands.sinks import show

    raise typer.Exit(show(settings, name, as_json=json))


@sinks.command("test")
@takes_settings("store", "sinks", "kafka")
def try_out(settings: Settings, name: Named, json: AsJson = False) -> None:
    """Send an event that is marked as a test, now, and print what came back. Exit code 1: it was not taken."""
    from api.commands.sinks import test

    raise typer.Exit(test(settings, name, as_json=json))


@sinks.command("log")
@takes_settings("store")
def log(
    settings: Settings,
    name: Named,
    state: Annotated[str | None, typer.Option(help="waiting, delivered, failed or stopped.")] = None,
    limit: Annotated[int, typer.Option(help="Deliveries shown, at most.", min=1)] = 20,
    json: AsJson = False,
) -> None:
    """List what was or will be sent to a sink, newest first, with what came back."""
    from api.commands.calls import state_of
    from api.commands.sinks import log

    raise typer.Exit(log(settings, name, state_of(state), limit, as_json=json))


@sinks.command("replay")
@takes_settings("store")
def replay(
    settings: Settings,
    name: Named,
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="The delivery's id, as `log` shows it.")],
) -> None:
    """Have a notice sent again under its old id, by the `serve` or `worker` that runs."""
    from api.commands.sinks import replay

    raise typer.Exit(replay(settings, name, delivery))


@sinks.command("forget")
@takes_settings("store", "sinks", "kafka")
def forget(settings: Settings, name: Named) -> None:
    """Stop what waits for a sink that was taken out of the file: else it waits for ever."""
    from api.commands.sinks import forget

    raise typer.Exit(forget(settings, name))
