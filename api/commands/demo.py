"""`strayframe demo`: a simulated cloud leaks, the real detector catches it, and the real hook stops it.

Owns the demonstration: its own store, the display maker's hook, the order of simulation and judge, the exit code.
Everything that judges, decides, stores, calls and serves is the product's own. Simulated time runs faster than the
clock on the wall, so it stands still while a hook is under way: what was ordered holds for the very next delivery.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from api.commands import demo_summary, serve
from api.commands.demo_watch import Watch
from api.options import fail
from detector.policy import Mode
from models.errors import StrayframeError
from models.records import Kind
from streams.cloudevents import Message
from streams.metrics import Metrics
from streams.outbox.dispatch import Dispatcher
from streams.outbox.manual import Manual
from streams.settings import Settings
from streams.simulator.maker import WANTED, Maker
from streams.simulator.scenario import scenario
from streams.simulator.simulate import DISPLAY, Happening, Simulation
from streams.simulator.studio import PROCESSES, Studio
from streams.store.lease import JudgeRunning
from streams.store.sql import SqlStore
from streams.store.words import MODE
from streams.wiring import OpenJudge, open_judge

FOLDER = Path(".demo")
SCENARIO = "xiaomi_2019"
COMMIT_EVERY = 32
"""Deliveries per transaction, at most. A delivery that raises an alert is stored at once."""
TOLD_EVERY = 500
"""Events between two lines of progress where there is no terminal to draw a bar on."""
HOOK_SECONDS = 15.0
"""How long the simulation stands still for a hook: as long as one attempt may take."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What the demonstration plays with: the judge that is shown, and the display maker who is told."""

    opened: OpenJudge
    maker: Maker
    watch: Watch


def run(settings: Settings, *, once: bool, accounts: int, seed: int) -> int:
    """Play, watch, tell; then serve unless `once`. Exit code 1: missed, not stopped, or somebody innocent accused."""
    console = Console()
    if not once:
        serve.listener(settings).close()
    store = f"sqlite:///{_fresh_store()}"
    own = played(settings, store)
    maker, studio = Maker(), Studio(PROCESSES)
    simulation = Simulation(scenario(SCENARIO).scaled(accounts), seed, maker.gate, studio)
    console.print(
        f"[bold]{SCENARIO}[/bold]: {simulation.scenario.sentence}. {accounts} accounts, {simulation.total} events, "
        f"seed {seed}; the stills are drawn, the detector, its store ({own.store}) and its hooks are real.\n",
        highlight=False,
    )
    console.print("Getting ready; the first start on a machine compiles for about a minute.", style="dim")
    try:
        with _stage(own, maker) as stage, studio:
            begin = time.monotonic()
            _play(console, simulation, stage)
            seconds = time.monotonic() - begin
    except StrayframeError as error:
        fail(str(error))
    succeeded = demo_summary.show(console, stage.watch, simulation, seconds)
    if once:
        return 0 if succeeded else 1
    return _serve(console, own) or (0 if succeeded else 1)


def played(settings: Settings, store: str) -> Settings:
    """The settings of a demo: a store of its own, no Kafka, hooks on loopback. No sink: what is played pages nobody."""
    return settings.model_copy(update={"store": store, "kafka": "", "hook_networks": "127.0.0.1/32", "sinks": ""})


@contextmanager
def _stage(settings: Settings, maker: Maker) -> Iterator[Stage]:
    """The display maker with a hook of its own, the dispatcher and the judge; the hook is disabled at the end.

    The judge has no clock: orders hold from the simulated time of what led to them.
    """
    now, metrics = partial(datetime.now, UTC), Metrics()
    with ExitStack() as ends:
        store = ends.enter_context(SqlStore(settings.store))
        store.suspensions.say(MODE, DISPLAY, Mode.AUTO, actor="demo", why="to show what it does", at=now())
        manual = Manual.of(settings, store, now)
        hook, secret = manual.add(maker.url, DISPLAY, WANTED, dry_run=False)
        maker.trust(secret)
        ends.callback(lambda: manual.change(hook.id, {"enabled": False}))
        ends.enter_context(maker)
        dispatcher = ends.enter_context(Dispatcher(settings, metrics))
        opened = open_judge(settings, metrics, who="demo", noticed=dispatcher.noticed, now=None)
        ends.callback(opened.close)
        yield Stage(opened, maker, Watch())


def _fresh_store() -> Path:
    """The path of a store that does not exist yet. One that another demo judges for is left alone."""
    FOLDER.mkdir(exist_ok=True)
    store = FOLDER / "strayframe.db"
    if store.exists():
        try:
            with SqlStore(f"sqlite:///{store}") as old:
                old.acquire(1, "demo")
        except JudgeRunning as running:
            fail(f"another demo runs in this folder: {running}")
        except StrayframeError:
            pass  # a file that is no store of this version: it goes, too
    for old_file in FOLDER.glob("strayframe.db*"):
        old_file.unlink()
    return store


def _play(console: Console, simulation: Simulation, stage: Stage) -> None:
    watch, waiting, played = stage.watch, 0, 0
    with _bar(console) as bar:
        task = bar.add_task("", total=simulation.total, told="", at=simulation.scenario.start)
        for happening in simulation:
            raised = _hand_over(happening, stage)
            waiting += 1
            if raised or waiting == COMMIT_EVERY:
                _commit(stage)
                waiting = 0
            played += 1
            done, told = played + simulation.withheld, _told(watch, simulation)
            bar.update(task, completed=done, told=told, at=happening.event.time)
            if not console.is_terminal and played % TOLD_EVERY == 0:
                console.print(
                    f"{happening.event.time:%H:%M}  {done} of {simulation.total} events, {told}", highlight=False
                )
        _commit(stage)


def _told(watch: Watch, simulation: Simulation) -> str:
    if not watch.leaks:
        return "no leak yet"
    held = f", {simulation.withheld} deliveries held back" if simulation.withheld else ""
    return f"{len(watch.leaks)} leaked, {len(watch.named())} named{held}"


def _hand_over(happening: Happening, stage: Stage) -> bool:
    """Hand one event to the judge; True when it raised an alert."""
    watch = stage.watch
    if happening.truth is not None and happening.truth.leaked:
        watch.leaks[happening.key] = happening.truth
        watch.handed[happening.key] = time.monotonic()
    elif happening.data is not None:
        watch.clean += 1
    judgement = stage.opened.judge.take(Message(happening.event, happening.key, happening.data))
    if judgement is None:
        return False
    watch.verdicts[judgement.verdict] += 1
    return bool(judgement.alerts)


def _commit(stage: Stage) -> None:
    """Store what was judged; where that ordered a suspension, let no time pass until the maker has answered."""
    watch, judge = stage.watch, stage.opened.judge
    changes = judge.commit()
    now = time.monotonic()
    for alert in changes.raised:
        watch.alerts[alert.id] = alert
        watch.stored[alert.id] = now
        if alert.kind is Kind.LEAK and watch.until_alert is None:
            watch.until_alert = len(watch.leaks)
    for withdrawal in changes.withdrawn:
        watch.alerts.pop(withdrawal.alert, None)
    for incident in changes.incidents:
        watch.incidents[incident.id] = incident
    for moved in judge.transitions:
        if (order := watch.moved(moved, now)) is not None:
            order.answered = stage.maker.await_request(order.scope.id, moved.after.version, HOOK_SECONDS)


def _serve(console: Console, settings: Settings) -> int:
    root = f"http://{settings.host}:{settings.port}"
    console.print(f"Serving [bold]{root}/v1/alerts[/bold] and {root}/v1/incidents until Ctrl-C.", highlight=False)
    return serve.run(settings)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.fields[at]:%H:%M}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[told]}"),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )
