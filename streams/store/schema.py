"""The store's tables, in SQLAlchemy Core, and the two column types that need care: moments and JSON.

Owns names, types and indexes; streams/store/migrations makes a database follow them. Refuses to read or write a row.
Each index of `alerts` ends in what pages are ordered by, so that one filter and one page are one walk along one index,
newest first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    case,
    literal_column,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import Grouping
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeDecorator, TypeEngine

from models.records import utc

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """A moment, in UTC, to the microsecond. PostgreSQL: timestamptz; SQLite: microseconds since 1970, an integer."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The column's type in this database."""
        whole = BigInteger() if dialect.name == "sqlite" else DateTime(timezone=True)
        return dialect.type_descriptor(whole)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """To the database. Raises NaiveTimeError for a time without a zone."""
        if value is None:
            return None
        moment = utc(value)
        return (moment - _EPOCH) // _MICROSECOND if dialect.name == "sqlite" else moment

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """From the database, always UTC-aware."""
        if value is None:
            return None
        moment: datetime = _EPOCH + value * _MICROSECOND if dialect.name == "sqlite" else value.astimezone(UTC)
        return moment


class Unread(Mapping[str, Any]):
    """A JSON object that is parsed when it is first looked at: of most alerts that a judge starts with, nobody looks.

    Equal to the mapping that its text says.
    """

    __slots__ = ("_read", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._read: dict[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        return self._parsed()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parsed())

    def __len__(self) -> int:
        return len(self._parsed())

    def __repr__(self) -> str:
        return repr(self._parsed())

    def _parsed(self) -> dict[str, Any]:
        if self._read is None:
            self._read = json.loads(self._text)
        return self._read


class Json(TypeDecorator[Mapping[str, Any]]):
    """A small object as JSON text: the same bytes on both databases, and any number that Python's floats have."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, Any] | None, dialect: Dialect) -> str | None:
        """To the database, keys in their order."""
        return None if value is None else json.dumps(dict(value), separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Mapping[str, Any] | None:
        """From the database."""
        return None if value is None else Unread(value)


class now(GenericFunction[datetime]):  # noqa: N801 - named as SQL names its functions
    """The database's clock: the moment of the call, not of the transaction's start. SQLite's counts milliseconds."""

    name = "strayframe_now"
    type = Instant()
    inherit_cache = True


@compiles(now, "sqlite")
def _sqlite_now(_element: now, _compiler: Any, **_options: Any) -> str:
    return "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000"


@compiles(now, "postgresql")
def _postgres_now(_element: now, _compiler: Any, **_options: Any) -> str:
    return "clock_timestamp()"


def hour_of(moment: datetime) -> datetime:
    """The hour, in UTC, in which the moment lies."""
    return utc(moment).replace(minute=0, second=0, microsecond=0)


def database_time(connection: Connection) -> datetime:
    """What the database's clock shows."""
    moment = connection.scalar(now().select())
    assert moment is not None
    return moment


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def sequence() -> Column[int]:
    """A number that grows with every row and is never given twice, whatever was deleted."""
    return Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True)


meta = Table("meta", metadata, Column("name", Text, primary_key=True), Column("value", LargeBinary, nullable=False))

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("process_start", BigInteger, nullable=False),
    Column("lease_seconds", Float, nullable=False),
    Column("since", Instant),
    Column("beat_at", Instant),
)

offsets = Table(
    "offsets",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("next_offset", BigInteger, nullable=False),
    Column("lost", BigInteger, nullable=False),
)

rights = Table(
    "rights",
    metadata,
    sequence(),
    Column("id", Text, nullable=False),
    Column("camera", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("time", Instant, nullable=False),
    Index("ix_rights_id", "id", unique=True),
    Index("ix_rights_camera_seq", "camera", "seq"),
    Index("ix_rights_account_seq", "account", "seq"),
    sqlite_autoincrement=True,
)

cameras = Table(
    "cameras",
    metadata,
    Column("id", Text, primary_key=True),
    Column("presumed_owner", Text),
    Column("first_seen", Instant, nullable=False),
    Column("last_seen", Instant, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("mark", BigInteger),  # detector/packed.py
    Index("ix_cameras_mark", "mark"),
)

scenes = Table(
    "scenes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("camera", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("standing", Text, nullable=False),
    Column("delivery_source", Text, nullable=False),
    Column("delivery_id", Text, nullable=False),
    Column("first_seen", Instant, nullable=False),
    Column("last_seen", Instant, nullable=False),
    Column("seen", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("mark", BigInteger),
    Index("ix_scenes_mark", "mark"),
)

incidents = Table(
    "incidents",
    metadata,
    sequence(),
    Column("id", Text, nullable=False),
    Column("integration", Text, nullable=False),
    Column("opened", Instant, nullable=False),
    Column("first", Instant, nullable=False),
    Column("last", Instant, nullable=False),
    Column("leaks", BigInteger, nullable=False),
    Column("shifts", BigInteger, nullable=False),
    Column("viewers", BigInteger, nullable=False),
    Column("owners", BigInteger, nullable=False),
    Column("resolved", Instant),
    Column("reopened", BigInteger, nullable=False, server_default="0"),
    Column("updates", BigInteger, nullable=False, server_default="0"),
    Column("told", Instant),
    Column("news", Boolean, nullable=False, server_default=text("false")),
    Column("split_from", Text),
    Column("analysis", Json),
    Index("ix_incidents_id", "id", unique=True),
    Index("ix_incidents_integration_seq", "integration", "seq"),
    sqlite_autoincrement=True,
)

alerts = Table(
    "alerts",
    metadata,
    sequence(),
    Column("id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("delivery_source", Text, nullable=False),
    Column("delivery_id", Text, nullable=False),
    Column("delivered_at", Instant, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("camera", Text, nullable=False),
    Column("owner", Text),
    Column("owner_camera", Text),
    Column("presumed", Boolean, nullable=False),
    Column("raised_source", Text, nullable=False),
    Column("raised_id", Text, nullable=False),
    Column("raised_at", Instant, nullable=False),
    Column("rule", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("numbers", Json, nullable=False),
    Column("scene", Text),
    Column("integration", Text, nullable=False),
    Column("attributes", Json, nullable=False),
    Column("incident", Text, ForeignKey("incidents.id")),
    Column("withdrawn_at", Instant),
    Column("withdrawn_why", Text),
    Index("ix_alerts_id", "id", unique=True),
    sqlite_autoincrement=True,
)

gone = Grouping(case((alerts.c.withdrawn_at.is_(None), literal_column("0")), else_=literal_column("1")))
"""1 for a withdrawn alert, else 0: written in a statement exactly as in the indexes, or they are not used."""

age = Grouping(-alerts.c.seq)
"""Smaller is newer: what a page is ordered by where an index tells it. Not by `seq` itself, or PostgreSQL would at
times go through all alerts by their number instead, looking for some that its statistics wrongly promise."""

for _asked in ("recipient", "owner", "camera", "owner_camera", "integration", "incident", None):
    _name = "_".join(["ix_alerts", *([_asked] if _asked else [])])
    _marks = [*([alerts.c[_asked]] if _asked else []), alerts.c.kind, alerts.c.level, gone]
    Index(f"{_name}_walk", *_marks, age)
    Index(f"{_name}_span", *_marks, alerts.c.delivered_at, alerts.c.seq)

coverage = Table(
    "coverage",
    metadata,
    Column("hour", Instant, primary_key=True),
    Column("integration", Text, primary_key=True),
    Column("verdict", Text, primary_key=True),
    Column("stills", BigInteger, nullable=False),
)

tally = Table(
    "tally",  # deliveries of a minute or an hour by their attributes: detector/tally.py
    metadata,
    Column("integration", Text, primary_key=True),
    Column("span", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)

triage = Table(
    "triage",  # what persons say of an incident or an alert, as it is now
    metadata,
    Column("subject", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("acknowledged", Instant),
    Column("acknowledged_by", Text),
    Column("assignee", Text),
    Column("ruling", Text),
    Column("confirmed", Instant),
    Column("snoozed_until", Instant),
    Column("snoozed_by", Text),
    Index("ix_triage_ruling", "ruling"),
    Index("ix_triage_snoozed_until", "snoozed_until"),
)

triage_log = Table(
    "triage_log",  # who said it, when: never changed, never deleted
    metadata,
    sequence(),
    Column("subject", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("did", Text, nullable=False),
    Column("value", Text, nullable=False),
    Index("ix_triage_log_subject_seq", "subject", "seq"),
    sqlite_autoincrement=True,
)

opened = Table(
    "opened",
    metadata,
    Column("id", Text, primary_key=True),
    Column("delivery_source", Text, nullable=False),
    Column("delivery_id", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("time", Instant, nullable=False),
)

placeholders = Table(
    "placeholders",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("accounts", BigInteger, nullable=False),
    Column("stills", BigInteger, nullable=False),
    Column("first_seen", Instant),
    Column("last_seen", Instant),
    Column("camera", Text),
    Column("homes", BigInteger, nullable=False),
    Column("owner_camera", Text),
    Column("body", LargeBinary, nullable=False),
    Column("ruled_by", Text),
    Column("ruled_at", Instant),
)

placeholder_sightings = Table(
    "placeholder_sightings",
    metadata,
    Column("placeholder", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("camera", Text, nullable=False),
)

deployed = Table(
    "deployed",
    metadata,
    Column("id", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("component", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("time", Instant, nullable=False),
    Index("ix_deployed_time", "time"),
)

shares = Table(
    "shares",  # matchers that share the store: how far each has taken up what the others learned
    metadata,
    Column("share", Integer, primary_key=True, autoincrement=False),
    Column("of", Integer, nullable=False),
    Column("folded", BigInteger, nullable=False),
)

learned = Table(
    "learned",  # what a batch of one of them changed: streams/store/learned.py
    metadata,
    sequence(),
    Column("share", Integer, nullable=False),
    Column("of", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
