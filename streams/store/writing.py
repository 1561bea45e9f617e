"""What the judge's batch becomes in the tables of the store.

Owns which rows are put, changed, added to and deleted, and what of them stays as a person said it. Refuses to open a
transaction: `sql.SqlStore.commit` does, and moves the offsets in the same one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, bindparam, delete, update

from detector.engine import Changes
from detector.tally import Counted
from models.placeholder import PlaceholderId, State
from models.records import AlertId, IncidentId, Withdrawal
from streams.judge import Batch
from streams.store import rows, schema
from streams.store.database import Database
from streams.store.rows import Values


class Writing:
    """Writes batches to a database, each within a transaction that is under way there."""

    def __init__(self, database: Database) -> None:
        self._insert = database.insert

    def write(self, connection: Connection, batch: Batch, *, rights: bool) -> None:
        """Write what the judge learned, counted and was told. `rights` are written by one of several matchers."""
        self._write_changes(connection, batch.changes, rights=rights)
        self._add(connection, schema.coverage, rows.of_covered(batch.covered), adds="stills")
        self._append(connection, schema.opened, [rows.of_opened(fact) for fact in batch.opened])
        self._append(connection, schema.deployed, [rows.of_deployed(key, fact) for key, fact in batch.deployed])

    def _write_changes(self, connection: Connection, changes: Changes, *, rights: bool) -> None:
        if rights:  # every share reads them, the desk keeps the offsets of what it stored
            self._append(connection, schema.rights, [rows.of_right(right) for right in changes.rights])
        self._upsert(connection, schema.cameras, [rows.of_camera(camera) for camera in changes.cameras])
        self._upsert(connection, schema.scenes, [rows.of_scene(scene) for scene in changes.scenes])
        _remove(connection, [{"gone": scene} for scene in changes.removed])
        self._upsert(connection, schema.incidents, [rows.of_incident(incident) for incident in changes.incidents])
        within = _incident_of(changes)
        raised = [rows.of_alert(alert, within.get(alert.id)) for alert in changes.raised]
        self._append(connection, schema.alerts, raised)
        _move_over(connection, changes.moved)
        _withdraw(connection, changes.withdrawn)
        self._count(connection, changes.counted)
        self._meet(connection, changes)

    def _meet(self, connection: Connection, changes: Changes) -> None:
        """What the judge counted; what a person said stays, and what a person removed is not put back by a count."""
        table = schema.placeholders
        counted = ("accounts", "stills", "first_seen", "last_seen", "camera", "homes", "owner_camera")
        unmeet(connection, changes.unmet)
        candidates = [rows.of_placeholder(p) for p in changes.placeholders if p.state is State.CANDIDATE]
        if candidates:
            insert = self._insert(table)
            new = {name: insert.excluded[name] for name in counted}
            connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=new), candidates)
        for found in changes.placeholders:
            if found.state is not State.CANDIDATE:
                row = rows.of_placeholder(found)
                values = {name: row[name] for name in counted}
                connection.execute(update(table).where(table.c.id == found.id).values(values))
        if changes.sightings:
            append = self._insert(schema.placeholder_sightings).on_conflict_do_nothing()
            connection.execute(append, [rows.of_sighting(sighting) for sighting in changes.sightings])

    def _append(self, connection: Connection, table: Table, values: list[Values]) -> None:
        """Insert what is not there yet; what is there stays as it was."""
        if values:
            connection.execute(self._insert(table).on_conflict_do_nothing(index_elements=["id"]), values)

    def _upsert(self, connection: Connection, table: Table, values: list[Values]) -> None:
        if values:
            connection.execute(_put(self._insert, table, ("id",), tuple(values[0])), values)

    def _add(self, connection: Connection, table: Table, values: list[Values], adds: str) -> None:
        if values:
            keys = tuple(column.name for column in table.primary_key.columns)
            connection.execute(_put(self._insert, table, keys, tuple(values[0]), adds), values)

    def _count(self, connection: Connection, counted: Counted) -> None:
        table = schema.tally
        keys = ("integration", "span", "number")
        if counted.changed:
            put = _put(self._insert, table, keys, (*keys, "body"))
            connection.execute(put, [rows.of_bucket(slot, bucket) for slot, bucket in counted.changed])
        if counted.gone:
            gone = delete(table).where(*(table.c[key] == bindparam(f"gone_{key}") for key in keys))
            connection.execute(
                gone,
                [
                    {"gone_integration": slot.integration, "gone_span": slot.span.value, "gone_number": slot.number}
                    for slot in counted.gone
                ],
            )


@cache
def _put(insert: Any, table: Table, keys: tuple[str, ...], names: tuple[str, ...], adds: str | None = None) -> Any:
    """The statement that inserts rows with these names, or changes those that are there: all but the keys, and `adds`
    is added up. Kept, because to make it costs as much as to write a few rows."""
    made = insert(table)
    new = {name: made.excluded[name] for name in names if name not in keys}
    if adds is not None:
        new[adds] = table.c[adds] + new[adds]
    return made.on_conflict_do_update(index_elements=list(keys), set_=new)


def _incident_of(changes: Changes) -> dict[AlertId, IncidentId]:
    """The incident of each alert that is raised here. It is decided when the alert is raised and never changes."""
    raised = [alert.id for alert in changes.raised]
    return {alert: incident.id for incident in changes.incidents for alert in raised if alert in incident.alerts}


def _remove(connection: Connection, scenes: list[Values]) -> None:
    if scenes:
        connection.execute(delete(schema.scenes).where(schema.scenes.c.id == bindparam("gone")), scenes)


def unmeet(connection: Connection, ids: Iterable[PlaceholderId]) -> int:
    """Delete placeholders with their sightings; how many there were."""
    gone = 0
    for id_ in ids:
        sightings, table = schema.placeholder_sightings, schema.placeholders
        connection.execute(delete(sightings).where(sightings.c.placeholder == id_))
        gone += connection.execute(delete(table).where(table.c.id == id_)).rowcount
    return gone


def _move_over(connection: Connection, moved: Mapping[AlertId, IncidentId]) -> None:
    """Alerts whose cause turned out to be another incident's."""
    if moved:
        alerts = schema.alerts
        statement = update(alerts).where(alerts.c.id == bindparam("alert")).values(incident=bindparam("new"))
        connection.execute(statement, [{"alert": alert, "new": incident} for alert, incident in moved.items()])


def _withdraw(connection: Connection, withdrawals: Iterable[Withdrawal]) -> None:
    """The first withdrawal of an alert stays; the row stays in any case."""
    alerts = schema.alerts
    values = [{"alert": one.alert, "at": one.time, "because": one.reason} for one in withdrawals]
    if values:
        statement = update(alerts).where(alerts.c.id == bindparam("alert"), alerts.c.withdrawn_at.is_(None))
        connection.execute(statement.values(withdrawn_at=bindparam("at"), withdrawn_why=bindparam("because")), values)
