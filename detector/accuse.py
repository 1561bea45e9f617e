"""Who is accused, and when not: the one place where a leak found by its picture becomes an alert.

Owns how much better a foreign scene must agree than the camera's own history and than a second account's, who may not
be accused, and what is taken back. Refuses to look for scenes that are not handed in, but for stills that were kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from detector import agree, certainty, match, strip, verdict
from detector.alarms import Alarms
from detector.known import Known, Watched
from detector.match import Match
from detector.memory import WHOSE, Memory, worth
from detector.placeholder import Placeholders
from detector.query import Query
from models.fingerprint import Fingerprint
from models.records import AccountId, CameraId, Delivery, Kind
from models.rights import Rights
from models.scene import Standing

MARGIN: Final = 0.10
"""By how much a foreign scene must agree better than the camera's own history."""
SECOND: Final = 0.06
"""By how much the named owner's scene must agree better than a second account's."""
VIEW_SCENES: Final = 4
"""Latest scenes of each camera that are compared to tell whether both look at one place."""


class Accuser:
    """Raises leaks, and withdraws shifts that turn out to be nobody's place. `now` is the delivery in hand."""

    def __init__(self, memory: Memory, rights: Rights, alarms: Alarms, placeholders: Placeholders) -> None:
        self._memory = memory
        self._rights = rights
        self._alarms = alarms
        self._placeholders = placeholders
        self.now: Delivery | None = None

    def skip(self, delivery: Delivery) -> list[int]:
        """The numbers of the cameras that the viewer may see, and of the one that the delivery claims to show."""
        return self._memory.numbers({delivery.camera, *self._rights.visible(delivery.account, delivery.time)})

    def query_of(self, kept: Known) -> Query:
        return Query(Fingerprint.of(self._memory.index.levels(kept.row)))

    def owner_of(self, hits: Sequence[Match], own: float) -> Match | None:
        """The match that names an owner: well above the camera's own history and above any second account."""
        if not hits or hits[0].agreement.score < own + MARGIN:
            return None
        best = hits[0]
        whose = self._account_of(best.scene)
        for other in hits[1:]:
            if self._account_of(other.scene) != whose and other.agreement.score > best.agreement.score - SECOND:
                return None
        return best

    def accuse(self, delivery: Delivery, hit: Match, own: float, rule: str) -> None:
        assert self.now is not None
        owner, presumed = self._rights.owner(hit.scene.record.camera, delivery.time)
        enough = self._enough(delivery, hit)
        self._alarms.add(
            verdict.foreign(delivery, hit, own, owner, presumed=presumed, rule=rule, needed=enough, now=self.now)
        )

    def accuse_kept(self, kept: Known, rule: str) -> None:
        """Search for a still that was kept, as if it came now; taken out when it is somebody's."""
        hits = strip.search(self._memory, self.query_of(kept), self.skip(kept.delivery), WHOSE)
        hit = None if self._placeholders.shared(kept, hits) else self.owner_of(hits, kept.own)
        if hit is not None:
            self.accuse(kept.delivery, hit, kept.own, rule)
            self._memory.forget(kept)

    def excuse(self, held: Known, why: str) -> None:
        """Nobody's place after all: what was told of a still that was kept does not stand."""
        assert self.now is not None
        for alert in self._alarms.on(held.record.camera, held.record.delivery, Kind.SHIFT):
            self._alarms.withdraw(alert, self.now.time, why)

    def only(self, kept: Known, owner: CameraId) -> None:
        """The still shows a confirmed scene of `owner`: what was told of it by another camera's look does not stand."""
        assert self.now is not None
        for alert in self._alarms.on(kept.record.camera, kept.record.delivery, Kind.LEAK):
            if alert.owner_camera != owner:
                self._alarms.withdraw(alert, self.now.time, "the scene turned out to be another camera's")

    def shares_view(self, camera: Watched, hit: Match) -> bool:
        """Whether the camera looks at the accused owner's place anyway, from beside it: its own scenes tell."""
        if agree.straight(hit.agreement):
            return False
        owner = self._memory.cameras[hit.scene.record.camera]
        mine, theirs = (
            sorted((k for k in w.own if k.record.standing is Standing.CONFIRMED), key=worth)[-VIEW_SCENES:]
            for w in (camera, owner)
        )
        return match.same_place(self._memory, mine, theirs)

    def silent(self, camera: CameraId, since: datetime) -> bool:
        """Whether the camera has delivered nothing since then."""
        known = self._memory.cameras.get(camera)
        return known is None or known.record.last_seen < since

    def _account_of(self, known: Known) -> AccountId | None:
        return self._rights.owner(known.record.camera, known.record.last_seen)[0]

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
