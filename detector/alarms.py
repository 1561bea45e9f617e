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
from detector.incident import Incident, Incidents
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
    """Open alerts by id and by the cameras that they name."""

    def __init__(self, incidents: Incidents) -> None:
        self._incidents = incidents
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
        self._incidents.restore(incidents, members, self._open)

    def fresh(self) -> tuple[Alert, ...]:
        """What was raised since the last call, for the judgement in hand; what was withdrawn again is left out."""
        fresh, self._fresh = self._fresh, []
        return tuple(alert for alert in fresh if alert.id in self._open)

    def drain(self) -> Folded:
        """What changed since the last drain."""
        changed, moved, told = self._incidents.drain()
        out = Folded(self._raised, self._withdrawn, changed, moved, told)
        self._raised, self._withdrawn = [], []
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
        incident = self._incidents.add(alert)
        self._incidents.tell(telling.raised(alert, None if incident is None else incident.id))
        if alert.kind is Kind.LEAK:
            for other in self.on(alert.camera, alert.delivery, Kind.SHIFT):
                self.withdraw(other, alert.raised_at, "the shift turned out to be a leak")

    def withdraw(self, alert: Alert, at: datetime, reason: str) -> None:
        """An alert no longer stands."""
        del self._open[alert.id]
        self._about[alert.camera].pop(alert.id, None)
        if alert.owner_camera is not None:
            self._about[alert.owner_camera].pop(alert.id, None)
        self._pictured[str(alert.numbers.get("placeholder", ""))].pop(alert.id, None)
        gone, incident = Withdrawal(alert.id, at, reason), self._incidents.withdraw(alert.id)
        self._withdrawn.append(gone)
        self._incidents.tell(telling.withdrawn(alert, gone, None if incident is None else incident.id))

    def _keep(self, alert: Alert) -> None:
        self._open[alert.id] = alert
        self._about[alert.camera][alert.id] = None
        if alert.owner_camera is not None:
            self._about[alert.owner_camera][alert.id] = None
        if "placeholder" in alert.numbers:
            self._pictured[str(alert.numbers["placeholder"])][alert.id] = None
