"""A camera with its scenes as bytes: how those are kept that are not seen just now, here and in the snapshot.

Owns that byte form and the *marks*: 64 bits that say what a camera or a scene is, so that two that have one mark are
the same. Thumbnails lie in the index, and a scene's row there is not written down either: so a record says no more than
the store does. Refuses to look anything up.

A record, integers little-endian, is `_HEAD`, the mark of each scene (8 bytes), the length of the camera's part and of
each scene's (4 each), then these parts, and zeros up to a multiple of 8. Scenes come in the order of the camera's
lists.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detector.known import Known, Part, Watched, camera_body, head_in, head_of, read_camera, read_head, said_of
from models.records import AccountId, CameraId, DeliveryId, SceneId, utc
from models.scene import Camera, Scene, Standing

_HEAD: Final = struct.Struct("<HHHHqqq")
"""Flags; how many scenes are its own, held and unjudged; when the camera was last seen, and when that scene was which
was not seen for longest (microseconds since 1970; `NEVER` without a scene); the camera's mark."""
_SCENE: Final = struct.Struct("<BBqqqHHHH")
"""Flags, standing, first seen, last seen, times seen; bytes of the id, account, source and id of the delivery."""
_CAMERA: Final = struct.Struct("<BqqHH")
"""Flags, first seen, last seen; bytes of the id and of the presumed owner."""
NEVER: Final = (1 << 63) - 1
"""Last seen: no scene."""
PRESUMED, REACHED = 1, 2
"""Flags of a record: it has a presumed owner; it has scenes that are reached otherwise than by their row."""
_HEX_ID, _PLAIN = 1, 2
"""Flags of a scene: its id is `sc-` and these bytes in hex; nothing is said of it but its digest."""
_PLAIN_HEAD: Final = (b'{"d":"', b'"}')
_DIGEST: Final = 16
_PLAIN_BYTES: Final = sum(map(len, _PLAIN_HEAD)) + 2 * _DIGEST
_HEX_BYTES: Final = 35
_STANDINGS: Final = tuple(Standing)
_NUMBER: Final = {standing: number for number, standing in enumerate(_STANDINGS)}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

RowOf = Callable[[SceneId, int], int]
"""The row of a scene of a camera's number."""


class Marks(NamedTuple):
    """What many records say at a glance: of each camera its mark, when it was last seen, and when that scene of it was
    which was not seen for longest; of each scene its mark, in which record it lies, and as which of its scenes."""

    cameras: NDArray[np.int64]
    last_seen: NDArray[np.int64]
    oldest: NDArray[np.int64]
    scenes: NDArray[np.int64]
    record: NDArray[np.int64]
    place: NDArray[np.int64]


def mark_of_scene(scene: Scene) -> int:
    """The mark of a scene as the store has it."""
    head = head_in(scene.body)
    before, after = _PLAIN_HEAD
    if len(head) == _PLAIN_BYTES and head.startswith(before) and head.endswith(after):
        digest = _unhexed(head[len(before) : -len(after)])
        if digest is not None:
            return _mark(scene.camera, _scene_body(scene, digest, _PLAIN))
    return _mark(scene.camera, _scene_body(scene, head, 0))


def mark_of_camera(camera: Camera) -> int:
    """The mark of a camera as the store has it."""
    return _mark(camera.id, camera_part(camera))


def scene_part(known: Known) -> Part:
    """A scene's share of its camera's record, as it was or, after a change, as it is."""
    if known.part is None:
        r, plain = known.record, len(known.digest) == _DIGEST and not said_of(known)
        body = _scene_body(r, known.digest if plain else head_of(known), _PLAIN if plain else 0)
        known.part = _part_of(body, _mark(r.camera, body))
    return known.part


def camera_part(camera: Camera) -> bytes:
    """A camera's share of its record, from how the store has it."""
    id_, owner = camera.id.encode(), (camera.presumed_owner or "").encode()
    flags = PRESUMED if camera.presumed_owner is not None else 0
    head = _CAMERA.pack(flags, micros_of(camera.first_seen), micros_of(camera.last_seen), len(id_), len(owner))
    return head + id_ + owner + camera.body


def pack(watched: Watched) -> bytes:
    """A camera's record."""
    r = watched.record
    camera = Camera(r.id, r.presumed_owner, r.first_seen, r.last_seen, camera_body(watched))
    return join(camera, [scene_part(known) for known in watched.scenes])


def join(camera: Camera, parts: Sequence[Part]) -> bytes:
    """The record of a camera, as the store has it, with these scenes: own ones, held ones, and unjudged ones last."""
    part = camera_part(camera)
    standings = [each.standing for each in parts]
    held, unjudged = standings.count(Standing.HELD), standings.count(Standing.UNJUDGED)
    flags = part[0] | (REACHED if any(each.reached for each in parts) else 0)
    oldest = min((each.last_seen for each in parts), default=NEVER)
    own = len(parts) - held - unjudged
    head = _HEAD.pack(flags, own, held, unjudged, micros_of(camera.last_seen), oldest, _mark(camera.id, part))
    marks = struct.pack(f"<{len(parts)}q", *(each.mark for each in parts))
    lengths = struct.pack(f"<{len(parts) + 1}I", len(part), *(len(each.body) for each in parts))
    record = b"".join((head, marks, lengths, part, *(each.body for each in parts)))
    return record + bytes(-len(record) % 8)


def camera_in(record: bytes | memoryview) -> Camera:
    """The camera of a record, as the store has it."""
    return _read_camera(next(_pieces(record)))


def id_in(record: bytes | memoryview) -> CameraId:
    """The id of a record's camera."""
    return names_in(record)[0]


def names_in(record: bytes | memoryview) -> tuple[CameraId, AccountId]:
    """The id of a record's camera, and its presumed owner, empty without one."""
    at = _HEAD.size + 12 * sum(_counts(record)) + 4
    _, _, _, id_, owner = _CAMERA.unpack_from(record, at)
    begin = at + _CAMERA.size
    end = begin + id_
    return CameraId(str(record[begin:end], "utf-8")), AccountId(str(record[end : end + owner], "utf-8"))


def parts_in(record: bytes | memoryview) -> list[Part]:
    """The shares of a record's scenes, as they lie there."""
    scenes = sum(_counts(record))
    marks = struct.unpack_from(f"<{scenes}q", record, _HEAD.size)
    pieces = _pieces(record)
    next(pieces)
    return [_part_of(body, mark) for body, mark in zip(pieces, marks, strict=True)]


def unpack(record: bytes | memoryview, number: int, row_of: RowOf) -> Watched:
    """The camera of a record, with its scenes."""
    camera = camera_in(record)
    body, camera.body = camera.body, b""
    watched = Watched(camera, number)
    read_camera(watched, body)
    own, held, unjudged = _counts(record)
    lists = [watched.own] * own + [watched.held] * held + [watched.unjudged] * unjudged
    for scenes, part in zip(lists, parts_in(record), strict=True):
        known = _read_scene(camera.id, part)
        if scenes is not watched.unjudged:
            known.row = row_of(known.record.id, number)
        scenes.append(known)
    return watched


def last_seen_in(record: bytes | memoryview) -> tuple[int, int]:
    """When a record's camera was last seen, and when that of its scenes was which was not seen for longest."""
    last_seen, oldest = _HEAD.unpack_from(record)[4:6]
    return last_seen, oldest


def glance(records: NDArray[np.uint8], starts: NDArray[np.int64]) -> Marks:
    """What many records say at a glance, which lie one behind the other; `starts` says where, and where the last ends.

    A record without a byte is none: it has the mark 0 and no scenes.
    """
    words, at = records.view(np.int64), starts[:-1] // 8
    there = np.flatnonzero(np.diff(starts) > 0)
    cameras, last_seen, count = (np.zeros(len(at), np.int64) for _ in range(3))
    oldest = np.full(len(at), NEVER)
    for column, place in ((last_seen, 1), (oldest, 2), (cameras, 3)):
        column[there] = words[at[there] + place]
    count[there] = records.view(np.uint16)[4 * at[there][:, None] + np.arange(1, 4)].sum(axis=1)
    record = np.repeat(np.arange(len(at)), count)
    within = np.arange(len(record)) - np.repeat(np.cumsum(count) - count, count)
    return Marks(cameras, last_seen, oldest, words[at[record] + 4 + within], record, within)


def moment(micros: int) -> datetime:
    """The moment so many microseconds after 1970."""
    return _EPOCH + micros * _MICROSECOND


def micros_of(when: datetime) -> int:
    """Microseconds from 1970 to the moment."""
    return ((when if when.tzinfo is UTC else utc(when)) - _EPOCH) // _MICROSECOND


def _counts(record: bytes | memoryview) -> tuple[int, int, int]:
    own, held, unjudged = _HEAD.unpack_from(record)[1:4]
    return own, held, unjudged


def _mark(camera: str, body: bytes) -> int:
    return int.from_bytes(blake2b(camera.encode() + b"\0" + body, digest_size=8).digest(), "little", signed=True)


def _pieces(record: bytes | memoryview) -> Iterator[bytes]:
    scenes = sum(_counts(record))
    at = _HEAD.size + 8 * scenes
    lengths = struct.unpack_from(f"<{scenes + 1}I", record, at)
    at += 4 * (scenes + 1)
    for length in lengths:
        yield bytes(record[at : at + length])
        at += length


def _read_camera(part: bytes) -> Camera:
    flags, first_seen, last_seen, id_, owner = _CAMERA.unpack_from(part)
    behind_id = _CAMERA.size + id_
    behind = behind_id + owner
    presumed = AccountId(part[behind_id:behind].decode()) if flags & PRESUMED else None
    named = CameraId(part[_CAMERA.size : behind_id].decode())
    return Camera(named, presumed, moment(first_seen), moment(last_seen), part[behind:])


def _scene_body(r: Scene, tail: bytes, flags: int) -> bytes:
    id_ = r.id.encode()
    if len(id_) == _HEX_BYTES and r.id[:3] == "sc-" and (raw := _unhexed(id_[3:])) is not None:
        flags, id_ = flags | _HEX_ID, raw
    account, source, key = r.account.encode(), r.delivery.source.encode(), r.delivery.id.encode()
    lengths = len(id_), len(account), len(source), len(key)
    head = _SCENE.pack(flags, _NUMBER[r.standing], micros_of(r.first_seen), micros_of(r.last_seen), r.seen, *lengths)
    return b"".join((head, id_, account, source, key, tail))


def _read_scene(camera: CameraId, part: Part) -> Known:
    body, named = part.body, part.order[1]
    flags, _, first, last, seen, id_, account, source, delivery = _SCENE.unpack_from(body)
    at = _SCENE.size + id_
    from_, key, tail = at + account, at + account + source, at + account + source + delivery
    record = Scene(
        named,
        camera,
        AccountId(str(body[at:from_], "utf-8")),
        part.standing,
        DeliveryId(str(body[from_:key], "utf-8"), str(body[key:tail], "utf-8")),
        moment(first),
        moment(last),
        seen,
        b"",
    )
    known = Known(record, -1, body[tail:], look=named) if flags & _PLAIN else read_head(record, json.loads(body[tail:]))
    known.part = part
    return known


def _part_of(body: bytes, mark: int) -> Part:
    flags, number, first, last, _, *lengths = _SCENE.unpack_from(body)
    id_, tail = body[_SCENE.size : _SCENE.size + lengths[0]], body[_SCENE.size + sum(lengths) :]
    standing = _STANDINGS[number]
    reached = standing is Standing.UNJUDGED or (not flags & _PLAIN and b'"w":' in tail)
    return Part(standing, (first, _named(flags, id_)), last, reached, mark, body)


def _named(flags: int, id_: bytes) -> SceneId:
    return SceneId("sc-" + id_.hex() if flags & _HEX_ID else id_.decode())


def _unhexed(text: bytes) -> bytes | None:
    """The bytes of which this is the hexadecimal form; None where it is none."""
    try:
        raw = bytes.fromhex(text.decode())
    except ValueError:
        return None
    return raw if raw.hex().encode() == text else None
