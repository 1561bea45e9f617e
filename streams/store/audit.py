"""The audit chain in the store: an entry is written in the transaction of what it tells, behind the one before it.

Owns the tables `audit` and `audit_head`. The head's row is the lock of whoever writes: two writers never follow the
same entry, and a transaction that is rolled back leaves no gap. It is the last lock that a transaction takes, so that
nobody who holds it waits for anything. Refuses to change and to delete; the database's triggers do, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, select, update

from detector.chain import Anchor, Entry, Fault, Said, after, faults
from streams.acting import acting
from streams.store import schema
from streams.store.access_schema import audit, audit_head
from streams.store.database import Database
from streams.store.queries import Page

CHUNK: Final = 2000
"""Entries read at a time: under a megabyte."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries; None means any. All that are given must hold."""

    actor: str | None = None
    what: str | None = None
    subject: str | None = None


EVERY_ENTRY: Final = AuditFilter()


def write(
    connection: Connection,
    what: str,
    subject: str = "",
    integration: str = "",
    *,
    actor: str | None = None,
    **detail: Any,
) -> Entry:
    """Append an entry in the caller's transaction, after all else in it. Without `actor`, by whoever acts now."""
    caller = acting.get()
    head = connection.execute(select(audit_head.c.number, audit_head.c.digest).with_for_update()).one()
    at = connection.scalar(select(schema.now()))
    assert at is not None
    said = Said(at, actor or caller.name, _via(caller.via, caller.name, actor), what, subject, integration, detail)
    entry = after(Anchor(head.number, head.digest), said)
    connection.execute(audit.insert().values(_values(entry)))
    connection.execute(update(audit_head).values(number=entry.number, digest=entry.digest))
    return entry


class Audit:
    """The chain of one database. Safe for several threads; every method may raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, what: str, subject: str = "", integration: str = "", **detail: Any) -> Entry:
        """Append an entry of something that left nothing else in the store: a view, a refusal."""
        with self._database.writing() as connection:
            return write(connection, what, subject, integration, **detail)

    def head(self) -> Anchor:
        """The last entry's anchor."""
        with self._database.reading() as connection:
            return _head(connection)

    def page(self, wanted: AuditFilter = EVERY_ENTRY, after_: int | None = None, limit: int = 50) -> Page[Entry]:
        """Entries, newest first."""
        found = select(audit).order_by(audit.c.number.desc()).limit(limit + 1)
        for name in ("actor", "what", "subject"):
            if (value := getattr(wanted, name)) is not None:
                found = found.where(audit.c[name] == value)
        if after_ is not None:
            found = found.where(audit.c.number < after_)
        with self._database.reading() as connection:
            items = [_entry(row) for row in connection.execute(found)]
        return Page(tuple(items[:limit]), items[limit - 1].number if len(items) > limit else None)

    def entries(self, since: int = 0) -> Iterator[Entry]:
        """All entries behind that number, oldest first, as they were at one moment."""
        with self._database.reading() as connection:
            yield from _entries(_still(connection), since)

    def verify(self, anchors: Sequence[Anchor] = ()) -> tuple[Anchor, list[Fault]]:
        """The head, and everything that is wrong with the chain, as they were at one moment."""
        with self._database.reading() as connection:
            head = _head(_still(connection))
            return head, list(faults(_entries(connection, 0), head, anchors))


def _still(connection: Connection) -> Connection:
    """The connection, seeing one moment on PostgreSQL too."""
    if connection.dialect.name == "postgresql":
        return connection.execution_options(isolation_level="REPEATABLE READ")
    return connection


def _via(via: str, name: str, actor: str | None) -> str:
    """The way in; with the login of whoever is only said to be somebody else."""
    return via if actor in (None, name) or via in ("nobody", "open", "program") else f"{via}:{name}"


def _head(connection: Connection) -> Anchor:
    row = connection.execute(select(audit_head)).one_or_none()
    return Anchor() if row is None else Anchor(row.number, row.digest)


def _entries(connection: Connection, since: int) -> Iterator[Entry]:
    found = select(audit).where(audit.c.number > since).order_by(audit.c.number)
    for chunk in connection.execution_options(yield_per=CHUNK).execute(found).partitions():
        yield from map(_entry, chunk)


def _values(entry: Entry) -> dict[str, Any]:
    said = entry.said
    return {
        "number": entry.number,
        "at": said.at,
        "actor": said.actor,
        "via": said.via,
        "what": said.what,
        "subject": said.subject,
        "integration": said.integration,
        "detail": said.detail,
        "before": entry.before,
        "digest": entry.digest,
    }


def _entry(row: Row[Any]) -> Entry:
    said = Said(row.at, row.actor, row.via, row.what, row.subject, row.integration, dict(row.detail))
    return Entry(row.number, said, row.before, row.digest)
