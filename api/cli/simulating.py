"""The commands that play a leaking cloud. What they do: api/commands/demo.py, simulate.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.options import takes_settings
from streams.settings import Settings

room = typer.Typer()


@room.command()
@takes_settings("host", "port")
def demo(
    settings: Settings,
    once: Annotated[bool, typer.Option("--once", help="End after the summary instead of serving the API.")] = False,
    accounts: Annotated[int, typer.Option(help="Accounts in the simulated cloud.", min=20)] = 120,
    seed: Annotated[int, typer.Option(help="Seed of the simulation; the same seed gives the same stills.")] = 1,
) -> None:
    """Simulate a leaking camera cloud, catch the leak, stop it by a hook, and show who saw whom.

    Runs the scenario xiaomi_2019 through the real detector into a SQLite store under ./.demo, prints a summary and
    then serves the API. The simulated display maker takes the hook and holds back what it is told to. Exit code 1: the
    leak was missed or not stopped, or somebody innocent was accused.
    """
    from api.commands.demo import run

    raise typer.Exit(run(settings, once=once, accounts=accounts, seed=seed))


@room.command()
@takes_settings("kafka", "topic_stills", "topic_rights", "topic_changes")
def simulate(
    settings: Settings,
    scenario: Annotated[str, typer.Argument(help="Name of the scenario; `list` shows all.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write events.jsonl, stills/ and truth.jsonl.")
    ] = None,
    accounts: Annotated[int | None, typer.Option(help="Accounts in the simulated cloud.", min=20)] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 1,
    rate: Annotated[float, typer.Option(help="Events a second to Kafka; 0 is as fast as it goes.", min=0)] = 0,
) -> None:
    """Play a public incident: events, stills and the truth into a folder (--out), or onto Kafka (--kafka)."""
    from api.commands.simulate import run

    raise typer.Exit(run(settings, scenario, out, accounts, seed, rate))
