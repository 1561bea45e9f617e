"""What the picture says, step by step: placeholders, own history, the account's other cameras, everybody else's.

Owns the order of these steps and the rule that each gives its verdict by. Refuses to know rights beyond whose cameras
are left out, to raise leaks (accuse.py) and to draw consequences (sequel.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Final

from detector import agree, evidence, match, shift, strip, verdict
from detector.accuse import Accuser
from detector.alarms import Alarms
from detector.elsewhere import Elsewhere
from detector.known import Known, Watched
from detector.learned import Sought
from detector.match import Match
from detector.memory import WHOSE, Memory
from detector.placeholder import Placeholders
from detector.query import Query
from detector.sequel import SAME_VIEW, Sequel
from models.fingerprint import Still
from models.placeholder import ACCOUNTS
from models.records import Delivery, Numbers, Verdict
from models.rights import Rights
from models.scene import Standing
from models.shift import ShiftModel

COLD_STILLS: Final = 2
"""Explained stills from which on a camera without a confirmed scene is cold no longer."""
SURE_LOOK: Final = 0.75
"""Score from which on a new look of a confirmed scene counts as confirmed: nothing large lies over the picture."""


@dataclass(slots=True)
class Finding:
    """What one step concluded of the still in hand."""

    verdict: Verdict
    rule: str
    numbers: Numbers


class Onlooker:
    """Judges stills by their pictures. `model` gives the scene-shift model when it is first needed."""

    def __init__(
        self,
        memory: Memory,
        rights: Rights,
        alarms: Alarms,
        placeholders: Placeholders,
        model: Callable[[], ShiftModel],
    ) -> None:
        self._memory = memory
        self._rights = rights
        self._alarms = alarms
        self._placeholders = placeholders
        self._accuser = Accuser(memory, rights, alarms, placeholders)
        self._sequel = Sequel(memory, rights, alarms, placeholders, self._accuser)
        self.elsewhere = Elsewhere(memory, rights, alarms, placeholders, self._accuser, self._sequel)
        self._model = model

    def drain(self) -> tuple[list[Sought], list[Delivery]]:
        """What others draw from: see `Sequel.drain`."""
        return self._sequel.drain()

    def judge(self, camera: Watched, delivery: Delivery, still: Still) -> Finding:
        """The finding on a still that the viewer had a right to ask for."""
        self._accuser.now = delivery
        placeholder = self._placeholders.recognise(delivery, still)
        if placeholder is not None:
            return Finding(Verdict.UNJUDGED, "placeholder", placeholder)
        if still.fingerprint is None:
            return self._by_digest(camera, delivery, still)
        query = Query(still.fingerprint)
        mine, own, rule = match.own(self._memory, camera.own, query)
        if mine is not None:
            return self._clear(camera, delivery, still, query, mine, rule)
        siblings = self._by_siblings(camera, delivery, query)
        if siblings is not None:
            return siblings
        placeholder = self._placeholders.recognise_damaged(delivery, query)
        if placeholder is not None:
            return Finding(Verdict.UNJUDGED, "placeholder", placeholder)
        return self._by_others(camera, delivery, still, query, own)

    def _clear(
        self, camera: Watched, delivery: Delivery, still: Still, query: Query, mine: Match, rule: str
    ) -> Finding:
        known = mine.scene
        if still.digest != known.digest:
            camera.stills += 1
            known.digest = still.digest
            known.record.last_seen = max(known.record.last_seen, delivery.time)
            known.record.seen += 1
            self._memory.touch(known)
            at_home = self._placeholders.comes_alive(known, still, rule)
            if known.record.standing is Standing.ONCE:
                self._sequel.confirm(camera, known)
            elif at_home:
                self._sequel.search_back(camera, known)
            novel = mine.distance > match.SAME_RADIUS and still.complete and not mine.part
            # a page around it is the same around everybody's pictures
            if novel and not agree.smaller(mine.agreement):
                standing = Standing.ONCE if rule == "own-placed" else _standing_of_look(mine)
                self._memory.learn(camera, delivery, still, standing, novel=False).lives = known.lives
                self._sequel.trim(camera)
        self._sequel.own_scene_is_back(camera, delivery)
        self._sequel.owner_goes_on(camera, delivery)
        return Finding(Verdict.CLEAR, rule, verdict.numbers_of(mine, 0.0))

    def _by_siblings(self, camera: Watched, delivery: Delivery, query: Query) -> Finding | None:
        scenes: list[Known] = []
        for id_ in self._rights.visible(delivery.account, delivery.time):
            other = self._memory.cameras.get(id_)
            if other is not None and other is not camera:
                scenes += other.own
        theirs, _, _ = match.own(self._memory, scenes, query)
        if theirs is None:
            return None
        return Finding(Verdict.CLEAR, "sibling", verdict.numbers_of(theirs, 0.0))

    def _by_others(self, camera: Watched, delivery: Delivery, still: Still, query: Query, own: float) -> Finding:
        hits = strip.search(self._memory, query, self._accuser.skip(delivery), WHOSE)
        nobodys = self._placeholders.meet(delivery, still, hits)
        hit = None if nobodys else self._accuser.owner_of(hits, own)
        if hit is None:
            return self._novel(camera, delivery, still, query, own)
        if not camera.confirmed and camera.stills < COLD_STILLS:
            return self._cold(camera, delivery, still, query, own, hit)
        if self._accuser.shares_view(camera, hit):
            camera.stills += 1
            self._memory.learn(camera, delivery, still, Standing.ONCE, novel=False)
            self._sequel.trim(camera)
            return Finding(Verdict.CLEAR, "same-view", verdict.numbers_of(hit, own))
        if hit.scene.record.camera == camera.heir_of and self._accuser.silent(camera.heir_of, camera.record.first_seen):
            camera.stills += 1
            self._memory.learn(camera, delivery, still, Standing.CONFIRMED, novel=False)
            self._sequel.trim(camera)
            return Finding(Verdict.CLEAR, "reenrolled", verdict.numbers_of(hit, own))
        self._accuser.accuse(delivery, hit, own, "foreign-scene")
        return Finding(Verdict.LEAK, "foreign-scene", verdict.numbers_of(hit, own))

    def _cold(self, camera: Watched, delivery: Delivery, still: Still, query: Query, own: float, hit: Match) -> Finding:
        """A new camera shows a scene of another one: a leak, the same camera enrolled anew, or a shared view."""
        waiting = [k for k in camera.held if k.awaits is not None]
        again, _, _ = match.own(self._memory, waiting, query)
        look = again.scene.look if again is not None else None
        met = hit.agreement.score if agree.straight(hit.agreement) else 0.0
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
            self._sequel.confirm(camera, known)
            return Finding(Verdict.CLEAR, "reenrolled", verdict.numbers_of(hit, own))
        self._sequel.trim(camera)
        return Finding(Verdict.LEARNING, "cold", verdict.numbers_of(hit, own))

    def _novel(self, camera: Watched, delivery: Delivery, still: Still, query: Query, own: float) -> Finding:
        again, _, again_by = match.own(self._memory, [k for k in camera.held if k.awaits is None], query)
        look = again.scene.look if again is not None else None
        if not camera.confirmed:
            camera.stills += 1
            self._memory.learn(camera, delivery, still, Standing.ONCE, novel=True, own=own)
            self._sequel.trim(camera)
            return Finding(Verdict.LEARNING, "young", {"own": round(own, 4)})
        clues = evidence.gather(self._memory, camera, query, own, look)
        numbers = evidence.numbers_of(clues, self._model())
        if any(k.digest == still.digest for k in shift.alike(camera, look)):
            return Finding(Verdict.SHIFT, "held-again", numbers)
        own = shift.unlike(own, query.found.valid)
        at_once = shift.tell_at_once(camera, own, look)
        camera.stills += 1
        known = self._memory.learn(camera, delivery, still, Standing.HELD, novel=True, own=own, look=look)
        known.probability = float(numbers["probability"])
        known.clues = tuple(round(value, 4) for value in astuple(clues))
        if again is not None:
            self._placeholders.comes_alive(again.scene, still, again_by)
            known.lives = again.scene.lives
        same, since = shift.alike(camera, known.look), shift.waiting(camera)
        for other in shift.visited(since, known.look):
            self._memory.visit(other)
        if shift.stayed(same, since):
            paged = again is not None and agree.smaller(again.agreement)
            self._sequel.move(camera, again.scene if again is not None and paged else known, same, since)
            return Finding(Verdict.SHIFT, "stayed", numbers)
        candidate = self._placeholders.candidate(known)
        if candidate is not None:
            numbers["placeholder"] = candidate
        if at_once and not self._sequel.told_of(candidate):
            self._alarms.add(verdict.came(delivery, known, own, candidate))
        self._sequel.trim(camera)
        return Finding(Verdict.SHIFT, "held", numbers)

    def _by_digest(self, camera: Watched, delivery: Delivery, still: Still) -> Finding:
        """Too little to compare: the bytes are all there is."""
        self._placeholders.meet_flat(delivery, still)
        same = self._memory.copies(still)
        accounts = {origin.account for origin in same.values()} | {delivery.account}
        numbers: dict[str, float | int | str] = {"accounts": len(accounts), "reason": still.reason}
        many = len(accounts) >= ACCOUNTS
        if not many and still.noisy:
            visible = {*self._rights.visible(delivery.account, delivery.time), delivery.camera}
            foreign = [self._memory.known(o.camera, id_) for id_, o in same.items() if o.camera not in visible]
            if foreign:
                first = min(foreign, key=lambda k: (k.record.first_seen, k.record.id))
                owner, presumed = self._rights.owner(first.record.camera, delivery.time)
                self._alarms.add(verdict.same_bytes(delivery, first, owner, presumed=presumed, numbers=numbers))
                return Finding(Verdict.LEAK, "same-bytes", numbers)
        if all(k.digest != still.digest for k in camera.unjudged):
            self._memory.learn(camera, delivery, still, Standing.UNJUDGED, novel=False)
            self._sequel.trim(camera)
        if not many:
            return Finding(Verdict.UNJUDGED, "unjudged", numbers)
        # artwork has no sensor's noise: whatever it is, it shows nobody's home
        return Finding(Verdict.UNJUDGED if still.noisy else Verdict.CLEAR, "placeholder-candidate", numbers)


def _standing_of_look(mine: Match) -> Standing:
    """A new look of a known scene: as good as that one when little is changed, else it must be seen again."""
    sure = mine.scene.record.standing is Standing.CONFIRMED and mine.agreement.score >= SURE_LOOK
    return Standing.CONFIRMED if sure else Standing.ONCE
