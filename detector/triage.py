"""What persons say of an incident or an alert, and the clocks that run from it.

Owns what an act changes, and when law's deadlines end. Refuses to store, to read a clock and to silence anything: a
snooze holds back notices of what goes on; alerts, incidents and suspensions are as they would be without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

ART_33: Final = timedelta(hours=72)
"""GDPR, Article 33(1): to the supervisory authority, not later than 72 hours after having become aware of it."""
CRA_WARNING: Final = timedelta(hours=24)
"""Cyber Resilience Act, Regulation (EU) 2024/2847, Article 14: the early warning, within 24 hours of becoming aware."""
CRA_NOTIFICATION: Final = timedelta(hours=72)
"""The same article: the notification, within 72 hours of becoming aware."""


class Ruling(StrEnum):
    """What a person says of an incident or an alert."""

    TRUE_POSITIVE = "true_positive"
    FALSE_POSITIVE = "false_positive"


class Did(StrEnum):
    """What a person did. The values are stored."""

    ACKNOWLEDGED = "acknowledged"
    ASSIGNED = "assigned"
    RULED = "ruled"
    NOTED = "noted"
    SNOOZED = "snoozed"
    NAMED = "named"
    """Said that an alert's picture is nobody's home."""


@dataclass(frozen=True, slots=True)
class Act:
    """One act of one person. `value`: the assignee, the ruling, the note, the end of a snooze in RFC 3339, or the
    placeholder candidate that was named.

    An empty value takes an assignment, a ruling or a snooze back.
    """

    did: Did
    value: str = ""


@dataclass(frozen=True, slots=True)
class Deed:
    """An act as it was stored: who did it, when."""

    act: Act
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Triage:
    """What persons have said so far of one incident or alert. `version` counts the times that something was said.

    `confirmed` is when a person first ruled it a true positive, None while nobody has, or it was ruled otherwise since.
    """

    version: int = 0
    acknowledged: datetime | None = None
    acknowledged_by: str | None = None
    assignee: str | None = None
    ruling: Ruling | None = None
    confirmed: datetime | None = None
    snoozed_until: datetime | None = None
    snoozed_by: str | None = None


def done(triage: Triage, act: Act, actor: str, at: datetime) -> Triage:
    """The triage after an act. Acknowledging again, or confirming again, leaves the first time."""
    match act.did:
        case Did.ACKNOWLEDGED:
            if triage.acknowledged is None:
                return replace(triage, acknowledged=at, acknowledged_by=actor)
        case Did.ASSIGNED:
            return replace(triage, assignee=act.value or None)
        case Did.RULED:
            ruling = Ruling(act.value) if act.value else None
            confirmed = (triage.confirmed or at) if ruling is Ruling.TRUE_POSITIVE else None
            return replace(triage, ruling=ruling, confirmed=confirmed)
        case Did.SNOOZED:
            until = datetime.fromisoformat(act.value) if act.value else None
            return replace(triage, snoozed_until=until, snoozed_by=actor if until else None)
        case Did.NOTED | Did.NAMED:
            pass
    return triage


@dataclass(frozen=True, slots=True)
class Clock:
    """One deadline: from when it runs, and when it ends. Both None while nobody has confirmed."""

    name: str
    law: str
    starts: datetime | None
    ends: datetime | None

    def left(self, now: datetime) -> float | None:
        """Seconds left; negative when it is over."""
        return None if self.ends is None else (self.ends - now).total_seconds()


def clocks(triage: Triage) -> tuple[Clock, ...]:
    """The deadlines that run from a person's confirmation: that is when the maker is aware."""
    spans: Mapping[str, tuple[str, timedelta]] = {
        "gdpr_notification": ("GDPR Art. 33, to the supervisory authority", ART_33),
        "cra_early_warning": ("CRA Art. 14, early warning", CRA_WARNING),
        "cra_notification": ("CRA Art. 14, notification", CRA_NOTIFICATION),
    }
    aware = triage.confirmed
    return tuple(
        Clock(name, law, aware, None if aware is None else aware + span) for name, (law, span) in spans.items()
    )
