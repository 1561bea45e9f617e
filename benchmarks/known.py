"""Cameras that do not exist, in an engine: their records and their rights, beside an index that is filled already.

Owns what such a camera is: enrolled by an account of its own, watched long enough that its ring is full, with a few
confirmed scenes that take the index's rows in order. All are packed, as cameras are that are not seen just now.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from detector.engine import Engine
from detector.known import Known, Watched
from detector.memory import Memory
from detector.packed import pack
from models.places import key_of
from models.records import AccountId, CameraId, DeliveryId, RightAction, RightChanged, SceneId
from models.scene import Camera, Scene, Standing

WHEN: Final = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
SOURCE: Final = "/edge/eu-1"
STILLS: Final = 2880
"""Stills that each camera has shown: a day of one every 30 seconds."""


def camera_id(k: int) -> CameraId:
    """The id of camera k: as long as those of clouds are."""
    return CameraId(f"camera-{k:013d}")


def scene_id(k: int) -> SceneId:
    """The id of scene k."""
    return SceneId(f"sc-5ca1ab1e{k:024x}")


def watched(k: int, scenes: int) -> Watched:
    """Camera k with its scenes, which are those from `k * scenes` on, each in the row of its number."""
    id_, account = camera_id(k), AccountId(f"account-{k:012d}")
    camera = Watched(Camera(id_, None, WHEN, WHEN, b""), k, stills=STILLS)
    camera.ring.update((n.to_bytes(8, "little"), 0) for n in range(16))
    for n in range(k * scenes, (k + 1) * scenes):
        key = DeliveryId(SOURCE, f"{n:08x}-9d3b-4c51-8e02-{k:012x}")
        record = Scene(scene_id(n), id_, account, Standing.CONFIRMED, key, WHEN, WHEN, STILLS // scenes, b"")
        camera.own.append(Known(record, n, n.to_bytes(16, "little"), look=record.id))
    return camera


def know(memory: Memory, cameras: int, scenes: int) -> None:
    """Enter cameras as if they had been restored. The index has a row for each scene."""
    of_one = watched(0, scenes)
    first = pack(of_one)
    for k in range(cameras):
        id_ = camera_id(k)
        number = memory.cameras.reserve(id_)
        memory.cameras.put(number, _renamed(first, of_one, k, scenes))
        for n in range(k * scenes, (k + 1) * scenes):
            memory.scenes.places.insert(key_of(scene_id(n)), n)


def enrol(engine: Engine, cameras: int) -> None:
    """Enrol each of these cameras in an account of its own."""
    for k in range(cameras):
        engine.right(RightChanged(camera_id(k), AccountId(f"account-{k:012d}"), RightAction.ENROL, WHEN))


def resident() -> int:
    """Bytes of memory that this process has for itself."""
    _, resident, shared, *_ = map(int, Path("/proc/self/statm").read_text().split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


def _renamed(record: bytes, first: Watched, k: int, scenes: int) -> bytes:
    """The record of camera 0 under another camera's ids; marks, digests and deliveries stay as they are."""
    record = record.replace(first.record.id.encode(), camera_id(k).encode(), 1)
    for n, known in enumerate(first.own):
        record = record.replace(bytes.fromhex(known.record.id[3:]), bytes.fromhex(scene_id(k * scenes + n)[3:]), 1)
    return record
