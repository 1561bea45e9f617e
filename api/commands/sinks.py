"""`strayframe sinks`: what the tools beside are told, for a person at a terminal or a program (--json)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import typer
from rich.console import Console

from api.commands.calls import show_attempt, show_calls, show_replay
from api.commands.opened import opened
from api.commands.shown import print_fields, print_json
from api.commands.tables import minute, table_of
from api.options import fail
from api.sink_bodies import SinkBody
from streams.outbox.call import State
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
        return print_json(bodies)
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
    return print_json(body) if as_json else print_fields(body)


def test(settings: Settings, name: str, *, as_json: bool) -> int:
    """Send a marked test to a sink and print what came back. Exit code 1: it did not take it."""
    with _opened(settings) as (store, sinks):
        sink = _the(sinks, name)
        told, attempt = asyncio.run(trial.attempt(sink, _now))
        hooks = Hooks(store.database)
        call: Any = hooks.call(sink.name, hooks.note(sink.name, told, attempt))
    return show_attempt(sink.place, call, attempt, as_json=as_json)


def log(settings: Settings, name: str, state: State | None, limit: int, *, as_json: bool) -> int:
    """Print what was or will be sent to a sink, newest first; also to one that the file no longer names."""
    with opened(settings) as store:
        calls = Hooks(store.database).log(_target(name), state, limit=limit).items
    return show_calls(calls, killed=False, as_json=as_json)


def replay(settings: Settings, name: str, delivery: str) -> int:
    """Have a notice sent again, by whoever dispatches."""
    with opened(settings) as store:
        return show_replay(name, delivery, found=Hooks(store.database).replay(_target(name), delivery, _now()))


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
