"""What follows here from what another matcher has learned: its scenes meet the stills that are kept of our cameras.

Owns that two stills which came at the same time to two matchers meet all the same: each matcher draws here, for its own
cameras, what the one matcher draws when it learns the other's scene (sequel.py). Refuses to change a foreign camera.
A second meeting is harmless: an alert's id derives from its delivery.
"""

from __future__ import annotations

from detector import verdict
from detector.accuse import Accuser
from detector.alarms import Alarms
from detector.known import Known
from detector.learned import Learned
from detector.memory import Memory
from detector.placeholder import Placeholders
from detector.sequel import Sequel
from models.placeholder import ACCOUNTS
from models.rights import Rights
from models.scene import Standing


class Elsewhere:
    """Draws the consequences for one matcher's cameras."""

    def __init__(
        self,
        memory: Memory,
        rights: Rights,
        alarms: Alarms,
        placeholders: Placeholders,
        accuser: Accuser,
        sequel: Sequel,
    ) -> None:
        self._memory = memory
        self._rights = rights
        self._alarms = alarms
        self._placeholders = placeholders
        self._accuser = accuser
        self._sequel = sequel

    def draw(self, learned: Learned) -> None:
        """Draw what the other matcher has drawn from it for its own cameras; memory holds it already."""
        for known in [self._memory.scenes[id_] for id_ in learned.alive if id_ in self._memory.scenes]:
            if self._placeholders.lives_elsewhere(known):
                self._accuser.now = known.delivery
                self._sequel.search_back(self._memory.cameras[known.record.camera], known)
        for sought in learned.sought:
            if sought.scene in self._memory.scenes:
                known = self._memory.scenes[sought.scene]
                self._accuser.now = sought.now
                self._sequel.search_back(self._memory.cameras[known.record.camera], known, sought.least, kin=sought.kin)
        for scene in learned.scenes:
            if scene.standing is Standing.UNJUDGED and scene.id in self._memory.scenes:
                self._same_bytes(self._memory.scenes[scene.id])
        for delivery in learned.went_on:
            if delivery.camera in self._memory.cameras:
                self._accuser.now = delivery
                self._sequel.owner_goes_on(self._memory.cameras[delivery.camera], delivery)

    def _same_bytes(self, theirs: Known) -> None:
        """Neither matcher knew the other's still: the later of the two is the one that came astray."""
        same = self._memory.copies(theirs)
        accounts = {origin.account for origin in same.values()}
        if not theirs.noisy or len(accounts) >= ACCOUNTS:
            return
        ours = [self._memory.known(o.camera, id_) for id_, o in same.items() if self._memory.mine(o.camera)]
        for kept in [k for k in ours if k.noisy]:
            delivery = kept.delivery
            visible = {*self._rights.visible(delivery.account, delivery.time), delivery.camera}
            if theirs.record.camera not in visible and _order(theirs) < _order(kept):
                owner, presumed = self._rights.owner(theirs.record.camera, delivery.time)
                numbers = {"accounts": len(accounts)}
                self._alarms.add(verdict.same_bytes(delivery, theirs, owner, presumed=presumed, numbers=numbers))
                self._memory.forget(kept)


def _order(known: Known) -> tuple[object, str]:
    return known.record.first_seen, known.record.id
