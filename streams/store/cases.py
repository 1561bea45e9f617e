"""What persons ask of incidents and say of them: triage, reach, changes, rights.

Owns the tables `triage` and `triage_log`, which no judge writes. Refuses to change an alert or an incident. Needs no
lease: what a person says is one transaction, and it is never lost to another one's (`version`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from sqlalchemy import Connection, Row, func, select

from detector.incident import Incident
from detector.reach import Reach, bound, reach_of
from detector.tally import Tally
from detector.triage import Act, Deed, Did, Ruling, Triage, done
from models.errors import StrayframeError
from models.records import (
    AccountId,
    Alert,
    AlertId,
    ChangeDeployed,
    DeliveryId,
    IncidentId,
    Kind,
    RightChanged,
    derived_id,
)
from streams.store import audit, rows, schema
from streams.store.database import Database
from streams.store.queries import Page, inside

AT_ONCE: Final = 500
"""Ids asked for in one statement: SQLite takes 32,766 parameters, PostgreSQL 65,535."""


class OutOfDate(StrayframeError):
    """Somebody else said something of it meanwhile; look again, then say it again."""

    retry: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Met:
    """How many standing leaks an owner and a viewer have in one incident."""

    owner: AccountId | None
    viewer: AccountId
    stills: int


@dataclass(frozen=True, slots=True)
class StoredRight:
    """A right as the store holds it."""

    seq: int
    right: RightChanged


class Cases:
    """Reading and triage over one database. Safe for several threads; every method may raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def begins(self, id: str) -> list[str]:
        """Ids of incidents and alerts that begin so, two at most: one is meant where there is one."""
        tables = (schema.incidents, schema.alerts)
        with self.database.reading() as connection:
            found = [
                connection.scalars(select(table.c.id).where(table.c.id.startswith(id, autoescape=True)).limit(2)).all()
                for table in tables
            ]
        return [each for some in found for each in some][:2]

    # --- triage --------------------------------------------------------------------------------------------

    def triage(self, subject: IncidentId | AlertId) -> Triage:
        """What was said of an incident or alert; of one of which nothing was said, an empty triage."""
        with self.database.reading() as connection:
            return _triage(connection, subject)

    def triages(self, subjects: Sequence[IncidentId]) -> dict[IncidentId, Triage]:
        """What was said of these incidents; those of which nothing was said are left out."""
        table = schema.triage
        with self.database.reading() as connection:
            found = connection.execute(select(table).where(table.c.subject.in_(subjects)))
            return {row.subject: _to_triage(row) for row in found}

    def history(self, subject: IncidentId | AlertId) -> list[Deed]:
        """All that was said of it, oldest first."""
        table = schema.triage_log
        statement = select(table).where(table.c.subject == subject).order_by(table.c.seq)
        with self.database.reading() as connection:
            return [Deed(Act(Did(row.did), row.value), row.actor, row.at) for row in connection.execute(statement)]

    def act(
        self,
        subject: IncidentId | AlertId,
        acts: Sequence[Act],
        actor: str,
        at: datetime,
        version: int | None = None,
    ) -> Triage:
        """Say something of an incident or alert; the triage after it. With `version`, only if it still has that one.

        Raises OutOfDate.
        """
        with self.database.writing() as connection:
            row = self.database.insert(schema.triage).values(subject=subject, version=0).on_conflict_do_nothing()
            connection.execute(row)
            before = _triage(connection, subject, lock=True)
            if version is not None and version != before.version:
                raise OutOfDate(f"{subject} is at version {before.version} by now")
            after = before
            for act in acts:
                after = done(after, act, actor, at)
            after = replace(after, version=before.version + 1)
            values = asdict(after) | {"ruling": None if after.ruling is None else after.ruling.value}
            table = schema.triage
            connection.execute(table.update().where(table.c.subject == subject).values(values))
            said = [{"subject": subject, "at": at, "actor": actor, "did": a.did.value, "value": a.value} for a in acts]
            connection.execute(schema.triage_log.insert(), said)
            audit.write(connection, "triage", subject, actor=actor, did=[_noted(act) for act in acts])
        return after

    def ruled(self) -> Iterator[tuple[Alert, Ruling]]:
        """The alerts that persons ruled on, one by one or by their incident, oldest first; an alert's own ruling comes
        before its incident's."""
        alerts, said, whole = schema.alerts, schema.triage, schema.triage.alias()
        ruling = func.coalesce(said.c.ruling, whole.c.ruling)
        found = (
            select(alerts, ruling.label("ruling"))
            .outerjoin(said, said.c.subject == alerts.c.id)
            .outerjoin(whole, whole.c.subject == alerts.c.incident)
            .where(ruling.is_not(None))
            .order_by(alerts.c.seq)
        )
        with self.database.reading() as connection:
            for row in connection.execute(found):
                yield rows.to_alert(row), Ruling(row.ruling)

    # --- reach ---------------------------------------------------------------------------------------------

    def met(self, id: IncidentId) -> list[Met]:
        """Who saw whom in an incident, by owner and viewer."""
        alerts = schema.alerts
        stills = func.count().label("stills")
        found = (
            select(alerts.c.owner, alerts.c.recipient, stills)
            .where(alerts.c.incident == id, alerts.c.kind == Kind.LEAK.value, alerts.c.withdrawn_at.is_(None))
            .group_by(alerts.c.owner, alerts.c.recipient)
        )
        with self.database.reading() as connection:
            met = [Met(row.owner, AccountId(row.recipient), row.stills) for row in connection.execute(found)]
        return sorted(met, key=lambda each: (each.owner or "", each.viewer))

    def reach(self, incident: Incident) -> Reach:
        """The reach of an incident that was read with its alerts, and the bound of its suspected path."""
        leaks = incident.leaked()
        with self.database.reading() as connection:
            reach = reach_of(leaks, _opened(connection, leaks))
            if reach.first is None or reach.last is None:
                return reach
            tally = _tally(connection, incident.integration)
        until = reach.last + timedelta(microseconds=1)
        through, all_ = bound(tally, incident.integration, incident.cause, reach.first, until)
        return replace(reach, at_most=through, deliveries=all_) if all_ >= len(leaks) else reach

    # --- plain facts ---------------------------------------------------------------------------------------

    def changes(
        self, since: datetime | None = None, until: datetime | None = None, limit: int = 50
    ) -> tuple[list[ChangeDeployed], datetime | None]:
        """Changes deployed in [since, until), newest first, and the `until` of the next page, None at the end.

        All changes of one moment come together, so that a page may hold a few more than `limit`.
        """
        table = schema.deployed
        found = select(table).where(*inside(table.c.time, since, until)).order_by(table.c.time.desc(), table.c.id)
        with self.database.reading() as connection:
            page = connection.execute(found.limit(limit + 1)).all()
            if len(page) <= limit:
                return [rows.to_deployed(row) for row in page], None
            last = page[limit - 1].time
            page = connection.execute(found.where(table.c.time >= last)).all()
            older = select(table.c.id).where(*inside(table.c.time, since, last)).limit(1)
            more = connection.scalar(older) is not None
        return [rows.to_deployed(row) for row in page], last if more else None

    def rights(
        self, camera: str | None = None, account: str | None = None, after: int | None = None, limit: int = 50
    ) -> Page[StoredRight]:
        """Enrolments and grants, latest stored first."""
        table = schema.rights
        found = select(table).order_by(table.c.seq.desc()).limit(limit + 1)
        for column, asked in ((table.c.camera, camera), (table.c.account, account)):
            if asked is not None:
                found = found.where(column == asked)
        if after is not None:
            found = found.where(table.c.seq < after)
        with self.database.reading() as connection:
            page = [StoredRight(row.seq, rows.to_right(row)) for row in connection.execute(found)]
        return Page(tuple(page[:limit]), page[limit - 1].seq if len(page) > limit else None)


def _noted(act: Act) -> str:
    """An act for the audit, which keeps no note's text: a note may have to be taken out some day, an entry never is."""
    return f"{act.did.value}: {len(act.value)} characters" if act.did is Did.NOTED else f"{act.did.value}: {act.value}"


def _triage(connection: Connection, subject: str, *, lock: bool = False) -> Triage:
    found = select(schema.triage).where(schema.triage.c.subject == subject)
    row = connection.execute(found.with_for_update() if lock else found).one_or_none()
    return Triage() if row is None else _to_triage(row)


def _to_triage(row: Row[Any]) -> Triage:
    ruling = None if row.ruling is None else Ruling(row.ruling)
    return Triage(
        row.version, row.acknowledged, row.acknowledged_by, row.assignee, ruling, row.confirmed, row.snoozed_until,
        row.snoozed_by,
    )  # fmt: skip


def _opened(connection: Connection, leaks: Sequence[Alert]) -> Mapping[tuple[DeliveryId, AccountId], datetime]:
    table = schema.opened
    by_id = {
        derived_id("op", alert.delivery.source, alert.delivery.id, alert.recipient): (alert.delivery, alert.recipient)
        for alert in leaks
    }
    ids = list(by_id)
    found: dict[tuple[DeliveryId, AccountId], datetime] = {}
    for at in range(0, len(ids), AT_ONCE):
        some = select(table.c.id, table.c.time).where(table.c.id.in_(ids[at : at + AT_ONCE]))
        found.update((by_id[row.id], row.time) for row in connection.execute(some))
    return found


def _tally(connection: Connection, integration: str) -> Tally:
    tally, table = Tally(), schema.tally
    found = connection.execute(select(table).where(table.c.integration == integration))
    tally.restore(rows.to_bucket(row) for row in found)
    return tally
