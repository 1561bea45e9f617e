"""Folds alerts into incidents. A pure function of the alerts, in their order: a replay gives the same incidents.

Owns when an incident opens, grows and ends. Refuses to look at stills, clocks and stores. An incident holds the
leaks of one integration that follow each other without a gap of more than `QUIET`. A scene shift names nobody
and so opens no incident; it is counted in the one that is open when it comes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from models.records import AccountId, Alert, AlertId, IncidentId, Kind, derived_id

QUIET = timedelta(hours=6)
"""An integration without a new leak for this long has no incident any more; the next leak opens another. The
makers in docs/scenarios.md needed 9 minutes to 6 days to notice; six hours bridges a night's low traffic."""


@dataclass(slots=True)
class Incident:
    """One bug's alerts, growing as they come.

    `first` and `last` are the delivery times of the earliest and latest leak, `opened` the moment at which the
    first alert was raised. `pairs` are the distinct (owner, viewer) pairs of leaks, owner None where nobody
    could be named. Counts are of alerts that stand: a withdrawn one is taken off again.
    """

    id: IncidentId
    integration: str
    opened: datetime
    first: datetime
    last: datetime
    leaks: int = 0
    shifts: int = 0
    alerts: dict[AlertId, tuple[Kind, AccountId | None, AccountId]] = field(default_factory=dict)
    _viewers: Counter[AccountId] = field(default_factory=Counter, init=False, repr=False, compare=False)
    _owners: Counter[AccountId] = field(default_factory=Counter, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for kind, owner, viewer in self.alerts.values():
            self._count(kind, owner, viewer, 1)

    @property
    def viewers(self) -> Set[AccountId]:
        """Accounts that received somebody else's still."""
        return self._viewers.keys()

    @property
    def owners(self) -> Set[AccountId]:
        """Accounts whose stills were received by somebody else, where they could be named."""
        return self._owners.keys()

    def put(self, alert: AlertId, kind: Kind, owner: AccountId | None, viewer: AccountId) -> None:
        """Note an alert that belongs here, and who is in it: kept as counts, since a batch stores them each time."""
        self.alerts[alert] = kind, owner, viewer
        self._count(kind, owner, viewer, 1)

    def take(self, alert: AlertId) -> Kind:
        """Take an alert off again; its kind."""
        kind, owner, viewer = self.alerts.pop(alert)
        self._count(kind, owner, viewer, -1)
        return kind

    def _count(self, kind: Kind, owner: AccountId | None, viewer: AccountId, by: int) -> None:
        if kind is not Kind.LEAK:
            return
        for counts, account in ((self._viewers, viewer), (self._owners, owner)):
            if account is not None:
                counts[account] += by
                if not counts[account]:
                    del counts[account]

    @property
    def stands(self) -> bool:
        """Whether any leak is left in it once withdrawn alerts are taken off."""
        return self.leaks > 0


class Incidents:
    """The incidents so far. `add` and `withdraw` return the incident they changed, or None when none did."""

    def __init__(self) -> None:
        self._open: dict[str, Incident] = {}
        self._of_alert: dict[AlertId, Incident] = {}

    def restore(self, incidents: Iterable[Incident]) -> None:
        """Take up incidents that were stored, oldest first."""
        for incident in incidents:
            self._open[incident.integration] = incident
            self._of_alert.update(dict.fromkeys(incident.alerts, incident))

    def add(self, alert: Alert) -> Incident | None:
        """Fold one alert in. The same alert twice counts once."""
        if alert.id in self._of_alert:
            return None
        incident = self._open.get(alert.integration)
        if incident is not None and alert.raised_at - incident.last > QUIET:
            incident = None
        if incident is None:
            if alert.kind is not Kind.LEAK:
                return None
            incident = Incident(
                id=IncidentId(derived_id("in", alert.integration, alert.id)),
                integration=alert.integration,
                opened=alert.raised_at,
                first=alert.delivered_at,
                last=alert.delivered_at,
            )
            self._open[alert.integration] = incident
        incident.put(alert.id, alert.kind, alert.owner, alert.recipient)
        self._of_alert[alert.id] = incident
        if alert.kind is Kind.LEAK:
            incident.leaks += 1
            incident.first = min(incident.first, alert.delivered_at)
            incident.last = max(incident.last, alert.delivered_at)
        else:
            incident.shifts += 1
        return incident

    def withdraw(self, alert: AlertId) -> Incident | None:
        """Take an alert off again. An alert that is in no incident changes nothing."""
        incident = self._of_alert.pop(alert, None)
        if incident is None:
            return None
        if incident.take(alert) is Kind.LEAK:
            incident.leaks -= 1
        else:
            incident.shifts -= 1
        return incident


def fold(alerts: Iterable[Alert]) -> list[Incident]:
    """The incidents of these alerts, in the order in which they opened."""
    incidents = Incidents()
    opened: dict[IncidentId, Incident] = {}
    for alert in alerts:
        incident = incidents.add(alert)
        if incident is not None:
            opened[incident.id] = incident
    return list(opened.values())
