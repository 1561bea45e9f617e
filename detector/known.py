"""A scene and a camera as the engine has them in memory, and the byte forms in which the store keeps them.

Owns what is known of each beside its record, and the versioned bytes of that. Refuses to decide anything.
"""

from __future__ import annotations

import json
import struct
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.fingerprint import packed_body, packed_of
from models.records import AccountId, CameraId, Delivery, DeliveryId, SceneId
from models.scene import Camera, Scene, Standing

FORM: Final = 1
"""Version of the byte form of scenes."""
_HEAD: Final = struct.Struct("<BH")
"""The form, and how many bytes the head takes."""
CAMERA_FORM: Final = 2
"""Version of the byte form of cameras. In the first one the text behind the ring was `heir_of` alone."""

NUMBER: Final = {Standing.ONCE: 0, Standing.CONFIRMED: 1, Standing.HELD: 2}
"""What the index calls the standings that have a thumbnail."""
VISITED: Final = 3
"""What the index calls a held look that came twice in different bytes: the camera's own, though it may not stay."""


class Part(NamedTuple):
    """A scene as it is packed. `order` is when it was first seen, and its id. `reached`: otherwise than by its row, or
    so it seems. `mark` says what it is (detector/packed.py)."""

    standing: Standing
    order: tuple[int, SceneId]
    last_seen: int
    reached: bool
    mark: int
    body: bytes


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
    a held one, and `clues` the figures that it came from, in the order of `models.shift.FEATURES`. `part` is what it is
    packed as (detector/packed.py), until it changes.
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
    clues: tuple[float, ...] = ()
    part: Part | None = field(default=None, compare=False, repr=False)

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
    `claims` are its first deliveries while nothing tells whose camera it is: the presumed owner's only one, and another
    account's (detector/engine.py).
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
    claims: list[Delivery] = field(default_factory=list)

    @property
    def scenes(self) -> list[Known]:
        """All of them."""
        return [*self.own, *self.held, *self.unjudged]

    def scene(self, id_: SceneId) -> Known | None:
        """The one of this id, if it has one."""
        return next((known for known in self.scenes if known.record.id == id_), None)

    @property
    def confirmed(self) -> bool:
        """Whether any of its own scenes was seen again."""
        return any(k.record.standing is Standing.CONFIRMED for k in self.own)


def number_of(known: Known) -> int:
    """What the index calls a scene's standing."""
    return VISITED if known.visited else NUMBER[known.record.standing]


def scene_body(head: bytes, packed: NDArray[np.uint8] | None) -> bytes:
    """What the store keeps of a scene beside its record: its head and its thumbnail, if it has one."""
    body = _HEAD.pack(FORM, len(head)) + head
    return body if packed is None else body + packed_body(packed)


def head_of(known: Known) -> bytes:
    """What a scene's body says before its thumbnail, as JSON."""
    return json.dumps({"d": known.digest.hex(), **said_of(known)}, separators=(",", ":")).encode()


def said_of(known: Known) -> dict[str, object]:
    """What there is to say of a scene beside its record and its digest."""
    meta: dict[str, object] = {}
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
    if known.clues:
        meta["e"] = known.clues
    if known.attributes:
        meta["a"] = dict(known.attributes)
    return meta


def head_in(body: bytes) -> bytes:
    """What `head_of` said, of a body."""
    return body[_HEAD.size : _HEAD.size + int.from_bytes(body[1 : _HEAD.size], "little")]


def read_scene(s: Scene) -> tuple[Known, NDArray[np.uint8] | None]:
    """The scene whose `body` is what `scene_body` gave, without a row, and its packed thumbnail."""
    head = head_in(s.body)
    rest = s.body[_HEAD.size + len(head) :]
    record = Scene(s.id, s.camera, s.account, s.standing, s.delivery, s.first_seen, s.last_seen, s.seen, b"")
    return read_head(record, json.loads(head)), packed_of(rest) if rest else None


def read_head(record: Scene, meta: Mapping[str, Any]) -> Known:
    """The scene of which `head_of` said this, without a row."""
    return Known(
        record,
        -1,
        bytes.fromhex(meta["d"]),
        meta.get("n", False),
        meta.get("o", 0.0),
        CameraId(meta["w"]) if "w" in meta else None,
        meta.get("m", 0.0),
        SceneId(meta.get("l", record.id)),
        meta.get("r", False),
        meta.get("v", False),
        meta.get("y", False),
        bytes.fromhex(meta.get("p", "")),
        meta.get("a", {}),
        meta.get("i", False),
        meta.get("q", 0.0),
        tuple(meta.get("e", ())),
    )


def renew(known: Known, now: Known) -> None:
    """Bring a scene to how it stands elsewhere by now. Its row stays: a scene's thumbnail is ever the same."""
    for each in fields(Known):
        if each.name != "row":
            setattr(known, each.name, getattr(now, each.name))


_BYTES: Final = [bytes([value]) for value in range(256)]


def camera_body(w: Watched) -> bytes:
    """What the store keeps of a camera beside its record."""
    ring = b"".join([key + _BYTES[verdict] for key, verdict in w.ring.items()])
    meta: dict[str, object] = {}
    if w.heir_of is not None:
        meta["h"] = w.heir_of
    if w.claims:
        meta["c"] = [[c.key.source, c.key.id, c.time.isoformat(), c.account, dict(c.attributes)] for c in w.claims]
    tail = json.dumps(meta, separators=(",", ":")).encode() if meta else b""
    return struct.pack("<BIIB", CAMERA_FORM, w.stills, w.moves, len(w.ring)) + ring + tail


def read_camera(w: Watched, body: bytes) -> None:
    """Take up what `camera_body` gave."""
    if not body:
        return
    form, w.stills, w.moves, count = struct.unpack_from("<BIIB", body)
    at = struct.calcsize("<BIIB")
    for k in range(count):
        entry = body[at + 9 * k : at + 9 * k + 9]
        w.ring[entry[:8]] = entry[8]
    tail = body[at + 9 * count :].decode()
    if form == 1:
        w.heir_of = CameraId(tail) or None
    elif tail:
        meta = json.loads(tail)
        w.heir_of = CameraId(meta["h"]) if "h" in meta else None
        w.claims = [
            Delivery(DeliveryId(source, id_), datetime.fromisoformat(time), AccountId(account), w.record.id, attributes)
            for source, id_, time, account, attributes in meta.get("c", ())
        ]
