"""What people ask the store: alerts, incidents, coverage, counts. Reading only; SqlStore adds the writing.

Owns the pages. Refuses to hand out a database row, and to page by offset: a page begins where a number says, and
alerts stored meanwhile never shift it. streams/store/walk.py says how alerts are found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, func, select

from detector.incident import Incident
from detector.incident import State as IncidentState
from models.placeholder import SHOWN, Placeholder, PlaceholderId, Shelf, State
from models.records import AlertId, IncidentId
from streams.judge import Counted, Covered, counted
from streams.store import rows, schema
from streams.store.database import Database
from streams.store.rows import IncidentSummary, StoredAlert
from streams.store.suspension_schema import rolls
from streams.store.walk import ANY, WAYS, AlertFilter, Shape, asked, statement, ways

FEW: Final = 5000
"""Alerts that a filter keeps at most that is walked before others are."""
ABOVE: Final = 2**63 - 1
"""Above every number that a database gives a row."""
FIRST: Final = datetime.min.replace(tzinfo=UTC)
LAST: Final = datetime.max.replace(tzinfo=UTC)
"""The first and the last moment that a time can tell."""

RULINGS: Final = "placeholder_rulings"
"""Where `meta` counts what persons said of placeholders, as decimal digits."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of the answer, newest first. `next` is what to give as `after` for the following page, None at the end."""

    items: tuple[T, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    """Which incidents; None means any. All that are given must hold.

    `since` and `until`: those with a leak delivered at or after, and one delivered before.
    """

    integration: str | None = None
    state: IncidentState | None = None
    since: datetime | None = None
    until: datetime | None = None


EVERY_INCIDENT: Final = IncidentFilter()
"""The filter that every incident passes."""


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
    stills: dict[Counted, int]


class Queries:
    """The reading side of a store. Safe for several threads. Every method may raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def alerts(self, wanted: AlertFilter = ANY, after: int | None = None, limit: int = 50) -> Page[StoredAlert]:
        """Alerts that pass the filter, newest stored first; of a span of time the newest delivered first, and of those
        of one moment the newest stored. `after` is the `next` of a page before, whatever its filter was."""
        with self.database.reading() as connection:
            given = asked(wanted) | _begin(connection, wanted, after) | {"limit": limit + 1}
            found = connection.execute(statement(self.shape(connection, wanted)), given)
            warm = _warm(connection)
            return _page([rows.to_stored_alert(row, warm) for row in found], limit)

    def alert(self, id: AlertId) -> StoredAlert | None:
        """The alert of that id, or None."""
        with self.database.reading() as connection:
            row = connection.execute(select(schema.alerts).where(schema.alerts.c.id == id)).one_or_none()
            return None if row is None else rows.to_stored_alert(row, _warm(connection))

    def incidents(
        self, wanted: IncidentFilter = EVERY_INCIDENT, after: int | None = None, limit: int = 50
    ) -> Page[IncidentSummary]:
        """Incidents, latest stored first; those of which nothing stands any more are among them."""
        asked_for = incidents_statement(wanted, after, limit + 1)
        with self.database.reading() as connection:
            return _page([rows.to_summary(row) for row in connection.execute(asked_for)], limit)

    def incident(self, id: IncidentId) -> Incident | None:
        """The incident of that id with its standing alerts, or None."""
        with self.database.reading() as connection:
            row = connection.execute(select(schema.incidents).where(schema.incidents.c.id == id)).one_or_none()
            if row is None:
                return None
            found = connection.execute(standing().where(schema.alerts.c.incident == id).order_by(schema.alerts.c.seq))
            return rows.to_incident(row, map(rows.to_alert, found))

    def incident_summary(self, id: IncidentId) -> IncidentSummary | None:
        """The incident of that id without its alerts, or None."""
        with self.database.reading() as connection:
            row = connection.execute(select(schema.incidents).where(schema.incidents.c.id == id)).one_or_none()
            return None if row is None else rows.to_summary(row)

    def snoozed(self) -> Set[IncidentId]:
        """Incidents whose notices persons hold back now, by the database's clock."""
        table = schema.triage
        with self.database.reading() as connection:
            return set(connection.scalars(select(table.c.subject).where(table.c.snoozed_until > schema.now())))

    def coverage(self, since: datetime | None = None, until: datetime | None = None) -> Counter[Covered]:
        """Judged deliveries by hour, integration and verdict, for hours in [since, until)."""
        table = schema.coverage
        statement = select(table).where(*inside(table.c.hour, since, until)).order_by(*table.primary_key.columns)
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
                stills={counted(verdict): int(total) for verdict, total in connection.execute(stills)},
            )

    def placeholders(self, *, shown: bool = True) -> list[Placeholder]:
        """Placeholders, those that most accounts got first; all that were met, or those that a person should see."""
        table = schema.placeholders
        statement = select(table).order_by(table.c.accounts.desc(), table.c.stills.desc(), table.c.id)
        if shown:
            candidate = (table.c.accounts >= SHOWN) & (table.c.homes != 1)  # Placeholder.is_shown
            named = (table.c.state != State.CANDIDATE.value) | (table.c.label != "")
            statement = statement.where(named | candidate)
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

    def shape(self, connection: Connection, wanted: AlertFilter) -> Shape:
        """The shape of a filter."""
        given = tuple(name for name in WAYS if getattr(wanted, name) is not None)
        if len(given) > 1:  # one that alone keeps few alerts is walked
            few = {name for name in given if _few(connection, name, asked(wanted))}
            given = tuple(sorted(given, key=lambda name: name not in few))
        return Shape(given, wanted.kind, wanted.level, wanted.withdrawn, wanted.timed, self.database.is_sqlite)


def _warm(connection: Connection) -> dict[str, datetime | None]:
    """Since when each integration is warm."""
    return {row.integration: row.warm_at for row in connection.execute(select(rolls.c.integration, rolls.c.warm_at))}


def rulings(connection: Connection) -> int:
    """How often persons have ruled on placeholders."""
    value = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.name == RULINGS))
    return 0 if value is None else int(value)


def incidents_statement(wanted: IncidentFilter, after: int | None, limit: int) -> Select[Any]:
    """The statement behind `incidents`."""
    table = schema.incidents
    found = select(table).order_by(table.c.seq.desc()).limit(limit)
    if wanted.integration is not None:
        found = found.where(table.c.integration == wanted.integration)
    if wanted.state is not None:
        is_open = table.c.resolved.is_(None)
        found = found.where(is_open if wanted.state is IncidentState.OPEN else ~is_open)
    if wanted.since is not None:
        found = found.where(table.c.last >= wanted.since)
    if wanted.until is not None:
        found = found.where(table.c.first < wanted.until)
    return found if after is None else found.where(table.c.seq < after)


def standing() -> Select[Any]:
    """The alerts that stand, in any order."""
    return select(schema.alerts).where(schema.alerts.c.withdrawn_at.is_(None))


def _begin(connection: Connection, wanted: AlertFilter, after: int | None) -> dict[str, Any]:
    """Where a page begins, as the parameters of its statement: behind the alert of that number, if there is one."""
    if not wanted.timed:
        return {"below": ABOVE if after is None else after}
    begin = (LAST, ABOVE) if wanted.until is None else (wanted.until, 0)
    if after is not None:
        alerts = schema.alerts
        delivered = connection.scalar(select(alerts.c.delivered_at).where(alerts.c.seq == after))
        begin = begin if delivered is None else min(begin, (delivered, after))
    return {"since": wanted.since or FIRST, "before": begin[0], "below": begin[1]}


def inside(column: ColumnElement[Any], since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    """That a time lies in [since, until); None leaves a side open."""
    after = [] if since is None else [column >= since]
    return after + ([] if until is None else [column < until])


def _few(connection: Connection, name: str, given: Mapping[str, Any]) -> bool:
    """Whether a filter keeps few alerts; the cost is bounded, however many it keeps."""
    seq = schema.alerts.c.seq
    return all(_count(connection, select(seq).where(way).limit(FEW + 1), given) <= FEW for way in ways(name))


def _page(items: Sequence[Any], limit: int) -> Page[Any]:
    kept = tuple(items[:limit])
    return Page(kept, kept[-1].seq if len(items) > limit else None)


def _count(connection: Connection, rows_of: Select[Any], given: Mapping[str, Any] | None = None) -> int:
    return connection.scalar(select(func.count()).select_from(rows_of.subquery()), given) or 0
