"""What the engine knows while it runs: cameras, their scenes, and what changed of them since the last drain.

Owns the numbering of cameras, the rows of the index, the byte forms that the store keeps, and the digests of stills
that cannot be compared. Refuses to decide. Everything here can be rebuilt from the records that it drains.
"""

from __future__ import annotations

import json
import struct
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

import numpy as np

from models.fingerprint import Fingerprint, Still
from models.index import Index
from models.records import CameraId, Delivery, DeliveryId, SceneId, Verdict, derived_id
from models.registration import Looked
from models.scene import Camera, Scene, Standing
from models.view import View, seen

RING: Final = 16
"""Deliveries a camera remembers, so that the same one given twice changes nothing. Producers repeat within seconds."""
FORM: Final = 1
"""Version of the byte forms of scenes and cameras."""
NUMBER: Final = {Standing.ONCE: 0, Standing.CONFIRMED: 1, Standing.HELD: 2}
"""What the index calls the standings that have a thumbnail."""
VISITED: Final = 3
"""What the index calls a held look that came twice in different bytes: the camera's own, though it may not stay."""
WHOSE: Final = (NUMBER[Standing.CONFIRMED], VISITED)
"""Standings of rows that may name an owner."""
VERDICTS: Final = tuple(Verdict)


@dataclass(slots=True)
class Known:
    """A scene in memory. `row` is its place in the index, -1 for one that has a digest only.

    `digest` is of the last still that showed it. `novel` says that nothing explained it when it came: such a scene
    may turn out to be another account's; `own` is its best score against its camera's own scenes then. `awaits` names
    the camera whose scene a cold recipient was shown, at the score `met`. `look` is the first held scene of the same
    look, `returned` says that the camera's own scene has been seen since, `visited` that the
    look came twice in a row. `attributes` are the delivery's, kept while
    the scene may still be accused. `noisy` is of a still without a fingerprint. `lives` says that its camera showed it
    with changes that no new encoding makes (detector/placeholder.py). `probability` is the scene-shift model's word on
    a held one.
    """

    record: Scene
    row: int
    digest: bytes
    novel: bool = False
    own: float = 0.0
    awaits: CameraId | None = None
    met: float = 0.0
    look: SceneId | None = None
    returned: bool = False
    visited: bool = False
    noisy: bool = False
    prefix: bytes = b""
    attributes: Mapping[str, str] = field(default_factory=dict)
    lives: bool = False
    probability: float = 0.0

    @property
    def delivery(self) -> Delivery:
        """The delivery that it was first seen in."""
        r = self.record
        return Delivery(r.delivery, r.first_seen, r.account, r.camera, dict(self.attributes))


@dataclass(slots=True)
class Watched:
    """A camera in memory. `own` explains its stills; `held` waits; `unjudged` has digests only.

    `stills` counts its stills in different bytes; `moves` how often its scene became another one and stayed. `heir_of`
    names the camera whose scenes it goes on with, while that one has fallen silent (a re-enrolment candidate).
    """

    record: Camera
    number: int
    own: list[Known] = field(default_factory=list)
    held: list[Known] = field(default_factory=list)
    unjudged: list[Known] = field(default_factory=list)
    stills: int = 0
    moves: int = 0
    heir_of: CameraId | None = None
    ring: OrderedDict[bytes, int] = field(default_factory=OrderedDict)

    @property
    def confirmed(self) -> bool:
        """Whether any of its own scenes was seen again."""
        return any(k.record.standing is Standing.CONFIRMED for k in self.own)


def ticket(key: DeliveryId) -> bytes:
    """Eight bytes that stand for a delivery in a camera's ring."""
    return blake2b(str(key).encode(), digest_size=8).digest()


class Memory:
    """All cameras and scenes. What it hands out is live: say `touch` after changing it.

    `few` says that so few scenes will be held that a search may compare them all, whatever keys they share.
    """

    def __init__(self, *, few: bool = False) -> None:
        self.index = Index()
        self.few = few
        self.cameras: dict[CameraId, Watched] = {}
        self.by_number: list[Watched] = []
        self.scenes: dict[SceneId, Known] = {}
        self.at_row: dict[int, Known] = {}
        self.awaited: dict[CameraId, dict[SceneId, Known]] = defaultdict(dict)
        self.digests: dict[bytes, dict[SceneId, Known]] = defaultdict(dict)
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
        """Say that a camera changed, so that the next drain tells it."""
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
        self._removed[id_] = None

    def touch(self, known: Known) -> None:
        """Say that a scene changed, so that the next drain tells it."""
        self._scenes[known.record.id] = None
        self._removed.pop(known.record.id, None)

    def copies(self, still: Still) -> dict[SceneId, Known]:
        """Stills without a fingerprint with the same bytes, or the same first bytes: one of the two may be cut off."""
        found = dict(self.digests.get(still.digest, {}))
        if still.prefix:
            found |= self.digests.get(still.prefix, {})
        return found

    def looked(self, known: Known) -> Looked:
        """The scene made ready for the second look."""
        return Looked(self.index.levels(known.row))

    def seen(self, known: Known, view: View) -> Looked:
        """The same as a view sees it."""
        return Looked(seen(self.index.levels(known.row), view))

    def drain(self) -> tuple[list[Scene], list[SceneId], list[Camera]]:
        """What changed: scenes and cameras as they are now, and scenes to delete."""
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
                    self._body(known),
                )
            )
        cameras = []
        for cid in self._cameras:
            w = self.cameras[cid]
            c = w.record
            cameras.append(Camera(c.id, c.presumed_owner, c.first_seen, c.last_seen, _camera_body(w)))
        removed = list(self._removed)
        self._scenes.clear()
        self._removed.clear()
        self._cameras.clear()
        return scenes, removed, cameras

    def restore(self, cameras: Iterable[Camera], scenes: Iterable[Scene]) -> None:
        """Take up what was drained, in any order."""
        for camera in cameras:
            watched = self._add(Camera(camera.id, camera.presumed_owner, camera.first_seen, camera.last_seen, b""))
            _read_camera(watched, camera.body)
        for scene in sorted(scenes, key=lambda s: (s.first_seen, s.id)):
            if scene.camera not in self.cameras:
                self._add(Camera(scene.camera, None, scene.first_seen, scene.last_seen, b""))
            self._restore_scene(scene)

    def visit(self, known: Known) -> None:
        """A held look that came twice in a row, in different bytes, may name its camera as an owner."""
        known.visited = True
        self.index.restand(known.row, VISITED)
        self.touch(known)

    def _restore_scene(self, s: Scene) -> None:
        length = struct.unpack_from("<BH", s.body)[1]
        meta = json.loads(s.body[3 : 3 + length])
        rest = s.body[3 + length :]
        record = Scene(s.id, s.camera, s.account, s.standing, s.delivery, s.first_seen, s.last_seen, s.seen, b"")
        known = Known(
            record,
            -1,
            bytes.fromhex(meta["d"]),
            meta.get("n", False),
            meta.get("o", 0.0),
            CameraId(meta["w"]) if "w" in meta else None,
            meta.get("m", 0.0),
            SceneId(meta.get("l", s.id)),
            meta.get("r", False),
            meta.get("v", False),
            meta.get("y", False),
            bytes.fromhex(meta.get("p", "")),
            meta.get("a", {}),
            meta.get("i", False),
            meta.get("q", 0.0),
        )
        self._place(self.cameras[s.camera], known, Fingerprint.from_bytes(rest) if rest else None)

    def _body(self, known: Known) -> bytes:
        meta: dict[str, object] = {"d": known.digest.hex()}
        if known.novel:
            meta["n"] = True
        if known.own:
            meta["o"] = known.own
        if known.awaits is not None:
            meta["w"] = known.awaits
        if known.met:
            meta["m"] = known.met
        if known.look != known.record.id:
            meta["l"] = known.look
        if known.returned:
            meta["r"] = True
        if known.visited:
            meta["v"] = True
        if known.noisy:
            meta["y"] = True
        if known.row < 0 and known.prefix:
            meta["p"] = known.prefix.hex()
        if known.lives:
            meta["i"] = True
        if known.probability:
            meta["q"] = known.probability
        if known.attributes:
            meta["a"] = dict(known.attributes)
        head = json.dumps(meta, separators=(",", ":")).encode()
        body = struct.pack("<BH", FORM, len(head)) + head
        if known.row >= 0:
            levels = self.index.levels(known.row)
            body += Fingerprint(levels, _NONE, _NONE, 0.0, 0).to_bytes()
        return body

    def _add(self, record: Camera) -> Watched:
        watched = Watched(record, len(self.by_number))
        self.cameras[record.id] = watched
        self.by_number.append(watched)
        return watched

    def _place(self, camera: Watched, known: Known, found: Fingerprint | None) -> None:
        standing = known.record.standing
        self.scenes[known.record.id] = known
        if found is not None and standing is not Standing.UNJUDGED:
            number = VISITED if known.visited else NUMBER[standing]
            known.row = self.index.insert(found.code, found.mask, camera.number, number, found.levels)
            self.at_row[known.row] = known
            (camera.held if standing is Standing.HELD else camera.own).append(known)
        else:
            camera.unjudged.append(known)
            for key in (known.digest, known.prefix):
                if key:
                    self.digests[key][known.record.id] = known
        if known.awaits is not None:
            self.awaited[known.awaits][known.record.id] = known


def worth(known: Known) -> tuple[bool, object, str]:
    """The order in which a camera's scenes are given up: single looks first, then what was not seen for longest."""
    return known.record.standing is Standing.CONFIRMED, known.record.last_seen, known.record.id


_NONE: Final = np.zeros(0, np.uint64)


def _camera_body(w: Watched) -> bytes:
    ring = b"".join(key + bytes([verdict]) for key, verdict in w.ring.items())
    return struct.pack("<BIIB", FORM, w.stills, w.moves, len(w.ring)) + ring + (w.heir_of or "").encode()


def _read_camera(w: Watched, body: bytes) -> None:
    if not body:
        return
    _, w.stills, w.moves, count = struct.unpack_from("<BIIB", body)
    at = struct.calcsize("<BIIB")
    for k in range(count):
        entry = body[at + 9 * k : at + 9 * k + 9]
        w.ring[entry[:8]] = entry[8]
    w.heir_of = CameraId(body[at + 9 * count :].decode()) or None
