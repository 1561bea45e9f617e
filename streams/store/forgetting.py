"""What the outbox forgets: notices that are old and done with, their calls and the attempts at these.

Owns which those are. Refuses to forget what anybody may still have to hear of: a notice goes when it was routed, every
call of it is settled, and the last of that is long past.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, exists, or_, select

from streams.store.database import Database
from streams.store.lease import Lease
from streams.store.outbox_schema import attempts, calls, notices
from streams.store.schema import meta

AT_ONCE: Final = 500
"""Notices looked at in one transaction: some milliseconds, so that a judge never waits for it."""


FORGOTTEN: Final = "notices_forgotten"
"""Where `meta` keeps the highest number of a notice that was forgotten, as decimal digits."""


def forgotten(connection: Connection) -> int:
    """The highest number of a notice that was forgotten, 0 while none was: behind it, all are there."""
    return int(connection.scalar(select(meta.c.value).where(meta.c.name == FORGOTTEN)) or 0)


class Forgetting:
    """Forgets for whoever dispatches. With a lease every write is fenced: raises Fenced; else StoreUnavailable."""

    def __init__(self, database: Database, lease: Lease | None = None) -> None:
        self._database = database
        self._lease = lease

    def run(self, before: datetime) -> int:
        """Forget what was done with before then; how many notices went. The oldest first, until one is young."""
        gone, after = 0, 0
        while True:
            found, after, more = self._some(before, after)
            gone += found
            if not more:
                return gone

    def _some(self, before: datetime, after: int) -> tuple[int, int, bool]:
        """Forget some behind this number: how many, the number reached, and whether there is more to look at."""
        recent = or_(calls.c.settled_at.is_(None), calls.c.settled_at >= before)
        kept = exists().where(calls.c.notice == notices.c.id, recent)
        looked = select(notices.c.seq, notices.c.id, notices.c.stored_at, notices.c.routed_at, kept.label("kept"))
        with self._database.reading() as connection:
            rows = connection.execute(looked.where(notices.c.seq > after).order_by(notices.c.seq).limit(AT_ONCE)).all()
        old = [row for row in rows if row.stored_at < before]
        done = {row.seq: row.id for row in old if row.routed_at is not None and not row.kept}
        if done:
            self._delete(done, before)
        return len(done), rows[-1].seq if rows else after, bool(rows) and len(old) == len(rows)

    def _delete(self, numbered: dict[int, str], before: datetime) -> None:
        ids = list(numbered.values())
        done = (calls.c.notice.in_(ids), calls.c.settled_at < before)
        with self._database.writing() as connection:
            connection.execute(delete(attempts).where(attempts.c.call.in_(select(calls.c.id).where(*done))))
            connection.execute(delete(calls).where(*done))
            free = ~exists().where(calls.c.notice == notices.c.id)  # a person may have replayed one meanwhile
            connection.execute(delete(notices).where(notices.c.id.in_(ids), free))
            reached = str(max(max(numbered), forgotten(connection))).encode()
            mark = self._database.insert(meta).values(name=FORGOTTEN, value=reached)
            connection.execute(mark.on_conflict_do_update(index_elements=["name"], set_={"value": reached}))
            if self._lease is not None:
                self._lease.fence(connection)
