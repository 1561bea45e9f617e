"""The commands that judge stills: of a file, of Kafka, over HTTP. What they do: streams/worker.py, streams/looking.py,
streams/rekey.py, api/commands/replay.py, explain.py, serve.py.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from api.options import POLICY, fail, takes_settings
from streams.settings import Settings
from streams.share import BadShare, Share

room = typer.Typer()


class Role(StrEnum):
    """What a worker does."""

    BOTH = "both"
    WORKER = "worker"
    MATCHER = "matcher"


@room.command()
@takes_settings("still_bytes", "still_pixels", "processes", *POLICY)
def replay(
    settings: Settings,
    events: Annotated[Path, typer.Argument(metavar="EVENTS.jsonl", help="CloudEvents, one JSON object a line.")],
    verdicts: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a verdict a delivery.")] = None,
    alerts: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the alerts that stand at the end.")] = None,
    incidents: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the incidents.")] = None,
    rejects: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the lines that were refused, why.")
    ] = None,
    suspensions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what the policy would do, move by move.")
    ] = None,
    placeholder: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A picture that shows nobody's home; may be given again.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with code 1 when a line was rejected.")] = False,
) -> None:
    """Judge a file of events in memory, in order, without network.

    Pictures come by `dataref`, relative to the file, or by `data_base64`. A bad line is told with its number, goes to
    the rejects, and the rest is judged. Exit code 1: with --strict, a line was rejected. 2: nothing could be read.
    """
    from api.commands.replay import run

    given = placeholder or []
    files = (verdicts, alerts, incidents, rejects)
    raise typer.Exit(run(settings, events, *files, suspensions=suspensions, placeholders=given, strict=strict))


@room.command()
@takes_settings("still_bytes", "still_pixels")
def explain(
    settings: Settings,
    events: Annotated[Path, typer.Argument(metavar="EVENTS.jsonl", help="The event file, as for `replay`.")],
    id: Annotated[str, typer.Argument(metavar="ID", help="Id of the delivery.")],
    source: Annotated[str | None, typer.Option(help="Its source, where several sources use that id.")] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw still, match and agreeing blocks side by side.")
    ] = None,
    placeholder: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A picture that shows nobody's home; may be given again.")
    ] = None,
    stop: Annotated[bool, typer.Option("--stop", help="Do not read on to see what came of it.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Say why one delivery of an event file was judged as it was.

    Replays the file up to the delivery and prints what the engine had to go by: rights, the still, the nearest scenes
    of its own camera and of all others, the thresholds. Then reads on for what became of it. Exit code 2: it is not
    there, or there from several sources.
    """
    from api.commands.explain import run

    given = placeholder or []
    raise typer.Exit(run(settings, events, id, source, picture, placeholders=given, stop=stop, as_object=json))


@room.command()
@takes_settings(
    "store",
    "kafka",
    "kafka_group",
    "batch_stills",
    "batch_seconds",
    "lease_seconds",
    "hook_networks",
    "outbox_days",
    "sinks",
    "processes",
    "dataref_origins",
    "dataref_folder",
    "dataref_seconds",
    "dataref_private",
    "snapshot",
    "snapshot_minutes",
    "still_bytes",
    "still_pixels",
    "host",
    "metrics_port",
    "topic_stills",
    "topic_scenes",
    "topic_rights",
    "topic_changes",
    "topic_rejected",
    *POLICY,
)
def worker(
    settings: Settings,
    role: Annotated[
        Role, typer.Option(help="both; worker: look at stills only, any number; matcher: judge what workers saw.")
    ] = Role.BOTH,
    share: Annotated[
        str, typer.Option(help="K/N: this matcher is the K-th of N that share the work.", metavar="K/N")
    ] = "1/1",
    standby: Annotated[
        bool, typer.Option("--standby", help="Wait while another worker judges for the store, then take over.")
    ] = False,
) -> None:
    """Judge the stills that arrive on Kafka and store what follows.

    SIGTERM finishes the batch in hand. Exit code 3: another worker judges for this store. 4: another worker took the
    store over while this one was stopped; nothing stale was written.
    """
    if not settings.kafka:
        fail("no Kafka is named: give --kafka HOST:PORT or STRAYFRAME_KAFKA. Without Kafka, `strayframe serve` judges.")
    if role is not Role.BOTH and not settings.topic_scenes:
        fail("a worker that only looks and a matcher meet on a topic: give --topic-scenes NAME, or set it")
    part = _share(share)
    if not part.is_whole and role is not Role.MATCHER:
        fail("only matchers share the work in parts: give --role matcher. Workers share it by themselves")
    if role is Role.WORKER:
        from streams.looking import run as look

        raise typer.Exit(look(settings))
    from streams.worker import match, run

    if role is Role.MATCHER:
        raise typer.Exit(match(settings, standby=standby, share=part))
    raise typer.Exit(run(settings, standby=standby))


def _share(text: str) -> Share:
    try:
        return Share.parse(text)
    except BadShare as bad:
        fail(str(bad))


@room.command()
@takes_settings(
    "kafka",
    "kafka_group",
    "batch_stills",
    "still_bytes",
    "host",
    "metrics_port",
    "topic_arrived",
    "topic_stills",
    "topic_rights",
    "topic_changes",
    "topic_rejected",
)
def rekey(settings: Settings) -> None:
    """Send what arrives on `topic_arrived` on to the topics that workers read, under the keys that belong to it.

    For producers that send stills without a key, or whose client has another partitioner than Java's: librdkafka's
    default is one. Any number may run beside each other. SIGTERM finishes the batch in hand.
    """
    if not settings.kafka or not settings.topic_arrived:
        fail("give --kafka HOST:PORT and --topic-arrived NAME, or set them")
    from streams.rekey import run

    raise typer.Exit(run(settings))


@room.command()
@takes_settings(
    "store",
    "kafka",
    "host",
    "port",
    "access",
    "processes",
    "batch_stills",
    "lease_seconds",
    "hook_networks",
    "outbox_days",
    "sinks",
    "snapshot",
    "snapshot_minutes",
    "still_bytes",
    "still_pixels",
    "topic_stills",
    "topic_rights",
    "topic_changes",
    *POLICY,
)
def serve(settings: Settings) -> None:
    """Serve the HTTP API: alerts out, stills in.

    Without Kafka it judges by itself and answers each still with its verdict; with Kafka behind it, it hands stills
    on and answers 202. With --processes N, N share the address, and one more judges or hands on for all of them.
    Nobody signs in, so it listens on this machine only; with --access sign-in, roles and tokens say who may
    (docs/access.md), and it listens wherever --host says.
    """
    from api.commands.serve import run

    raise typer.Exit(run(settings))
