"""The one engine: events in, verdicts and changes out. The stream, the replay and HTTP all run this.

Owns the order of decisions: rights first, own history next, then the other accounts. Refuses to read a clock,
a file, a network: it is given what it needs and says what changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from detector import certainty, evidence, match, shift, strip, verdict
from detector.alarms import Alarms
from detector.incident import Incident
from detector.known import Known, Watched
from detector.match import Match, Query
from detector.memory import NUMBER, RING, VERDICTS, VISITED, WHOSE, Image, Memory, ticket
from detector.placeholder import Placeholders
from models.fingerprint import Fingerprint, Still
from models.placeholder import ACCOUNTS, Placeholder, PlaceholderId, Shelf, Sighting
from models.records import (
    AccountId,
    Alert,
    CameraId,
    Delivery,
    Judgement,
    Kind,
    Numbers,
    RightChanged,
    SceneId,
    Verdict,
    Withdrawal,
)
from models.rights import Rights
from models.scene import Camera, Scene, Standing
from models.shift import ShiftModel, shipped

AGAIN: Final = "again"
"""The rule for a delivery that was judged before: it is the same delivery."""
SCENES: Final = 16
"""Scenes kept of one camera: day, night, seasons and lights; beyond, the one not seen for longest goes."""
HELD: Final = 8
"""Foreign-looking stills that a camera keeps waiting; beyond, the oldest goes."""
UNJUDGED: Final = 4
"""Digests of stills without a fingerprint that a camera keeps."""
MARGIN: Final = 0.10
"""By how much a foreign scene must agree better than the camera's own history."""
SECOND: Final = 0.06
"""By how much the named owner's scene must agree better than a second account's."""
SAME_VIEW: Final = 0.80
"""Score from which on two cameras show the same picture; two cameras that look at one room stay below 0.71."""
RESTLESS_LOOKS: Final = 2
"""Looks seen once while a camera was new, beside its confirmed one, from which on they are taken for its own: it
looks about. A single one may be somebody else's."""
KIN: Final = 0.25
"""Score against the confirmed scene from which on a single one is taken for the camera's own as well: the same clock,
banner or foreground. Foreign places stay below 0.2."""
SURE_BEFORE: Final = 0.85
"""Score at which such a look names its camera as the owner of a still that came and went elsewhere."""
VIEW_SCENES: Final = 4
"""Latest scenes of each camera that are compared to tell whether both look at one place."""
COLD_STILLS: Final = 2
"""Explained stills from which on a camera without a confirmed scene is cold no longer."""


@dataclass(slots=True)
class Changes:
    """What the engine's knowledge became since the last `drain`: the store writes exactly this, in one transaction.

    `scenes`, `cameras` and `incidents` are upserts of the state as it is now, each id once; `removed` are scenes
    to delete; `rights` and `sightings` are to be appended, the same one twice being one. `placeholders` are upserts of
    all but what a person says of them (state and label); `unmet` are to be deleted.
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


@dataclass(slots=True)
class Knowledge:
    """What the engine starts from: all that earlier `Changes` added up to, as the store gives it back."""

    rights: Iterable[RightChanged] = ()
    cameras: Iterable[Camera] = ()
    scenes: Iterable[Scene] = ()
    alerts: Iterable[Alert] = ()
    incidents: Iterable[Incident] = ()
    placeholders: Shelf = field(default_factory=Shelf)


@dataclass(slots=True)
class _Finding:
    """What one step concluded of the still in hand."""

    verdict: Verdict
    rule: str
    numbers: Numbers


class Engine:
    """Judges deliveries one after the other, in the order in which they are given.

    Not safe for several threads at once. A crash between `judge` and the storing of `drain()` loses nothing:
    an engine restored from the store judges the same deliveries alike. `model` gives the scene-shift model when it is
    first needed.
    """

    def __init__(self, model: Callable[[], ShiftModel] = shipped) -> None:
        self._model = model
        self._memory = Memory()
        self._rights = Rights()
        self._alarms = Alarms()
        self._placeholders = Placeholders(self._memory, self._rights, self._alarms)
        self._new_rights: list[RightChanged] = []
        self._now: Delivery | None = None

    def restore(self, knowledge: Knowledge, image: Image | None = None) -> None:
        """Take up what was stored; an image of the memory shortens it. To be called once, before the first event."""
        for event in knowledge.rights:
            self._rights.note(event)
        cameras = list(knowledge.cameras)
        for camera in cameras:
            if camera.presumed_owner is not None:
                self._rights.presume(camera.id, camera.presumed_owner)
        self._memory.restore(cameras, knowledge.scenes, image)
        self._alarms.restore(knowledge.alerts, knowledge.incidents)
        self._placeholders.take(knowledge.placeholders)

    def shelve(self, shelf: Shelf) -> None:
        """Take up what persons said of placeholders since: all that the store holds of them, after a commit."""
        self._placeholders.take(shelf)

    def right(self, event: RightChanged) -> None:
        """Take note of an enrolment or a grant, as of its own time; withdraws what it explains."""
        if not self._rights.note(event):
            return
        self._new_rights.append(event)
        for alert in self._alarms.about(event.camera):
            shown = alert.owner_camera or alert.camera
            if alert.kind is Kind.LEAK and self._rights.may_see(alert.recipient, shown, alert.delivered_at):
                self._alarms.withdraw(alert, event.time, "the viewer had a right to that camera after all")

    def judge(self, delivery: Delivery, look: Callable[[], Still]) -> Judgement:
        """The verdict on a delivery. `look` decodes and fingerprints; it is called only when rights do not decide.

        A delivery that was judged before gets the same verdict by the rule `again`, and changes nothing.
        """
        camera = self._memory.camera(delivery)
        key = ticket(delivery.key)
        if key in camera.ring:
            return Judgement(delivery, VERDICTS[camera.ring[key]], AGAIN, {})
        self._now = delivery
        finding = self._by_rights(camera, delivery) or self._by_picture(camera, delivery, look())
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
        raised, withdrawn, incidents = self._alarms.drain()
        rights, self._new_rights = self._new_rights, []
        return Changes(scenes, removed, cameras, rights, raised, withdrawn, incidents, *self._placeholders.drain())

    @property
    def memory(self) -> Memory:
        """Cameras and scenes as known now: to be read, never changed, from outside (detector/explain.py)."""
        return self._memory

    @property
    def rights(self) -> Rights:
        """Owners and grants as known now: to be read, never changed, from outside."""
        return self._rights

    # --- rights first

    def _by_rights(self, camera: Watched, delivery: Delivery) -> _Finding | None:
        rights, at = self._rights, delivery.time
        if rights.may_see(delivery.account, delivery.camera, at):
            return None
        owner, presumed = rights.owner(delivery.camera, at)
        if owner is None and presumed:
            rights.presume(delivery.camera, delivery.account)
            camera.record.presumed_owner = delivery.account
            return None
        self._alarms.add(verdict.no_right(delivery, owner, presumed=presumed))
        return _Finding(Verdict.LEAK, "no-right", {"presumed": int(presumed)})

    # --- then the picture: own history, the account's other cameras, everybody else's

    def _by_picture(self, camera: Watched, delivery: Delivery, still: Still) -> _Finding:
        placeholder = self._placeholders.recognise(delivery, still)
        if placeholder is not None:
            return _Finding(Verdict.UNJUDGED, "placeholder", placeholder)
        if still.fingerprint is None:
            return self._by_digest(camera, delivery, still)
        query = Query(still.fingerprint)
        mine, own, rule = match.own(self._memory, camera.own, query)
        if mine is not None:
            return self._clear(camera, delivery, still, mine, rule)
        return self._by_siblings(camera, delivery, query) or self._by_others(camera, delivery, still, query, own)

    def _clear(self, camera: Watched, delivery: Delivery, still: Still, mine: Match, rule: str) -> _Finding:
        known = mine.scene
        if still.digest != known.digest:
            camera.stills += 1
            known.digest = still.digest
            known.record.last_seen = max(known.record.last_seen, delivery.time)
            known.record.seen += 1
            self._memory.touch(known)
            at_home = self._placeholders.comes_alive(known, still, rule)
            if known.record.standing is Standing.ONCE:
                self._confirm(camera, known)
            elif at_home:
                self._search_back(camera, known)
            if mine.distance > match.SAME_RADIUS and still.complete:
                standing = Standing.ONCE if rule == "own-placed" else _standing_of_look(mine)
                self._memory.learn(camera, delivery, still, standing, novel=False).lives = known.lives
                self._trim(camera)
        self._own_scene_is_back(camera, delivery)
        self._owner_goes_on(camera, delivery)
        return _Finding(Verdict.CLEAR, rule, verdict.numbers_of(mine, 0.0))

    def _by_siblings(self, camera: Watched, delivery: Delivery, query: Query) -> _Finding | None:
        scenes: list[Known] = []
        for id_ in self._rights.visible(delivery.account, delivery.time):
            other = self._memory.cameras.get(id_)
            if other is not None and other is not camera:
                scenes += other.own
        theirs, _, _ = match.own(self._memory, scenes, query)
        if theirs is None:
            return None
        return _Finding(Verdict.CLEAR, "sibling", verdict.numbers_of(theirs, 0.0))

    def _by_others(self, camera: Watched, delivery: Delivery, still: Still, query: Query, own: float) -> _Finding:
        hits = strip.search(self._memory, query, self._skip(delivery), WHOSE)
        nobodys = self._placeholders.meet(delivery, still, hits)
        hit = None if nobodys else self._owner_of(hits, own)
        if hit is None:
            return self._novel(camera, delivery, still, query, own)
        if not camera.confirmed and camera.stills < COLD_STILLS:
            return self._cold(camera, delivery, still, query, own, hit)
        if self._shares_view(camera, hit):
            camera.stills += 1
            self._memory.learn(camera, delivery, still, Standing.ONCE, novel=False)
            self._trim(camera)
            return _Finding(Verdict.CLEAR, "same-view", verdict.numbers_of(hit, own))
        if hit.scene.record.camera == camera.heir_of and self._silent(camera.heir_of, camera.record.first_seen):
            camera.stills += 1
            self._memory.learn(camera, delivery, still, Standing.CONFIRMED, novel=False)
            self._trim(camera)
            return _Finding(Verdict.CLEAR, "reenrolled", verdict.numbers_of(hit, own))
        self._accuse(delivery, hit, own, "foreign-scene")
        return _Finding(Verdict.LEAK, "foreign-scene", verdict.numbers_of(hit, own))

    def _cold(
        self, camera: Watched, delivery: Delivery, still: Still, query: Query, own: float, hit: Match
    ) -> _Finding:
        """A new camera shows a scene of another one: a leak, the same camera enrolled anew, or a shared view."""
        waiting = [k for k in camera.held if k.awaits is not None]
        again, _, _ = match.own(self._memory, waiting, query)
        look = again.scene.look if again is not None else None
        met = hit.agreement.score if match.straight(hit.agreement) else 0.0
        same = [k for k in waiting if look is not None and k.look == look and k.digest != still.digest]
        known = self._memory.learn(
            camera,
            delivery,
            still,
            Standing.HELD,
            novel=True,
            own=own,
            awaits=hit.scene.record.camera,
            met=met,
            look=look,
        )
        if len(same) + 1 >= shift.STAYS:
            for other in same[0 if met < SAME_VIEW else 1 :]:
                self._memory.forget(other)
            camera.stills += 1
            camera.heir_of = hit.scene.record.camera
            self._confirm(camera, known)
            return _Finding(Verdict.CLEAR, "reenrolled", verdict.numbers_of(hit, own))
        self._trim(camera)
        return _Finding(Verdict.LEARNING, "cold", verdict.numbers_of(hit, own))

    # --- nothing explains it

    def _novel(self, camera: Watched, delivery: Delivery, still: Still, query: Query, own: float) -> _Finding:
        again, _, again_by = match.own(self._memory, [k for k in camera.held if k.awaits is None], query)
        look = again.scene.look if again is not None else None
        if not camera.confirmed:
            camera.stills += 1
            self._memory.learn(camera, delivery, still, Standing.ONCE, novel=True, own=own)
            self._trim(camera)
            return _Finding(Verdict.LEARNING, "young", {"own": round(own, 4)})
        clues = evidence.gather(self._memory, camera, query, own, look)
        numbers = evidence.numbers_of(clues, self._model())
        if any(k.digest == still.digest for k in shift.alike(camera, look)):
            return _Finding(Verdict.SHIFT, "held-again", numbers)
        at_once = shift.tell_at_once(camera, own, look)
        camera.stills += 1
        known = self._memory.learn(camera, delivery, still, Standing.HELD, novel=True, own=own, look=look)
        known.probability = float(numbers["probability"])
        if again is not None:
            self._placeholders.comes_alive(again.scene, still, again_by)
            known.lives = again.scene.lives
        same, since = shift.alike(camera, known.look), shift.waiting(camera)
        for other in shift.visited(since, known.look):
            self._memory.visit(other)
        if shift.stayed(same, since):
            self._move(camera, known, same, since)
            return _Finding(Verdict.SHIFT, "stayed", numbers)
        if at_once:
            self._alarms.add(verdict.came(delivery, known, own))
        self._trim(camera)
        return _Finding(Verdict.SHIFT, "held", numbers)

    def _move(self, camera: Watched, known: Known, same: Sequence[Known], since: Sequence[Known]) -> None:
        """What came has stayed: it is the camera's own from now on, and nobody is told."""
        assert self._now is not None
        self._went(camera, shift.passing(since), self._now)
        since = [other for other in since if not other.returned]
        camera.moves += 1
        for other in since:
            self._excuse(other, "the scene stayed: the camera moved")
        for other in [*since, *same]:
            if other.record.standing is Standing.HELD:
                self._memory.restand(other, Standing.ONCE)
        if len(same) > 1:
            for other in same:
                if other is not known:
                    self._memory.forget(other)
            self._confirm(camera, known)
        self._trim(camera)

    def _by_digest(self, camera: Watched, delivery: Delivery, still: Still) -> _Finding:
        """Too little to compare: the bytes are all there is."""
        self._placeholders.meet_flat(delivery, still)
        same = self._memory.copies(still)
        accounts = {k.record.account for k in same.values()} | {delivery.account}
        numbers: dict[str, float | int | str] = {"accounts": len(accounts), "reason": still.reason}
        many = len(accounts) >= ACCOUNTS
        if not many and still.noisy:
            visible = {*self._rights.visible(delivery.account, delivery.time), delivery.camera}
            foreign = [k for k in same.values() if k.record.camera not in visible]
            if foreign:
                first = min(foreign, key=lambda k: (k.record.first_seen, k.record.id))
                owner, presumed = self._rights.owner(first.record.camera, delivery.time)
                self._alarms.add(verdict.same_bytes(delivery, first, owner, presumed=presumed, numbers=numbers))
                return _Finding(Verdict.LEAK, "same-bytes", numbers)
        if all(k.digest != still.digest for k in camera.unjudged):
            self._memory.learn(camera, delivery, still, Standing.UNJUDGED, novel=False)
            self._trim(camera)
        if not many:
            return _Finding(Verdict.UNJUDGED, "unjudged", numbers)
        # artwork has no sensor's noise: whatever it is, it shows nobody's home
        return _Finding(Verdict.UNJUDGED if still.noisy else Verdict.CLEAR, "placeholder-candidate", numbers)

    # --- what follows from a scene

    def _confirm(self, camera: Watched, known: Known) -> None:
        """Seen again in different bytes: the scene is the camera's own, and what lay elsewhere is searched again."""
        first = not camera.confirmed
        known.novel, known.attributes = False, {}
        self._memory.restand(known, Standing.CONFIRMED)
        if first:
            self._settle(camera)
        self._search_back(camera, known)

    def _settle(self, camera: Watched) -> None:
        """The camera has a scene of its own now: what else it was shown while it was new is searched once more."""
        mine = [k for k in camera.own if k.record.standing is Standing.CONFIRMED]
        for other in [*camera.own, *camera.held]:
            if not other.novel or other.record.standing is Standing.CONFIRMED:
                continue
            if other.awaits is not None and self._silent(other.awaits, other.record.first_seen):
                continue
            if match.own(self._memory, mine, self._query_of(other))[0] is None:
                self._accuse_kept(other, "foreign-scene-while-new")
        looks = [k for k in camera.own if k.novel and k.record.standing is Standing.ONCE]
        for look in looks:
            kin = match.kinship(self._memory, look, mine) >= KIN
            if kin or len(looks) >= RESTLESS_LOOKS:
                self._search_back(camera, look, SURE_BEFORE, kin=kin)

    def _search_back(self, camera: Watched, known: Known, least: float = 0.0, *, kin: bool = False) -> None:
        """Other homes may have been shown this scene before it was known whose it is.

        What many got may be a vendor's drawing, unless it is `kin` to the camera's confirmed scenes.
        """
        if not kin and self._placeholders.shared(known):
            return
        standings = [NUMBER[Standing.HELD], NUMBER[Standing.ONCE], VISITED]
        for m in match.search_back(self._memory, known, [camera.number], standings):
            other = m.scene
            theirs = self._memory.cameras[other.record.camera]
            if not other.novel or other.awaits is not None or not theirs.confirmed:
                continue
            if m.agreement.score < max(other.own + MARGIN, least):
                continue
            if self._rights.may_see(other.record.account, camera.record.id, other.record.first_seen):
                self._excuse(other, "the viewer may see the camera whose scene it turned out to be")
                continue
            self._accuse(other.delivery, Match(known, m.distance, m.common, m.agreement), other.own, "before")
            self._memory.forget(other)

    def _excuse(self, held: Known, why: str) -> None:
        """Nobody's place after all: what was told of a still that was kept does not stand."""
        assert self._now is not None
        for alert in self._alarms.on(held.record.camera, held.record.delivery, Kind.SHIFT):
            self._alarms.withdraw(alert, self._now.time, why)

    def _own_scene_is_back(self, camera: Watched, delivery: Delivery) -> None:
        """The camera shows its own scene again: what came and went in between was foreign."""
        self._went(camera, shift.waiting(camera), delivery)

    def _went(self, camera: Watched, gone: Sequence[Known], now: Delivery) -> None:
        """These stills came and went: told where they look foreign, and kept as held."""
        if not gone:
            return
        wander = evidence.wander(self._memory, camera.own)
        for held in [k for k in gone if shift.tell_on_return(camera, k, wander)]:
            self._alarms.add(verdict.came_and_went(held, now))
        for held in gone:
            held.returned = True
            self._memory.touch(held)

    def _owner_goes_on(self, camera: Watched, delivery: Delivery) -> None:
        """A camera whose scene a new home was shown goes on with it: the new home's is not the same camera anew."""
        for cold in list(self._memory.awaited.get(camera.record.id, {}).values()):
            if cold.record.first_seen > delivery.time:
                continue
            # partitions are read side by side: the still that waits may be older than all of the camera it waits for
            first_here = cold.record.first_seen < camera.record.first_seen
            theirs = [
                k for k in self._memory.cameras[cold.record.camera].own if k.record.standing is Standing.CONFIRMED
            ]
            elsewhere = bool(theirs) and match.own(self._memory, theirs, self._query_of(cold))[0] is None
            if elsewhere or (cold.met >= SAME_VIEW and not first_here):
                self._accuse_kept(cold, "cold")

    def _accuse_kept(self, kept: Known, rule: str) -> None:
        """Search for a still that was kept, as if it came now; taken out when it is somebody's."""
        hits = strip.search(self._memory, self._query_of(kept), self._skip(kept.delivery), WHOSE)
        hit = None if self._placeholders.shared(kept, hits) else self._owner_of(hits, kept.own)
        if hit is not None:
            self._accuse(kept.delivery, hit, kept.own, rule)
            self._memory.forget(kept)

    # --- small things

    def _shares_view(self, camera: Watched, hit: Match) -> bool:
        """Whether the camera looks at the accused owner's place anyway, from beside it: its own scenes tell."""
        if match.straight(hit.agreement):
            return False
        owner = self._memory.cameras[hit.scene.record.camera]
        mine, theirs = (
            sorted((k for k in w.own if k.record.standing is Standing.CONFIRMED), key=_worth)[-VIEW_SCENES:]
            for w in (camera, owner)
        )
        return match.same_place(self._memory, mine, theirs)

    def _silent(self, camera: CameraId, since: datetime) -> bool:
        """Whether the camera has delivered nothing since then."""
        known = self._memory.cameras.get(camera)
        return known is None or known.record.last_seen < since

    def _query_of(self, kept: Known) -> Query:
        return Query(Fingerprint.of(self._memory.index.levels(kept.row)))

    def _skip(self, delivery: Delivery) -> list[int]:
        """The numbers of the cameras that the viewer may see, and of the one that the delivery claims to show."""
        return self._memory.numbers({delivery.camera, *self._rights.visible(delivery.account, delivery.time)})

    def _owner_of(self, hits: Sequence[Match], own: float) -> Match | None:
        """The match that names an owner: well above the camera's own history and above any second account."""
        if not hits or hits[0].agreement.score < own + MARGIN:
            return None
        best = hits[0]
        whose = self._account_of(best.scene)
        for other in hits[1:]:
            if self._account_of(other.scene) != whose and other.agreement.score > best.agreement.score - SECOND:
                return None
        return best

    def _account_of(self, known: Known) -> AccountId | None:
        return self._rights.owner(known.record.camera, known.record.last_seen)[0]

    def _accuse(self, delivery: Delivery, hit: Match, own: float, rule: str) -> None:
        assert self._now is not None
        owner, presumed = self._rights.owner(hit.scene.record.camera, delivery.time)
        enough = self._enough(delivery, hit)
        self._alarms.add(
            verdict.foreign(delivery, hit, own, owner, presumed=presumed, rule=rule, needed=enough, now=self._now)
        )

    def _enough(self, delivery: Delivery, hit: Match) -> float:
        """The certainty from which on an alert may act: a little less when another still of the two said the same."""
        enough = certainty.needed(len(self._memory.cameras))
        score = round(hit.agreement.score, 4)
        for alert in self._alarms.about(delivery.camera):
            same_pair = alert.camera == delivery.camera and alert.owner_camera == hit.scene.record.camera
            by_picture = alert.kind is Kind.LEAK and "score" in alert.numbers
            if same_pair and by_picture and alert.delivery != delivery.key and alert.numbers["score"] != score:
                return enough - certainty.SECOND_STILL
        return enough

    def _trim(self, camera: Watched) -> None:
        while len(camera.own) > SCENES:
            self._memory.forget(min(camera.own, key=_worth))
        for scenes, most in ((camera.held, HELD), (camera.unjudged, UNJUDGED)):
            while len(scenes) > most:
                self._memory.forget(min(scenes, key=lambda k: (k.record.first_seen, k.record.id)))


def _worth(known: Known) -> tuple[bool, object, str]:
    return known.record.standing is Standing.CONFIRMED, known.record.last_seen, known.record.id


def _standing_of_look(mine: Match) -> Standing:
    """A new look of a known scene: as good as that one when little is changed, else it must be seen again."""
    sure = mine.scene.record.standing is Standing.CONFIRMED and mine.agreement.score >= SURE_LOOK
    return Standing.CONFIRMED if sure else Standing.ONCE


SURE_LOOK: Final = 0.75
"""Score from which on a new look of a confirmed scene counts as confirmed: nothing large lies over the picture."""
