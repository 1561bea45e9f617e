"""The doctor at hooks and sinks: what waits, what was given up, which were disabled, which cannot be reached.

Owns when waiting is too long. Refuses to send anything: `hooks test` and `sinks test` do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from streams.doctor.finding import Finding, fine, look, wrong
from streams.outbox.call import SINK, State
from streams.settings import Settings
from streams.sinks.configuration import SinkError
from streams.sinks.roster import sinks_of
from streams.sinks.sink import Sink
from streams.store.database import Database
from streams.store.hooks import Hooks
from streams.store.outbox import Outbox, Waiting

LATE: Final = timedelta(minutes=10)
"""Waiting for longer is no restart of a receiver any more."""
HOOKS: Final = 500
"""Hooks that are looked at."""


def hooks(database: Database, now: datetime) -> Iterator[Finding]:
    """Every hook: whether it is called, and whether what it is told arrives."""
    known = Hooks(database)
    waiting = Outbox(database).waiting()
    found = known.page(limit=HOOKS).items
    if not found:
        yield fine("hooks", "there are none: `strayframe hooks add URL` makes one")
    for hook in found:
        name = f"hook {hook.id}"
        if hook.disabled is not None:
            again = f"`strayframe hooks enable {hook.id}` once the receiver is back"
            yield look(name, f"disabled since {hook.disabled:%Y-%m-%d %H:%M} UTC: {hook.disabled_why}", again)
        else:
            yield _told(name, hook.id, f"hooks deliveries {hook.id}", known, waiting, now)


def sinks(database: Database | None, settings: Settings, now: datetime) -> Iterator[Finding]:
    """Every sink of the file, and what waits for those that are no longer in it. Without a store only the file."""
    try:
        made = sinks_of(settings)
    except SinkError as error:
        yield wrong("sinks", str(error), "mend the file (docs/sinks.md); `serve` and `worker` do not start with it")
        return
    waiting = {} if database is None else Outbox(database).waiting()
    if not made:
        yield fine("sinks", "there are none: the setting `sinks` names the file that has them")
    faults = asyncio.run(_probed(made))
    for sink, fault in zip(made, faults, strict=True):
        name = f"sink {sink.spec.name}"
        if fault:
            yield wrong(name, fault, f"mend the way to it; `strayframe sinks test {sink.spec.name}` tries it out")
        elif database is not None:
            yield _told(name, sink.name, f"sinks log {sink.spec.name}", Hooks(database), waiting, now)
        else:
            yield fine(name, f"{sink.place} takes a connection")
    for target in waiting.keys() - {sink.name for sink in made}:
        if target.startswith(SINK):
            gone = target.removeprefix(SINK)
            says = f"{waiting[target].count} notices wait for it, and the file does not name it"
            yield look(f"sink {gone}", says, f"`strayframe sinks forget {gone}`, or put it back")


async def _probed(made: list[Sink]) -> list[str]:
    return list(await asyncio.gather(*(sink.probe() for sink in made)))


def _told(name: str, target: str, command: str, known: Hooks, waiting: Mapping[str, Waiting], now: datetime) -> Finding:
    """Whether what a target is told arrives."""
    late = waiting.get(target)
    if late is not None and now - late.oldest > LATE:
        last = [one.attempts[-1].outcome.detail for one in known.log(target, State.WAITING).items if one.attempts]
        why = f"; the last attempt: {last[0]}" if last else ""
        since = f"{late.count} notices wait, the oldest since {late.oldest:%Y-%m-%d %H:%M} UTC{why}"
        return wrong(name, since, f"see what it answers: `strayframe {command} --state waiting`")
    if failed := known.log(target, State.FAILED, limit=1).items:
        last_at = failed[0].settled or now
        if now - last_at < timedelta(days=1):
            says = f"a notice was given up at {last_at:%Y-%m-%d %H:%M} UTC"
            return look(name, says, f"`strayframe {command} --state failed`, then `replay`")
    return fine(name, f"{0 if late is None else late.count} notices wait")
