"""The tables of suspensions: the switches, every move of each, what persons said of all of them, and the rolls.

Owns names, types and indexes, in the metadata of streams/store/schema.py. Refuses to read or write a row.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, LargeBinary, Table, Text

from streams.store.schema import Instant, Json, metadata, sequence

suspensions = Table(
    "suspensions",
    metadata,
    sequence(),
    Column("id", Text, nullable=False),
    Column("integration", Text, nullable=False),
    Column("breadth", Text, nullable=False),
    Column("scope", Json, nullable=False),
    Column("state", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("share", Float, nullable=False),
    Column("since", Instant),
    Column("ordered", Instant),
    Column("settled", Instant),
    Column("evidence", Json, nullable=False),
    Column("carried", Boolean, nullable=False),
    Column("shadow", Boolean, nullable=False),
    Column("asked", Text),
    Column("approved", Text),
    Column("clean", BigInteger, nullable=False),
    Column("last", Instant),
    Column("quiet", Float),  # seconds; infinite where no silence tells, null while not weighed
    Index("ix_suspensions_id", "id", unique=True),
    Index("ix_suspensions_state_seq", "state", "seq"),
    Index("ix_suspensions_integration_seq", "integration", "seq"),
    sqlite_autoincrement=True,
)

transitions = Table(
    "transitions",
    metadata,
    sequence(),
    Column("suspension", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
    Column("stored_at", Instant, nullable=False),
    Column("what", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("share", Float, nullable=False),
    Column("shadow", Boolean, nullable=False),
    Column("actor", Text, nullable=False),
    Column("person", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("numbers", Json, nullable=False),
    Column("evidence", Json, nullable=False),
    Column("page", Boolean, nullable=False),
    Column("rules", Text, nullable=False),
    Index("ix_transitions_suspension_version", "suspension", "version", unique=True),
    Index("ix_transitions_at", "at"),
    sqlite_autoincrement=True,
)

evidence = Table(
    "suspension_evidence",  # the alerts that any move of a switch rested on: what joins suspensions and incidents
    metadata,
    Column("suspension", Text, primary_key=True),
    Column("alert", Text, primary_key=True),
)

words = Table(
    "words",  # what persons said that holds for more than one scope: modes and the kill switch; the latest holds
    metadata,
    sequence(),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("integration", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("why", Text, nullable=False),
    Index("ix_words_subject_integration_seq", "subject", "integration", "seq"),
    sqlite_autoincrement=True,
)

rolls = Table(
    "rolls",
    metadata,
    Column("integration", Text, primary_key=True),
    Column("first_seen", Instant, nullable=False),
    Column("warm_at", Instant),
    Column("cameras", BigInteger, nullable=False),
    Column("known", BigInteger, nullable=False),
    Column("accounts", BigInteger, nullable=False),
    Column("known_cameras", LargeBinary, nullable=False),
    Column("known_accounts", LargeBinary, nullable=False),
)
