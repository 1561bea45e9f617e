"""`strayframe hooks`: who is told of what, for a person at a terminal or a program (--json)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import typer
from rich.console import Console

from api.commands.opened import opened
from api.commands.tables import minute, table_of
from api.hook_bodies import CallBody, HookBody, HookSecret
from api.options import fail
from detector.notice import NoticeType
from streams.outbox.call import Result, State
from streams.outbox.manual import Manual
from streams.settings import Settings
from streams.store.hooks import Hook, Logged

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
        return _json([HookBody.of(hook, manual.now()).model_dump(mode="json") for hook in hooks])
    if not hooks:
        typer.echo("no hooks: `strayframe hooks add URL` makes one")
        return 0
    Console(highlight=False).print(table_of(("id", "url", "integration", "events", "state"), map(_line, hooks)))
    return 0


def show(settings: Settings, id: str, *, as_json: bool) -> int:
    """Print one hook."""
    with _manual(settings) as manual:
        told = HookBody.of(_the(manual, id), manual.now()).model_dump(mode="json")
    if as_json:
        return _json(told)
    for name, value in told.items():
        typer.echo(f"{name:15} {_plain(value)}")
    return 0


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
        call = _some(manual.hooks.call(hook.id, manual.log(hook, told, attempt)), id)
    taken = attempt.outcome.result in (Result.DELIVERED, Result.DRY_RUN)
    if as_json:
        _json(CallBody.of(call, killed=False).model_dump(mode="json"))
    else:
        typer.echo(f"{hook.url}: {attempt.outcome.whole} ({attempt.seconds:.2f} s)")
    return 0 if taken else 1


def deliveries(settings: Settings, id: str, state: State | None, limit: int, *, as_json: bool) -> int:
    """Print what was, is or would be sent to a hook, newest first."""
    with _manual(settings) as manual:
        calls, killed = manual.hooks.log(_the(manual, id).id, state, limit=limit).items, manual.hooks.killed()
    if as_json:
        return _json([CallBody.of(call, killed=killed).model_dump(mode="json") for call in calls])
    headings = ("id", "type", "happened (UTC)", "state", "tries", "last")
    Console(highlight=False).print(table_of(headings, (call_line(call, killed=killed) for call in calls)))
    return 0


def replay(settings: Settings, id: str, delivery: str) -> int:
    """Have a notice sent again, by whoever dispatches."""
    with _manual(settings) as manual:
        if not manual.hooks.replay(_the(manual, id).id, delivery, manual.now()):
            fail(f"nothing was sent to {id} under the id {delivery}", 1)
    typer.echo(f"{delivery} is sent again while `strayframe serve` or `worker` runs")
    return 0


def _show_secret(manual: Manual, hook: Hook, secret: str, *, as_json: bool) -> int:
    if as_json:
        return _json(HookSecret.with_secret(hook, manual.now(), secret).model_dump(mode="json"))
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


def state_of(text: str | None) -> State | None:
    """The state that somebody typed. Ends the command when there is no such one."""
    if text is None:
        return None
    try:
        return State(text)
    except ValueError:
        fail(f"there is no state {text!r}; there are {', '.join(State)}")


def _state(hook: Hook) -> str:
    if hook.disabled is not None:
        return f"disabled since {_clock(hook.disabled)}: {hook.disabled_why}"
    return "dry run" if hook.dry_run else "called"


def _line(hook: Hook) -> list[str]:
    events = "all" if hook.events is None else " ".join(sorted(hook.events))
    return [hook.id, hook.url, hook.integration or "any", events, _state(hook)]


def call_line(call: Logged, *, killed: bool) -> list[str]:
    """A call as a line of a table; what asks to act is held where somebody threw the kill switch."""
    notice = call.notice
    held = killed and notice.acts and call.state is State.WAITING
    state = "held by the kill switch" if held else call.state.value
    return [call.id, notice.type, minute(notice.at), state, str(len(call.attempts)), _last(call)]


def _last(call: Logged) -> str:
    return call.attempts[-1].outcome.detail if call.attempts else ""


def _plain(value: Any) -> str:
    if value is None:
        return "-"
    return " ".join(value) if isinstance(value, list) else str(value)


def _clock(when: datetime) -> str:
    return when.isoformat(timespec="seconds").replace("+00:00", "Z")


def _json(value: Any) -> int:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))
    return 0
