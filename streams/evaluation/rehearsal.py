"""Labelled lives of a corpus's cameras, run through the real engine: what the scene-shift model is trained on.

Owns which stills are strangers and which are a camera's own, spoiled alike, and how cameras are dealt to folds. Refuses
to fit (training.py). Folds share no camera, on neither side of a pair: each is a small cloud by itself, and its
strangers come from cameras of its own that nobody there owns, so that no history can hold them.
"""

from __future__ import annotations

import io
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

from PIL import Image

from detector import shift
from detector.engine import Engine
from models.fingerprint import Still
from models.records import AccountId, CameraId, Delivery, DeliveryId, Judgement, RightAction, RightChanged, Verdict
from models.shift import FEATURES, Evidence, undecided
from streams.cloudevents import CAMERA_SHARED, STILL_DELIVERED
from streams.decode import Decoder
from streams.evaluation.corpus import Corpus, CorpusError, Source, group_of, moment, opened
from streams.evaluation.damage import EVERYDAY, TUNED
from streams.evaluation.damage.kind import jpeg
from streams.evaluation.labelled import FEWEST, Options, Planned, plan

STRANGERS: Final = 5
"""One source in so many is nobody's: strangers' stills come from these."""
FIRST, LAST = 6.0, 19.5
"""Hours after a life's begin between which strangers and spoiled stills come."""
WARM: Final = 4
"""Stills that a camera has delivered before one."""
PLAIN_WAYS: Final = ("copy", "transcode", "transcode", "overlay", "crop", "truncated", "corrupt")
"""What happens to most of them on their way; one in three is spoiled by any tuned kind of damage instead."""
UNSURE: Final = frozenset({"wrongid", "placeholder"})
"""Kinds that are neither another home's place nor this one changed."""


Tell = Callable[[int, int], None]
"""Hears how many events of how many are done."""


class Told(IntEnum):
    """What the engine's rule (detector/shift.py) makes of a novel still when it comes."""

    NOT = 0
    ON_RETURN = 1
    AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Sample:
    """A novel still of `camera`, labelled: `foreign` names the camera that it really shows, "" its own place.

    `rule` is what the engine's rules made of it, `told` whether and when it is told: at once, or if the camera's own
    scene were back now. `group` is where the corpus has the camera from.
    """

    fold: int
    camera: str
    foreign: str
    kind: str
    group: str
    rule: str
    evidence: Evidence
    told: Told


@dataclass(frozen=True, slots=True)
class Life:
    """How much is made of each fold: `strangers` and `spoiled` stills beside its plain life and its controls."""

    options: Options
    strangers: int = 150
    spoiled: int = 80

    def again(self, seed: int) -> Life:
        """The same amount, drawn anew."""
        return replace(self, options=replace(self.options, seed=seed))


def deal(corpus: Corpus, folds: int, seed: int) -> list[Corpus]:
    """The corpus in parts of about equal size that share no camera. Raises CorpusError when they are too small."""
    rng = Random(f"folds/{seed}")
    cameras, photos = list(corpus.cameras), list(corpus.photos)
    rng.shuffle(cameras)
    rng.shuffle(photos)
    parts = [Corpus(tuple(cameras[k::folds]), tuple(photos[k::folds])) for k in range(folds)]
    least = min(len(part.cameras) + len(part.photos) for part in parts)
    if least < FEWEST + STRANGERS:
        raise CorpusError(f"{least} cameras and photographs a fold are too few: {FEWEST + STRANGERS} are needed")
    return parts


def rehearse(part: Corpus, fold: int, life: Life, tell: Tell = lambda done, of: None) -> list[Sample]:
    """The samples of one fold. The same corpus, fold and life give the same samples."""
    rng = Random(f"life/{life.options.seed}/{fold}")
    homes, nobodys = _apart(part, rng)
    planned = plan(homes, replace(life.options, leaks=0, photos=min(life.options.photos, len(homes.photos) * 9 // 10)))
    planned = sorted([*planned, *_further(planned, nobodys, life, rng)], key=lambda each: each.when)
    return _judged(planned, fold, tell)


def _apart(part: Corpus, rng: Random) -> tuple[Corpus, list[Source]]:
    """The sources that have homes, and those that are nobody's."""
    nobodys = [
        *rng.sample(part.cameras, len(part.cameras) // STRANGERS),
        *rng.sample(part.photos, len(part.photos) // STRANGERS),
    ]
    names = {source.name for source in nobodys}
    return Corpus(
        tuple(source for source in part.cameras if source.name not in names),
        tuple(source for source in part.photos if source.name not in names),
    ), nobodys


def _further(planned: Sequence[Planned], nobodys: Sequence[Source], life: Life, rng: Random) -> list[Planned]:
    """Strangers' stills, and cameras' own stills spoiled in the same ways. Photographs get every other one only."""
    own: dict[str, list[Planned]] = defaultdict(list)
    for each in planned:
        if each.make is not None and each.truth is None:
            own[each.event["camera"]].append(each)
    moving = [camera for camera in sorted(own) if group_of(camera) != "photos"] or sorted(own)
    begin = min(each.when for each in planned)
    further = []
    for n in range(life.strangers + life.spoiled):
        stranger = n < life.strangers
        camera = rng.choice(moving if n % 2 else sorted(own))
        when = begin + timedelta(hours=rng.uniform(FIRST, LAST))
        past = bisect_left([each.when for each in own[camera]], when)
        if past < WARM:
            continue
        last = own[camera][past - 1]
        seed, way = f"{life.options.seed}/{rng.getrandbits(64):x}", _way(rng)
        if stranger:
            source = rng.choice(nobodys)
            make = partial(_strange, rng.choice(source.files[: life.options.cap]), way, seed)
            truth: dict[str, str | None] = {"kind": "stranger", "owner": None, "owner_camera": source.name}
        else:
            make, truth = partial(_spoiled, last, way, seed), {"kind": "spoiled"}
        further.append(Planned(when, last.event, make, truth))
    return further


def _way(rng: Random) -> str:
    return rng.choice(PLAIN_WAYS if rng.random() < 2 / 3 else sorted(TUNED))


def _strange(path: Path, way: str, seed: str) -> bytes:
    rng = Random(seed)
    image = moment(opened(path), rng)
    return (EVERYDAY | TUNED)[way](image, jpeg(image, 85), rng)


def _spoiled(own: Planned, way: str, seed: str) -> bytes:
    assert own.make is not None
    data = own.make()
    return (EVERYDAY | TUNED)[way](Image.open(io.BytesIO(data)).convert("RGB"), data, Random(seed))


def _judged(planned: Sequence[Planned], fold: int, tell: Tell) -> list[Sample]:
    engine, decode = Engine(undecided), Decoder(b"strayframe train")
    samples: list[Sample] = []
    for n, each in enumerate(planned):
        tell(n + 1, len(planned))
        event = each.event
        if event["type"] == CAMERA_SHARED:
            engine.right(_right(event, each.when))
        if event["type"] != STILL_DELIVERED or each.make is None:
            continue
        judged = engine.judge(_delivery(n, event, each.when), partial(_look, decode, each.make))
        engine.drain()
        truth = each.truth or {}
        if judged.verdict is Verdict.SHIFT and "wander" in judged.numbers and truth.get("kind") not in UNSURE:
            values = {name: judged.numbers[name] for name in FEATURES}
            foreign = str(truth.get("owner_camera") or "") if truth.get("kind") == "stranger" else ""
            kind = str(truth.get("kind", "plain"))
            evidence = Evidence(**values)  # type: ignore[arg-type]
            camera, told = event["camera"], _told(engine, judged, evidence.wander)
            samples.append(Sample(fold, camera, foreign, kind, group_of(camera), judged.rule, evidence, told))
    return samples


def _told(engine: Engine, judged: Judgement, wander: float) -> Told:
    """What the rule makes of a still that was just judged, by the rule itself."""
    if any(alert.delivery == judged.delivery.key for alert in judged.alerts):
        return Told.AT_ONCE
    camera = engine.memory.cameras[judged.delivery.camera]
    held = next((k for k in camera.held if k.record.delivery == judged.delivery.key), None)
    later = held is not None and shift.tell_on_return(camera, held, wander)
    return Told.ON_RETURN if later else Told.NOT


def _look(decode: Decoder, make: Callable[[], bytes]) -> Still:
    return decode.still(make())


def _right(event: dict[str, str], when: datetime) -> RightChanged:
    return RightChanged(CameraId(event["camera"]), AccountId(event["account"]), RightAction(event["action"]), when)


def _delivery(n: int, event: dict[str, str], when: datetime) -> Delivery:
    attributes = {k: v for k, v in event.items() if k not in ("type", "account", "camera")}
    key = DeliveryId("rehearsal", str(n))
    return Delivery(key, when, AccountId(event["account"]), CameraId(event["camera"]), attributes)
