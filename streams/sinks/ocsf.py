"""Notices as OCSF 1.8 events: alerts as Detection Findings, incidents as Incident Findings, suspensions as Remediation.

Owns the mapping, which is pure: the same notice makes the same event. Refuses to send. https://schema.ocsf.io/1.8.0
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from detector.notice import Notice, NoticeType
from streams.outbox.call import dumped
from streams.sinks.severity import severity
from streams.sinks.wording import PRODUCT, headline, program_version

VERSION: Final = "1.8.0"
USER_UID: Final = 31
"""`type_id` of an observable that is a user's uid."""
RESOURCE_UID: Final = 10
RULE: Final = 1
"""`type_id` of an analytic that is a rule."""


@dataclass(frozen=True, slots=True)
class Class:
    """An event class of OCSF, and its category."""

    uid: int
    name: str
    category_uid: int
    category: str


DETECTION: Final = Class(2004, "Detection Finding", 2, "Findings")
INCIDENT: Final = Class(2005, "Incident Finding", 2, "Findings")
REMEDIATION: Final = Class(7001, "Remediation Activity", 7, "Remediation")

CREATE, UPDATE, CLOSE = (1, "Create"), (2, "Update"), (3, "Close")
ISOLATE, RESTORE = (1, "Isolate"), (3, "Restore")
NEW, IN_PROGRESS, RESOLVED = (1, "New"), (2, "In Progress"), (4, "Resolved")
_FALSE_POSITIVE: Final = {"verdict_id": 1, "verdict": "False Positive"}
_TEST: Final = {"verdict_id": 6, "verdict": "Test"}

_REMEDIATED: Final[Mapping[str, tuple[tuple[int, str], tuple[int, str]]]] = {
    "proposed": (ISOLATE, (99, "Proposed")),
    "suspending": (ISOLATE, (99, "Requested")),
    "forced": (ISOLATE, (99, "Forced")),
    "suspended": (ISOLATE, (1, "Success")),
    "failed": (ISOLATE, (2, "Failure")),
    "probing": (RESTORE, (99, "Probing")),
    "ramping": (RESTORE, (4, "Partial")),
    "armed": (RESTORE, (1, "Success")),
}
"""Activity and status of a suspension's state. What was only proposed and is armed again was rejected."""


def event(notice: Notice, assignee_group: str = "unassigned") -> dict[str, Any]:
    """The OCSF event of a notice. An Incident Finding has to name whom it is assigned to: `assignee_group`."""
    match notice.type.partition(".")[0]:
        case "incident":
            return _incident(notice) | {"assignee_group": {"name": assignee_group}}
        case "suspension":
            return _remediation(notice)
        case "alert":
            return _detection(notice)
    info = {"uid": notice.id, "title": headline(notice), "desc": str(notice.data.get("message", ""))}
    return _judged(_event(DETECTION, CREATE, NEW, notice) | {"finding_info": info}, _TEST)


def line(notice: Notice, assignee_group: str = "unassigned") -> bytes:
    """The event as one line of JSON, without its end."""
    return dumped(event(notice, assignee_group)).encode()


def _event(class_: Class, activity: tuple[int, str], status: tuple[int, str], notice: Notice) -> dict[str, Any]:
    """What every class asks for."""
    bad = severity(notice)
    return {
        "class_uid": class_.uid,
        "class_name": class_.name,
        "category_uid": class_.category_uid,
        "category_name": class_.category,
        "type_uid": class_.uid * 100 + activity[0],
        "type_name": f"{class_.name}: {activity[1]}",
        "activity_id": activity[0],
        "activity_name": activity[1],
        "time": _milliseconds(notice.at),
        "severity_id": int(bad),
        "severity": bad.name.title(),
        "status_id": status[0],
        "status": status[1],
        "message": headline(notice),
        "metadata": _metadata(notice),
        "unmapped": dict(notice.data),
    }


def _metadata(notice: Notice) -> dict[str, Any]:
    told = {
        "version": VERSION,
        "product": {"name": PRODUCT, "vendor_name": PRODUCT, "version": program_version()},
        "uid": notice.id,
        "event_code": notice.type.value,
        "log_name": PRODUCT.lower(),
    }
    if notice.integration:
        told["tenant_uid"] = notice.integration
    if notice.data.get("incident"):
        told["correlation_uid"] = notice.data["incident"]
    return told


def _detection(notice: Notice) -> dict[str, Any]:
    data, withdrawn = notice.data, notice.type is NoticeType.ALERT_WITHDRAWN
    found = _event(DETECTION, CLOSE if withdrawn else CREATE, RESOLVED if withdrawn else NEW, notice)
    info = {
        "uid": str(data.get("alert", notice.id)),
        "title": headline(notice),
        "desc": str(data.get("why", "")),
        "types": [str(data.get("kind", ""))],
        "analytic": {"type_id": RULE, "type": "Rule", "uid": str(data.get("rule", "")), "name": str(data.get("rule"))},
    }
    sure = data.get("level") == "acting"
    found |= {
        "finding_info": info,
        "is_alert": True,
        "confidence_id": 3 if sure else 2,
        "confidence": "High" if sure else "Medium",
    }
    found |= _concerned(data)
    return _judged(found, _FALSE_POSITIVE) if withdrawn else found


def _judged(found: dict[str, Any], verdict: dict[str, Any]) -> dict[str, Any]:
    """A detection with a verdict on it, which is an attribute of the profile "incident"."""
    return found | verdict | {"metadata": found["metadata"] | {"profiles": ["incident"]}}


def _concerned(data: Mapping[str, Any]) -> dict[str, Any]:
    """Whom it concerns: the recipient as evidence, the owner with the camera as the resource, each as observable."""
    found: dict[str, Any] = {}
    observables = []
    if recipient := data.get("recipient"):
        found["evidences"] = [{"user": {"uid": recipient}, "data": {"delivery": data.get("delivery")}}]
        observables.append(_observable("evidences.user.uid", USER_UID, "User Object: uid", recipient))
    camera = data.get("owner_camera") or data.get("camera")
    if camera:
        owner = {"owner": {"uid": data["owner"]}} if data.get("owner") else {}
        found["resources"] = [{"uid": camera, "type": "camera"} | owner]
        observables.append(_observable("resources.uid", RESOURCE_UID, "Resource UID", camera))
    if data.get("owner") and camera:
        observables.append(_observable("resources.owner.uid", USER_UID, "User Object: uid", data["owner"]))
    return found | ({"observables": observables} if observables else {})


def _observable(name: str, type_id: int, type_: str, value: Any) -> dict[str, Any]:
    return {"name": name, "type_id": type_id, "type": type_, "value": str(value)}


def _incident(notice: Notice) -> dict[str, Any]:
    data = notice.data
    activity, status = {
        NoticeType.INCIDENT_OPENED: (CREATE, NEW),
        NoticeType.INCIDENT_RESOLVED: (CLOSE, RESOLVED),
    }.get(notice.type, (UPDATE, IN_PROGRESS))
    info = {
        "uid": str(data.get("incident", notice.id)),
        "title": headline(notice),
        "desc": str(data.get("sentence", "")),
        "types": ["incident"],
    }
    found = _event(INCIDENT, activity, status, notice) | {"finding_info_list": [info]}
    nothing_left = data.get("stands") is False and not data.get("shifts")
    return found | (_FALSE_POSITIVE if nothing_left else {})


def _remediation(notice: Notice) -> dict[str, Any]:
    data = notice.data
    activity, status = _REMEDIATED.get(str(data.get("state")), (ISOLATE, (0, "Unknown")))
    if data.get("before") == "proposed" and data.get("state") == "armed":
        activity, status = ISOLATE, (99, "Rejected")
    command = {"command_uid": str(data.get("suspension", notice.id))}
    return _event(REMEDIATION, activity, status, notice) | command | {"remediation": {"desc": str(data.get("why", ""))}}


def _milliseconds(when: datetime) -> int:
    return round(when.timestamp() * 1000)
