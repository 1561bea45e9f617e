"""Synthetic places for tests of the detector: seeded textures at many scales, as grey arrays, without any file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from detector.engine import Changes, Engine, Knowledge
from models.fingerprint import Still, fingerprint
from models.placeholder import Shelf
from models.records import (
    AccountId,
    Alert,
    AlertId,
    CameraId,
    Delivery,
    DeliveryId,
    IncidentId,
    Judgement,
    Picture,
    RightAction,
    RightChanged,
    SceneId,
)

Grey = NDArray[np.uint8]
START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


@lru_cache(maxsize=64)
def _field(seed: int, height: int, width: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    out = np.zeros((height, width), np.float32)
    for cells, weight in ((4, 40.0), (9, 35.0), (20, 28.0), (45, 18.0)):
        small = rng.normal(0, weight, (cells, cells * 2)).astype(np.float32)
        y = np.linspace(0, cells - 1.001, height)
        x = np.linspace(0, 2 * cells - 1.001, width)
        j, i = y.astype(int), x.astype(int)
        fy, fx = (y - j)[:, None].astype(np.float32), (x - i)[None].astype(np.float32)
        top = small[j][:, i] * (1 - fx) + small[j][:, np.minimum(i + 1, 2 * cells - 1)] * fx
        low_row = np.minimum(j + 1, cells - 1)
        low = small[low_row][:, i] * (1 - fx) + small[low_row][:, np.minimum(i + 1, 2 * cells - 1)] * fx
        out += top * (1 - fy) + low * fy
    return out


def place(seed: int, moment: int = 0, height: int = 360, width: int = 640, gain: float = 1.0) -> Grey:
    """What camera `seed` sees at a moment: the same place, with other noise."""
    noise = np.random.default_rng((seed, moment, 7)).normal(0, 3, (height, width))
    return np.clip(118 + gain * _field(seed, height, width) + noise, 0, 255).astype(np.uint8)


def picture(grey: Grey, *, complete: bool = True) -> Picture:
    """As a decoder would hand it over; the digest is of the pixels."""
    data = grey.tobytes()
    return Picture(grey, complete, hashlib.blake2b(data, digest_size=16).digest(), b"")


def still(seed: int, moment: int = 0) -> Still:
    """The fingerprinted still of a place."""
    return fingerprint(picture(place(seed, moment)))


class Cloud:
    """A camera cloud in a test: delivers to an engine, and keeps what the store would keep.

    `restart_at` names deliveries (by their count) before which the engine is thrown away and restored.
    """

    def __init__(self, restart_at: Iterable[int] = ()) -> None:
        self.engine = Engine()
        self.judged: list[Judgement] = []
        self.raised: list[Alert] = []
        self.withdrawn: list[AlertId] = []
        self.count = 0
        self.clock = START
        self._restart_at = set(restart_at)
        self._stored = Changes()

    def deliver(
        self, camera: str, look: Still | Callable[[], Still], *, to: str | None = None, key: str | None = None
    ) -> Judgement:
        """A delivery a minute after the last one, to the account `of-<camera>` unless another is named."""
        if self.count in self._restart_at:
            self.restart()
        self.count += 1
        self.clock += timedelta(minutes=1)
        delivery = Delivery(
            DeliveryId("test", key or str(self.count)),
            self.clock,
            AccountId(to or f"of-{camera}"),
            CameraId(camera),
            {"integration": "hub"},
        )
        judged = self.engine.judge(delivery, look if callable(look) else lambda: look)
        self.judged.append(judged)
        self.keep()
        return judged

    def shows(self, camera: str, seed: int, moments: Sequence[int], *, to: str | None = None) -> list[Judgement]:
        """Several stills of one place."""
        return [self.deliver(camera, still(seed, moment), to=to) for moment in moments]

    def right(self, camera: str, account: str, action: RightAction, *, ago: timedelta = timedelta(0)) -> None:
        """A right, effective `ago` before now."""
        self.engine.right(RightChanged(CameraId(camera), AccountId(account), action, self.clock - ago))
        self.keep()

    @property
    def standing(self) -> list[Alert]:
        """Alerts that were raised and not withdrawn."""
        return [alert for alert in self.raised if alert.id not in self.withdrawn]

    def keep(self) -> None:
        """Store what changed."""
        changes = self.engine.drain()
        self.raised += changes.raised
        self.withdrawn += [w.alert for w in changes.withdrawn]
        stored = self._stored
        scenes = {s.id: s for s in stored.scenes} | {s.id: s for s in changes.scenes}
        for id_ in changes.removed:
            scenes.pop(SceneId(id_), None)
        stored.scenes = list(scenes.values())
        stored.cameras = list(({c.id: c for c in stored.cameras} | {c.id: c for c in changes.cameras}).values())
        incidents = {IncidentId(i.id): i for i in stored.incidents} | {i.id: i for i in changes.incidents}
        stored.incidents = list(incidents.values())
        stored.rights += changes.rights
        stored.placeholders = list(
            ({p.id: p for p in stored.placeholders} | {p.id: p for p in changes.placeholders}).values()
        )
        stored.sightings += changes.sightings

    def restart(self) -> None:
        """Throw the engine away and restore another one from what was stored."""
        s = self._stored
        self.engine = Engine()
        shelf = Shelf(0, tuple(s.placeholders), tuple(s.sightings))
        self.engine.restore(Knowledge(s.rights, s.cameras, s.scenes, self.standing, s.incidents, shelf))
