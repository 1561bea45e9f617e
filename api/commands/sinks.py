"""`strayframe sinks`: what the tools beside are told, for a person at a terminal or a program (--json)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import typer
from rich.console import Console

from api.commands.hooks import call_line
from api.commands.opened import opened
from api.commands.tables import minute, table_of
from api.hook_bodies import CallBody
from api.options import fail
from api.sink_bodies import SinkBody
from streams.outbox.call import Result, State
from streams.settings import Settings
from streams.sinks import trial
from streams.sinks.configuration import NAME, SinkError
from streams.sinks.roster import sinks_of
from streams.sinks.sink import Sink, target_of
from streams.store.hooks import Hooks
from streams.store.outbox import Outbox
from streams.store.sql import SqlStore

_now = partial(datetime.now, UTC)


def show_all(settings: Settings, *, as_json: bool) -> int:
    """Print all sinks, in the order of their file."""
    with _opened(settings) as (store, sinks):
        waiting = Outbox(store.database).waiting()
    bodies = [SinkBody.of(sink, waiting.get(sink.name)) for sink in sinks.values()]
    if as_json:
        return _json([body.model_dump(mode="json") for body in bodies])
    if not bodies:
        typer.echo("no sinks: the setting `sinks` names the file that has them")
        return 0
    lines = [[b.name, b.type, b.place, b.severity, str(b.waiting), minute(b.oldest)] for b in bodies]
    headings = ("name", "type", "place", "from", "waiting", "since (UTC)")
    Console(highlight=False).print(table_of(headings, lines))
    return 0


def show(settings: Settings, name: str, *, as_json: bool) -> int:
    """Print one sink."""
    with _opened(settings) as (store, sinks):
        sink = _the(sinks, name)
        body = SinkBody.of(sink, Outbox(store.database).waiting().get(sink.name))
    told = body.model_dump(mode="json")
    if as_json:
        return _json(told)
    for key, value in told.items():
        typer.echo(f"{key:13} {_plain(value)}")
    return 0


def test(settings: Settings, name: str, *, as_json: bool) -> int:
    """Send a marked test to a sink and print what came back. Exit code 1: it did not take it."""
    with _opened(settings) as (store, sinks):
        sink = _the(sinks, name)
        told = trial.test_notice(name, _now())
        attempt = asyncio.run(trial.attempt(sink, told, _now))
        hooks = Hooks(store.database)
        call: Any = hooks.call(sink.name, hooks.note(sink.name, told, attempt))
    if as_json:
        _json(CallBody.of(call, killed=False).model_dump(mode="json"))
    else:
        typer.echo(f"{sink.place}: {attempt.outcome.detail} ({attempt.seconds:.2f} s)")
    return 0 if attempt.outcome.result is Result.DELIVERED else 1


def log(settings: Settings, name: str, state: State | None, limit: int, *, as_json: bool) -> int:
    """Print what was or will be sent to a sink, newest first; also to one that the file no longer names."""
    with opened(settings) as store:
        calls = Hooks(store.database).log(_target(name), state, limit=limit).items
    if as_json:
        return _json([CallBody.of(call, killed=False).model_dump(mode="json") for call in calls])
    headings = ("id", "type", "happened (UTC)", "state", "tries", "last")
    Console(highlight=False).print(table_of(headings, (call_line(call, killed=False) for call in calls)))
    return 0


def replay(settings: Settings, name: str, delivery: str) -> int:
    """Have a notice sent again, by whoever dispatches."""
    with opened(settings) as store:
        if not Hooks(store.database).replay(_target(name), delivery, _now()):
            fail(f"nothing was sent to {name} under the id {delivery}", 1)
    typer.echo(f"{delivery} is sent again while `strayframe serve` or `worker` runs")
    return 0


def forget(settings: Settings, name: str) -> int:
    """Stop what waits for a sink that the file no longer names."""
    with _opened(settings) as (store, sinks):
        if name in sinks:
            fail(f"{name} is in {settings.sinks}: take it out there first, and start `serve` and `worker` anew", 1)
        count = Outbox(store.database).stopped(_target(name), _now())
    typer.echo(f"{count} notices that waited for {name} are stopped")
    return 0


@contextmanager
def _opened(settings: Settings) -> Iterator[tuple[SqlStore, dict[str, Sink]]]:
    try:
        sinks = {sink.spec.name: sink for sink in sinks_of(settings)}
    except SinkError as error:
        fail(str(error))
    with opened(settings) as store:
        yield store, sinks


def _the(sinks: dict[str, Sink], name: str) -> Sink:
    if name not in sinks:
        fail(f"there is no sink {name}; `strayframe sinks list` shows all", 1)
    return sinks[name]


def _target(name: str) -> str:
    if not NAME.fullmatch(name):
        fail(f"{name!r} names no sink", 1)
    return target_of(name)


def _plain(value: Any) -> str:
    if value is None:
        return "-"
    return " ".join(value) if isinstance(value, list) else str(value)


def _json(value: Any) -> int:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))
    return 0
