"""`strayframe hooks`: who is told of what, for a person at a terminal or a program (--json)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import typer
from rich.console import Console

from api.commands.calls import show_attempt, show_calls, show_replay
from api.commands.opened import opened
from api.commands.shown import print_fields, print_json
from api.commands.tables import table_of
from api.hook_bodies import HookBody, HookSecret
from api.options import fail
from detector.notice import NoticeType
from streams.outbox.call import State
from streams.outbox.manual import Manual
from streams.settings import Settings
from streams.store.hooks import Hook

T = TypeVar("T")


def add(
    settings: Settings, url: str, integration: str | None, events: Sequence[str], *, dry_run: bool, as_json: bool
) -> int:
    """Make a hook and print its secret, this once."""
    with _manual(settings) as manual:
        hook, secret = manual.add(url, integration, _types(events), dry_run=dry_run)
        return _show_secret(manual, hook, secret, as_json=as_json)


def show_all(settings: Settings, *, as_json: bool) -> int:
    """Print all hooks, newest first."""
    with _manual(settings) as manual:
        hooks = _all(manual.hooks.page)
    if as_json:
        return print_json([HookBody.of(hook, manual.now()) for hook in hooks])
    if not hooks:
        typer.echo("no hooks: `strayframe hooks add URL` makes one")
        return 0
    Console(highlight=False).print(table_of(("id", "url", "integration", "events", "state"), map(_line, hooks)))
    return 0


def show(settings: Settings, id: str, *, as_json: bool) -> int:
    """Print one hook."""
    with _manual(settings) as manual:
        body = HookBody.of(_the(manual, id), manual.now())
    return print_json(body) if as_json else print_fields(body)


def rotate(settings: Settings, id: str, keep_hours: float, *, as_json: bool) -> int:
    """Give a hook its next secret and print it, this once."""
    with _manual(settings) as manual:
        hook, secret = _some(manual.rotate(_the(manual, id).id, timedelta(hours=keep_hours)), id)
        return _show_secret(manual, hook, secret, as_json=as_json)


def change(settings: Settings, id: str, given: dict[str, Any], said: str) -> int:
    """Change a hook."""
    with _manual(settings) as manual:
        hook = _some(manual.change(_the(manual, id).id, given), id)
    typer.echo(f"{hook.id} {said}")
    return 0


def remove(settings: Settings, id: str) -> int:
    """Forget a hook with its deliveries."""
    with _manual(settings) as manual:
        manual.hooks.remove(_the(manual, id).id)
    typer.echo(f"{id} removed, with what is known of its deliveries")
    return 0


def test(settings: Settings, id: str, *, as_json: bool) -> int:
    """Post a test to a hook and print what came back. Exit code 1: it did not take it."""
    with _manual(settings) as manual:
        hook = _the(manual, id)
        told = manual.test_notice(hook)
        attempt = asyncio.run(manual.attempt(hook, told))
        call = _some(manual.hooks.call(hook.id, manual.hooks.note(hook.id, told, attempt)), id)
    return show_attempt(hook.url, call, attempt, as_json=as_json)


def deliveries(settings: Settings, id: str, state: State | None, limit: int, *, as_json: bool) -> int:
    """Print what was, is or would be sent to a hook, newest first."""
    with _manual(settings) as manual:
        calls, killed = manual.hooks.log(_the(manual, id).id, state, limit=limit).items, manual.hooks.killed()
    return show_calls(calls, killed=killed, as_json=as_json)


def replay(settings: Settings, id: str, delivery: str) -> int:
    """Have a notice sent again, by whoever dispatches."""
    with _manual(settings) as manual:
        return show_replay(id, delivery, found=manual.hooks.replay(_the(manual, id).id, delivery, manual.now()))


def _show_secret(manual: Manual, hook: Hook, secret: str, *, as_json: bool) -> int:
    if as_json:
        return print_json(HookSecret.with_secret(hook, manual.now(), secret))
    typer.echo(f"{hook.id}\nsecret {secret}\nIt is shown this once; the receiver verifies with it.")
    return 0


@contextmanager
def _manual(settings: Settings) -> Iterator[Manual]:
    with opened(settings) as store:
        yield Manual.of(settings, store, partial(datetime.now, UTC))


def _all(page: Callable[..., Any]) -> list[Hook]:
    found, after = list[Hook](), None
    while True:
        one = page(after)
        found += one.items
        after = one.next
        if after is None:
            return found


def _the(manual: Manual, id: str) -> Hook:
    return _some(manual.hooks.hook(id), id)


def _some(found: T | None, id: str) -> T:
    if found is None:
        fail(f"there is no hook {id}; `strayframe hooks list` shows all", 1)
    return found


def _types(events: Sequence[str]) -> frozenset[NoticeType] | None:
    known = {each.value for each in NoticeType}
    unknown = sorted(set(events) - known)
    if unknown:
        fail(f"there is no event {unknown[0]!r}; there are {', '.join(sorted(known))}")
    return frozenset(map(NoticeType, events)) or None


def _state(hook: Hook) -> str:
    if hook.disabled is not None:
        return f"disabled since {_clock(hook.disabled)}: {hook.disabled_why}"
    return "dry run" if hook.dry_run else "called"


def _line(hook: Hook) -> list[str]:
    events = "all" if hook.events is None else " ".join(sorted(hook.events))
    return [hook.id, hook.url, hook.integration or "any", events, _state(hook)]


def _clock(when: datetime) -> str:
    return when.isoformat(timespec="seconds").replace("+00:00", "Z")
