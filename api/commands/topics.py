"""`strayframe topics`: make the topics, or say in words what is wrong with them."""

from __future__ import annotations

import typer

from api.options import fail
from models.errors import StrayframeError
from streams.kafka.topics import check_topics, create_topics, grow_topics
from streams.settings import Settings


def create(settings: Settings, partitions: int, replication: int) -> int:
    """Make what is missing and say what was made."""
    require_kafka(settings)
    try:
        created = create_topics(settings, partitions, replication)
    except StrayframeError as error:
        fail(str(error))
    typer.echo(f"created {', '.join(created)}" if created else "all topics exist")
    return 0


def check(settings: Settings) -> int:
    """Print each problem on a line of its own; exit code 1 when there is one."""
    require_kafka(settings)
    try:
        problems = check_topics(settings)
    except StrayframeError as error:
        fail(str(error))
    for problem in problems:
        typer.echo(problem)
    if not problems:
        typer.echo("the topics are as they should be")
    return 1 if problems else 0


def grow(settings: Settings, partitions: int) -> int:
    """Raise the number of partitions of the topic of stills."""
    require_kafka(settings)
    try:
        grown = grow_topics(settings, partitions)
    except StrayframeError as error:
        fail(str(error))
    typer.echo("\n".join(f"{topic} has {partitions} partitions" for topic in grown))
    return 0


def require_kafka(settings: Settings) -> None:
    """End the command where no Kafka is named."""
    if not settings.kafka:
        fail("no Kafka is named: give --kafka HOST:PORT or STRAYFRAME_KAFKA")
