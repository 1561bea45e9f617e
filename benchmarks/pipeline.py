"""From a still's bytes to its verdict: beside bare decoding, and beside what others do with the same bytes.

    python benchmarks/pipeline.py [--quick] [--json FILE] [--corpus DIR] [--cameras 100000] [--steps FILE]

One process judges 1280x720 stills of quality 85, as the stream does, in an engine that knows `--cameras` other cameras
(synthetic histories). The share of novel stills is that of a replay. The floor is what a program pays that does nothing
but decode: libjpeg-turbo, the same files, to grey at 1/8. Each still goes through ours and through the floor, by turns
ours first and the floor first, in CPU time of the thread. After every block of stills the others are given the same
ones, each the whole block, in CPU time of all their threads: Pillow, imagehash's pHash, ThreatExchange's PDQ with a
look-up in its index, which holds as many hashes as ours knows scenes. So every figure is a mean over the same stills of
one loop, and every ratio that of two sums. What others find warm, ours read from memory; and what PDQ left of the
caches is what the next block begins with, ours and the floor by turns. Some 690 stills are timed so, of which some 90
are searched: with 277 and 35 the ratio to the others differed by a tenth from one run to the next. As many again are
timed by step. The stills are rendered scenes; with --corpus they are those of a folder of cameras, enlarged to
1280x720.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from statistics import mean
from typing import Any, Final

import imagehash
import numpy as np
import simplejpeg
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import synthetic
from rows import Bar, Row, Say, main

import detector.engine
import detector.evidence
import detector.match
import detector.memory
import streams.decode
from detector.engine import Engine, Knowledge
from detector.placeholder import Placeholders
from models.fingerprint import FORM
from models.index import Index
from models.packing import pack
from models.records import AccountId, CameraId, Delivery, DeliveryId, RightAction, RightChanged, SceneId, derived_id
from models.scene import Camera, Scene, Standing
from streams.cloudevents import Message
from streams.decode import Decoder
from streams.judge import Judge
from streams.metrics import Metrics
from streams.simulator.render import Mode, Moment, jpeg, stage, still
from streams.warm import warm

START: Final = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
SIZE: Final = (1280, 720)
QUALITY: Final = 85
YOUNG: Final = 0.068
"""Share of a replay's stills that are the first of a new camera,"""
FOREIGN: Final = 0.025
"""another known camera's,"""
UNSEEN: Final = 0.039
"""and of a place that nobody's history holds: 13.2 % are searched. Measured on a labelled replay of 8,157 stills; a
real cloud, whose cameras are seldom new, has far fewer."""
EXPLAINED: Final = ("own-code", "own-look", "own-placed", "sibling", "no-right")
"""Rules that need no search."""
FLOOR: Final = "libjpeg-turbo 1/8 grey"
THREATEXCHANGE: Final = "ThreatExchange (PDQ, its index)"
DRAIN_EVERY: Final = 64
"""Stills between two drains, as in a replay."""
BLOCK: Final = 64
"""Stills that are judged beside the floor before the others are given the same ones."""
Call = Callable[[bytes], object]
"""What somebody does with a still's bytes."""


@dataclass(slots=True)
class Sizes:
    """How much is judged: cameras with stills, learned and timed stills of each, cameras known."""

    homes: int = 40
    learned: int = 4
    timed: int = 30
    cameras: int = 100_000


@dataclass(slots=True)
class Stills:
    """JPEGs by camera, in time, and of places that are shown once."""

    homes: list[list[bytes]]
    others: list[bytes]


@dataclass(slots=True)
class Steps:
    """CPU microseconds by step of a still, without what a step calls of another one."""

    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _open: list[float] = field(default_factory=list)

    def wrap(self, owner: Any, name: str, step: str) -> Callable[[], None]:
        """Time a function in its place; returns what puts it back."""
        plain, inner = getattr(owner, name), self._open

        def timed(*args: Any, **named: Any) -> Any:
            begin = time.thread_time()
            inner.append(0.0)
            try:
                return plain(*args, **named)
            finally:
                took = time.thread_time() - begin
                self.spent[step] += 1e6 * (took - inner.pop())
                if inner:
                    inner[-1] += took

        setattr(owner, name, timed)
        return lambda: setattr(owner, name, plain)


SECOND_LOOK: Final = "second look"
SEARCH: Final = "search of all others"
KEYS: Final = "keys of a query"
PLACEHOLDERS: Final = "placeholders"
WRAPPED: Final = (
    (Judge, "take", "loop, metrics"),
    (Decoder, "digest", "digests"),
    (Decoder, "_quick", "decode"),
    (Decoder, "_grey", "decode again, in detail"),
    (streams.decode, "fingerprint", "fingerprint"),
    (Engine, "judge", "rights, bookkeeping"),
    (detector.match, "nearest", "own history, by code"),
    (detector.match, "compare", SECOND_LOOK),
    (detector.match, "glance", SECOND_LOOK),
    (detector.memory.Memory, "looked", SECOND_LOOK),
    (detector.match, "own", "own history, otherwise"),
    (detector.match, "search", SEARCH),
    (detector.match, "search_back", SEARCH),
    (Index, "candidates", SEARCH),
    (detector.memory, "lookup", KEYS),
    (detector.memory.Memory, "learn", "learning a scene"),
    (Placeholders, "recognise", PLACEHOLDERS),
    (Placeholders, "comes_alive", PLACEHOLDERS),
    (Placeholders, "meet", PLACEHOLDERS),
    (detector.evidence, "gather", "evidence of a shift"),
    (detector.memory.Memory, "drain", "drain"),
)
"""Where each microsecond goes: the functions that are timed, and the step that each belongs to."""


def rendered(sizes: Sizes, say: Say) -> Stills:
    """Scenes of homes that do not exist."""
    homes = []
    for n in range(sizes.homes):
        drawn = stage(f"home-{n}", Mode.DAY if n % 3 else Mode.NIGHT)
        moments = [Moment(k, START + timedelta(minutes=20 * k)) for k in range(sizes.learned + sizes.timed)]
        homes.append([jpeg(still(drawn, moment), QUALITY) for moment in moments])
        if n % 10 == 9:
            say(f"drew {n + 1} of {sizes.homes} cameras")
    new = _novel(sizes)
    others = [jpeg(still(stage(f"other-{n}", Mode.DAY), Moment(0, START)), QUALITY) for n in range(new)]
    return Stills(homes, others)


def photographed(corpus: Path, sizes: Sizes, say: Say) -> Stills:
    """Stills of real cameras, enlarged: the folder has one folder for each camera under `cameras`."""
    folders = [sorted(folder.glob("*.jpg")) for folder in sorted((corpus / "cameras").iterdir())]
    most = sizes.learned + sizes.timed
    kept = sorted((f for f in folders if len(f) >= 3), key=len, reverse=True)[: sizes.homes]
    others = [files[0] for files in folders if files not in kept]
    others += sorted((corpus / "photos").rglob("*.jpg"))[: max(0, _novel(sizes) - len(others))]
    say(f"{len(kept)} cameras of {corpus}")
    homes = [[_enlarged(files[k % len(files)], k) for k in range(most)] for files in kept]
    return Stills(homes, [_enlarged(path, 0) for path in others])


def _enlarged(path: Path, k: int) -> bytes:
    """A still in 1280x720 with a little noise of its own, so that one file gives many stills."""
    with Image.open(path) as image:
        grey = np.asarray(image.convert("RGB").resize(SIZE, Image.Resampling.BICUBIC), np.float32)
    noisy = grey + np.random.default_rng(k).normal(0, 3, grey.shape)
    out = io.BytesIO()
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def _novel(sizes: Sizes) -> int:
    return max(2, round((YOUNG + UNSEEN) * sizes.homes * sizes.timed / (1 - YOUNG - FOREIGN - UNSEEN)) + 1)


def known(cameras: int, say: Say) -> Knowledge:
    """Synthetic histories, as a store would give them back."""
    meta = json.dumps({"d": "00" * 16}).encode()
    head = bytes([1]) + len(meta).to_bytes(2, "little") + meta + bytes([FORM])
    scenes, records = [], []
    for chunk in synthetic.chunks(cameras * synthetic.LOOKS, 7):
        for number, levels in zip(chunk.cameras.tolist(), chunk.levels, strict=True):
            camera, account, k = CameraId(f"known-{number}"), AccountId(f"of-known-{number}"), len(scenes)
            first = DeliveryId("benchmark", f"known-{k}")
            id_ = SceneId(derived_id("sc", camera, str(k)))
            body = head + pack(levels)[0].tobytes()
            scenes.append(Scene(id_, camera, account, Standing.CONFIRMED, first, START, START, 2, body))
            if k % synthetic.LOOKS == 0:
                records.append(Camera(camera, account, START, START, b""))
    say(f"{len(scenes)} synthetic scenes of {cameras} cameras")
    return Knowledge((), records, scenes)


def messages(stills: Stills, sizes: Sizes) -> tuple[list[Message], list[Message]]:
    """What is learned first, and what is then timed: own stills and novel ones in the shares of a replay."""
    count = 0

    def message(camera: str, account: str, data: bytes) -> Message:
        nonlocal count
        count += 1
        key = DeliveryId("benchmark", str(count))
        at = START + timedelta(seconds=count)
        attributes = {"integration": "hub", "cachenode": "c1", "region": "r1"}
        return Message(Delivery(key, at, AccountId(account), CameraId(camera), attributes), key, data)

    learned = [
        message(f"home-{n}", f"of-home-{n}", data)
        for k in range(sizes.learned)
        for n, home in enumerate(stills.homes)
        for data in [home[k]]
    ]
    own = [(f"home-{n}", data) for n, home in enumerate(stills.homes) for data in home[sizes.learned :]]
    total = len(own) / (1 - YOUNG - FOREIGN - UNSEEN)
    rng = Random(5)
    others = iter(stills.others)
    timed = [(camera, data, f"of-{camera}") for camera, data in own]
    timed += [(f"new-{n}", next(others), f"of-new-{n}") for n in range(round(YOUNG * total))]
    for n in range(round(FOREIGN * total)):
        victim, viewer = n % len(stills.homes), (n + 1) % len(stills.homes)
        timed.append((f"home-{viewer}", stills.homes[victim][sizes.learned - 1 - n % 2], f"of-home-{viewer}"))
    unseen = [n % len(stills.homes) for n in range(round(UNSEEN * total))]
    timed += [(f"home-{n}", next(others), f"of-home-{n}") for n in unseen]
    rng.shuffle(timed)
    return learned, [message(camera, account, data) for camera, data, account in timed]


def judging(knowledge: Knowledge, stills: Stills) -> Judge:
    """A judge that knows the cameras and whose they are."""
    engine = Engine()
    engine.restore(knowledge)
    for n in range(len(stills.homes)):
        engine.right(RightChanged(CameraId(f"home-{n}"), AccountId(f"of-home-{n}"), RightAction.ENROL, START))
    return Judge(engine, Decoder(b"benchmark"), Metrics())


def floor(data: bytes) -> Any:
    """What who only decodes pays: the grey of the file at 1/8."""
    return simplejpeg.decode_jpeg(data, "GRAY", min_height=SIZE[1] // 8, min_width=SIZE[0] // 8)


def timed(call: Call, data: bytes, clock: Callable[[], float]) -> float:
    """Microseconds that a call takes by a clock."""
    begin = clock()
    call(data)
    return 1e6 * (clock() - begin)


@dataclass(slots=True)
class Beside:
    """Microseconds of each still, ours, the floor's and the others' by name, and the rule of its verdict."""

    ours: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    others: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    rules: list[str] = field(default_factory=list)

    def means(self, *, explained: bool) -> tuple[float, float]:
        """Ours and the floor's mean over the stills that need a search, or that need none."""
        chosen = [k for k, rule in enumerate(self.rules) if (rule in EXPLAINED) is explained]
        return mean(self.ours[k] for k in chosen), mean(self.bare[k] for k in chosen)


def beside(judge: Judge, stream: Sequence[Message], others: Mapping[str, Call]) -> Beside:
    """Judge each still beside the floor, and give the others the same ones, block by block.

    Who goes second finds the file in the cache, and who goes first in a block finds nothing there: each does at every
    other still, and at every other block. The others' threads count, in case that an index uses several.
    """
    out = Beside()
    for first in range(0, len(stream), BLOCK):
        block = stream[first : first + BLOCK]
        for n, message in enumerate(block, 1 + first):
            data, bare_first = message.data, (n + first // BLOCK) % 2 == 1
            assert data is not None
            if bare_first:
                out.bare.append(timed(floor, data, time.thread_time))
            begin = time.thread_time()
            judgement = judge.take(message)
            if n % DRAIN_EVERY == 0:
                judge.commit()
            out.ours.append(1e6 * (time.thread_time() - begin))
            if not bare_first:
                out.bare.append(timed(floor, data, time.thread_time))
            assert judgement is not None
            out.rules.append(judgement.rule)
        for name, call in others.items():
            out.others[name] += [timed(call, message.data or b"", time.process_time) for message in block]
    return out


def by_step(judge: Judge, stream: Sequence[Message]) -> tuple[dict[str, float], float]:
    """Mean microseconds a still by step, and of the second look a searched still; the clock costs a step about one."""
    steps = Steps()
    undo = [steps.wrap(*each) for each in WRAPPED]
    rules: dict[str, int] = defaultdict(int)
    try:
        for n, message in enumerate(stream, 1):
            judgement = judge.take(message)
            assert judgement is not None
            rules[judgement.rule] += 1
            if n % DRAIN_EVERY == 0:
                judge.commit()
    finally:
        for back in undo:
            back()
    looked = steps.spent[SECOND_LOOK] / max(1, searched(rules))
    return {name: round(spent / len(stream), 1) for name, spent in steps.spent.items()}, looked


def peers(data: bytes, scenes: int, say: Say) -> dict[str, Call]:
    """What others do with a still's bytes, each called once; one that is not installed is left out."""

    def full(data: bytes) -> object:
        return np.asarray(Image.open(io.BytesIO(data)).convert("L"))

    calls: dict[str, Call] = {
        "Pillow full decode": full,
        "imagehash pHash 16": lambda data: imagehash.phash(Image.open(io.BytesIO(data)), 16),
    }
    try:
        from threatexchange.signal_type.pdq.signal import PdqSignal
    except ImportError:
        say("ThreatExchange is not installed (dependency group `bench`): left out")
    else:
        codes, _ = synthetic.scenes(scenes, 7)
        hashes = codes[:, :4].copy().view(np.uint8)  # an index does not care what its 256 bits were taken of
        index = PdqSignal.get_index_cls().build((row.tobytes().hex(), n) for n, row in enumerate(hashes))
        calls[THREATEXCHANGE] = lambda data: index.query(PdqSignal.hash_from_bytes(data) or "0" * 64)
    for call in calls.values():
        call(data)
    return calls


@dataclass(frozen=True, slots=True)
class Asked:
    """What this benchmark takes beside the options of all."""

    corpus: Path | None = None
    cameras: int | None = None
    steps: Path | None = None


def asked() -> Asked:
    """Those options off the command line; the others stay there."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--cameras", type=int)
    parser.add_argument("--steps", type=Path)
    chosen, sys.argv[1:] = parser.parse_known_args()
    return Asked(chosen.corpus, chosen.cameras, chosen.steps)


def measure(say: Say, *, quick: bool, asked: Asked = Asked()) -> list[Row]:
    """Judge half of the stream beside the floor and the others, the other half by step."""
    sizes = Sizes(homes=6, learned=3, timed=4, cameras=500) if quick else Sizes()
    sizes.cameras = asked.cameras or sizes.cameras
    stills = photographed(asked.corpus, sizes, say) if asked.corpus else rendered(sizes, say)
    learned, stream = messages(stills, sizes)
    warm()
    judge = judging(known(sizes.cameras, say), stills)
    for message in learned:
        judge.take(message)
    judge.commit()
    calls = peers(stills.homes[0][0], sizes.cameras * synthetic.LOOKS, say)
    half = len(stream) // 2
    say(f"judging {half} stills beside the floor and the others, then {len(stream) - half} by step")
    both = beside(judge, stream[:half], calls)
    ours, bare, rules = mean(both.ours), mean(both.bare), Counter(both.rules)
    steps, looked = by_step(judge, stream[half:])
    others = {FLOOR: bare} | {name: mean(took) for name, took in both.others.items()}
    about = (
        f"{half} {'photographed' if asked.corpus else 'rendered'} stills of {SIZE[0]}x{SIZE[1]}, quality {QUALITY}, "
        f"{sum(len(m.data or b'') for m in stream) // len(stream) // 1000} kB each; {sizes.cameras} cameras and "
        f"{sizes.cameras * synthetic.LOOKS} scenes known; {searched(rules) / half:.1%} searched; CPU time of one thread"
    )
    if asked.steps is not None:
        table = {"stills": len(stream) - half, "microseconds": steps, "floor": round(bare, 1), "options": about}
        asked.steps.write_text(json.dumps(table, indent=1) + "\n")
    return [
        Row(
            "a still's bytes to its verdict, mean",
            "us",
            round(ours, 1),
            {name: round(took, 1) for name, took in others.items()},
            bars(ours, others),
            about,
        ),
        *(
            Row(f"a still that {what}, mean", "us", round(mine, 1), {FLOOR: round(its, 1)})
            for what, (mine, its) in (
                ("its camera explains", both.means(explained=True)),
                ("is searched", both.means(explained=False)),
            )
        ),
        Row(
            "candidates to verdict (registration and second look)",
            "us a searched still",
            round(looked, 1),
            bars=(Bar("ms a searched still", looked / 1000, 0.3, at_least=False),),
        ),
        *(Row(f"of it: {name}", "us", spent) for name, spent in sorted(steps.items(), key=lambda step: -step[1])),
    ]


def bars(ours: float, others: Mapping[str, float]) -> tuple[Bar, ...]:
    """What the first row is held to: means of the same stills."""
    out = [Bar("times the floor", ours / others[FLOOR], 1.35, at_least=False)]
    if THREATEXCHANGE in others:
        out.append(Bar("times faster than ThreatExchange", others[THREATEXCHANGE] / ours, 15, at_least=True))
    return tuple(out)


def searched(rules: Mapping[str, int]) -> int:
    """How many stills neither their camera's nor the viewer's own cameras explained."""
    return sum(n for rule, n in rules.items() if rule not in EXPLAINED)


if __name__ == "__main__":
    main(partial(measure, asked=asked()), __doc__)
