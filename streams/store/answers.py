"""Answers that are given again: what a request with an Idempotency-Key did, kept in the transaction that did it.

Owns the table `answers`. A crash leaves both, what was done and its answer, or neither: whoever sends the request again
has it done once. Refuses to know a route, and to keep a refusal: nothing was done then, and it is judged anew.

draft-ietf-httpapi-idempotency-key-header-06: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Final

from sqlalchemy import Column, Connection, Index, Integer, Table, Text, delete, select, text

from models.errors import StrayframeError
from streams.store.database import Database
from streams.store.schema import Instant, Json, metadata

KEPT: Final = timedelta(days=1)
"""How long an answer is kept: longer than a client tries again by itself, and than a person looks for what became of
it."""
_LOCKS: Final = 9
"""Seed of PostgreSQL's hash of a key, apart from the other locks that hold until a transaction ends."""

answers = Table(
    "answers",
    metadata,
    Column("key", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", Json, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Index("ix_answers_at", "at"),
)


class KeyReused(StrayframeError):
    """Another request had this key."""


class InFlight(StrayframeError):
    """The request with this key is being done just now."""

    retry: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered: a status, the headers that say something of it, and a body in JSON."""

    status: int
    headers: Mapping[str, str]
    body: str


class Once:
    """One request under its key, within its transaction. `before` is the answer it got when it was done before."""

    def __init__(self, connection: Connection, key: str, digest: str, at: datetime, before: Answer | None) -> None:
        self.before = before
        self._connection = connection
        self._row = {"key": key, "digest": digest, "at": at}

    def keep(self, answer: Answer) -> None:
        """Keep the answer of what was done in this transaction."""
        told = {"status": answer.status, "headers": answer.headers, "body": answer.body}
        self._connection.execute(answers.insert().values(self._row | told))


class Answers:
    """The answers of one store. Safe for several threads and processes; every method may raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._under_way: set[str] = set()

    @contextmanager
    def once(self, key: str, digest: str, at: datetime) -> Iterator[Once]:
        """One transaction for what this thread does in the block, and for its answer.

        `digest` stands for all of the request. Raises KeyReused, and InFlight where the same key is in another block:
        of this process, and on PostgreSQL of any. On SQLite another process waits for the end of that block.
        """
        with self._alone(key), self._database.together() as connection:
            if not self._database.is_sqlite and not connection.scalar(_LOCK, {"key": key, "seed": _LOCKS}):
                raise InFlight("the request with this key is being done")
            connection.execute(delete(answers).where(answers.c.at < at - KEPT))
            row = connection.execute(select(answers).where(answers.c.key == key)).one_or_none()
            if row is not None and row.digest != digest:
                raise KeyReused("another request had this key")
            before = None if row is None else Answer(row.status, dict(row.headers), row.body)
            yield Once(connection, key, digest, at, before)

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        with self._lock:
            if key in self._under_way:
                raise InFlight("the request with this key is being done")
            self._under_way.add(key)
        try:
            yield
        finally:
            with self._lock:
                self._under_way.discard(key)


_LOCK: Final = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:key, :seed))")
