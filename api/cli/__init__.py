"""The command `strayframe`. Owns arguments, help and exit codes; each command's work lies in the room it names.

Groups of commands have rooms of their own here.

Heavy imports happen inside the commands, so that `strayframe --help` answers at once.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from api.cli.access import audit, tokens, users
from api.cli.hooks import hooks
from api.cli.incidents import incidents
from api.cli.kafka import dlq, topics
from api.cli.placeholders import placeholders
from api.cli.sinks import sinks
from api.cli.store import rights, store
from api.cli.suspensions import integrations, kill_switch, suspensions
from api.options import CONFIG_HELP, POLICY, fail, takes_settings
from streams.settings import Settings
from streams.share import BadShare, Share


class Role(StrEnum):
    """What a worker does."""

    BOTH = "both"
    WORKER = "worker"
    MATCHER = "matcher"


class Contents(TyperGroup):
    """The list of commands, in plain text: to draw boxes around it would take half of the time in which it answers."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help without rich; each command's own help is drawn with it."""
        self.rich_markup_mode = None
        super().format_help(ctx, formatter)


app = typer.Typer(
    name="strayframe",
    cls=Contents,
    context_settings={"max_content_width": 120},
    help="A live detector of camera stills that reach the wrong home.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
for _name, _room in (
    ("incidents", incidents),
    ("suspensions", suspensions),
    ("integrations", integrations),
    ("kill-switch", kill_switch),
    ("hooks", hooks),
    ("users", users),
    ("tokens", tokens),
    ("audit", audit),
    ("sinks", sinks),
    ("placeholder", placeholders),
    ("rights", rights),
    ("topics", topics),
    ("dlq", dlq),
    ("store", store),
):
    app.add_typer(_room, name=_name)


@app.command()
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


@app.command()
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


@app.command()
@takes_settings("still_bytes", "still_pixels")
def evaluate(
    settings: Settings,
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Folder: cameras/<name>/*.jpg and photos/**/*.jpg.")],
    seeds: Annotated[str, typer.Option(help="A replay for each of these seeds; the figures are pooled.")] = "1,2,3",
    leaks: Annotated[int, typer.Option(help="Leaks in each replay.", min=0)] = 300,
    controls: Annotated[int, typer.Option(help="Controls in each replay.", min=0)] = 300,
    photos: Annotated[int, typer.Option(help="Photographs that stand for cameras.", min=0)] = 400,
    per_still: Annotated[int, typer.Option(help="Deliveries drawn from each real still.", min=1)] = 3,
    min_own: Annotated[int, typer.Option(help="Deliveries of each camera, at least.", min=4)] = 8,
    cap: Annotated[int, typer.Option(help="Real stills used of one camera, at most.", min=1)] = 40,
    replays: Annotated[bool, typer.Option("--replays/--no-replays", help="Judge labelled replays.")] = True,
    damages: Annotated[bool, typer.Option("--damages", help="Try every kind of damage as well.")] = False,
    each: Annotated[int, typer.Option(help="Trials of each kind of damage.", min=1)] = 40,
    processes: Annotated[int, typer.Option(help="Replays judged at the same time.", min=1)] = 1,
    cache: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the replays here, by their options.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write a page with pictures of all faults.")] = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures.")] = None,
    require: Annotated[Path | None, typer.Option(metavar="FILE.toml", help="Minima that must be reached.")] = None,
) -> None:
    """Measure the detector on a folder of real stills: replays are made of it, judged and scored.

    Exit code 1: a bar of --require was not reached. 2: the corpus or a file cannot be used.
    """
    from api.commands.evaluate import Asked, run, seeds_of
    from streams.evaluation.labelled import Options

    options = Options(0, photos, leaks, controls, per_still, min_own, cap)
    asked = Asked(corpus, seeds_of(seeds), options, replays, damages, each, processes, cache, out, json, require)
    raise typer.Exit(run(settings, asked))


@app.command()
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


@app.command()
def train(
    corpus: Annotated[Path, typer.Option(metavar="DIR", help="Folder: cameras/<name>/*.jpg and photos/**/*.jpg.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the model; it is not put to use.")] = None,
    seeds: Annotated[str, typer.Option(help="A life of each fold for each of these seeds.")] = "1,2",
    folds: Annotated[int, typer.Option(help="Parts that share no camera.", min=2)] = 5,
    photos: Annotated[int, typer.Option(help="Photographs that stand for cameras, in each fold.", min=0)] = 64,
    controls: Annotated[int, typer.Option(help="Controls in each fold.", min=0)] = 60,
    strangers: Annotated[int, typer.Option(help="Strangers' stills in each fold.", min=1)] = 150,
    spoiled: Annotated[int, typer.Option(help="Own stills spoiled alike, in each fold.", min=0)] = 80,
    per_still: Annotated[int, typer.Option(help="Deliveries drawn from each real still.", min=1)] = 3,
    min_own: Annotated[int, typer.Option(help="Deliveries of each camera, at least.", min=4)] = 8,
    rulings: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What persons ruled: `strayframe incidents rulings` writes it."),
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures.")] = None,
) -> None:
    """Train the scene-shift model on a folder of real stills, and say what it is worth by cross-validation.

    The stills are lived through the real engine; nothing of them is kept. Shifts that persons ruled true or false weigh
    with them. Exit code 2: the corpus or a file cannot be
    used, or there is nothing in it to learn from.
    """
    from api.commands.evaluate import seeds_of
    from api.commands.train import Asked, life_of, run

    life = life_of(photos, controls, strangers, spoiled, per_still, min_own)
    raise typer.Exit(run(Asked(corpus, seeds_of(seeds), folds, life, out, json, rulings)))


@app.command()
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


@app.command()
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
    """Send what arrives on `topic_arrived` on to the topics that the worker reads, under the keys that belong to it.

    For producers that send stills without a key, or whose client has another partitioner than Java's: librdkafka's
    default is one. Any number may run beside each other. SIGTERM finishes the batch in hand.
    """
    if not settings.kafka or not settings.topic_arrived:
        fail("give --kafka HOST:PORT and --topic-arrived NAME, or set them")
    from streams.rekey import run

    raise typer.Exit(run(settings))


@app.command()
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


@app.command()
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


@app.command()
@takes_settings("store", "kafka", "sinks", "snapshot", "host", "port", "metrics_port")
def doctor(
    settings: Settings, json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False
) -> None:
    """Look at store, brokers, topics, clock, index, models, hooks and sinks, and say what is wrong and what to do.

    Nothing is changed, and nobody is told anything. Exit code 1: something is wrong. 2: the settings are.
    """
    from api.commands.doctor import run

    raise typer.Exit(run(settings, as_json=json))


@app.command("settings")
def show_settings(
    config: Annotated[Path | None, typer.Option(metavar="FILE", help=CONFIG_HELP)] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """List every setting with its value, where the value came from, and its meaning."""
    from api.commands.settings import run

    raise typer.Exit(run(config, as_json=json))


def main() -> None:
    """Entry point of the console script."""
    # a still's products of matrices are small, and cores are used by processes: threads would cost more than they give
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    app()
