"""The alerts that stand, and what changed of them: raised once, withdrawn visibly, folded into incidents.

Owns the book of alerts. Refuses to decide whether one is due. The same alert raised twice is raised once; one that was
withdrawn is not raised again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from detector import telling
from detector.folding import Incidents
from detector.incident import Incident
from detector.learned import Mine, every
from detector.notice import Notice
from models.records import Alert, AlertId, CameraId, DeliveryId, IncidentId, Kind, Withdrawal


@dataclass(slots=True)
class Folded:
    """What became of alerts and incidents. `moved` are alerts that went over to another incident."""

    raised: list[Alert]
    withdrawn: list[Withdrawal]
    incidents: list[Incident]
    moved: dict[AlertId, IncidentId]
    notices: list[Notice]


class Alarms:
    """Open alerts by id and by the cameras that they name.

    Of several matchers each changes those on its own cameras (`mine`); one, the `desk`, folds all of them into
    incidents and tells of them.
    """

    def __init__(self, incidents: Incidents, mine: Mine = every, *, desk: bool = True) -> None:
        self._incidents = incidents
        self._mine = mine
        self._desk = desk
        self._joined: dict[AlertId, IncidentId] = {}
        self._open: dict[AlertId, Alert] = {}
        self._about: dict[CameraId, dict[AlertId, None]] = defaultdict(dict)
        self._pictured: dict[str, dict[AlertId, None]] = defaultdict(dict)
        self._raised: list[Alert] = []
        self._withdrawn: list[Withdrawal] = []
        self._fresh: list[Alert] = []

    def restore(
        self, alerts: Iterable[Alert], incidents: Iterable[Incident], members: Iterable[tuple[AlertId, IncidentId]]
    ) -> None:
        """Take up what was stored."""
        for alert in alerts:
            self._keep(alert)
        if self._desk:
            self._incidents.restore(incidents, members, self._open)

    def fresh(self) -> tuple[Alert, ...]:
        """What was raised since the last call, for the judgement in hand; what was withdrawn again is left out."""
        fresh, self._fresh = self._fresh, []
        return tuple(alert for alert in fresh if alert.id in self._open)

    def drain(self) -> Folded:
        """What changed since the last drain."""
        changed, moved, told = self._incidents.drain()
        out = Folded(self._raised, self._withdrawn, changed, self._joined | moved, told)
        self._raised, self._withdrawn, self._joined = [], [], {}
        return out

    def about(self, camera: CameraId) -> list[Alert]:
        """Open alerts that name the camera, as claimed or as the owner's, oldest first."""
        return [self._open[id_] for id_ in self._about.get(camera, ())]

    def on(self, camera: CameraId, delivery: DeliveryId, kind: Kind) -> list[Alert]:
        """Open alerts of one kind on one delivery of the camera."""
        return [a for a in self.about(camera) if a.delivery == delivery and a.kind is kind]

    def stands_on(self, placeholder: str) -> bool:
        """Whether any open alert tells of this placeholder candidate."""
        return bool(self._pictured.get(placeholder))

    def add(self, alert: Alert) -> None:
        """Raise an alert; a leak takes the place of a shift on the same delivery."""
        if alert.id in self._open:
            return
        self._keep(alert)
        self._raised.append(alert)
        self._fresh.append(alert)
        self._take_in(alert)
        if alert.kind is Kind.LEAK:
            for other in self.on(alert.camera, alert.delivery, Kind.SHIFT):
                self.withdraw(other, alert.raised_at, "the shift turned out to be a leak")

    def withdraw(self, alert: Alert, at: datetime, reason: str) -> None:
        """An alert no longer stands. Whether one on a foreign camera does, its own matcher says."""
        if not self._mine(alert.camera):
            return
        gone = Withdrawal(alert.id, at, reason)
        self._withdrawn.append(gone)
        self._take_off(alert, gone)

    def fold(self, raised: Iterable[Alert], withdrawn: Iterable[Withdrawal]) -> None:
        """Take up what another matcher raised and withdrew."""
        for alert in raised:
            self._keep(alert)
            incident = self._take_in(alert)
            if incident is not None:
                self._joined[alert.id] = incident.id
        for gone in withdrawn:
            if gone.alert in self._open:
                self._take_off(self._open[gone.alert], gone)

    def _take_in(self, alert: Alert) -> Incident | None:
        if not self._desk:
            return None
        incident = self._incidents.add(alert)
        self._incidents.tell(telling.raised(alert, None if incident is None else incident.id))
        return incident

    def _take_off(self, alert: Alert, gone: Withdrawal) -> None:
        del self._open[alert.id]
        self._about[alert.camera].pop(alert.id, None)
        if alert.owner_camera is not None:
            self._about[alert.owner_camera].pop(alert.id, None)
        self._pictured[str(alert.numbers.get("placeholder", ""))].pop(alert.id, None)
        if self._desk:
            incident = self._incidents.withdraw(alert.id)
            self._incidents.tell(telling.withdrawn(alert, gone, None if incident is None else incident.id))

    def _keep(self, alert: Alert) -> None:
        self._open[alert.id] = alert
        self._about[alert.camera][alert.id] = None
        if alert.owner_camera is not None:
            self._about[alert.owner_camera][alert.id] = None
        if "placeholder" in alert.numbers:
            self._pictured[str(alert.numbers["placeholder"])][alert.id] = None
