"""What follows from a scene: confirmed, returned, stayed or gone, with what lay elsewhere searched again.

Owns what the camera's own scenes say of stills that were kept, here and in other homes, and how many are kept. Refuses
to judge the still in hand (picture.py) and to decide whether one still is foreign (shift.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from detector import evidence, match, shift, verdict
from detector.accuse import MARGIN, Accuser
from detector.alarms import Alarms
from detector.known import NUMBER, VISITED, Known, Watched
from detector.learned import Sought
from detector.memory import Memory, worth
from detector.placeholder import Placeholders
from models.placeholder import PlaceholderId
from models.records import Alert, CameraId, Delivery, Kind
from models.rights import Rights
from models.scene import Standing

SCENES: Final = 16
"""Scenes kept of one camera: day, night, seasons and lights; beyond, the one not seen for longest goes."""
HELD: Final = 8
"""Foreign-looking stills that a camera keeps waiting; beyond, the oldest goes."""
UNJUDGED: Final = 4
"""Digests of stills without a fingerprint that a camera keeps."""
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


class Sequel:
    """Draws the consequences for one cloud's memory."""

    def __init__(
        self, memory: Memory, rights: Rights, alarms: Alarms, placeholders: Placeholders, accuser: Accuser
    ) -> None:
        self._memory = memory
        self._rights = rights
        self._alarms = alarms
        self._placeholders = placeholders
        self._accuser = accuser
        self._sought: list[Sought] = []
        self._went_on: dict[CameraId, Delivery] = {}

    def confirm(self, camera: Watched, known: Known) -> None:
        """Seen again in different bytes: the scene is the camera's own, and what lay elsewhere is searched again."""
        first = not camera.confirmed
        known.novel, known.attributes, known.clues = False, {}, ()
        self._memory.restand(known, Standing.CONFIRMED)
        if first:
            self._settle(camera)
        self.search_back(camera, known)

    def _settle(self, camera: Watched) -> None:
        """The camera has a scene of its own now: what else it was shown while it was new is searched once more."""
        mine = [k for k in camera.own if k.record.standing is Standing.CONFIRMED]
        for other in [*camera.own, *camera.held]:
            if not other.novel or other.record.standing is Standing.CONFIRMED:
                continue
            if other.awaits is not None and self._accuser.silent(other.awaits, other.record.first_seen):
                continue
            if match.own(self._memory, mine, self._accuser.query_of(other))[0] is None:
                self._accuser.accuse_kept(other, "foreign-scene-while-new")
        self.look_about(camera, mine)
        self._tell_among_leaks(camera, mine)

    def look_about(self, camera: Watched, mine: Sequence[Known]) -> None:
        """Looks seen once that are taken for the camera's own, beside its confirmed scenes, are searched back too."""
        looks = [k for k in camera.own if k.novel and k.record.standing is Standing.ONCE]
        for look in looks:
            kin = match.kinship(self._memory, look, mine) >= KIN
            if kin or len(looks) >= RESTLESS_LOOKS:
                self.search_back(camera, look, SURE_BEFORE, kin=kin)

    def _tell_among_leaks(self, camera: Watched, mine: Sequence[Known]) -> None:
        """What a new camera showed between two leaks, and nothing explains now that it has a scene: another place."""
        assert self._accuser.now is not None
        leaks = [a.delivered_at for a in self._alarms.about(camera.record.id) if _shown(a, camera)]
        for look in [k for k in camera.own if k.novel and k.record.standing is Standing.ONCE]:
            if not any(at < look.record.first_seen for at in leaks) or not any(
                at > look.record.first_seen for at in leaks
            ):
                continue
            look.own = match.kinship(self._memory, look, mine)
            self._memory.touch(look)
            if look.own < shift.CLEARLY_FOREIGN:
                self._memory.restand(look, Standing.HELD)
                self._went(camera, [look], self._accuser.now)

    def search_back(self, camera: Watched, known: Known, least: float = 0.0, *, kin: bool = False) -> None:
        """Other homes may have been shown this scene before it was known whose it is.

        What many got may be a vendor's drawing, unless it is `kin` to the camera's confirmed scenes.
        """
        assert self._accuser.now is not None
        if self._memory.mine(camera.record.id):
            self._sought.append(Sought(known.record.id, self._accuser.now, least, kin))
        if not kin and self._placeholders.shared(known):
            return
        standings = [NUMBER[Standing.HELD], NUMBER[Standing.ONCE], VISITED]
        for m in match.search_back(self._memory, known, [camera.number], standings):
            other = m.scene
            theirs = self._memory.cameras[other.record.camera]
            if not other.novel or other.awaits is not None or not theirs.confirmed:
                continue
            if not self._memory.mine(theirs.record.id):
                continue  # whose camera it is draws the same of it
            if m.agreement.score < max(other.own + MARGIN, least):
                continue
            if self._rights.may_see(other.record.account, camera.record.id, other.record.first_seen):
                self._accuser.excuse(other, "the viewer may see the camera whose scene it turned out to be")
                continue
            self._accuser.accuse(other.delivery, replace(m, scene=known), other.own, "before")
            if least:
                other.returned = True  # kept: the look may turn out to be another home's as well
                self._memory.touch(other)
            else:
                self._accuser.only(other, camera.record.id)
                self._memory.forget(other)

    def drain(self) -> tuple[list[Sought], list[Delivery]]:
        """By which of the own cameras' scenes was searched for stills that others were shown, since the last call; and
        the latest delivery of each own camera that went on with a scene of its own."""
        sought, self._sought = self._sought, []
        went_on, self._went_on = list(self._went_on.values()), {}
        return sought, went_on

    def own_scene_is_back(self, camera: Watched, delivery: Delivery) -> None:
        """The camera shows its own scene again: what came and went in between was foreign."""
        self._went(camera, shift.waiting(camera), delivery)

    def owner_goes_on(self, camera: Watched, delivery: Delivery) -> None:
        """A camera whose scene a new home was shown goes on with it: the new home's is not the same camera anew."""
        if self._memory.mine(camera.record.id):
            self._went_on[camera.record.id] = delivery
        for cold in self._memory.awaiting(camera.record.id):
            if cold.record.first_seen > delivery.time or not self._memory.mine(cold.record.camera):
                continue
            # partitions are read side by side: the still that waits may be older than all of the camera it waits for
            first_here = cold.record.first_seen < camera.record.first_seen
            theirs = [
                k for k in self._memory.cameras[cold.record.camera].own if k.record.standing is Standing.CONFIRMED
            ]
            elsewhere = bool(theirs) and match.own(self._memory, theirs, self._accuser.query_of(cold))[0] is None
            if elsewhere or (cold.met >= SAME_VIEW and not first_here):
                self._accuser.accuse_kept(cold, "cold")

    def move(self, camera: Watched, known: Known, same: Sequence[Known], since: Sequence[Known]) -> None:
        """What came has stayed: it is the camera's own from now on, and nobody is told."""
        assert self._accuser.now is not None
        self._went(camera, shift.passing(since), self._accuser.now)
        since = [other for other in since if not other.returned]
        camera.moves += 1
        for other in since:
            self._accuser.excuse(other, "the scene stayed: the camera moved")
        for other in [*since, *same]:
            if other.record.standing is Standing.HELD:
                self._memory.restand(other, Standing.ONCE)
        if len(same) > 1:
            for other in same:
                if other is not known:
                    self._memory.forget(other)
            self.confirm(camera, known)
        self.trim(camera)

    def _went(self, camera: Watched, gone: Sequence[Known], now: Delivery) -> None:
        """These stills came and went: told where they look foreign, and kept as held."""
        if not gone:
            return
        wander = evidence.wander(self._memory, camera.own)
        for held in [k for k in gone if shift.tell_on_return(camera, k, wander)]:
            candidate = self._placeholders.candidate(held)
            if not self.told_of(candidate):
                self._alarms.add(verdict.came_and_went(held, now, candidate))
        for held in gone:
            held.returned = True
            self._memory.touch(held)

    def told_of(self, candidate: PlaceholderId | None) -> bool:
        """Whether a person is told already of the candidate that a still shows: one alert stands for all of it."""
        return candidate is not None and self._alarms.stands_on(candidate)

    def trim(self, camera: Watched) -> None:
        while len(camera.own) > SCENES:
            self._memory.forget(min(camera.own, key=worth))
        for scenes, most in ((camera.held, HELD), (camera.unjudged, UNJUDGED)):
            while len(scenes) > most:
                self._memory.forget(min(scenes, key=lambda k: (k.record.first_seen, k.record.id)))


def _shown(alert: Alert, camera: Watched) -> bool:
    """Whether the alert tells of a leak that the camera's viewer was shown."""
    return alert.kind is Kind.LEAK and alert.camera == camera.record.id
