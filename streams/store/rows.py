"""Records to rows and back, field by field. Owns which column a field lies in; refuses to run a statement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from detector.analysis import Analysis
from detector.incident import Incident
from detector.incident import State as IncidentState
from detector.packed import mark_of_camera, mark_of_scene
from detector.tally import Bucket, Slot, Span
from models.placeholder import Placeholder, PlaceholderId, Sighting, State
from models.records import (
    AccountId,
    Alert,
    AlertId,
    CameraId,
    ChangeDeployed,
    DeliveryId,
    IncidentId,
    Kind,
    Level,
    RightAction,
    RightChanged,
    SceneId,
    StillOpened,
    Withdrawal,
    derived_id,
)
from models.scene import Camera, Scene, Standing
from streams.judge import Covered, counted

Values = dict[str, Any]
_KINDS = {kind.value: kind for kind in Kind}
_LEVELS = {level.value: level for level in Level}


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """An alert as the store holds it. `seq` grows with every alert stored; newer means larger.

    `withdrawal` is None while the alert stands. `incident` stays on a withdrawn alert: it was counted there once.
    `warming` says that its integration was warming up when it was raised.
    """

    seq: int
    alert: Alert
    incident: IncidentId | None
    withdrawal: Withdrawal | None
    warming: bool = False


@dataclass(frozen=True, slots=True)
class IncidentSummary:
    """An incident without its alerts. `viewers` and `owners` are counts of distinct accounts in its leaks."""

    seq: int
    id: IncidentId
    integration: str
    opened: datetime
    first: datetime
    last: datetime
    leaks: int
    shifts: int
    viewers: int
    owners: int
    resolved: datetime | None
    reopened: int
    split_from: IncidentId | None
    analysis: Analysis | None

    @property
    def state(self) -> IncidentState:
        """Whether it goes on, as far as is known."""
        return IncidentState.OPEN if self.resolved is None else IncidentState.RESOLVED

    @property
    def stands(self) -> bool:
        """Whether any leak is left in it once withdrawn alerts are taken off."""
        return self.leaks > 0


def of_right(right: RightChanged) -> Values:
    """The row of a right. Its id derives from all of it: the same right twice is one row."""
    parts = (right.camera, right.account, right.action.value, right.time.isoformat())
    return {
        "id": derived_id("ri", *parts),
        "camera": right.camera,
        "account": right.account,
        "action": right.action.value,
        "time": right.time,
    }


def to_right(row: Row[Any]) -> RightChanged:
    """The right of a row."""
    return RightChanged(CameraId(row.camera), AccountId(row.account), RightAction(row.action), row.time)


def of_camera(camera: Camera) -> Values:
    """The row of a camera."""
    return {
        "id": camera.id,
        "presumed_owner": camera.presumed_owner,
        "first_seen": camera.first_seen,
        "last_seen": camera.last_seen,
        "body": camera.body,
        "mark": mark_of_camera(camera),
    }


def to_camera(row: Sequence[Any]) -> Camera:
    """The camera of a row, whose columns lie in the table's order."""
    id_, presumed_owner, first_seen, last_seen, body, _ = row
    return Camera(CameraId(id_), _account(presumed_owner), first_seen, last_seen, body)


def of_scene(scene: Scene) -> Values:
    """The row of a scene."""
    return {
        "id": scene.id,
        "camera": scene.camera,
        "account": scene.account,
        "standing": scene.standing.value,
        "delivery_source": scene.delivery.source,
        "delivery_id": scene.delivery.id,
        "first_seen": scene.first_seen,
        "last_seen": scene.last_seen,
        "seen": scene.seen,
        "body": scene.body,
        "mark": mark_of_scene(scene),
    }


def to_scene(row: Sequence[Any]) -> Scene:
    """The scene of a row, whose columns lie in the table's order: unpacked, because there may be millions."""
    id_, camera, account, standing, source, delivery, first_seen, last_seen, seen, body, _ = row
    return Scene(
        SceneId(id_),
        CameraId(camera),
        AccountId(account),
        Standing(standing),
        DeliveryId(source, delivery),
        first_seen,
        last_seen,
        seen,
        body,
    )


def of_alert(alert: Alert, incident: IncidentId | None) -> Values:
    """The row of an alert that was raised in `incident`."""
    return {
        "id": alert.id,
        "kind": alert.kind.value,
        "level": alert.level.value,
        "delivery_source": alert.delivery.source,
        "delivery_id": alert.delivery.id,
        "delivered_at": alert.delivered_at,
        "recipient": alert.recipient,
        "camera": alert.camera,
        "owner": alert.owner,
        "owner_camera": alert.owner_camera,
        "presumed": alert.presumed,
        "raised_source": alert.raised_by.source,
        "raised_id": alert.raised_by.id,
        "raised_at": alert.raised_at,
        "rule": alert.rule,
        "why": alert.why,
        "numbers": alert.numbers,
        "scene": alert.scene,
        "integration": alert.integration,
        "attributes": alert.attributes,
        "incident": incident,
    }


def to_alert(row: Sequence[Any]) -> Alert:
    """The alert of a row, whose columns lie in the table's order: unpacked, because there may be a million."""
    (_, id_, kind, level, source, delivery, delivered_at, recipient, camera, owner, owner_camera, presumed) = row[:12]
    (raised_source, raised_id, raised_at, rule, why, numbers, scene, _, attributes) = row[12:21]
    return Alert(
        id_,
        _KINDS[kind],
        _LEVELS[level],
        DeliveryId(source, delivery),
        delivered_at,
        recipient,
        camera,
        owner,
        owner_camera,
        presumed,
        DeliveryId(raised_source, raised_id),
        raised_at,
        rule,
        why,
        numbers,
        scene,
        attributes,
    )


def to_stored_alert(row: Row[Any], warm: Mapping[str, datetime | None]) -> StoredAlert:
    """The alert of a row with what the store knows of it; `warm` says since when each integration is, None not yet."""
    withdrawal = None
    if row.withdrawn_at is not None:
        withdrawal = Withdrawal(AlertId(row.id), row.withdrawn_at, row.withdrawn_why)
    since = warm.get(row.integration)
    warming = row.integration in warm and (since is None or row.raised_at < since)
    incident = None if row.incident is None else IncidentId(row.incident)
    return StoredAlert(row.seq, to_alert(row), incident, withdrawal, warming)


def of_incident(incident: Incident) -> Values:
    """The row of an incident; its alerts point to it."""
    return {
        "id": incident.id,
        "integration": incident.integration,
        "opened": incident.opened,
        "first": incident.first,
        "last": incident.last,
        "leaks": incident.leaks,
        "shifts": incident.shifts,
        "viewers": len(incident.viewers),
        "owners": len(incident.owners),
        "resolved": incident.resolved,
        "reopened": incident.reopened,
        "updates": incident.updates,
        "told": incident.told,
        "news": incident.news,
        "split_from": incident.split_from,
        "analysis": None if incident.analysis is None else incident.analysis.to_json(),
    }


def to_summary(row: Row[Any]) -> IncidentSummary:
    """The incident of a row, without its alerts."""
    return IncidentSummary(
        row.seq,
        IncidentId(row.id),
        row.integration,
        row.opened,
        row.first,
        row.last,
        row.leaks,
        row.shifts,
        row.viewers,
        row.owners,
        row.resolved,
        row.reopened,
        row.split_from,
        _analysis(row),
    )


def to_incident(row: Row[Any], alerts: Iterable[Alert] = ()) -> Incident:
    """The incident of a row, with those of its alerts that stand and are given."""
    return Incident(
        id=IncidentId(row.id),
        integration=row.integration,
        opened=row.opened,
        first=row.first,
        last=row.last,
        leaks=row.leaks,
        shifts=row.shifts,
        resolved=row.resolved,
        reopened=row.reopened,
        updates=row.updates,
        told=row.told,
        news=row.news,
        split_from=row.split_from,
        analysis=_analysis(row),
        alerts={alert.id: alert for alert in alerts},
    )


def _analysis(row: Row[Any]) -> Analysis | None:
    return None if row.analysis is None else Analysis.from_json(row.analysis)


def of_bucket(slot: Slot, bucket: Bucket) -> Values:
    """The row of counts, as they are now."""
    return {"integration": slot.integration, "span": slot.span.value, "number": slot.number, "body": bucket.to_bytes()}


def to_bucket(row: Row[Any]) -> tuple[Slot, Bucket]:
    """The counts of a row."""
    return Slot(row.integration, Span(row.span), row.number), Bucket.from_bytes(bytes(row.body))


def of_opened(fact: StillOpened) -> Values:
    """The row of a looked-at still: one for a delivery and an account, the first time stays."""
    return {
        "id": derived_id("op", fact.delivery.source, fact.delivery.id, fact.account),
        "delivery_source": fact.delivery.source,
        "delivery_id": fact.delivery.id,
        "account": fact.account,
        "time": fact.time,
    }


def of_deployed(key: DeliveryId, change: ChangeDeployed) -> Values:
    """The row of a deployed change: one for an event."""
    return {
        "id": derived_id("de", key.source, key.id),
        "source": key.source,
        "event_id": key.id,
        "component": change.component,
        "version": change.version,
        "time": change.time,
    }


def to_deployed(row: Row[Any]) -> ChangeDeployed:
    """The change of a row."""
    return ChangeDeployed(row.component, row.version, row.time)


def of_covered(covered: Mapping[Covered, int]) -> list[Values]:
    """The rows of counts, to be added to those that are there."""
    return [
        {"hour": key.hour, "integration": key.integration, "verdict": key.verdict.value, "stills": stills}
        for key, stills in covered.items()
    ]


def to_covered(row: Row[Any]) -> Covered:
    """What a count is of."""
    return Covered(row.hour, row.integration, counted(row.verdict))


def of_placeholder(found: Placeholder) -> Values:
    """The row of a placeholder."""
    return {
        "id": found.id,
        "state": found.state.value,
        "label": found.label,
        "accounts": found.accounts,
        "stills": found.stills,
        "first_seen": found.first_seen,
        "last_seen": found.last_seen,
        "camera": found.camera,
        "homes": found.homes,
        "owner_camera": found.owner_camera,
        "body": found.body,
        "ruled_by": found.ruled_by,
        "ruled_at": found.ruled_at,
    }


def to_placeholder(row: Row[Any]) -> Placeholder:
    """The placeholder of a row."""
    return Placeholder(
        PlaceholderId(row.id),
        State(row.state),
        row.body,
        row.accounts,
        row.stills,
        row.first_seen,
        row.last_seen,
        None if row.camera is None else CameraId(row.camera),
        row.homes,
        None if row.owner_camera is None else CameraId(row.owner_camera),
        row.label,
        row.ruled_by,
        row.ruled_at,
    )


def of_sighting(sighting: Sighting) -> Values:
    """The row of a sighting: one for a placeholder and an account."""
    return {"placeholder": sighting.placeholder, "account": sighting.account, "camera": sighting.camera}


def to_sighting(row: Row[Any]) -> Sighting:
    """The sighting of a row."""
    return Sighting(PlaceholderId(row.placeholder), AccountId(row.account), CameraId(row.camera))


def _account(text: str | None) -> AccountId | None:
    return None if text is None else AccountId(text)
