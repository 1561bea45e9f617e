"""Hooks as the store holds them, and the log of what was sent to each.

Owns their rows and what persons do to them. Refuses to send, and to hold a secret: it holds the number from which a
secret derives (streams/outbox/secret.py).
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import Connection, Row, Select, delete, func, select, update

from detector.notice import Notice, NoticeType
from streams.outbox.call import SINK, Attempt, CallId, Outcome, Result, State, call_id, lane, rank
from streams.store import audit, outbox_schema
from streams.store.database import Database
from streams.store.outbox import NOTICE, disable, in_order, of_attempt, of_notice, ring, to_notice
from streams.store.outbox_schema import attempts, calls, notices
from streams.store.queries import Page
from streams.store.words import is_killed

_HOOKS: Final = outbox_schema.hooks
ID_BYTES: Final = 8
"""Of a hook's id, drawn at random: enough that an id is never met again."""
BY_HAND: Final = "disabled by hand"


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook. `integration` and `events` None: any. `version` grows with whatever a person does to it or its calls.

    `generation` numbers its secret; the one before holds until `previous_until`.
    """

    id: str
    seq: int
    url: str
    integration: str | None
    events: frozenset[NoticeType] | None
    dry_run: bool
    generation: int
    previous_until: datetime | None
    created: datetime
    disabled: datetime | None
    disabled_why: str | None
    version: int

    def wants(self, notice: Notice) -> bool:
        """Whether the hook asked for such notices. A test is for whom it is meant alone."""
        return (
            self.integration in (None, notice.integration)
            and (self.events is None or notice.type in self.events)
            and notice.type is not NoticeType.TEST
        )


@dataclass(frozen=True, slots=True)
class Logged:
    """A call as the log shows it, its attempts oldest first."""

    seq: int
    id: CallId
    target: str
    notice: Notice
    state: State
    due: datetime
    settled: datetime | None
    attempts: tuple[Attempt, ...]


class Hooks:
    """Hooks and the log of their calls. No lease is needed. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        url: str,
        at: datetime,
        integration: str | None = None,
        events: frozenset[NoticeType] | None = None,
        *,
        dry_run: bool = False,
    ) -> Hook:
        """A new hook, which hears of what is stored from now on."""
        id_ = f"hk-{secrets.token_hex(ID_BYTES)}"
        row = {"id": id_, "url": url, "integration": integration, "events": _joined(events), "dry_run": dry_run}
        fixed = {"generation": 1, "created_at": at, "version": 1}
        with self._database.writing() as connection:
            connection.execute(_HOOKS.insert(), row | fixed)
            ring(connection)
            audit.write(connection, "hook.added", id_, integration or "", host=_host(url), dry_run=dry_run)
            return _to_hook(connection.execute(select(_HOOKS).where(_HOOKS.c.id == id_)).one())

    def enabled(self) -> list[Hook]:
        """All that are to be called, oldest first."""
        found = select(_HOOKS).where(_HOOKS.c.disabled_at.is_(None)).order_by(_HOOKS.c.seq)
        with self._database.reading() as connection:
            return [_to_hook(row) for row in connection.execute(found)]

    def page(self, after: int | None = None, limit: int = 50) -> Page[Hook]:
        """Hooks, newest first; `after` is the `next` of the page before."""
        found = select(_HOOKS).order_by(_HOOKS.c.seq.desc()).limit(limit + 1)
        if after is not None:
            found = found.where(_HOOKS.c.seq < after)
        with self._database.reading() as connection:
            rows = [_to_hook(row) for row in connection.execute(found)]
        return Page(tuple(rows[:limit]), rows[limit - 1].seq if len(rows) > limit else None)

    def hook(self, id: str) -> Hook | None:
        """The hook of that id, or None."""
        with self._database.reading() as connection:
            row = connection.execute(select(_HOOKS).where(_HOOKS.c.id == id)).one_or_none()
            return None if row is None else _to_hook(row)

    def change(self, id: str, given: Mapping[str, Any], at: datetime) -> Hook | None:
        """Change what is given of url, integration, events, dry_run and enabled; None when there is no such hook.

        Disabling stops what waits; what was stopped stays so until it is replayed.
        """
        values = {name: given[name] for name in ("url", "integration", "dry_run") if name in given}
        if "events" in given:
            values["events"] = _joined(given["events"])
        if given.get("enabled"):
            values |= {"disabled_at": None, "disabled_why": None}
        with self._database.writing() as connection:
            found = _touch(connection, id, values)
            if found is not None and given.get("enabled") is False:
                disable(connection, id, BY_HAND, at)
                found = connection.execute(select(_HOOKS).where(_HOOKS.c.id == id)).one()
            if found is not None:
                audit.write(
                    connection,
                    "hook.changed",
                    id,
                    found.integration or "",
                    host=_host(found.url),
                    changed=sorted(given),
                )
            return None if found is None else _to_hook(found)

    def rotate(self, id: str, previous_until: datetime) -> Hook | None:
        """Give the hook its next secret; the present one holds until then. None when there is no such hook."""
        values = {"generation": _HOOKS.c.generation + 1, "previous_until": previous_until}
        with self._database.writing() as connection:
            found = _touch(connection, id, values)
            if found is not None:
                audit.write(connection, "hook.rotated", id, found.integration or "")
            return None if found is None else _to_hook(found)

    def remove(self, id: str) -> bool:
        """Forget a hook with its log. False when there is none of that id."""
        of_target = select(calls.c.id).where(calls.c.target == id)
        with self._database.writing() as connection:
            # whoever records an attempt has the call's row: done with it, or finds none
            connection.scalar(select(func.count()).select_from(of_target.with_for_update().subquery()))
            gone = connection.execute(delete(_HOOKS).where(_HOOKS.c.id == id)).rowcount == 1
            if gone:
                connection.execute(delete(attempts).where(attempts.c.call.in_(of_target)))
                connection.execute(delete(calls).where(calls.c.target == id))
                ring(connection)
                audit.write(connection, "hook.removed", id)
            return gone

    # --- the log ---------------------------------------------------------------------------------------------

    def log(self, target: str, state: State | None = None, after: int | None = None, limit: int = 50) -> Page[Logged]:
        """The calls of a target, newest first, in that state or in any."""
        with self._database.reading() as connection:
            rows = connection.execute(calls_of(target, state, after, limit + 1)).all()
            items = _logged(connection, rows[:limit])
        return Page(tuple(items), items[-1].seq if len(rows) > limit else None)

    def call(self, target: str, id: str) -> Logged | None:
        """One call of a target, or None."""
        with self._database.reading() as connection:
            rows = connection.execute(_calls().where(calls.c.target == target, calls.c.id == id)).all()
            return next(iter(_logged(connection, rows)), None)

    def killed(self) -> bool:
        """Whether the kill switch is on: then what asks somebody to act waits."""
        with self._database.reading() as connection:
            return is_killed(connection)

    def replay(self, target: str, id: str, at: datetime) -> bool:
        """Have a call made again, at once and for as long as a new one, under its old id. False: there is none."""
        again = {"state": State.WAITING.value, "due_at": at, "tries": 0, "begun_at": None, "settled_at": None}
        with self._database.writing() as connection:
            which = (calls.c.target == target, calls.c.id == id)
            found = connection.execute(update(calls).where(*which).values(again)).rowcount == 1
            if found:
                _touch(connection, target, {})
                audit.write(connection, f"{_kind(target)}.replayed", target, delivery=id)
            return found

    def note(self, target: str, notice: Notice, attempt: Attempt) -> CallId:
        """Log what a person tried out: a notice for this target alone, and the one attempt at it."""
        id_ = call_id(target, notice.id)
        delivered = attempt.outcome.result is Result.DELIVERED
        row = {
            "id": id_,
            "target": target,
            "notice": notice.id,
            "lane": lane(notice),
            "rank": rank(notice.type),
            "state": (State.DELIVERED if delivered else State.FAILED).value,
            "tries": 1,
            "due_at": attempt.at,
            "begun_at": attempt.at,
            "settled_at": attempt.at,
        }
        with self._database.writing() as connection:
            in_order(connection)
            connection.execute(notices.insert(), of_notice(notice) | {"stored_at": attempt.at, "routed_at": attempt.at})
            connection.execute(calls.insert(), row)
            connection.execute(attempts.insert(), of_attempt(id_, attempt))
            result = attempt.outcome.result.value
            audit.write(connection, f"{_kind(target)}.tested", target, notice.integration, result=result)
        return id_


def _kind(target: str) -> str:
    return "sink" if target.startswith(SINK) else "hook"


def _host(url: str) -> str:
    """What the audit keeps of a URL: path and query of a hook are often its password."""
    return urlsplit(url).hostname or ""


def _touch(connection: Connection, id: str, values: Mapping[str, Any]) -> Row[Any] | None:
    """Change a hook and tell the dispatcher; its row as it is now, None when there is none."""
    changed = update(_HOOKS).where(_HOOKS.c.id == id).values(**values, version=_HOOKS.c.version + 1)
    ring(connection)
    return connection.execute(changed.returning(*_HOOKS.columns)).one_or_none()


def calls_of(target: str, state: State | None, after: int | None, limit: int) -> Select[Any]:
    """So many calls of a target, newest first, in that state or in any, behind a number or from the newest on."""
    found = _calls().where(calls.c.target == target).order_by(calls.c.seq.desc()).limit(limit)
    if state is not None:
        found = found.where(calls.c.state == state.value)
    return found if after is None else found.where(calls.c.seq < after)


def _calls() -> Select[Any]:
    return select(calls, *NOTICE).join(notices, notices.c.id == calls.c.notice)


def _logged(connection: Connection, rows: Sequence[Row[Any]]) -> list[Logged]:
    made: dict[str, list[Attempt]] = defaultdict(list)
    of_calls = select(attempts).where(attempts.c.call.in_([row.id for row in rows])).order_by(attempts.c.seq)
    for row in connection.execute(of_calls):
        made[row.call].append(Attempt(row.at, row.seconds, Outcome(Result(row.result), row.detail, row.status)))
    return [
        Logged(
            row.seq,
            CallId(row.id),
            row.target,
            to_notice(row),
            State(row.state),
            row.due_at,
            row.settled_at,
            tuple(made[row.id]),
        )
        for row in rows
    ]


def _joined(events: frozenset[NoticeType] | None) -> str | None:
    return None if events is None else " ".join(sorted(event.value for event in events))


def _to_hook(row: Row[Any]) -> Hook:
    events = None if row.events is None else frozenset(map(NoticeType, row.events.split()))
    return Hook(
        row.id,
        row.seq,
        row.url,
        row.integration,
        events,
        row.dry_run,
        row.generation,
        row.previous_until,
        row.created_at,
        row.disabled_at,
        row.disabled_why,
        row.version,
    )
