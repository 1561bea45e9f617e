"""`strayframe simulate`: a scenario into a folder, or onto Kafka."""

from __future__ import annotations

import time
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api.options import fail
from models.errors import StrayframeError
from streams.cloudevents import Message
from streams.settings import Settings
from streams.simulator.scenario import SCENARIOS, scenario
from streams.simulator.simulate import Progress as Progressed
from streams.simulator.simulate import Simulation, write_folder
from streams.simulator.studio import PROCESSES, Studio


def run(settings: Settings, name: str, out: Path | None, accounts: int | None, seed: int, rate: float) -> int:
    """Play the scenario `name`; `list` prints those that there are."""
    if name == "list":
        for found in SCENARIOS.values():
            typer.echo(f"{found.name}: {found.sentence}")
        return 0
    if out is None and not settings.kafka:
        fail("say where to: --out DIR, or --kafka HOST:PORT")
    try:
        chosen = scenario(name)
        studio = Studio(PROCESSES)
        simulation = Simulation(chosen if accounts is None else chosen.scaled(accounts), seed, studio=studio)
        with studio, _bar() as bar:
            task = bar.add_task(f"playing {name}", total=simulation.total)

            def progress(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            said = _to_folder(simulation, out, progress) if out else _to_kafka(settings, simulation, rate, progress)
    except StrayframeError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")
    typer.echo(said)
    return 0


def _to_folder(simulation: Simulation, out: Path, progress: Progressed) -> str:
    written = write_folder(simulation, out, progress)
    return f"{written.events} events, {written.deliveries} deliveries, {written.leaks} of them leaks, in {out}"


def _to_kafka(settings: Settings, simulation: Simulation, rate: float, progress: Progressed) -> str:
    """Produce at `rate` events a second by the clock; what falls behind is sent at once, never skipped."""
    from streams.kafka.client import Outlet

    begin, events, leaks = time.monotonic(), 0, 0
    with Outlet(settings) as outlet:
        for happening in simulation:
            if rate:
                time.sleep(max(0.0, begin + events / rate - time.monotonic()))
            outlet.send(Message(happening.event, happening.key, happening.data))
            events += 1
            leaks += happening.truth is not None and happening.truth.leaked
            progress(events, simulation.total)
    seconds = time.monotonic() - begin
    return f"{events} events, {leaks} of them leaks, acknowledged by {settings.kafka} in {seconds:.1f} s"


def _bar() -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)
