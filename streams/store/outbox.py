"""The outbox: notices stored with what they tell of, and the calls that carry them to each target.

Owns that a stored notice is never lost: it stays unrouted until one transaction has made a call for every target that
wants it, and a call stays unsettled until an attempt is recorded that settled it. Whoever crashes in between leaves
the row, and the next one finds it. Refuses to send.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, exists, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from detector.notice import Notice, NoticeType
from streams.outbox.call import SINK, Attempt, CallId, Due, Result, State, Target, call_id, fitted, lane, rank
from streams.store.database import Database
from streams.store.lease import Lease
from streams.store.outbox_schema import attempts, calls, hooks, notices
from streams.store.schema import now
from streams.store.words import killed

CHANNEL: Final = "strayframe_outbox"
"""PostgreSQL's channel on which the dispatcher hears of notices and of hooks that changed."""
AT_ONCE: Final = 200
"""Notices routed in one transaction: some milliseconds, so that a judge never waits for it."""
_ORDER: Final = 0x4E_4F_54_49_43_45
"""Key of PostgreSQL's advisory lock under which notices get their numbers: "NOTICE"."""


def put(connection: Connection, told: Iterable[Notice]) -> None:
    """Store notices within the caller's transaction; they are sent if it commits, and not if it does not.

    The same notice twice is one: what is stored first stays. Data that would make a body of more than 20 kB lose
    their largest members, which `omitted` then names. Raises TypeError for data that are not JSON.

    """
    rows = [of_notice(notice) for notice in told]
    if rows:
        in_order(connection)
        insert: Any = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(notices)
        connection.execute(insert.values(stored_at=now()).on_conflict_do_nothing(index_elements=["id"]), rows)
        ring(connection)


def in_order(connection: Connection) -> None:
    """From here to the end of the transaction nobody else numbers a notice: whoever reads number 7 will never find a 6
    that was not there. A sequence alone does not give that, since a lower number may be committed after a higher one.
    """
    if connection.dialect.name == "postgresql":  # on SQLite there is one writing transaction at a time
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ORDER})


def ring(connection: Connection) -> None:
    """Wake the dispatcher when this transaction commits. SQLite cannot; there the dispatcher looks by itself."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"NOTIFY {CHANNEL}"))


def of_notice(notice: Notice) -> dict[str, Any]:
    """The row of a notice, but for when it was stored."""
    return {
        "id": notice.id,
        "type": notice.type.value,
        "at": notice.at,
        "integration": notice.integration,
        "data": fitted(notice.data),
        "acts": notice.acts,
        "trace": notice.trace,
    }


def to_notice(row: Row[Any]) -> Notice:
    """The notice of a row that holds its columns, the id as `notice`."""
    return Notice(row.notice, NoticeType(row.type), row.at, row.integration, row.data, row.acts, row.trace)


_HELD: Final = and_(notices.c.acts, killed())
"""What asks somebody to act waits while the kill switch is on. What only tells does not, a page least of all."""
NOTICE: Final = (
    notices.c.type,
    notices.c.at,
    notices.c.integration,
    notices.c.data,
    notices.c.acts,
    notices.c.stored_at,
    notices.c.trace,
)
_UNSETTLED: Final = calls.c.settled_at.is_(None)


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many calls wait, and when the notice of the oldest was stored."""

    count: int
    oldest: datetime


class Outbox:
    """What the dispatcher asks the store and tells it. With a lease every write is fenced: raises Fenced.

    Safe for several threads; every method may raise StoreUnavailable.
    """

    def __init__(self, database: Database, lease: Lease | None = None) -> None:
        self._database = database
        self._lease = lease

    def unrouted(self) -> Sequence[int]:
        """The numbers of the oldest notices that have no calls yet, `AT_ONCE` at most. To be read before their targets
        are: one that was there before a notice hears of it."""
        found = select(notices.c.seq).where(notices.c.routed_at.is_(None)).order_by(notices.c.seq).limit(AT_ONCE)
        with self._database.reading() as connection:
            return connection.scalars(found).all()

    def route(self, unrouted: Sequence[int], targets: Sequence[Target], at: datetime) -> set[str]:
        """Make the calls of these notices, due at once; the names of the targets that got any.

        Nothing was ever put before what was read (`in_order`), so that these are all up to the last of them. A notice
        that nobody wants is done with, and is not read where nobody is there; a target that comes later hears of
        later notices only.
        """
        if self._lease is not None:
            self._lease.check()
        if not unrouted:
            return set()
        these: Any = (notices.c.routed_at.is_(None), notices.c.seq <= unrouted[-1])
        made: list[dict[str, Any]] = []
        with self._database.writing() as connection:
            if targets:
                found: Any = select(notices.c.id.label("notice"), *NOTICE).where(*these).order_by(notices.c.seq)
                told = [to_notice(row) for row in connection.execute(found)]
                made = [_call(notice, target, at) for notice in told for target in targets if target.wants(notice)]
            if made:
                connection.execute(self._database.insert(calls).on_conflict_do_nothing(), made)
            connection.execute(update(notices).where(*these).values(routed_at=at))
            self._fence(connection)
        return {call["target"] for call in made}

    def due(self, target: str, at: datetime) -> Due | None:
        """The call of the target to be attempted now: the first by rank and age that is due and whose lane nothing
        older holds up."""
        found = (
            select(calls, *NOTICE)
            .join(notices, notices.c.id == calls.c.notice)
            .where(*_sendable(target), calls.c.due_at <= at)
            .order_by(calls.c.rank, calls.c.seq)
            .limit(1)
        )
        with self._database.reading() as connection:
            row = connection.execute(found).one_or_none()
        if row is None:
            return None
        return Due(CallId(row.id), to_notice(row), row.stored_at, row.tries, row.begun_at)

    def next_due(self, target: str) -> datetime | None:
        """When the next call of the target is due, None where none waits but for the kill switch. One that an older one
        of its lane holds up does not count: its time may have come, and who waited for that would ask on and on."""
        with self._database.reading() as connection:
            waiting = select(func.min(calls.c.due_at)).join(notices, notices.c.id == calls.c.notice)
            at: datetime | None = connection.scalar(waiting.where(*_sendable(target)))
            return at

    def record(self, due: Due, attempt: Attempt, state: State, due_at: datetime | None = None) -> None:
        """Write an attempt down, and how the call stands after it: settled, or waiting until `due_at`.

        A call that was settled or removed meanwhile stays as it is. After GONE the hook is disabled.
        """
        values: dict[str, Any] = {"state": state.value, "tries": calls.c.tries + 1, "begun_at": due.begun or attempt.at}
        if state is State.WAITING:
            values["due_at"] = due_at
        else:
            values["settled_at"] = attempt.at
        with self._database.writing() as connection:
            row = connection.execute(
                update(calls).where(calls.c.id == due.call, _UNSETTLED).values(values).returning(calls.c.target)
            ).one_or_none()
            if row is not None:
                connection.execute(attempts.insert(), of_attempt(due.call, attempt))
                if attempt.outcome.result is Result.GONE:
                    disable(connection, row.target, attempt.outcome.detail, attempt.at)
            self._fence(connection)

    def backlog(self) -> tuple[int, datetime | None]:
        """How many calls wait, and when the notice of the oldest was stored."""
        oldest = select(func.count().label("waiting"), func.min(calls.c.seq).label("seq")).where(_UNSETTLED)
        with self._database.reading() as connection:
            counted = connection.execute(oldest).one()
            stored = select(notices.c.stored_at).join(calls, calls.c.notice == notices.c.id)
            return counted.waiting, connection.scalar(stored.where(calls.c.seq == counted.seq))

    def standing(self, target: str) -> list[Notice]:
        """The last notice that the target took of each thing it was told of, oldest first."""
        taken = (calls.c.target == target, calls.c.state == State.DELIVERED.value)
        last = select(func.max(calls.c.seq)).where(*taken).group_by(calls.c.lane)
        found: Any = select(calls.c.notice, *NOTICE).join(notices, notices.c.id == calls.c.notice)
        with self._database.reading() as connection:
            return [
                to_notice(row) for row in connection.execute(found.where(calls.c.seq.in_(last)).order_by(calls.c.seq))
            ]

    def stopped(self, target: str, at: datetime) -> int:
        """Settle what waits for a target that there is no more, without sending it; how many calls that were."""
        with self._database.writing() as connection:
            return stop(connection, target, at)

    def waiting(self) -> dict[str, Waiting]:
        """What waits for each target; one for which nothing does is not in it."""
        found = select(calls.c.target, func.count(), func.min(notices.c.stored_at)).where(_UNSETTLED)
        grouped = found.join(notices, notices.c.id == calls.c.notice).group_by(calls.c.target)
        with self._database.reading() as connection:
            return {target: Waiting(count, oldest) for target, count, oldest in connection.execute(grouped)}

    def _fence(self, connection: Connection) -> None:
        if self._lease is not None:
            self._lease.fence(connection)


def _sendable(target: str) -> tuple[ColumnElement[bool], ...]:
    """Of the target's calls those that nothing but their time holds back: neither the kill switch, which holds no sink,
    nor an older one of their lane."""
    older = calls.alias()
    held_up = exists().where(
        older.c.target == target,
        older.c.lane == calls.c.lane,
        older.c.seq < calls.c.seq,
        older.c.settled_at.is_(None),
    )
    mine = (calls.c.target == target, _UNSETTLED, ~held_up)
    return mine if target.startswith(SINK) else (*mine, ~_HELD)


def disable(connection: Connection, hook: str, why: str, at: datetime) -> None:
    """Disable a hook: it is routed nothing from now on, and what waited for it is stopped."""
    changed = {"disabled_at": at, "disabled_why": why, "version": hooks.c.version + 1}
    connection.execute(update(hooks).where(and_(hooks.c.id == hook, hooks.c.disabled_at.is_(None))).values(changed))
    stop(connection, hook, at)


def stop(connection: Connection, target: str, at: datetime) -> int:
    """Settle what waits for a target without sending it; how many calls that were."""
    waiting = update(calls).where(calls.c.target == target, _UNSETTLED)
    return connection.execute(waiting.values(state=State.STOPPED.value, settled_at=at)).rowcount


def of_attempt(call: CallId, attempt: Attempt) -> dict[str, Any]:
    """The row of an attempt."""
    outcome = attempt.outcome
    return {
        "call": call,
        "at": attempt.at,
        "seconds": attempt.seconds,
        "result": outcome.result.value,
        "status": outcome.status,
        "detail": outcome.whole,
    }


def _call(notice: Notice, target: Target, at: datetime) -> dict[str, Any]:
    return {
        "id": call_id(target.name, notice.id),
        "target": target.name,
        "notice": notice.id,
        "lane": lane(notice),
        "rank": rank(notice.type),
        "state": State.WAITING.value,
        "tries": 0,
        "due_at": at,
    }
