"""`strayframe topics` and `strayframe dlq`: arguments and help. The work lies in `api.commands`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.options import takes_settings
from streams.settings import Settings

topics = typer.Typer(help="Kafka topics: make them, or say what is wrong with them.", no_args_is_help=True)
dlq = typer.Typer(help="Dead letters: messages that could not be judged.", no_args_is_help=True)
room = typer.Typer()
room.add_typer(topics, name="topics")
room.add_typer(dlq, name="dlq")


@topics.command("create")
@takes_settings(
    "kafka", "topic_arrived", "topic_scenes", "topic_stills", "topic_rights", "topic_changes", "topic_rejected"
)
def topics_create(
    settings: Settings,
    partitions: Annotated[int, typer.Option(help="Partitions of the topic of stills.", min=1)] = 12,
    replication: Annotated[int, typer.Option(help="Copies of each partition.", min=1)] = 1,
) -> None:
    """Make the topics that are missing, with compaction and size limits as they should be."""
    from api.commands.topics import create

    raise typer.Exit(create(settings, partitions, replication))


@topics.command("check")
@takes_settings(
    "kafka", "topic_arrived", "topic_scenes", "topic_stills", "topic_rights", "topic_changes", "topic_rejected"
)
def topics_check(settings: Settings) -> None:
    """Say in words what is wrong with the topics. Exit code 1: something is."""
    from api.commands.topics import check

    raise typer.Exit(check(settings))


@topics.command("grow")
@takes_settings("kafka", "kafka_group", "topic_stills", "topic_scenes")
def topics_grow(
    settings: Settings,
    partitions: Annotated[int, typer.Option(help="Partitions of the topic of stills from now on.", min=1)],
) -> None:
    """Give the topic of stills more partitions, and that of scenes. Refused while one holds what was not read.

    docs/worker.md has the steps before and after it.
    """
    from api.commands.topics import grow

    raise typer.Exit(grow(settings, partitions))


@dlq.command("list")
@takes_settings("kafka", "topic_rejected")
def dlq_list(
    settings: Settings,
    reason: Annotated[str | None, typer.Option(help="Only those with this reason (docs/events.md).")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that were replayed.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")] = False,
) -> None:
    """List the messages that could not be judged, oldest first, and why, each message once."""
    from api.commands.dlq import show_all

    raise typer.Exit(show_all(settings, reason, replayed=everything, as_objects=json))


@dlq.command("show")
@takes_settings("kafka", "topic_rejected")
def dlq_show(
    settings: Settings,
    place: Annotated[str, typer.Argument(metavar="PLACE", help="As `dlq list` shows it: PARTITION:OFFSET.")],
    value: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the message's value, a picture.")] = None,
) -> None:
    """Show one dead letter: why, where it was read, its key and headers. The picture goes into a file or nowhere."""
    from api.commands.dlq import show

    raise typer.Exit(show(settings, place, value))


@dlq.command("replay")
@takes_settings("kafka", "topic_rejected", "topic_stills", "topic_rights", "topic_changes")
def dlq_replay(
    settings: Settings,
    places: Annotated[list[str] | None, typer.Argument(metavar="PLACE...", help="As `dlq list` shows them.")] = None,
    reason: Annotated[str | None, typer.Option(help="All with this reason that were not replayed yet.")] = None,
    again: Annotated[bool, typer.Option("--again", help="With --reason: also those that were replayed.")] = False,
) -> None:
    """Send dead letters back to the topics they came from, once what was wrong is mended.

    A message that is judged twice counts once, by its id. Exit code 1: one could not be sent back; the line says why.
    """
    from api.commands.dlq import send_back

    raise typer.Exit(send_back(settings, places or [], reason, again=again))
