"""The commands that say what is set and what is wrong. What they do: api/commands/doctor.py, settings.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.options import CONFIG_HELP, takes_settings
from streams.settings import Settings

room = typer.Typer()


@room.command()
@takes_settings("store", "kafka", "sinks", "snapshot", "host", "port", "metrics_port")
def doctor(
    settings: Settings, json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False
) -> None:
    """Look at store, brokers, topics, clock, index, models, hooks and sinks, and say what is wrong and what to do.

    Nothing is changed, and nobody is told anything. Exit code 1: something is wrong. 2: the settings are.
    """
    from api.commands.doctor import run

    raise typer.Exit(run(settings, as_json=json))


@room.command("settings")
def show_settings(
    config: Annotated[Path | None, typer.Option(metavar="FILE", help=CONFIG_HELP)] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """List every setting with its value, where the value came from, and its meaning."""
    from api.commands.settings import run

    raise typer.Exit(run(config, as_json=json))
