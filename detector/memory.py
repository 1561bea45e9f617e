"""What the engine knows while it runs: cameras, their scenes, and what changed of them since the last drain.

Owns the numbering of cameras, the rows of the index, and the digests of stills that cannot be compared. Refuses to
decide. Everything here can be rebuilt from the records that it drains; an image of it shortens that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detector.cameras import AT_HAND, Cameras, Rows, Scenes
from detector.image import Image
from detector.known import (
    NUMBER,
    VISITED,
    Known,
    Watched,
    camera_body,
    head_of,
    number_of,
    read_camera,
    read_scene,
    renew,
    scene_body,
)
from detector.learned import Learned, Mine, every
from detector.packed import PRESUMED, REACHED, micros_of, moment, names_in, unpack
from detector.restoring import Fresh, Restoring, enter, thumbs_of
from models.code import Hypotheses
from models.fingerprint import Fingerprint, Still
from models.index import Index
from models.keys import lookup
from models.looked import Looked
from models.records import AccountId, CameraId, Delivery, DeliveryId, SceneId, Verdict, derived_id
from models.scene import Camera, Scene, Standing
from models.signs import signs_of
from models.view import View, seen

RING: Final = 16
"""Deliveries a camera remembers, so that the same one given twice changes nothing. Producers repeat within seconds."""
WHOSE: Final = (NUMBER[Standing.CONFIRMED], VISITED)
"""Standings of rows that may name an owner."""
VERDICTS: Final = tuple(Verdict)
WHOLE: Final = 16
"""Placings of a still that is read otherwise than as it came which are looked up by every window."""
FEW: Final = 1_000
"""Scenes up to which a search compares all of them, whatever keys they share. Measured: a novel still takes 2.3 ms
among 300 scenes and 2.6 among 900 either way; where all of 3,000 are compared 4.5 and of 9,900 11 ms, by keys 2.5 in
both."""


def ticket(key: DeliveryId) -> bytes:
    """Eight bytes that stand for a delivery in a camera's ring."""
    return blake2b(str(key).encode(), digest_size=8).digest()


class Origin(NamedTuple):
    """Where a still without a fingerprint was delivered."""

    camera: CameraId
    account: AccountId


class Memory:
    """All cameras and scenes. What it hands out is live until the next `drain`: say `touch` after changing it.

    `at_hand` cameras stay objects, the latest ones; all others are packed (detector/cameras.py).
    """

    def __init__(self, mine: Mine = every, at_hand: int = AT_HAND) -> None:
        self.mine = mine
        self.index = Index()
        self.cameras = Cameras(self._row_of, at_hand)
        self.scenes = Scenes(self.cameras, self._owner_of)
        self.at_row = Rows(self.cameras, self._owner_of, lambda: self.index.in_use())
        self.digests: dict[bytes, dict[SceneId, Origin]] = {}
        self._awaited: dict[CameraId, dict[SceneId, CameraId]] = {}
        self._scenes: dict[SceneId, Known] = {}
        self._removed: dict[SceneId, None] = {}
        self._cameras: dict[CameraId, Watched] = {}

    def numbers(self, cameras: Iterable[CameraId]) -> list[int]:
        """The index's numbers of those cameras that are known, in order, each once."""
        known = map(self.cameras.number, cameras)
        return sorted({number for number in known if number is not None})

    def camera(self, delivery: Delivery) -> Watched:
        """The camera that a delivery claims to show, new or known."""
        found = self.cameras.get(delivery.camera)
        return found or self.cameras.add(Camera(delivery.camera, None, delivery.time, delivery.time, b""))

    def changed(self, camera: Watched) -> None:
        """Say that a camera changed, so that the next drain tells it, if it is ours to tell."""
        self.cameras.changed(camera.record.id)
        if self.mine(camera.record.id):
            self._cameras[camera.record.id] = camera

    def learn(
        self,
        camera: Watched,
        delivery: Delivery,
        still: Still,
        standing: Standing,
        *,
        novel: bool,
        own: float = 0.0,
        awaits: CameraId | None = None,
        met: float = 0.0,
        look: SceneId | None = None,
    ) -> Known:
        """A new scene of the camera, first seen in this delivery. The same delivery gives the same scene again."""
        id_ = SceneId(derived_id("sc", delivery.camera, delivery.key.source, delivery.key.id))
        if (learned := camera.scene(id_)) is not None:
            return learned
        record = Scene(
            id_, delivery.camera, delivery.account, standing, delivery.key, delivery.time, delivery.time, 1, b""
        )
        known = Known(
            record, -1, still.digest, novel, own, awaits, met, look or id_, noisy=still.noisy, prefix=still.prefix
        )
        if novel or standing in (Standing.HELD, Standing.UNJUDGED):
            known.attributes = dict(delivery.attributes)
        self._place(camera, known, still.fingerprint)
        self.touch(known)
        return known

    def restand(self, known: Known, standing: Standing) -> None:
        """Change what a scene may be used for; it moves to the list that fits."""
        camera = self.cameras[known.record.camera]
        for scenes in (camera.own, camera.held):
            if known in scenes:
                scenes.remove(known)
        known.record.standing = standing
        (camera.held if standing is Standing.HELD else camera.own).append(known)
        if standing is not Standing.HELD:
            self._await_no_more(known)
            known.awaits = None
        known.visited = False
        self.index.restand(known.row, NUMBER[standing])
        self.touch(known)

    def forget(self, known: Known) -> None:
        """Take a scene out of everything."""
        id_ = known.record.id
        camera = self.cameras[known.record.camera]
        for scenes in (camera.own, camera.held, camera.unjudged):
            if known in scenes:
                scenes.remove(known)
        self.scenes.leave(id_, known.row, camera.number)
        if known.row >= 0:
            self.index.remove(known.row)
        self._await_no_more(known)
        for key in (known.digest, known.prefix):
            if known.record.standing is Standing.UNJUDGED and key in self.digests:
                self.digests[key].pop(id_, None)
                if not self.digests[key]:
                    del self.digests[key]
        self.cameras.changed(camera.record.id)
        self._scenes.pop(id_, None)
        if self.mine(camera.record.id):
            self._removed[id_] = None

    def forget_cameras(self, cameras: Iterable[CameraId]) -> None:
        """Take all scenes of these cameras, one or an account's, out of everything. They are new cameras again."""
        for id_ in cameras:
            camera = self.cameras.get(id_)
            if camera is not None:
                for known in camera.scenes:
                    self.forget(known)
                camera.stills, camera.moves, camera.heir_of = 0, 0, None
                self.changed(camera)

    def forget_before(self, time: datetime) -> None:
        """Take the scenes that were not seen since out of everything; cameras without one are not unpacked."""
        for number in self.cameras.seen_before(micros_of(time)):
            camera = self.cameras.at(number)
            for known in camera.scenes:
                if known.record.last_seen < time:
                    self.forget(known)

    def touch(self, known: Known) -> None:
        """Say that a scene changed, so that the next drain tells it, if it is ours to tell."""
        known.part = None
        self.cameras.changed(known.record.camera)
        if self.mine(known.record.camera):
            self._scenes[known.record.id] = known
            self._removed.pop(known.record.id, None)

    def known(self, camera: CameraId, id_: SceneId) -> Known:
        """A scene of which the camera is known. Raises KeyError."""
        found = self.cameras[camera].scene(id_)
        if found is None:
            raise KeyError(id_)
        return found

    def awaiting(self, camera: CameraId) -> list[Known]:
        """The scenes of other cameras that wait for this one to go on."""
        waiting = self._awaited.get(camera)
        return [self.known(of, id_) for id_, of in waiting.items()] if waiting else []

    def same_bytes(self, digest: bytes) -> list[Known]:
        """The stills without a fingerprint of this digest, of their bytes or of their first ones."""
        return [self.known(origin.camera, id_) for id_, origin in self.digests.get(digest, {}).items()]

    def copies(self, still: Still | Known) -> dict[SceneId, Origin]:
        """Stills without a fingerprint with the same bytes, or the same first bytes: one of the two may be cut off."""
        found = dict(self.digests.get(still.digest, {}))
        if still.prefix:
            found |= self.digests.get(still.prefix, {})
        return found

    def candidates(
        self,
        given: Hypotheses,
        skip: Sequence[int],
        standings: Sequence[int],
        *,
        usual: int = 0,
        whole: int | None = None,
    ) -> NDArray[np.int64]:
        """Rows that a thumbnail is to be compared with: those that share a key with it, or all while they are few.

        The first `usual` placings are common ones, the first of them as it is; the first `whole`, or all of them, are
        looked up by every window.
        """
        if len(self.index) <= FEW:
            return self.index.rows(skip=skip, standings=standings)
        query = lookup(given, scenes=len(self.index), usual=usual, whole=whole, as_is=usual > 0)
        return self.index.candidates(query, skip=skip, standings=standings)

    def candidates_of(
        self, givens: Sequence[Hypotheses], skip: Sequence[int], standings: Sequence[int]
    ) -> list[NDArray[np.int64]]:
        """The same of each of several thumbnails under placings of which none is common."""
        if len(self.index) <= FEW:
            return [self.index.rows(skip=skip, standings=standings)] * len(givens)
        queries = [lookup(given, scenes=len(self.index), whole=WHOLE) for given in givens]
        return [self.index.candidates(query, skip=skip, standings=standings) for query in queries]

    def looked(self, known: Known) -> Looked:
        """The scene made ready for the second look."""
        return Looked(self.index.levels(known.row))

    def seen(self, known: Known, view: View) -> Looked:
        """The same as a view sees it."""
        return Looked(seen(self.index.levels(known.row), view))

    def drain(self) -> tuple[list[Scene], list[SceneId], list[Camera]]:
        """What changed: scenes and cameras as they are now, and scenes to delete."""
        self._compact()
        scenes = []
        for known in self._scenes.values():
            r = known.record
            body = scene_body(head_of(known), self.index.packed(known.row) if known.row >= 0 else None)
            scenes.append(
                Scene(r.id, r.camera, r.account, r.standing, r.delivery, r.first_seen, r.last_seen, r.seen, body)
            )
        cameras = []
        for w in self._cameras.values():
            c = w.record
            cameras.append(Camera(c.id, c.presumed_owner, c.first_seen, c.last_seen, camera_body(w)))
        removed = list(self._removed)
        self._scenes.clear()
        self._removed.clear()
        self._cameras.clear()
        self.cameras.settle()
        return scenes, removed, cameras

    def restore(self, cameras: Iterable[Camera], scenes: Iterable[Scene], image: Image | None = None) -> None:
        """Take up what was drained, in any order.

        What an image holds of a camera or a scene is not read. Which there are, and how they stand, these say.
        """
        if image is not None:
            self.index = image.index
        Restoring(self.cameras, self.scenes, self.index).run(cameras, scenes, image)
        found = [known for number in self.cameras.flagged(REACHED) for known in self._scenes_of(number)]
        for known in sorted(found, key=lambda k: (k.record.first_seen, k.record.id)):
            self._note(known)
        self.cameras.settle()

    def presumed(self) -> Iterator[tuple[CameraId, AccountId]]:
        """The cameras with a presumed owner, as they were when they were last packed."""
        for number in self.cameras.flagged(PRESUMED):
            yield names_in(self.cameras.record(number))

    @property
    def latest(self) -> datetime | None:
        """Delivery time of the latest delivery of any camera, None before the first."""
        latest = self.cameras.latest
        return None if latest is None else moment(latest)

    def fold(self, learned: Learned) -> None:
        """Take up what another matcher has learned of its cameras. The same twice changes nothing."""
        for camera in learned.cameras:
            self._renew_camera(camera)
        for known in [self.scenes[id_] for id_ in learned.removed if id_ in self.scenes]:
            if not self.mine(known.record.camera):
                self.forget(known)
        self._renew_scenes([scene for scene in learned.scenes if not self.mine(scene.camera)])

    def parts(self) -> dict[str, Any]:
        """What `Image.of` makes an image of, as buffers, the records as pieces of one; models/index.py says how long
        they are true."""
        keys, numbers = self.scenes.places.parts()
        return self.index.parts() | self.cameras.parts() | {"scene_keys": keys, "scene_numbers": numbers}

    def visit(self, known: Known) -> None:
        """A held look that came twice in a row, in different bytes, may name its camera as an owner."""
        known.visited = True
        self.index.restand(known.row, VISITED)
        self.touch(known)

    def _renew_camera(self, camera: Camera) -> None:
        if self.mine(camera.id):
            return
        record = Camera(camera.id, camera.presumed_owner, camera.first_seen, camera.last_seen, b"")
        watched = self.cameras.get_or_add(record)
        self.cameras.changed(camera.id)
        watched.record, watched.heir_of, watched.claims = record, None, []
        watched.ring.clear()
        read_camera(watched, camera.body)

    def _renew_scenes(self, scenes: Iterable[Scene]) -> None:
        entered: list[Known] = []
        fresh: Fresh = []
        for scene in scenes:
            now, packed = read_scene(scene)
            camera = self.cameras.get_or_add(Camera(scene.camera, None, scene.first_seen, scene.last_seen, b""))
            self.cameras.changed(scene.camera)
            if (before := camera.scene(scene.id)) is not None:
                self._renew_scene(before, now)
                continue
            entered.append(now)
            if packed is not None:
                fresh.append((now, camera.number, packed))
        if fresh:
            thumbs = thumbs_of(fresh)
            enter(self.index, fresh, thumbs, signs_of(thumbs))
        for known in entered:
            self._enter(known)

    def _renew_scene(self, known: Known, now: Known) -> None:
        camera, standing = self.cameras[known.record.camera], known.record.standing
        self._await_no_more(known)
        renew(known, now)
        self._note(known)
        if known.row >= 0 and now.record.standing is not standing:
            for scenes in (camera.own, camera.held):
                if known in scenes:
                    scenes.remove(known)
            (camera.held if now.record.standing is Standing.HELD else camera.own).append(known)
        if known.row >= 0:
            self.index.restand(known.row, number_of(known))

    def _place(self, camera: Watched, known: Known, found: Fingerprint | None) -> None:
        if found is not None and known.record.standing is not Standing.UNJUDGED:
            known.row = self.index.insert(found.code, found.mask, camera.number, number_of(known), found.stored)
        self._enter(known)

    def _enter(self, known: Known) -> None:
        """Enter a scene that has its row, or none, everywhere else."""
        record, camera = known.record, self.cameras[known.record.camera]
        self.scenes.enter(record.id, known.row, camera.number)
        if known.row < 0:
            camera.unjudged.append(known)
        else:
            (camera.held if record.standing is Standing.HELD else camera.own).append(known)
        self._note(known)

    def _note(self, known: Known) -> None:
        """Note by what a scene is found beside its row: its digests where it has no row, the camera that it awaits."""
        r = known.record
        if known.awaits is not None:
            self._awaited.setdefault(known.awaits, {})[r.id] = r.camera
        for key in (known.digest, known.prefix) if known.row < 0 else ():
            if key:
                self.digests.setdefault(key, {})[r.id] = Origin(r.camera, r.account)

    def _await_no_more(self, known: Known) -> None:
        if known.awaits is not None and (waiting := self._awaited.get(known.awaits)) is not None:
            waiting.pop(known.record.id, None)
            if not waiting:
                del self._awaited[known.awaits]

    def _scenes_of(self, number: int) -> list[Known]:
        return unpack(self.cameras.record(number), number, self._row_of).scenes

    def _owner_of(self, row: int) -> int:
        return self.index.owner(row)

    def _row_of(self, id_: SceneId, number: int) -> int:
        return self.scenes.row_of(id_, number)

    def _compact(self) -> None:
        """Give memory back when most rows are free; between batches, when nobody holds a row's number."""
        numbers = self.index.compact()
        if numbers is not None:
            self.scenes.places.renumber(numbers)
            self.cameras.renumber(numbers)


def worth(known: Known) -> tuple[bool, object, str]:
    """The order in which a camera's scenes are given up: single looks first, then what was not seen for longest."""
    return known.record.standing is Standing.CONFIRMED, known.record.last_seen, known.record.id
