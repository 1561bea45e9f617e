"""`strayframe demo`: a simulated cloud leaks, the real detector catches it, and a summary says who saw whom.

Owns the demonstration: its own store, the clock on the wall, the summary, the exit code. Everything that judges,
stores and serves is the product's own.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from api.commands import serve
from api.options import fail
from detector.incident import Incident
from models.errors import StrayframeError
from models.records import Alert, AlertId, DeliveryId, IncidentId, Kind, Verdict
from streams.cloudevents import Message
from streams.metrics import Metrics
from streams.settings import Settings
from streams.simulator.scenario import scenario
from streams.simulator.simulate import Happening, Simulation, Truth
from streams.simulator.studio import PROCESSES, Studio
from streams.store.lease import JudgeRunning
from streams.store.sql import SqlStore
from streams.wiring import OpenJudge, open_judge

FOLDER = Path(".demo")
SCENARIO = "xiaomi_2019"
COMMIT_EVERY = 32
"""Deliveries per transaction, at most. A delivery that raises an alert is stored at once."""
TOLD_EVERY = 500
"""Events between two lines of progress where there is no terminal to draw a bar on."""
SHOWN = 12
"""Rows of who saw whom that are printed; the API has all."""


@dataclass(slots=True)
class Watch:
    """What the demonstration saw, beside what the simulator knows."""

    leaks: dict[DeliveryId, Truth] = field(default_factory=dict)
    handed: dict[DeliveryId, float] = field(default_factory=dict)
    verdicts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    alerts: dict[AlertId, Alert] = field(default_factory=dict)
    stored: dict[AlertId, float] = field(default_factory=dict)
    incidents: dict[IncidentId, Incident] = field(default_factory=dict)

    def named(self) -> list[Alert]:
        """Leak alerts that name the right owner of a leaked still."""
        found = [a for a in self.alerts.values() if a.kind is Kind.LEAK and a.delivery in self.leaks]
        return [alert for alert in found if alert.owner == self.leaks[alert.delivery].owner]

    def told(self) -> set[DeliveryId]:
        """Leaked deliveries with any alert at all."""
        return {alert.delivery for alert in self.alerts.values()} & self.leaks.keys()

    def wrong(self) -> list[Alert]:
        """Leak alerts that accuse somebody innocent: a clean delivery, or the wrong owner."""
        right = {alert.id for alert in self.named()}
        return [alert for alert in self.alerts.values() if alert.kind is Kind.LEAK and alert.id not in right]

    def found(self) -> bool:
        """Whether an incident stands that holds a leak which really happened."""
        return any(alert.id in incident.alerts for incident in self.incidents.values() for alert in self.named())


def run(settings: Settings, *, once: bool, accounts: int, seed: int) -> int:
    """Play, watch, tell; then serve unless `once`. Exit code 1: missed, or somebody innocent was accused."""
    console = Console()
    if not once:
        serve.listener(settings).close()
    own = settings.model_copy(update={"store": f"sqlite:///{_fresh_store()}", "kafka": ""})
    studio = Studio(PROCESSES)
    simulation = Simulation(scenario(SCENARIO).scaled(accounts), seed, studio=studio)
    console.print(
        f"[bold]{SCENARIO}[/bold]: {simulation.scenario.sentence}. {accounts} accounts, {simulation.total} events, "
        f"seed {seed}; the stills are drawn, the detector and its store ({own.store}) are real.\n",
        highlight=False,
    )
    try:
        opened = open_judge(own, Metrics(), who="demo")
        try:
            begin = time.monotonic()
            with studio:
                watch = _play(console, simulation, opened)
            seconds = time.monotonic() - begin
        finally:
            opened.close()
    except StrayframeError as error:
        fail(str(error))
    _summary(console, watch, seconds)
    succeeded = watch.found() and not watch.wrong()
    if once:
        return 0 if succeeded else 1
    return _serve(console, own) or (0 if succeeded else 1)


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


def _play(console: Console, simulation: Simulation, opened: OpenJudge) -> Watch:
    watch, waiting = Watch(), 0
    with _bar(console) as bar:
        task = bar.add_task("", total=simulation.total, told="", at=simulation.scenario.start)
        for happening in simulation:
            raised = _hand_over(happening, opened, watch)
            waiting += 1
            if raised or waiting == COMMIT_EVERY:
                _commit(opened, watch)
                waiting = 0
            told = f"{len(watch.leaks)} leaked, {len(watch.named())} named" if watch.leaks else "no leak yet"
            bar.update(task, advance=1, told=told, at=happening.event.time)
            done = bar.tasks[task].completed
            if not console.is_terminal and done % TOLD_EVERY == 0:
                console.print(
                    f"{happening.event.time:%H:%M}  {done:.0f} of {simulation.total} events, {told}", highlight=False
                )
        _commit(opened, watch)
    return watch


def _hand_over(happening: Happening, opened: OpenJudge, watch: Watch) -> bool:
    """Hand one event to the judge; True when it raised an alert."""
    if happening.truth is not None and happening.truth.leaked:
        watch.leaks[happening.key] = happening.truth
        watch.handed[happening.key] = time.monotonic()
    judgement = opened.judge.take(Message(happening.event, happening.key, happening.data))
    if judgement is None:
        return False
    watch.verdicts[judgement.verdict] += 1
    return bool(judgement.alerts)


def _commit(opened: OpenJudge, watch: Watch) -> None:
    changes = opened.judge.commit()
    now = time.monotonic()
    for alert in changes.raised:
        watch.alerts[alert.id] = alert
        watch.stored[alert.id] = now
    for withdrawal in changes.withdrawn:
        watch.alerts.pop(withdrawal.alert, None)
    for incident in changes.incidents:
        watch.incidents[incident.id] = incident


def _summary(console: Console, watch: Watch, seconds: float) -> None:
    named, told, wrong = watch.named(), watch.told(), watch.wrong()
    shifts = [a for a in watch.alerts.values() if a.kind is Kind.SHIFT and a.delivery not in watch.leaks]
    judged = f"{sum(watch.verdicts.values())} in {seconds:.0f} s, drawing them included"
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_row("stills judged", judged)
    table.add_row("verdicts", ", ".join(f"{count} {verdict}" for verdict, count in watch.verdicts.items()))
    table.add_row("leaks", f"{len(watch.leaks)} injected, {len(told)} told, {len(named)} named with the right owner")
    table.add_row("innocent accused", str(len(wrong)))
    table.add_row("scene shifts", f"{len(shifts)} told on clean deliveries (they name nobody)")
    for incident in watch.incidents.values():
        if incident.stands:
            table.add_row("incident", _incident_line(incident))
    table.add_row("first alert", _delay_line(watch))
    good = watch.found() and not wrong
    title = "the incident was found, nobody innocent was accused" if good else "not as it should be"
    console.print(Panel(table, title=title, border_style="green" if good else "red", expand=False), highlight=False)
    _who_saw_whom(console, watch)
    for alert in wrong[:SHOWN]:
        console.print(f"[red]wrongly accused:[/red] {escape(alert.why)}", highlight=False)


def _incident_line(incident: Incident) -> str:
    return f"{incident.sentence} ({incident.first:%H:%M} to {incident.last:%H:%M} UTC, {incident.id})"


def _delay_line(watch: Watch) -> str:
    """From the first leak to its alert: by the clock on the wall, and in simulated time."""
    first = next((key for key in watch.leaks if key in watch.told()), None)
    if first is None:
        return "none"
    alert = min((a for a in watch.alerts.values() if a.delivery == first), key=lambda a: watch.stored[a.id])
    wall = watch.stored[alert.id] - watch.handed[first]
    simulated = (alert.raised_at - alert.delivered_at).total_seconds()
    missed = list(watch.leaks).index(first)
    before = f", after {missed} leaks that nothing was said of" if missed else ""
    return f"stored {1000 * wall:.0f} ms after the leaked still came in ({simulated:.0f} s of simulated time){before}"


def _who_saw_whom(console: Console, watch: Watch) -> None:
    table = Table(box=box.SIMPLE_HEAD, title="Who saw whom", title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("at (UTC)", "viewer", "saw", "of", "through", "level", "as"):
        table.add_column(heading, no_wrap=True)
    alerts = sorted((a for a in watch.alerts.values() if a.kind is Kind.LEAK), key=lambda a: a.delivered_at)
    for alert in alerts[:SHOWN]:
        truth = watch.leaks.get(alert.delivery)
        path = " ".join(alert.attributes.get(name, "") for name in ("cachenode", "network"))
        kind = truth.kind if truth else "wrong"
        at = f"{alert.delivered_at:%H:%M:%S}"
        table.add_row(at, alert.recipient, alert.owner_camera or "-", alert.owner or "-", path, alert.level, kind)
    if len(alerts) > SHOWN:
        table.caption = f"and {len(alerts) - SHOWN} more in GET /v1/alerts"
    console.print(table)


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
