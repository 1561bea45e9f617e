"""The notices of alerts and incidents: what the world outside is told of each, in the words of notice.py.

Owns what their data hold. Refuses to decide when one is due (folding.py, alarms.py). No picture, no list that grows:
whom it concerned is at `/v1/incidents/{id}/reach`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from datetime import datetime
from typing import Any, Final

from detector.incident import Incident
from detector.notice import Notice, NoticeType, notice
from models.records import Alert, IncidentId, Withdrawal

LONGEST: Final = 128
"""Characters of an attribute's value that are told."""
ATTRIBUTES: Final = 12
"""Attributes that are told: with ids of 1,024 bytes each, a notice stays under 20 kB."""
SENTENCE: Final = 1000
"""Characters of a sentence that are told."""
_GOES_ON: Final = (NoticeType.ALERT_RAISED, NoticeType.ALERT_WITHDRAWN, NoticeType.INCIDENT_UPDATED)


def raised(alert: Alert, incident: IncidentId | None) -> Notice:
    """An alert was raised."""
    return notice(NoticeType.ALERT_RAISED, alert.raised_at, alert.integration, _alert(alert, incident), alert.id)


def withdrawn(alert: Alert, gone: Withdrawal, incident: IncidentId | None) -> Notice:
    """An alert no longer stands."""
    data = _alert(alert, incident) | {"withdrawn_at": _z(gone.time), "reason": gone.reason}
    return notice(NoticeType.ALERT_WITHDRAWN, gone.time, alert.integration, data, alert.id)


def opened(incident: Incident, at: datetime) -> Notice:
    """An incident was opened, or opened again: `reopened` counts that."""
    return _notice(NoticeType.INCIDENT_OPENED, incident, at, str(incident.reopened))


def updated(incident: Incident, at: datetime) -> Notice:
    """An incident grew, or shrank."""
    return _notice(NoticeType.INCIDENT_UPDATED, incident, at, str(incident.updates))


def resolved(incident: Incident, at: datetime) -> Notice:
    """An incident fell quiet, or nothing of it stands any more."""
    return _notice(NoticeType.INCIDENT_RESOLVED, incident, at, str(incident.reopened))


def audible(notices: Iterable[Notice], snoozed: Set[IncidentId]) -> list[Notice]:
    """The notices but those of what goes on in a snoozed incident. That one opens, or ends, is told in any case."""
    return [n for n in notices if n.type not in _GOES_ON or n.data.get("incident") not in snoozed]


def _notice(type: NoticeType, incident: Incident, at: datetime, number: str) -> Notice:
    return notice(type, at, incident.integration, _incident(incident), incident.id, number)


def _incident(incident: Incident) -> dict[str, Any]:
    analysis = incident.analysis
    suspects = () if analysis is None else analysis.suspects[:3]
    return {
        "incident": incident.id,
        "integration": incident.integration,
        "state": incident.state.value,
        "stands": incident.stands,
        "opened": _z(incident.opened),
        "first": _z(incident.first),
        "last": _z(incident.last),
        "resolved": None if incident.resolved is None else _z(incident.resolved),
        "reopened": incident.reopened,
        "split_from": incident.split_from,
        "leaks": incident.leaks,
        "shifts": incident.shifts,
        "viewers": len(incident.viewers),
        "owners": len(incident.owners),
        "shape": None if analysis is None else analysis.shape.form.value,
        "sentence": incident.sentence[:SENTENCE],
        "suspects": [
            {"path": {name: [_short(v) for v in values] for name, values in each.path}, "share": round(each.share, 4),
             "base": round(each.base, 4), "lift": round(each.lift, 2), "low": round(each.low, 2)}
            for each in suspects
            if each.stands_out
        ],
    }  # fmt: skip


def _alert(alert: Alert, incident: IncidentId | None) -> dict[str, Any]:
    return {
        "alert": alert.id,
        "incident": incident,
        "integration": alert.integration,
        "kind": alert.kind.value,
        "level": alert.level.value,
        "delivery": {"source": alert.delivery.source, "id": alert.delivery.id},
        "delivered_at": _z(alert.delivered_at),
        "recipient": alert.recipient,
        "camera": alert.camera,
        "owner": alert.owner,
        "owner_camera": alert.owner_camera,
        "presumed": alert.presumed,
        "rule": alert.rule,
        "why": alert.why[:SENTENCE],
        "attributes": _told(alert.attributes),
    }


def _told(attributes: Mapping[str, str]) -> dict[str, str]:
    return {name: _short(value) for name, value in sorted(attributes.items())[:ATTRIBUTES]}


def _short(value: str) -> str:
    return value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…"


def _z(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
