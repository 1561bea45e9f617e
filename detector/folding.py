"""Folds alerts into incidents: opened, updated, resolved when quiet, reopened, split where causes differ.

Owns when each of that happens, by the events' own times. Refuses to look at stills, clocks and stores. A pure
function of the alerts in their order, of the deliveries counted meanwhile and of the changes: a replay gives the same
incidents, and tells the same of them.

A leak belongs to the incident of its integration near which it was delivered, whenever it is found; among several, to
one whose cause it meets. A scene shift names nobody and opens no incident; it is counted in the one near which it
lies.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from detector import telling
from detector.analysis import Analysis, analyse
from detector.cause import meets
from detector.incident import NEVER, QUIET, REOPEN, Incident, after
from detector.notice import Notice
from detector.split import apart
from detector.tally import Tally
from models.records import Alert, AlertId, ChangeDeployed, IncidentId, Kind, derived_id

GROWTH: Final = 1.1
"""An incident is weighed anew when it has so many times the leaks it was weighed with: its cost stays in proportion."""
HUGE: Final = 10_000
"""Leaks from which on an incident is weighed when it has grown, and when it ends, but not for each update: to weigh a
hundred thousand takes half a second."""
LOOKED_AT: Final = 64
"""Incidents of an integration that a leak may belong to, the latest."""
CHANGES: Final = 256
"""Changes remembered, the latest."""


class Incidents:
    """The incidents so far. `add` and `withdraw` return the incident they changed, or None when none did."""

    def __init__(self, tally: Tally | None = None) -> None:
        self._tally = tally or Tally()
        self._near: dict[str, deque[Incident]] = defaultdict(lambda: deque(maxlen=LOOKED_AT))
        self._of_alert: dict[AlertId, Incident] = {}
        self._active: dict[IncidentId, Incident] = {}
        self._deployed: deque[ChangeDeployed] = deque(maxlen=CHANGES)
        self._due = NEVER
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
        active, self._active, self._due = self._active, {}, NEVER
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
        if incident.resolved is not None and now < after(incident.last, QUIET):
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
        quiet = not incident.stands or after(incident.last, QUIET) <= now
        if quiet or incident.leaks <= HUGE:
            self._weigh(incident)
        if incident.resolved is None and quiet:
            incident.resolved = now if not incident.stands else after(incident.last, QUIET)
            self._tell(incident, telling.resolved(incident, now), now)
        elif incident.news:
            incident.updates += 1
            self._tell(incident, telling.updated(incident, now), now)

    def _watch(self, incident: Incident) -> None:
        due = incident.due()
        if due < NEVER:
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
