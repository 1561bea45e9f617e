"""What people ask the store: alerts, incidents, coverage, counts. Reading only; SqlStore adds the writing.

Owns filters and paging. Refuses to hand out a database row, and to page by offset: a page begins where a number says,
and alerts stored meanwhile never shift it. Each filter is one walk along one index of streams/store/schema.py; where a
filter may hold in two ways (an account is recipient or owner) each way is walked and the two are merged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, UnaryExpression, func, select, union
from sqlalchemy.sql.operators import custom_op

from detector.incident import Incident
from models.placeholder import SHOWN, Placeholder, PlaceholderId, Shelf, State
from models.records import AccountId, AlertId, CameraId, IncidentId, Kind, Level, Verdict
from streams.judge import Covered
from streams.store import rows, schema
from streams.store.database import Database
from streams.store.rows import IncidentSummary, StoredAlert

NARROW: Final = 2000
"""Alerts in a span of time up to which the span itself is walked and sorted. A wider span only bounds the walk along
the other filters. A guess: where the two cost the same is still to be measured at a million alerts."""

RULINGS: Final = "placeholder_rulings"
"""Where `meta` counts what persons said of placeholders, as decimal digits."""

T = TypeVar("T")
Condition = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts; None means any. All that are given must hold.

    `account` is the recipient or the owner, `camera` the claimed camera or the owner's; `since` (inclusive) and
    `until` (exclusive) go by delivery time; `withdrawn` False: only those that stand.
    """

    kind: Kind | None = None
    level: Level | None = None
    account: AccountId | None = None
    camera: CameraId | None = None
    integration: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    incident: IncidentId | None = None
    withdrawn: bool | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of the answer, newest first. `next` is what to give as `after` for the following page, None at the end."""

    items: tuple[T, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class Counts:
    """How much the store holds. `stills` counts judged deliveries by verdict; `withdrawn` are among `alerts`."""

    cameras: int
    scenes: int
    rights: int
    alerts: int
    withdrawn: int
    incidents: int
    opened: int
    deployed: int
    stills: dict[Verdict, int]


class Queries:
    """The reading side of a store. Safe for several threads. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def alerts(
        self, wanted: AlertFilter = AlertFilter(), after: int | None = None, limit: int = 50
    ) -> Page[StoredAlert]:
        """Alerts that pass the filter, newest stored first; `after` is the `next` of the page before."""
        with self.database.reading() as connection:
            statement = self.alerts_statement(connection, wanted, after, limit + 1)
            return _page([rows.to_stored_alert(row) for row in connection.execute(statement)], limit)

    def alert(self, id: AlertId) -> StoredAlert | None:
        """The alert of that id, or None."""
        with self.database.reading() as connection:
            row = connection.execute(select(schema.alerts).where(schema.alerts.c.id == id)).one_or_none()
            return None if row is None else rows.to_stored_alert(row)

    def incidents(
        self, integration: str | None = None, after: int | None = None, limit: int = 50
    ) -> Page[IncidentSummary]:
        """Incidents, latest stored first; those of which nothing stands any more are among them."""
        table = schema.incidents
        statement = select(table).order_by(table.c.seq.desc()).limit(limit + 1)
        if integration is not None:
            statement = statement.where(table.c.integration == integration)
        if after is not None:
            statement = statement.where(table.c.seq < after)
        with self.database.reading() as connection:
            return _page([rows.to_summary(row) for row in connection.execute(statement)], limit)

    def incident(self, id: IncidentId) -> Incident | None:
        """The incident of that id with its standing alerts, or None."""
        with self.database.reading() as connection:
            row = connection.execute(select(schema.incidents).where(schema.incidents.c.id == id)).one_or_none()
            if row is None:
                return None
            return rows.to_incident(row, connection.execute(members().where(schema.alerts.c.incident == id)))

    def coverage(self, since: datetime | None = None, until: datetime | None = None) -> Counter[Covered]:
        """Judged deliveries by hour, integration and verdict, for hours in [since, until)."""
        table = schema.coverage
        statement = select(table).where(*_span(table.c.hour, since, until)).order_by(*table.primary_key.columns)
        with self.database.reading() as connection:
            return Counter({rows.to_covered(row): row.stills for row in connection.execute(statement)})

    def counts(self) -> Counts:
        """How much there is of everything. Counts rows, so it grows with them: not for every request."""
        tables = ("cameras", "scenes", "rights", "alerts", "incidents", "opened", "deployed")
        coverage, alerts = schema.coverage, schema.alerts
        withdrawn = select(func.count()).select_from(alerts).where(alerts.c.withdrawn_at.is_not(None))
        stills = select(coverage.c.verdict, func.sum(coverage.c.stills)).group_by(coverage.c.verdict)
        with self.database.reading() as connection:
            held = {name: _count(connection, schema.metadata.tables[name].select()) for name in tables}
            return Counts(
                **held,
                withdrawn=connection.scalar(withdrawn) or 0,
                stills={Verdict(verdict): int(total) for verdict, total in connection.execute(stills)},
            )

    def placeholders(self, *, shown: bool = True) -> list[Placeholder]:
        """Placeholders, those that most accounts got first; all that were met, or those that a person should see."""
        table = schema.placeholders
        statement = select(table).order_by(table.c.accounts.desc(), table.c.stills.desc(), table.c.id)
        if shown:
            candidate = (table.c.accounts >= SHOWN) & (table.c.homes != 1)  # Placeholder.is_shown
            statement = statement.where((table.c.state != State.CANDIDATE.value) | candidate)
        with self.database.reading() as connection:
            return [rows.to_placeholder(row) for row in connection.execute(statement)]

    def placeholder(self, id: PlaceholderId) -> Placeholder | None:
        """The placeholder of that id, or None."""
        table = schema.placeholders
        with self.database.reading() as connection:
            row = connection.execute(select(table).where(table.c.id == id)).one_or_none()
            return None if row is None else rows.to_placeholder(row)

    def rulings(self) -> int:
        """How often persons have ruled on placeholders: one small read, to see whether a shelf is still the same."""
        with self.database.reading() as connection:
            return rulings(connection)

    def shelf(self) -> Shelf:
        """All placeholders and sightings, under the number of rulings that they are of."""
        with self.database.reading() as connection:
            number = rulings(connection)
            found = connection.execute(select(schema.placeholders).order_by(schema.placeholders.c.id))
            held = tuple(rows.to_placeholder(row) for row in found)
            table = schema.placeholder_sightings
            sightings = connection.execute(select(table).order_by(table.c.placeholder, table.c.account))
            return Shelf(number, held, tuple(rows.to_sighting(row) for row in sightings))

    def alerts_statement(
        self, connection: Connection, wanted: AlertFilter, after: int | None, limit: int
    ) -> Select[Any]:
        """The statement behind `alerts`: public so that a test can look at its plan."""
        alerts = schema.alerts
        bounds: list[Condition] = [] if after is None else [alerts.c.seq < after]
        span, driven = self._time(connection, wanted)
        walks = [
            select(alerts.c.seq)
            .where(*bounds, *span, *self._walked(ways, driven))
            .order_by(alerts.c.seq.desc())
            .limit(limit)
            for ways in product(*_alternatives(wanted))
        ]
        chosen = union(*(select(walk.subquery().c.seq) for walk in walks)) if len(walks) > 1 else walks[0]
        return select(alerts).where(alerts.c.seq.in_(chosen)).order_by(alerts.c.seq.desc()).limit(limit)

    def _time(self, connection: Connection, wanted: AlertFilter) -> tuple[list[Condition], bool]:
        """Conditions for the span of time, and whether they pick so few alerts that they alone drive the walk."""
        alerts = schema.alerts
        span = _span(alerts.c.delivered_at, wanted.since, wanted.until)
        if not span:
            return [], False
        inside = select(alerts.c.seq).where(*span)
        if _count(connection, inside.limit(NARROW + 1)) <= NARROW:
            return [alerts.c.seq.in_(inside)], True
        looked_at = _span(self._aside(alerts.c.delivered_at), wanted.since, wanted.until)
        return [alerts.c.seq.between(*_numbers(connection, wanted)), *looked_at], False

    def _walked(self, ways: Sequence[tuple[ColumnElement[Any], Any]], driven: bool) -> Iterable[Condition]:
        """The first way is walked along its index; the rest are looked at on the way."""
        for place, (column, value) in enumerate(ways):
            if column is schema.alerts.c.withdrawn_at:
                yield column.is_not(None) if value else column.is_(None)
            else:
                yield (self._aside(column) if driven or place else column) == value

    def _aside(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """The column, kept out of SQLite's choice of an index: it knows no statistics and may pick the wrong one.

        A unary plus says that to SQLite (sqlite.org/optoverview.html); PostgreSQL chooses by its statistics.
        """
        if not self.database.is_sqlite:
            return column
        return UnaryExpression(column, operator=custom_op("+"), type_=column.type)


def rulings(connection: Connection) -> int:
    """How often persons have ruled on placeholders."""
    value = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.name == RULINGS))
    return 0 if value is None else int(value)


def members() -> Select[Any]:
    """What `rows.to_incident` needs of the alerts that stand, oldest first."""
    alerts = schema.alerts
    columns = (alerts.c.id, alerts.c.kind, alerts.c.owner, alerts.c.recipient)
    return select(*columns).where(alerts.c.withdrawn_at.is_(None)).order_by(alerts.c.seq)


def _alternatives(wanted: AlertFilter) -> list[list[tuple[ColumnElement[Any], Any]]]:
    """For each filter that is given the ways in which it may hold; the filter that keeps fewest alerts comes first."""
    c = schema.alerts.c
    given: list[tuple[Any, tuple[ColumnElement[Any], ...]]] = [
        (wanted.account, (c.recipient, c.owner)),
        (wanted.camera, (c.camera, c.owner_camera)),
        (wanted.incident, (c.incident,)),
        (wanted.integration, (c.integration,)),
        (wanted.level, (c.level,)),
        (wanted.kind, (c.kind,)),
        (wanted.withdrawn, (c.withdrawn_at,)),
    ]
    return [[(column, value) for column in columns] for value, columns in given if value is not None]


def _span(column: ColumnElement[Any], since: datetime | None, until: datetime | None) -> list[Condition]:
    span: list[Condition] = []
    if since is not None:
        span.append(column >= since)
    if until is not None:
        span.append(column < until)
    return span


def _numbers(connection: Connection, wanted: AlertFilter) -> tuple[int, int]:
    """Numbers between which all alerts lie that were delivered in the hours of the span."""
    hours = schema.alert_hours
    since = None if wanted.since is None else schema.hour_of(wanted.since)
    bounds = select(func.min(hours.c.least), func.max(hours.c.most)).where(*_span(hours.c.hour, since, wanted.until))
    least, most = connection.execute(bounds).one()
    return least, most


def _page(items: Sequence[Any], limit: int) -> Page[Any]:
    kept = tuple(items[:limit])
    return Page(kept, kept[-1].seq if len(items) > limit else None)


def _count(connection: Connection, rows_of: Select[Any]) -> int:
    return connection.scalar(select(func.count()).select_from(rows_of.subquery())) or 0
