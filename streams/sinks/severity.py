"""How bad a notice is, and whether it ends something: what sinks filter by and what their protocols ask for.

Owns the scale, which is OCSF's. Refuses to look at anything but the notice.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from detector.notice import Notice, NoticeType


class Severity(IntEnum):
    """OCSF's `severity_id`, of which "fatal" is never reached."""

    INFORMATIONAL = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4
    CRITICAL = 5


ENDINGS: Final = (NoticeType.ALERT_WITHDRAWN, NoticeType.INCIDENT_RESOLVED, NoticeType.SUSPENSION_LIFTED)
"""What ends something is told whatever its severity: else what a receiver opened would stay open there."""


def severity(notice: Notice) -> Severity:
    """How bad it is: a leak at the acting level is high, what failed or pages somebody critical, a shift low."""
    data = notice.data
    match notice.type.partition(".")[0]:
        case "alert" if data.get("kind") == "leak":
            return Severity.HIGH if data.get("level") == "acting" else Severity.MEDIUM
        case "alert":
            return Severity.LOW
        case "incident":
            return Severity.HIGH if data.get("leaks") else Severity.LOW
        case "suspension" if data.get("page") or data.get("state") == "failed":
            return Severity.CRITICAL
        case "suspension":
            return Severity.MEDIUM if ends(notice) else Severity.HIGH
    return Severity.INFORMATIONAL


def ends(notice: Notice) -> bool:
    """Whether it says that something is over: an alert, an incident, a suspension, or its proposal."""
    rejected = notice.type is NoticeType.SUSPENSION_CHANGED and notice.data.get("state") == "armed"
    return rejected or notice.type in ENDINGS
