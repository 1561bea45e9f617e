"""A cloud's deliveries and leaks as a timeline, without pictures: what incidents, causes and shapes are made of.

Owns deliveries with the attributes of a path, and alerts as the engine raises them. Refuses to look at stills.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from detector.analysis import Analysis
from detector.folding import Incidents
from detector.incident import Incident
from detector.notice import Notice
from detector.tally import Bucket, Slot, Tally
from models.records import AccountId, Alert, CameraId, ChangeDeployed, DeliveryId, Kind, Level, alert_id

START = datetime(2026, 1, 5, 6, tzinfo=UTC)
INTEGRATION = "home-display"


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def alert(
    number: int,
    minutes: float,
    kind: Kind = Kind.LEAK,
    integration: str = INTEGRATION,
    *,
    owner: str | None = "",
    viewer: str = "",
    found: float | None = None,
    **path: str,
) -> Alert:
    """The alert on delivery `number`, delivered so many minutes after the start; raised then, or at minute `found`."""
    key = DeliveryId("cloud", str(number))
    whose = None if owner is None or kind is not Kind.LEAK else AccountId(owner or f"owner-{number % 5}")
    return Alert(
        id=alert_id(key, whose),
        kind=kind,
        level=Level.SHOWN,
        delivery=key,
        delivered_at=at(minutes),
        recipient=AccountId(viewer or f"viewer-{number % 3}"),
        camera=CameraId("cam"),
        owner=whose,
        owner_camera=None if whose is None else CameraId(f"cam-of-{whose}"),
        presumed=False,
        raised_by=key,
        raised_at=at(minutes if found is None else found),
        rule="foreign-scene",
        why="",
        numbers={},
        attributes={"integration": integration, **path},
    )


def without_alerts(incident: Incident) -> Incident:
    """As the store gives it back before its alerts are found."""
    names = ("id", "integration", "opened", "first", "last", "leaks", "shifts", "resolved", "reopened", "updates")
    kept = {name: getattr(incident, name) for name in (*names, "told", "news", "split_from")}
    analysis = incident.analysis
    said = None if analysis is None else Analysis.from_json(json.loads(json.dumps(analysis.to_json())))
    return Incident(**kept, analysis=said)


@dataclass
class Timeline:
    """Pushes what happens, in order, and keeps what was told of it."""

    seed: int = 1
    tally: Tally = field(default_factory=Tally)
    told: list[Notice] = field(default_factory=list)
    incidents: dict[str, Incident] = field(default_factory=dict)
    stored: dict[Slot, Bucket] = field(default_factory=dict)
    number: int = 0

    def __post_init__(self) -> None:
        self.fold = Incidents(self.tally)
        self.draw = Random(self.seed)

    def path(self, **fixed: str) -> dict[str, str]:
        """The attributes of a delivery: eight nodes, three regions, few on a poor network."""
        drawn = {
            "surface": "hub",
            "region": self.draw.choices(("eu", "us", "ap"), (0.6, 0.25, 0.15))[0],
            "cachenode": f"cache-{self.draw.randint(1, 8)}",
            "network": "poor" if self.draw.random() < 0.04 else "good",
        }
        return drawn | fixed

    def deliver(self, minute: float, **path: str) -> None:
        """One still that reached its own home."""
        self.tally.add(INTEGRATION, at(minute), {"integration": INTEGRATION, **path})
        self.fold.pass_time(at(minute))
        self._gather()

    def leak(self, minute: float, owner: str | None, viewer: str, **path: str) -> Alert:
        """One still that reached another."""
        self.number += 1
        raised = alert(self.number, minute, owner=owner, viewer=viewer, **path)
        self.deliver(minute, **path)
        self.fold.add(raised)
        self._gather()
        return raised

    def deploy(self, minute: float, component: str, version: str) -> None:
        self.fold.deployed([ChangeDeployed(component, version, at(minute))])

    def traffic(self, begin: float, end: float, each: float = 0.1, **fixed: str) -> None:
        """Clean stills, one every `each` minutes."""
        for step in range(round((end - begin) / each)):
            self.deliver(begin + step * each, **self.path(**fixed))

    def restart(self) -> None:
        """Go on from what the store would give back."""
        counts, deployed = self.tally.drain(), self.fold._deployed
        self.stored.update(counts.changed)
        for slot in counts.gone:
            del self.stored[slot]
        self.tally = Tally()
        self.tally.restore((slot, Bucket.from_bytes(bucket.to_bytes())) for slot, bucket in self.stored.items())
        self.fold = Incidents(self.tally)
        self.fold.deployed(deployed)
        alerts = {id_: one for incident in self.incidents.values() for id_, one in incident.alerts.items()}
        members = sorted((id_, incident.id) for incident in self.incidents.values() for id_ in incident.alerts)
        self.incidents = {id_: without_alerts(incident) for id_, incident in self.incidents.items()}
        order = {id_: place for place, id_ in enumerate(sorted(alerts, key=lambda id_: alerts[id_].raised_at))}
        self.fold.restore(self.incidents.values(), sorted(members, key=lambda each: order[each[0]]), alerts)

    def types(self) -> list[str]:
        """What was told, in order."""
        return [notice.type.value for notice in self.told]

    def only(self) -> Incident:
        """The one incident there is."""
        (incident,) = self.incidents.values()
        return incident

    def sentence(self) -> str:
        """What is said of the one incident now."""
        analysis = self.fold.analyse(self.only())
        assert analysis is not None
        return analysis.sentence

    def form(self, incident: Incident | None = None) -> str:
        """The shape of an incident now."""
        analysis = self.fold.analyse(incident or self.only())
        assert analysis is not None
        return analysis.shape.form.value

    def _gather(self) -> None:
        changed, _, notices = self.fold.drain()
        self.told += notices
        self.incidents.update((incident.id, incident) for incident in changed)
