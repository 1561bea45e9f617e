"""What the engine knows while it runs: cameras, their scenes, and what changed of them since the last drain.

Owns the numbering of cameras, the rows of the index, and the digests of stills that cannot be compared. Refuses to
decide. Everything here can be rebuilt from the records that it drains; an image of it shortens that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import blake2b
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detector.known import Known, Watched, camera_body, read_camera, read_scene, renew, scene_body
from detector.learned import Learned, Mine, every
from models.code import Hypotheses, code_of
from models.fingerprint import Fingerprint, Still
from models.index import FREE, Index
from models.keys import keys_of, lookup, lookups
from models.packing import unpack
from models.records import CameraId, Delivery, DeliveryId, SceneId, Verdict, derived_id
from models.registration import Looked
from models.scene import Camera, Scene, Standing
from models.view import View, seen

RING: Final = 16
"""Deliveries a camera remembers, so that the same one given twice changes nothing. Producers repeat within seconds."""
BATCH: Final = 1000
"""Scenes that are entered into the index at once when the store is read: some megabytes."""
NUMBER: Final = {Standing.ONCE: 0, Standing.CONFIRMED: 1, Standing.HELD: 2}
"""What the index calls the standings that have a thumbnail."""
VISITED: Final = 3
"""What the index calls a held look that came twice in different bytes: the camera's own, though it may not stay."""
WHOSE: Final = (NUMBER[Standing.CONFIRMED], VISITED)
"""Standings of rows that may name an owner."""
VERDICTS: Final = tuple(Verdict)
FEW: Final = 10_000
"""Scenes up to which a search compares all of them, whatever keys they share: 177 placings of a still take no longer
than its keys do (2 ns a row and placing), and some pictures that are spoiled all over share no key with their scene."""
ID: Final = "S35"
"""A scene's id in an image (models/records.py, `derived_id`)."""


def ticket(key: DeliveryId) -> bytes:
    """Eight bytes that stand for a delivery in a camera's ring."""
    return blake2b(str(key).encode(), digest_size=8).digest()


@dataclass(frozen=True, slots=True)
class Image:
    """What was kept of a memory to start from sooner: its index, and by row the scene that is there (empty: none)."""

    index: Index
    ids: NDArray[np.bytes_]

    @classmethod
    def of(cls, parts: Mapping[str, NDArray[Any]]) -> Image:
        """From `Memory.parts`. Raises ValueError for parts that do not fit together or to this program."""
        index, ids = Index.of(parts), parts["ids"]
        if ids.shape != parts["camera"].shape:
            raise ValueError(f"{len(ids)} scenes for {len(parts['camera'])} rows")
        if not index.genuine():
            raise ValueError("another version's codes or keys")
        return cls(index, ids)


class Memory:
    """All cameras and scenes. What it hands out is live: say `touch` after changing it."""

    def __init__(self, mine: Mine = every) -> None:
        self.mine = mine
        self.index = Index()
        self.cameras: dict[CameraId, Watched] = {}
        self.by_number: list[Watched] = []
        self.scenes: dict[SceneId, Known] = {}
        self.at_row: dict[int, Known] = {}
        self.awaited: dict[CameraId, dict[SceneId, Known]] = defaultdict(dict)
        self.digests: dict[bytes, dict[SceneId, Known]] = defaultdict(dict)
        self._by_day: dict[date, list[SceneId]] = defaultdict(list)
        self._scenes: dict[SceneId, None] = {}
        self._removed: dict[SceneId, None] = {}
        self._cameras: dict[CameraId, None] = {}

    def numbers(self, cameras: Iterable[CameraId]) -> list[int]:
        """The index's numbers of those cameras that are known, in order, each once."""
        return sorted({self.cameras[id_].number for id_ in cameras if id_ in self.cameras})

    def camera(self, delivery: Delivery) -> Watched:
        """The camera that a delivery claims to show, new or known."""
        found = self.cameras.get(delivery.camera)
        if found is None:
            found = self._add(Camera(delivery.camera, None, delivery.time, delivery.time, b""))
        return found

    def changed(self, camera: Watched) -> None:
        """Say that a camera changed, so that the next drain tells it, if it is ours to tell."""
        if self.mine(camera.record.id):
            self._cameras[camera.record.id] = None

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
        if id_ in self.scenes:
            return self.scenes[id_]
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
        if standing is not Standing.HELD and known.awaits is not None:
            self.awaited[known.awaits].pop(known.record.id, None)
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
        if known.row >= 0:
            self.index.remove(known.row)
            del self.at_row[known.row]
        if known.awaits is not None:
            self.awaited[known.awaits].pop(id_, None)
        for key in (known.digest, known.prefix):
            if known.record.standing is Standing.UNJUDGED and key in self.digests:
                self.digests[key].pop(id_, None)
                if not self.digests[key]:
                    del self.digests[key]
        del self.scenes[id_]
        self._scenes.pop(id_, None)
        if self.mine(camera.record.id):
            self._removed[id_] = None

    def forget_cameras(self, cameras: Iterable[CameraId]) -> None:
        """Take all scenes of these cameras, one or an account's, out of everything. They are new cameras again."""
        for id_ in cameras:
            camera = self.cameras.get(id_)
            if camera is not None:
                for known in [*camera.own, *camera.held, *camera.unjudged]:
                    self.forget(known)
                camera.stills, camera.moves, camera.heir_of = 0, 0, None
                self.changed(camera)

    def forget_before(self, time: datetime) -> None:
        """Take the scenes that were not seen since out of everything; the others are not looked at, but for those that
        have been seen again since they were last due."""
        for day in sorted(day for day in self._by_day if day <= time.date()):
            for id_ in self._by_day.pop(day):
                known = self.scenes.get(id_)
                if known is not None and known.record.last_seen < time:
                    self.forget(known)
                elif known is not None:
                    self._by_day[known.record.last_seen.date()].append(id_)

    def touch(self, known: Known) -> None:
        """Say that a scene changed, so that the next drain tells it, if it is ours to tell."""
        if self.mine(known.record.camera):
            self._scenes[known.record.id] = None
            self._removed.pop(known.record.id, None)

    def copies(self, still: Still | Known) -> dict[SceneId, Known]:
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
        queries = lookups(givens, scenes=len(self.index))
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
        for id_ in self._scenes:
            known = self.scenes[id_]
            r = known.record
            scenes.append(
                Scene(
                    r.id,
                    r.camera,
                    r.account,
                    r.standing,
                    r.delivery,
                    r.first_seen,
                    r.last_seen,
                    r.seen,
                    scene_body(known, self.index.packed(known.row) if known.row >= 0 else None),
                )
            )
        cameras = []
        for cid in self._cameras:
            w = self.cameras[cid]
            c = w.record
            cameras.append(Camera(c.id, c.presumed_owner, c.first_seen, c.last_seen, camera_body(w)))
        removed = list(self._removed)
        self._scenes.clear()
        self._removed.clear()
        self._cameras.clear()
        return scenes, removed, cameras

    def restore(self, cameras: Iterable[Camera], scenes: Iterable[Scene], image: Image | None = None) -> None:
        """Take up what was drained, in any order.

        What an image holds of a scene is not computed anew. Which scenes there are, and how they stand, these say.
        """
        for camera in cameras:
            watched = self._add(Camera(camera.id, camera.presumed_owner, camera.first_seen, camera.last_seen, b""))
            read_camera(watched, camera.body)
        found, fresh = [], []
        rows, kept = self._open(image)
        for scene in scenes:
            known, packed = read_scene(scene)
            if scene.camera not in self.cameras:
                self._add(Camera(scene.camera, None, scene.first_seen, scene.last_seen, b""))
            found.append(known)
            row = rows.get(scene.id.encode())
            if packed is not None and row is not None and self.index.holds(row, packed):
                known.row = row
                kept[0][row], kept[1][row] = self.cameras[scene.camera].number, _number(known)
            elif packed is not None:
                fresh.append((known, packed))
                if len(fresh) == BATCH:
                    self._extend(fresh)
        self._extend(fresh)
        self.index.assign(*kept)
        for known in sorted(found, key=lambda k: (k.record.first_seen, k.record.id)):
            self._enter(known)

    def fold(self, learned: Learned) -> None:
        """Take up what another matcher has learned of its cameras. The same twice changes nothing."""
        for camera in learned.cameras:
            self._renew_camera(camera)
        for known in [self.scenes[id_] for id_ in learned.removed if id_ in self.scenes]:
            if not self.mine(known.record.camera):
                self.forget(known)
        self._renew_scenes([scene for scene in learned.scenes if not self.mine(scene.camera)])

    def parts(self) -> dict[str, NDArray[Any]]:
        """What `Image.of` makes an image of, as buffers; models/index.py says how long they are true."""
        parts = self.index.parts()
        ids = np.zeros(len(parts["camera"]), ID)
        rows = np.fromiter(self.at_row, np.int64, len(self.at_row))
        ids[rows] = np.array([known.record.id for known in self.at_row.values()], ID)
        return parts | {"ids": ids}

    def visit(self, known: Known) -> None:
        """A held look that came twice in a row, in different bytes, may name its camera as an owner."""
        known.visited = True
        self.index.restand(known.row, VISITED)
        self.touch(known)

    def _renew_camera(self, camera: Camera) -> None:
        if self.mine(camera.id):
            return
        record = Camera(camera.id, camera.presumed_owner, camera.first_seen, camera.last_seen, b"")
        watched = self.cameras.get(camera.id) or self._add(record)
        watched.record, watched.heir_of, watched.claims = record, None, []
        watched.ring.clear()
        read_camera(watched, camera.body)

    def _renew_scenes(self, scenes: Iterable[Scene]) -> None:
        entered, fresh = [], []
        for scene in scenes:
            now, packed = read_scene(scene)
            if scene.camera not in self.cameras:
                self._add(Camera(scene.camera, None, scene.first_seen, scene.last_seen, b""))
            if scene.id in self.scenes:
                self._renew_scene(self.scenes[scene.id], now)
                continue
            entered.append(now)
            if packed is not None:
                fresh.append((now, packed))
        self._extend(fresh)
        for known in entered:
            self._enter(known)

    def _renew_scene(self, known: Known, now: Known) -> None:
        camera, standing = self.cameras[known.record.camera], known.record.standing
        if known.awaits is not None:
            self.awaited[known.awaits].pop(known.record.id, None)
        renew(known, now)
        if known.awaits is not None:
            self.awaited[known.awaits][known.record.id] = known
        if known.row >= 0 and now.record.standing is not standing:
            for scenes in (camera.own, camera.held):
                if known in scenes:
                    scenes.remove(known)
            (camera.held if now.record.standing is Standing.HELD else camera.own).append(known)
        if known.row >= 0:
            self.index.restand(known.row, _number(known))

    def _add(self, record: Camera) -> Watched:
        watched = Watched(record, len(self.by_number))
        self.cameras[record.id] = watched
        self.by_number.append(watched)
        return watched

    def _place(self, camera: Watched, known: Known, found: Fingerprint | None) -> None:
        if found is not None and known.record.standing is not Standing.UNJUDGED:
            known.row = self.index.insert(found.code, found.mask, camera.number, _number(known), found.stored)
        self._enter(known)

    def _enter(self, known: Known) -> None:
        """Enter a scene that has its row, or none, everywhere else."""
        record, camera = known.record, self.cameras[known.record.camera]
        self.scenes[record.id] = known
        self._by_day[record.last_seen.date()].append(record.id)
        if known.row >= 0:
            self.at_row[known.row] = known
            (camera.held if record.standing is Standing.HELD else camera.own).append(known)
        else:
            camera.unjudged.append(known)
            for key in (known.digest, known.prefix):
                if key:
                    self.digests[key][record.id] = known
        if known.awaits is not None:
            self.awaited[known.awaits][record.id] = known

    def _open(self, image: Image | None) -> tuple[dict[bytes, int], tuple[NDArray[np.int32], NDArray[np.uint8]]]:
        """Take an image's index. The row of each scene in it; each row's camera and standing, still to be filled in."""
        if image is None:
            return {}, (np.zeros(0, np.int32), np.zeros(0, np.uint8))
        self.index = image.index
        rows = {id_: row for row, id_ in enumerate(image.ids.tolist()) if id_}
        return rows, (np.full(len(image.ids), FREE, np.int32), np.zeros(len(image.ids), np.uint8))

    def _extend(self, fresh: list[tuple[Known, NDArray[np.uint8]]]) -> None:
        """Give rows to scenes that have none, and empty the list."""
        if not fresh:
            return
        levels = [unpack(packed) for _, packed in fresh]
        codes, masks = zip(*map(code_of, levels), strict=True)
        rows = self.index.extend(
            np.array(codes),
            np.array(masks),
            np.array([self.cameras[known.record.camera].number for known, _ in fresh], np.int32),
            np.array([_number(known) for known, _ in fresh], np.uint8),
            np.array([packed for _, packed in fresh]),
            np.array([keys_of(each) for each in levels]).T,
        )
        for (known, _), row in zip(fresh, rows, strict=True):
            known.row = row
        fresh.clear()

    def _compact(self) -> None:
        """Give memory back when most rows are free; between batches, when nobody holds a row's number."""
        numbers = self.index.compact()
        if numbers is not None:
            for known in self.at_row.values():
                known.row = int(numbers[known.row])
            self.at_row = {known.row: known for known in self.at_row.values()}


def _number(known: Known) -> int:
    """What the index calls a scene's standing."""
    return VISITED if known.visited else NUMBER[known.record.standing]


def worth(known: Known) -> tuple[bool, object, str]:
    """The order in which a camera's scenes are given up: single looks first, then what was not seen for longest."""
    return known.record.standing is Standing.CONFIRMED, known.record.last_seen, known.record.id
