"""The tables of the outbox: notices, the hooks that want them, one call for each that does, and each attempt at it.

Owns names, types and indexes, in the metadata of streams/store/schema.py. Refuses to read or write a row.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, Table, Text, text

from streams.store.schema import Instant, Json, metadata, sequence

notices = Table(
    "notices",  # the outbox: what somebody outside may have to hear of
    metadata,
    sequence(),
    Column("id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("integration", Text, nullable=False),
    Column("data", Json, nullable=False),
    Column("stored_at", Instant, nullable=False),
    Column("routed_at", Instant),  # since when its calls exist, for whoever wanted it then
    Column("acts", Boolean, nullable=False, server_default=text("false")),  # asks somebody to act
    Column("trace", Text),  # W3C's traceparent of what led to it
    Index("ix_notices_id", "id", unique=True),
    sqlite_autoincrement=True,
)
_unrouted = notices.c.routed_at.is_(None)
Index("ix_notices_unrouted", notices.c.seq, sqlite_where=_unrouted, postgresql_where=_unrouted)

hooks = Table(
    "hooks",
    metadata,
    sequence(),
    Column("id", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("integration", Text),
    Column("events", Text),  # types, with spaces between; null: all
    Column("dry_run", Boolean, nullable=False),
    Column("generation", BigInteger, nullable=False),  # of its secret
    Column("previous_until", Instant),
    Column("created_at", Instant, nullable=False),
    Column("disabled_at", Instant),
    Column("disabled_why", Text),
    Column("version", BigInteger, nullable=False),  # grows with whatever a person does to it
    Index("ix_hooks_id", "id", unique=True),
    sqlite_autoincrement=True,
)

calls = Table(
    "calls",  # one notice for one target
    metadata,
    sequence(),
    Column("id", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("notice", Text, ForeignKey("notices.id"), nullable=False),
    Column("lane", Text, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("tries", BigInteger, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("begun_at", Instant),
    Column("settled_at", Instant),
    Index("ix_calls_id", "id", unique=True),
    Index("ix_calls_target_seq", "target", "seq"),
    Index("ix_calls_target_state_seq", "target", "state", "seq"),  # the log of one state: few failed among many
    Index("ix_calls_notice", "notice"),
    sqlite_autoincrement=True,
)
_unsettled = calls.c.settled_at.is_(None)
for _named, _walked in (("due", (calls.c.rank,)), ("lane", (calls.c.lane,))):
    Index(
        f"ix_calls_{_named}",
        calls.c.target,
        *_walked,
        calls.c.seq,
        sqlite_where=_unsettled,
        postgresql_where=_unsettled,
    )

attempts = Table(
    "attempts",
    metadata,
    sequence(),
    Column("call", Text, ForeignKey("calls.id"), nullable=False),
    Column("at", Instant, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("result", Text, nullable=False),
    Column("status", Integer),
    Column("detail", Text, nullable=False),
    Index("ix_attempts_call_seq", "call", "seq"),
    sqlite_autoincrement=True,
)
