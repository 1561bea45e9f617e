"""What happened, in the order in which it was stored: the notices again, for whoever reads along.

Owns the question. Their numbers are a cursor: `streams.store.outbox.in_order` sees to it that a lower one never comes
after a higher one. Refuses to hand out tests of hooks, which are meant for one receiver. What is old and done with is
forgotten (forgetting.py), and `span` says up to where: a reader who was away for longer is told so.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from detector.notice import Notice, NoticeType
from streams.store.database import Database
from streams.store.forgetting import forgotten
from streams.store.outbox import NOTICE, to_notice
from streams.store.outbox_schema import notices


@dataclass(frozen=True, slots=True)
class Told:
    """A notice and its number."""

    seq: int
    notice: Notice


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which notices: of these types and of these integrations; None means any."""

    types: Set[NoticeType] | None = None
    integrations: Set[str] | None = None

    def holds(self, notice: Notice) -> bool:
        """Whether the notice is one of them."""
        return (self.types is None or notice.type in self.types) and (
            self.integrations is None or notice.integration in self.integrations
        )


ANY = Wanted()


class Feed:
    """Notices by number. Safe for several threads; every method may raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def span(self) -> tuple[int, int]:
        """The number up to which notices may have been forgotten, and the highest that was given; 0 where none was."""
        with self._database.reading() as connection:
            gone, newest = forgotten(connection), connection.scalar(select(func.max(notices.c.seq))) or 0
            return gone, max(gone, newest)

    def after(self, seq: int, limit: int, wanted: Wanted = ANY) -> list[Told]:
        """The first notices behind a number, in order, `limit` at most."""
        found: Any = select(notices.c.seq, notices.c.id.label("notice"), *NOTICE).where(
            notices.c.seq > seq, notices.c.type != NoticeType.TEST.value
        )
        if wanted.types is not None:
            found = found.where(notices.c.type.in_([each.value for each in wanted.types]))
        if wanted.integrations is not None:
            found = found.where(notices.c.integration.in_(wanted.integrations))
        with self._database.reading() as connection:
            rows = connection.execute(found.order_by(notices.c.seq).limit(limit))
            return [Told(row.seq, to_notice(row)) for row in rows]
