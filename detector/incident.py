"""An incident: one bug's alerts, and when time alone brings it on.

Owns what it counts and what lies near it. Refuses to say which alert belongs to which (folding.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from detector.analysis import Analysis
from detector.cause import Path
from models.records import AccountId, Alert, AlertId, IncidentId, Kind

QUIET: Final = timedelta(hours=6)
"""Without a new leak for this long an incident is resolved. The makers in docs/scenarios.md needed 9 minutes to 6 days
to notice; six hours bridges a night's low traffic."""
REOPEN: Final = timedelta(hours=24)
"""A leak that comes so soon after an incident was resolved, and meets its cause, opens it again: traffic, and with it
a bug that is still there, comes back within a day."""
UPDATE: Final = timedelta(minutes=5)
"""Time between two updates that are told, at least: a person reads one, not one for each of a hundred thousand
alerts."""
NEVER: Final = datetime.max.replace(tzinfo=UTC)
"""Later than any event."""


class State(StrEnum):
    """Where an incident stands."""

    OPEN = "open"
    RESOLVED = "resolved"


@dataclass(slots=True)
class Incident:
    """One bug's alerts, growing as they come.

    `first` and `last` are the delivery times of the earliest and latest leak that it ever held, `opened` the time at
    which the first alert was raised, `resolved` when it was found quiet, None while it is open. `alerts` are those
    that stand. `told` is the time of the last notice, `news` whether anything came since. Counts are of alerts that
    stand.
    """

    id: IncidentId
    integration: str
    opened: datetime
    first: datetime
    last: datetime
    leaks: int = 0
    shifts: int = 0
    resolved: datetime | None = None
    reopened: int = 0
    updates: int = 0
    told: datetime | None = None
    news: bool = False
    split_from: IncidentId | None = None
    analysis: Analysis | None = None
    alerts: dict[AlertId, Alert] = field(default_factory=dict)
    _viewers: Counter[AccountId] = field(default_factory=Counter, init=False, repr=False, compare=False)
    _owners: Counter[AccountId] = field(default_factory=Counter, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for alert in self.alerts.values():
            self._count(alert, 1)

    @property
    def viewers(self) -> Set[AccountId]:
        """Accounts that received somebody else's still."""
        return self._viewers.keys()

    @property
    def owners(self) -> Set[AccountId]:
        """Accounts whose stills were received by somebody else, where they could be named."""
        return self._owners.keys()

    @property
    def state(self) -> State:
        """Whether it goes on, as far as is known."""
        return State.OPEN if self.resolved is None else State.RESOLVED

    @property
    def stands(self) -> bool:
        """Whether any leak is left in it once withdrawn alerts are taken off."""
        return self.leaks > 0

    @property
    def cause(self) -> Path:
        """The condition that its leaks meet, as last weighed; empty where none sets them apart."""
        return self.analysis.cause if self.analysis is not None else ()

    @property
    def sentence(self) -> str:
        """What is said of it."""
        return self.analysis.sentence if self.analysis is not None else ""

    def leaked(self) -> list[Alert]:
        """Its leaks, in the order in which they were raised."""
        return [alert for alert in self.alerts.values() if alert.kind is Kind.LEAK]

    def hold(self, alert: Alert) -> None:
        """Note an alert that belongs here and is counted already."""
        self.alerts[alert.id] = alert
        self._count(alert, 1)

    def put(self, alert: Alert) -> None:
        """Take an alert in."""
        self.hold(alert)
        if alert.kind is Kind.LEAK:
            self.leaks += 1
            self.first = min(self.first, alert.delivered_at)
            self.last = max(self.last, alert.delivered_at)
        else:
            self.shifts += 1
        self.news = True

    def take(self, alert: AlertId) -> Alert:
        """Take an alert off again."""
        gone = self.alerts.pop(alert)
        self._count(gone, -1)
        if gone.kind is Kind.LEAK:
            self.leaks -= 1
        else:
            self.shifts -= 1
        self.news = True
        return gone

    def _count(self, alert: Alert, by: int) -> None:
        if alert.kind is not Kind.LEAK:
            return
        for counts, account in ((self._viewers, alert.recipient), (self._owners, alert.owner)):
            if account is not None:
                counts[account] += by
                if not counts[account]:
                    del counts[account]

    def is_near(self, at: datetime, beyond: timedelta = timedelta(0)) -> bool:
        """Whether a leak of that time follows its leaks, or comes before them, without a longer gap than `QUIET`."""
        return self.first - QUIET <= at <= self.last + QUIET + beyond

    def due(self) -> datetime:
        """When time alone brings it on: resolved, or told of."""
        quiet = NEVER if self.resolved is not None else after(self.last, QUIET)
        told = after(self.told or self.opened, UPDATE) if self.news else NEVER
        return min(quiet, told)


def after(when: datetime, span: timedelta) -> datetime:
    """The time a span later, or the last that a time can tell."""
    return when + span if when < NEVER - span else NEVER
