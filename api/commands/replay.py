"""`strayframe replay`: progress, files and the summary around `streams.replay`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from api.options import fail
from detector.engine import Engine
from models.errors import StrayframeError
from models.records import Kind, Verdict
from streams.claims import folder_fetch
from streams.cloudevents import Rejected
from streams.crew import crew_of
from streams.decode import Decoder
from streams.judge import Judge
from streams.metrics import Metrics
from streams.placeholder import shelf_of
from streams.replay import Line, Outcome, replay
from streams.settings import Settings
from streams.wiring import board_of

DIGEST_KEY = b"strayframe replay"
"""A replay keeps nothing, so its digests need no secret; a fixed key gives the same output each time."""
TOLD = 20
"""Rejected lines that are told one by one on standard error; the rest are counted, all are in --rejects."""


def run(
    settings: Settings,
    events: Path,
    verdicts: Path | None,
    alerts: Path | None,
    incidents: Path | None,
    rejects: Path | None,
    *,
    suspensions: Path | None = None,
    placeholders: Sequence[Path] = (),
    strict: bool = False,
) -> int:
    """Replay `events`; the exit code is 1 for rejected lines under `strict`, 2 when a file cannot be opened."""
    console = Console(stderr=True)
    decoder = Decoder(DIGEST_KEY, settings.still_bytes, settings.still_pixels)
    metrics = Metrics()
    with ExitStack() as stack:
        try:
            crew = stack.enter_context(crew_of(decoder, settings.processes, metrics.look_seconds.observe))
            fetch = folder_fetch(events.parent, settings.still_bytes)
            engine = Engine()
            board = None if suspensions is None else board_of(settings, engine)
            judge = Judge(engine, decoder, metrics, fetch=fetch, crew=crew, board=board)
            engine.shelve(shelf_of(placeholders, decoder))
            begin = time.perf_counter()
            size = events.stat().st_size
            out = [_open(path, stack) for path in (verdicts, alerts, incidents, suspensions)]
            refuse = _Refusals(console, _open(rejects, stack))
            bar = stack.enter_context(_bar(console))
            task = bar.add_task("judging", total=size, alerts=0, rejected=0)

            def progress(line: Line, outcome: Outcome) -> None:
                count = outcome.rejected.total()
                bar.update(task, completed=line.end, alerts=len(outcome.alerts), rejected=count)

            outcome = replay(
                events,
                judge,
                verdicts=out[0],
                alerts=out[1],
                incidents=out[2],
                suspensions=out[3],
                refuse=refuse,
                progress=progress,
            )
            bar.update(task, completed=size, alerts=len(outcome.alerts), rejected=outcome.rejected.total())
        except OSError as error:
            fail(f"{error.filename}: {error.strerror}")
        except StrayframeError as error:
            fail(str(error))
    _summary(console, outcome, time.perf_counter() - begin)
    return 1 if strict and outcome.rejected else 0


class _Refusals:
    """Tells the first bad lines one by one and writes all of them to the file of rejects."""

    def __init__(self, console: Console, file: TextIO | None) -> None:
        self._console, self._file, self._count = console, file, 0

    def __call__(self, line: Line, rejected: Rejected) -> None:
        self._count += 1
        if self._count <= TOLD:
            self._console.print(f"[red]line {line.number}:[/red] {escape(str(rejected))}", highlight=False)
        if self._count == TOLD + 1:
            self._console.print("[red]further rejected lines are counted, not told[/red]")
        if self._file is not None:
            record = {"line": line.number, "reason": rejected.reason, "detail": rejected.detail}
            record["event"] = line.text.decode(errors="replace").rstrip("\n")
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _open(path: Path | None, stack: ExitStack) -> TextIO | None:
    return None if path is None else stack.enter_context(path.open("w", encoding="utf-8"))


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[alerts]} alerts, {task.fields[rejected]} rejected"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _summary(console: Console, outcome: Outcome, seconds: float) -> None:
    stills = outcome.verdicts.total()
    verdicts = ", ".join(f"{outcome.verdicts[verdict]} {verdict}" for verdict in Verdict)
    leaks = sum(alert.kind is Kind.LEAK for alert in outcome.alerts.values())
    console.print(
        f"{stills} stills judged in {seconds:.1f} s ({stills / max(seconds, 1e-9):.0f}/s): {verdicts}. "
        f"{leaks} leak alerts and {len(outcome.alerts) - leaks} shift alerts stand, {outcome.withdrawn} withdrawn; "
        f"{len(outcome.incidents)} incidents; {outcome.rejected.total()} lines rejected.",
        highlight=False,
        soft_wrap=True,
    )
    for one in sorted(outcome.placeholders.values(), key=lambda p: (-p.accounts, p.id)):
        console.print(
            f"placeholder {one.state}: {one.id}, {one.stills} stills, {one.accounts} accounts, "
            f"{one.label or f'first at camera {one.camera}'}.",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
