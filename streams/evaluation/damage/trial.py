"""Each kind of damage through the real engine: a stranger's still, damaged, and the recipient's own, damaged alike.

Owns how kinds are tried and counted. Refuses to print. Every kind starts from the same knowledge, so that the order
of kinds means nothing and they can be tried in several processes.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from PIL import Image

from detector.engine import Changes, Engine, Knowledge
from models.records import AccountId, Alert, CameraId, Delivery, DeliveryId, Judgement, Kind
from streams.decode import Decoder
from streams.evaluation.corpus import Source, moment, opened
from streams.evaluation.damage.kind import Damage, jpeg

START: Final = datetime(2026, 1, 5, tzinfo=UTC)
STEP: Final = timedelta(seconds=20)
OWN: Final = 6
"""Stills that each camera delivers before the first damage."""
FILES: Final = 3
"""Files of a camera that these are taken from: each view is seen twice, so that only the damage makes a difference."""


@dataclass(frozen=True, slots=True)
class Miss:
    """A damaged still that was not named: its bytes, its owner's intact still, and the rule that decided."""

    still: bytes
    intact: bytes
    owner: str
    rule: str


@dataclass(slots=True)
class Tried:
    """How one kind fared. `false_leaks` and `own_shifts` count alerts on the recipients' own stills, two a trial."""

    kind: str
    trials: int = 0
    named: int = 0
    told: int = 0
    misnamed: int = 0
    false_leaks: int = 0
    own_shifts: int = 0
    missed_by: Counter[str] = field(default_factory=Counter)
    misses: list[Miss] = field(default_factory=list)


class Trial:
    """A small cloud that has seen its cameras' stills, and tries damages on it.

    `sources` are the cameras; `each` is how often a kind is tried. The same seed tries the same pairs of cameras.
    """

    def __init__(self, sources: Sequence[Source], seed: int, progress: Callable[[], None] = lambda: None) -> None:
        self._seed = seed
        self._decode = Decoder(b"damages")
        self._later: dict[str, bytes] = {}
        cloud = _Cloud(Engine(), self._decode)
        for source in sources:
            self._acquaint(cloud, source)
            progress()
        self._knowledge, self._serial = cloud.knowledge(), cloud.serial

    def run(self, kind: Damage, each: int) -> Tried:
        """Try one kind `each` times: the leak, then the recipient's own still with the same damage, then one intact."""
        rng = Random(f"{self._seed}/{kind.name}")
        engine = Engine()
        engine.restore(self._knowledge)
        cloud = _Cloud(engine, self._decode, self._serial)
        tried, leaks = Tried(kind.name, each), {}
        for _ in range(each):
            owner, viewer = rng.sample(sorted(self._later), 2)
            still = kind(*self._still(owner), rng)
            judgement = cloud.deliver(viewer, still)
            leaks[judgement.delivery.key] = (owner, still, judgement.rule)
            cloud.deliver(viewer, kind(*self._still(viewer), rng))
            cloud.deliver(viewer, self._later[viewer])
        self._count(tried, leaks, list(cloud.alerts.values()))
        return tried

    def _acquaint(self, cloud: _Cloud, source: Source) -> None:
        rng = Random(f"{self._seed}/{source.name}")
        files = source.files[:FILES]
        for k in range(OWN):
            still = opened(files[k * len(files) // OWN])
            cloud.deliver(source.name, jpeg(moment(still, rng), rng.choice([75, 82, 88])))
        self._later[source.name] = jpeg(moment(still, rng), 85)

    def _still(self, camera: str) -> tuple[Image.Image, bytes]:
        data = self._later[camera]
        return Image.open(io.BytesIO(data)).convert("RGB"), data

    def _count(self, tried: Tried, leaks: dict[DeliveryId, tuple[str, bytes, str]], alerts: list[Alert]) -> None:
        named, told = set(), set()
        for alert in alerts:
            leak = leaks.get(alert.delivery)
            if leak is None:
                tried.false_leaks += alert.kind is Kind.LEAK
                tried.own_shifts += alert.kind is Kind.SHIFT
                continue
            told.add(alert.delivery)
            if alert.kind is Kind.LEAK and alert.owner_camera == leak[0]:
                named.add(alert.delivery)
            tried.misnamed += alert.kind is Kind.LEAK and alert.owner_camera != leak[0]
        tried.named, tried.told = len(named), len(told)
        for key, (owner, still, rule) in leaks.items():
            if key not in named:
                tried.missed_by[rule] += 1
                tried.misses.append(Miss(still, self._later[owner], owner, rule))


class _Cloud:
    """Delivers stills to an engine and keeps what follows from them."""

    def __init__(self, engine: Engine, decode: Decoder, serial: int = 0) -> None:
        self._engine, self._decode, self.serial = engine, decode, serial
        self._known = Changes()
        self.alerts: dict[str, Alert] = {}

    def deliver(self, camera: str, data: bytes) -> Judgement:
        """Deliver a still to the account of a camera, under that camera's name."""
        self.serial += 1
        delivery = Delivery(
            DeliveryId("trial", str(self.serial)),
            START + self.serial * STEP,
            AccountId(f"of-{camera}"),
            CameraId(camera),
        )
        judgement = self._engine.judge(delivery, lambda: self._decode.still(data))
        changes = self._engine.drain()
        self._known.scenes += changes.scenes
        self._known.cameras += changes.cameras
        self._known.removed += changes.removed
        self.alerts.update((alert.id, alert) for alert in changes.raised)
        for withdrawal in changes.withdrawn:
            self.alerts.pop(withdrawal.alert, None)
        return judgement

    def knowledge(self) -> Knowledge:
        """What the engine knows by now, without alerts."""
        scenes = {scene.id: scene for scene in self._known.scenes}
        for id_ in self._known.removed:
            scenes.pop(id_, None)
        cameras = {camera.id: camera for camera in self._known.cameras}
        return Knowledge(cameras=list(cameras.values()), scenes=list(scenes.values()))
