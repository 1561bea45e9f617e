"""Folds alerts into incidents: opened, updated, resolved when quiet, reopened, split where causes differ.

Owns when each of that happens, by the events' own times. Refuses to look at stills, clocks and stores. A pure
function of the alerts in their order, of the deliveries counted meanwhile and of the changes: a replay gives the same
incidents, and tells the same of them.

A leak belongs to the incident of its integration near which it was delivered, whenever it is found; among several, to
one whose cause it meets. A scene shift names nobody and opens no incident; it is counted in the one near which it
lies.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from detector import telling
from detector.analysis import Analysis, analyse
from detector.cause import Path, meets
from detector.notice import Notice
from detector.split import apart
from detector.tally import Tally
from models.records import AccountId, Alert, AlertId, ChangeDeployed, IncidentId, Kind, derived_id

QUIET: Final = timedelta(hours=6)
"""Without a new leak for this long an incident is resolved. The makers in docs/scenarios.md needed 9 minutes to 6 days
to notice; six hours bridges a night's low traffic."""
REOPEN: Final = timedelta(hours=24)
"""A leak that comes so soon after an incident was resolved, and meets its cause, opens it again: traffic, and with it
a bug that is still there, comes back within a day."""
UPDATE: Final = timedelta(minutes=5)
"""Time between two updates that are told, at least: a person reads one, not one for each of a hundred thousand
alerts."""
GROWTH: Final = 1.1
"""An incident is weighed anew when it has so many times the leaks it was weighed with: its cost stays in proportion."""
HUGE: Final = 10_000
"""Leaks from which on an incident is weighed when it has grown, and when it ends, but not for each update: to weigh a
hundred thousand takes half a second."""
LOOKED_AT: Final = 64
"""Incidents of an integration that a leak may belong to, the latest."""
CHANGES: Final = 256
"""Changes remembered, the latest."""
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


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
        quiet = _NEVER if self.resolved is not None else _after(self.last, QUIET)
        told = _after(self.told or self.opened, UPDATE) if self.news else _NEVER
        return min(quiet, told)


class Incidents:
    """The incidents so far. `add` and `withdraw` return the incident they changed, or None when none did."""

    def __init__(self, tally: Tally | None = None) -> None:
        self._tally = tally or Tally()
        self._near: dict[str, deque[Incident]] = defaultdict(lambda: deque(maxlen=LOOKED_AT))
        self._of_alert: dict[AlertId, Incident] = {}
        self._active: dict[IncidentId, Incident] = {}
        self._deployed: deque[ChangeDeployed] = deque(maxlen=CHANGES)
        self._due = _NEVER
        self._changed: dict[IncidentId, Incident] = {}
        self._moved: dict[AlertId, IncidentId] = {}
        self._notices: list[Notice] = []

    def restore(
        self,
        incidents: Iterable[Incident],
        members: Iterable[tuple[AlertId, IncidentId]],
        alerts: Mapping[AlertId, Alert],
    ) -> None:
        """Take up incidents that were stored, in the order in which they were stored, and which alerts are in them."""
        held = {incident.id: incident for incident in incidents}
        for alert, id_ in members:
            if alert in alerts:
                held[id_].hold(alerts[alert])
        for incident in held.values():
            self._of_alert.update(dict.fromkeys(incident.alerts, incident))
            self._near[incident.integration].append(incident)
            self._watch(incident)

    def deployed(self, changes: Iterable[ChangeDeployed]) -> None:
        """Take note of changes."""
        self._deployed.extend(changes)

    def add(self, alert: Alert) -> Incident | None:
        """Fold one alert in. The same alert twice counts once."""
        if alert.id in self._of_alert:
            return None
        incident = self._home(alert)
        if incident is None:
            if alert.kind is not Kind.LEAK:
                return None
            incident = self._open(alert)
        self._of_alert[alert.id] = incident
        incident.put(alert)
        self._changed[incident.id] = incident
        if alert.kind is Kind.LEAK:
            self._grown(incident, alert.raised_at)
        self._watch(incident)
        return self._of_alert[alert.id]

    def withdraw(self, alert: AlertId) -> Incident | None:
        """Take an alert off again. An alert that is in no incident changes nothing."""
        incident = self._of_alert.pop(alert, None)
        if incident is None:
            return None
        incident.take(alert)
        self._changed[incident.id] = incident
        self._watch(incident)
        return incident

    def pass_time(self, now: datetime) -> None:
        """What time alone brings: updates that were held back, and incidents that are quiet. `now` is an event's
        time."""
        if now < self._due:
            return
        active, self._active, self._due = self._active, {}, _NEVER
        for incident in active.values():
            if incident.due() <= now:
                self._bring_on(incident, now)
            self._watch(incident)

    def tell(self, notice: Notice) -> None:
        """Tell something else among what is told of incidents: what is told stays in the order in which it happened."""
        self._notices.append(notice)

    def drain(self) -> tuple[list[Incident], dict[AlertId, IncidentId], list[Notice]]:
        """What changed since the last call: incidents, alerts that went over to another one, and what is to be told."""
        out = list(self._changed.values()), self._moved, self._notices
        self._changed, self._moved, self._notices = {}, {}, []
        return out

    def analyse(self, incident: Incident) -> Analysis | None:
        """What would be said of it now; None when no leak in it stands."""
        leaks = incident.leaked()
        return analyse(leaks, incident.integration, self._tally, self._deployed) if leaks else None

    def _home(self, alert: Alert) -> Incident | None:
        """The incident that an alert belongs to: near it, one whose cause it meets, or else the oldest; or a quiet
        one."""
        at, latest = alert.delivered_at, list(reversed(self._near[alert.integration]))
        near = [incident for incident in latest if incident.is_near(at)]
        meeting = [incident for incident in near if incident.cause and meets(incident.cause, alert.attributes)]
        if near:
            return meeting[0] if meeting else near[-1]
        if alert.kind is not Kind.LEAK:
            return None
        quiet = [incident for incident in latest if incident.is_near(at, REOPEN)]
        return next((i for i in quiet if not i.cause or meets(i.cause, alert.attributes)), None)

    def _open(self, alert: Alert, split_from: Incident | None = None) -> Incident:
        whence = () if split_from is None else (split_from.id,)  # it may be its own first alert that leaves
        incident = Incident(
            id=IncidentId(derived_id("in", alert.integration, alert.id, *whence)),
            integration=alert.integration,
            opened=alert.raised_at,
            first=alert.delivered_at,
            last=alert.delivered_at,
            split_from=None if split_from is None else split_from.id,
        )
        self._near[alert.integration].append(incident)
        return incident

    def _grown(self, incident: Incident, now: datetime) -> None:
        """A leak came: weigh, open or reopen what it changed, and split where it shows another cause."""
        weighed = incident.analysis.leaks if incident.analysis is not None else 0
        if incident.told is None:
            self._weigh(incident)
            self._tell(incident, telling.opened(incident, now), now)
            return
        if incident.resolved is not None and now < _after(incident.last, QUIET):
            incident.resolved, incident.reopened = None, incident.reopened + 1
            self._weigh(incident)
            self._tell(incident, telling.opened(incident, now), now)
        elif incident.leaks >= GROWTH * weighed:
            self._weigh(incident)
            self._split(incident, now)

    def _weigh(self, incident: Incident) -> None:
        incident.analysis = self.analyse(incident) or incident.analysis

    def _tell(self, incident: Incident, notice: Notice, now: datetime) -> None:
        incident.told, incident.news = now, False
        self._changed[incident.id] = incident
        self.tell(notice)

    def _bring_on(self, incident: Incident, now: datetime) -> None:
        quiet = not incident.stands or _after(incident.last, QUIET) <= now
        if quiet or incident.leaks <= HUGE:
            self._weigh(incident)
        if incident.resolved is None and quiet:
            incident.resolved = now if not incident.stands else _after(incident.last, QUIET)
            self._tell(incident, telling.resolved(incident, now), now)
        elif incident.news:
            incident.updates += 1
            self._tell(incident, telling.updated(incident, now), now)

    def _watch(self, incident: Incident) -> None:
        due = incident.due()
        if due < _NEVER:
            self._active[incident.id] = incident
            self._due = min(self._due, due)

    def _split(self, incident: Incident, now: datetime) -> None:
        """Leaks that another cause explains become an incident of their own."""
        assert incident.analysis is not None
        leaving = apart(incident.leaked(), incident.analysis.suspects, incident.integration, self._tally)
        if leaving:
            self._part(leaving, incident, now)

    def _part(self, leaving: list[Alert], incident: Incident, now: datetime) -> None:
        new = self._open(leaving[0], incident)
        for alert in leaving:
            new.put(incident.take(alert.id))
            self._of_alert[alert.id] = new
            self._moved[alert.id] = new.id
        self._weigh(new)
        self._weigh(incident)
        self._tell(new, telling.opened(new, now), now)
        self._watch(new)


def fold(alerts: Iterable[Alert], tally: Tally | None = None) -> list[Incident]:
    """The incidents of these alerts, in the order in which they opened. Without counts no cause is named."""
    incidents = Incidents(tally)
    opened: dict[IncidentId, Incident] = {}
    for alert in alerts:
        incidents.add(alert)
        opened.update((incident.id, incident) for incident in incidents.drain()[0])
    return list(opened.values())


def _after(when: datetime, span: timedelta) -> datetime:
    """The time a span later, or the last that a time can tell."""
    return when + span if when < _NEVER - span else _NEVER
