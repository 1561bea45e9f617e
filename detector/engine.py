"""The one engine: events in, verdicts and changes out. The stream, the replay and HTTP all run this.

Owns what is first asked of a delivery (was it judged before, had the viewer a right to that camera) and what the engine
starts from and gives to the store; the picture is picture.py's. Refuses to read a clock,
a file, a network: it is given what it needs and says what changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from detector import verdict
from detector.alarms import Alarms
from detector.cameras import AT_HAND
from detector.folding import Incidents
from detector.image import Image
from detector.incident import Incident
from detector.known import Watched
from detector.learned import Learned, Mine, Sought, every
from detector.memory import RING, VERDICTS, Memory, ticket
from detector.notice import Notice
from detector.picture import Finding, Onlooker
from detector.placeholder import Placeholders
from detector.tally import Bucket, Counted, Slot, Tally
from models.fingerprint import Still
from models.placeholder import Placeholder, PlaceholderId, Shelf, Sighting
from models.records import (
    AccountId,
    Alert,
    AlertId,
    ChangeDeployed,
    Delivery,
    IncidentId,
    Judgement,
    Kind,
    RightChanged,
    SceneId,
    Verdict,
    Withdrawal,
)
from models.rights import Rights
from models.scene import Camera, Scene
from models.shift import ShiftModel, shipped

AGAIN: Final = "again"
"""The rule for a delivery that was judged before: it is the same delivery."""


LATE: Final = "late"
"""The rule for a delivery that came too late for its picture to be looked at: its rights were, nothing else."""


@dataclass(slots=True)
class Changes:
    """What the engine's knowledge became since the last `drain`: the store writes exactly this, in one transaction.

    `scenes`, `cameras` and `incidents` are upserts of the state as it is now, each id once; `removed` are scenes to
    delete; `rights` and `sightings` are to be appended, the same one twice being one. `placeholders` are upserts of
    all but what a person says of them (state and label); `unmet` are to be deleted. `moved` are alerts that went over
    to another incident; `counted` is what became of the counts of deliveries; `notices` are what is to be told.
    `sought`, `went_on` and `alive` are for other matchers (detector/learned.py), and no store keeps them.
    """

    scenes: list[Scene] = field(default_factory=list)
    removed: list[SceneId] = field(default_factory=list)
    cameras: list[Camera] = field(default_factory=list)
    rights: list[RightChanged] = field(default_factory=list)
    raised: list[Alert] = field(default_factory=list)
    withdrawn: list[Withdrawal] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    placeholders: list[Placeholder] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    unmet: list[PlaceholderId] = field(default_factory=list)
    moved: dict[AlertId, IncidentId] = field(default_factory=dict)
    counted: Counted = field(default_factory=Counted)
    notices: list[Notice] = field(default_factory=list)
    sought: list[Sought] = field(default_factory=list)
    went_on: list[Delivery] = field(default_factory=list)
    alive: list[SceneId] = field(default_factory=list)


@dataclass(slots=True)
class Knowledge:
    """What the engine starts from: all that earlier `Changes` added up to, as the store gives it back."""

    rights: Iterable[RightChanged] = ()
    cameras: Iterable[Camera] = ()
    scenes: Iterable[Scene] = ()
    alerts: Iterable[Alert] = ()
    incidents: Iterable[Incident] = ()
    placeholders: Shelf = field(default_factory=Shelf)
    members: Iterable[tuple[AlertId, IncidentId]] = ()
    deployed: Iterable[ChangeDeployed] = ()
    counted: Iterable[tuple[Slot, Bucket]] = ()


class Engine:
    """Judges deliveries one after the other, in the order in which they are given.

    Not safe for several threads at once. A crash between `judge` and the storing of `drain()` loses nothing:
    an engine restored from the store judges the same deliveries alike. `model` gives the scene-shift model when it is
    first needed.

    Several engines may share the work: each judges the deliveries of its own cameras (`mine`) alone, and knows all
    that the others learned, by `fold`. One of them is the `desk`, which has the incidents and counts of all.
    """

    def __init__(
        self,
        model: Callable[[], ShiftModel] = shipped,
        *,
        mine: Mine = every,
        desk: bool = True,
        at_hand: int = AT_HAND,
    ) -> None:
        self._memory = Memory(mine, at_hand)
        self._desk = desk
        self._rights = Rights()
        self._tally = Tally()
        self._incidents = Incidents(self._tally)
        self._alarms = Alarms(self._incidents, mine, desk=desk)
        self._placeholders = Placeholders(self._memory, self._rights, self._alarms)
        self._onlooker = Onlooker(self._memory, self._rights, self._alarms, self._placeholders, model)
        self._new_rights: list[RightChanged] = []

    def restore(self, knowledge: Knowledge, image: Image | None = None) -> None:
        """Take up what was stored; an image of the memory shortens it. To be called once, before the first event."""
        for event in knowledge.rights:
            self._rights.note(event)
        self._memory.restore(knowledge.cameras, knowledge.scenes, image)
        for camera, owner in self._memory.presumed():
            self._rights.presume(camera, owner)
        if self._desk:
            self._tally.restore(knowledge.counted)
            self._incidents.deployed(knowledge.deployed)
        self._alarms.restore(knowledge.alerts, knowledge.incidents, knowledge.members)
        self._placeholders.take(knowledge.placeholders)

    def shelve(self, shelf: Shelf) -> None:
        """Take up what persons said of placeholders since: all that the store holds of them, after a commit."""
        self._placeholders.take(shelf)

    def fold(self, learned: Learned) -> tuple[Alert, ...]:
        """Take up what another engine learned, and draw what follows for the own cameras; what was raised here by it.

        The same twice changes nothing: so what was restored may hold it already.
        """
        self._count(learned)
        for camera in learned.cameras:
            if camera.presumed_owner is not None:
                self._rights.presume(camera.id, camera.presumed_owner)
        self._memory.fold(learned)
        self._placeholders.fold(learned.placeholders, learned.sightings)
        self._onlooker.elsewhere.draw(learned)
        return self._alarms.fresh()

    def right(self, event: RightChanged) -> None:
        """Take note of an enrolment or a grant, as of its own time; withdraws what it explains."""
        if not self._rights.note(event):
            return
        self._new_rights.append(event)
        for alert in self._alarms.about(event.camera):
            shown = alert.owner_camera or alert.camera
            if alert.kind is Kind.LEAK and self._rights.may_see(alert.recipient, shown, alert.delivered_at):
                self._alarms.withdraw(alert, event.time, "the viewer had a right to that camera after all")

    def change(self, change: ChangeDeployed) -> None:
        """Take note of a deploy: a suspect when a leak follows."""
        self._incidents.deployed([change])

    def judge(self, delivery: Delivery, look: Callable[[], Still] | None) -> Judgement:
        """The verdict on a delivery. `look` decodes and fingerprints; it is called only when rights do not decide.
        Without it the rights alone are asked, and what they allow is unjudged by the rule `late`.

        A delivery that was judged before gets the same verdict by the rule `again`, and changes nothing.
        """
        camera = self._memory.camera(delivery)
        key = ticket(delivery.key)
        if key in camera.ring:
            return Judgement(delivery, VERDICTS[camera.ring[key]], AGAIN, {})
        if self._desk:
            self._note(delivery)
        finding = self._by_rights(camera, delivery) or self._by_picture(camera, delivery, look)
        camera.ring[key] = VERDICTS.index(finding.verdict)
        while len(camera.ring) > RING:
            camera.ring.popitem(last=False)
        camera.record.first_seen = min(camera.record.first_seen, delivery.time)
        camera.record.last_seen = max(camera.record.last_seen, delivery.time)
        self._memory.changed(camera)
        return Judgement(delivery, finding.verdict, finding.rule, finding.numbers, self._alarms.fresh())

    def drain(self) -> Changes:
        """What changed since the last call, for the store."""
        scenes, removed, cameras = self._memory.drain()
        folded = self._alarms.drain()
        rights, self._new_rights = self._new_rights, []
        placeholders, sightings, unmet = self._placeholders.drain()
        sought, went_on = self._onlooker.drain()
        return Changes(
            scenes,
            removed,
            cameras,
            rights,
            folded.raised,
            folded.withdrawn,
            folded.incidents,
            placeholders,
            sightings,
            unmet,
            folded.moved,
            self._tally.drain(),
            folded.notices,
            sought,
            went_on,
            self._placeholders.drain_alive(),
        )

    @property
    def latest(self) -> datetime | None:
        """Delivery time of the latest delivery judged, None before the first."""
        return self._memory.latest

    @property
    def memory(self) -> Memory:
        """Cameras and scenes as known now: to be read, never changed, from outside (detector/explain.py)."""
        return self._memory

    @property
    def incidents(self) -> Incidents:
        """Incidents as known now: to be read, never changed, from outside."""
        return self._incidents

    @property
    def tally(self) -> Tally:
        """Deliveries as counted now: to be read, never changed, from outside."""
        return self._tally

    @property
    def rights(self) -> Rights:
        """Owners and grants as known now: to be read, never changed, from outside."""
        return self._rights

    @property
    def placeholders(self) -> Placeholders:
        """The pictures that persons confirmed: to be read, never changed, from outside."""
        return self._placeholders

    def _note(self, delivery: Delivery) -> None:
        self._tally.add(delivery.integration, delivery.time, delivery.attributes)
        self._incidents.pass_time(delivery.time)

    def _count(self, learned: Learned) -> None:
        """Count what was judged elsewhere, each with what was raised on it, then what was raised and withdrawn."""
        raised = {alert.id: alert for alert in learned.raised}
        for judgement in learned.judged if self._desk else ():
            self._note(judgement.delivery)
            self._alarms.fold([raised.pop(each.id) for each in judgement.alerts if each.id in raised], ())
        self._alarms.fold(raised.values(), learned.withdrawn)

    def _by_picture(self, camera: Watched, delivery: Delivery, look: Callable[[], Still] | None) -> Finding:
        if look is None:
            return Finding(Verdict.UNJUDGED, LATE, {})
        return self._onlooker.judge(camera, delivery, look())

    def _by_rights(self, camera: Watched, delivery: Delivery) -> Finding | None:
        rights, at = self._rights, delivery.time
        owner, presumed = rights.owner(delivery.camera, at)
        if camera.claims and (not presumed or delivery.account == owner):
            self._settle(camera, delivery)
        if rights.may_see(delivery.account, delivery.camera, at):
            return None
        if presumed and self._claims(camera, delivery, owner):
            return None
        self._alarms.add(verdict.no_right(delivery, owner, presumed=presumed))
        return Finding(Verdict.LEAK, "no-right", {"presumed": int(presumed)})

    def _claims(self, camera: Watched, delivery: Delivery, owner: AccountId | None) -> bool:
        """Whether the viewer may be the owner, where nothing but deliveries tells who is.

        The first viewer is presumed to be, but one delivery may be a leak: of two viewers it is the one who comes
        again, and what the other one received is told then.
        """
        if owner is None:
            self._presume(camera, delivery)
            camera.claims = [delivery]
            return True
        rivals = [claim.account for claim in camera.claims[1:]]
        if delivery.account in rivals:
            self._presume(camera, delivery)
            self._settle(camera, delivery)
            return True
        if camera.claims and not rivals:
            camera.claims.append(delivery)
            return True
        return False

    def _presume(self, camera: Watched, delivery: Delivery) -> None:
        self._rights.presume(delivery.camera, delivery.account)
        camera.record.presumed_owner = delivery.account

    def _settle(self, camera: Watched, now: Delivery) -> None:
        """Tell what was received while it was open whose camera it is."""
        claims, camera.claims = camera.claims, []
        for claim in claims:
            owner, presumed = self._rights.owner(claim.camera, claim.time)
            if not self._rights.may_see(claim.account, claim.camera, claim.time):
                self._alarms.add(verdict.no_right(claim, owner, presumed=presumed, now=now))
