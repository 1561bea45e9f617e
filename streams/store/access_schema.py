"""The tables of who may and who did: users, sessions, tokens, the audit chain and its head.

Owns names, types and indexes, in the metadata of streams/store/schema.py. Refuses to read or write a row. Of passwords,
sessions and tokens there are digests only.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table, Text

from streams.store.schema import Instant, Json, metadata

users = Table(
    "users",
    metadata,
    Column("name", Text, primary_key=True),
    Column("password", Text),
    Column("subject", Text),
    Column("roles", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("signed_in_at", Instant),
    Index("ix_users_subject", "subject", unique=True),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("user", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index("ix_sessions_user", "user"),
    Index("ix_sessions_expires_at", "expires_at"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("access", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    Index("ix_tokens_digest", "digest", unique=True),
)

audit = Table(
    "audit",  # append-only: triggers refuse to change or delete a row
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("via", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("integration", Text, nullable=False),
    Column("detail", Json, nullable=False),
    Column("before", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Index("ix_audit_actor_number", "actor", "number"),
    Index("ix_audit_what_number", "what", "number"),
    Index("ix_audit_subject_number", "subject", "number"),
)

audit_head = Table(
    "audit_head",  # one row: the last entry, and the lock of whoever writes the next one
    metadata,
    Column("name", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
)
