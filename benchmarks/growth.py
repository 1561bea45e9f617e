"""What a still costs as the cloud grows: a clear one and a novel one among a thousand to ten million cameras.

    python benchmarks/growth.py [--quick] [--json FILE]

The engine knows all of these cameras (benchmarks/known.py), packed as those are that are not seen just now, with
their rights; the index is filled as benchmarks/search.py says. Stills of a few cameras with histories of their own are
judged on top. A novel still is one that no scene shows, so that every placing is searched. What it costs to take a
camera at hand is timed by itself.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from multiprocessing import Pipe, get_context
from pathlib import Path
from statistics import median
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import synthetic
from known import WHEN, camera_id, enrol, know, resident
from rows import Row, Say, main
from search import filled

from detector.engine import Engine
from models.fingerprint import Fingerprint, Still
from models.records import AccountId, CameraId, Delivery, DeliveryId
from streams.warm import warm

CLOUDS: Final = ((1_000, 3), (100_000, 3), (1_000_000, 3), (10_000_000, 1))
"""Cameras, and scenes of each. Ten million of three scenes each are more than this machine's memory holds."""
ENROLLED: Final = 1_000_000
"""Cameras up to which each is enrolled: their rights are objects."""
TOLD: Final = 100_000
"""Cameras from which on the memory of one is told: of fewer, pages tell nothing."""
JUDGED: Final = 120
"""Stills of each sort."""
COLD: Final = 2000
"""Cameras that are unpacked, and packed again."""


def cost(cameras: int, scenes: int, say: Say) -> list[Row]:
    """Rows of one cloud."""
    engine = Engine()
    say(f"{cameras:,} cameras of {scenes}")
    engine.memory.index = index = filled(cameras * scenes, say)
    rows = np.arange(cameras * scenes)
    index.assign((rows // scenes).astype(np.int32), np.ones(len(rows), np.uint8))
    gc.collect()
    before = resident()
    know(engine.memory, cameras, scenes)
    gc.collect()
    packed = (resident() - before) / cameras
    rights = 0.0
    if cameras <= ENROLLED:
        enrol(engine, cameras)
        engine.drain()
        gc.collect()
        rights = (resident() - before) / cameras - packed
    say("known")
    clear, novel = judged(engine)
    searched, apart = index.nbytes
    many = f"{cameras:,} cameras, {cameras * scenes:,} scenes"
    return [
        Row(f"a clear still among {many}, decoding aside", "us", round(clear, 1)),
        Row(f"a novel still among {many}, decoding aside", "us", round(novel, 1)),
        Row(f"the index of {many}, searched", "MB", round(searched / 1e6, 1)),
        Row(f"beside it, apart, of {many}: thumbnails and keys", "MB", round(apart / 1e6, 1)),
        *([Row(f"a camera's record and places, of {many}", "bytes", round(packed))] if cameras >= TOLD else []),
        *([Row(f"a camera's rights, of {many}", "bytes", round(rights))] if cameras >= TOLD and rights else []),
        Row(f"a camera that was not at hand, of {many}: unpacked and packed", "us", round(handed(engine, cameras), 1)),
    ]  # fmt: skip


def judged(engine: Engine) -> tuple[float, float]:
    """Microseconds of a clear and of a novel still."""
    own = {k: synthetic.levels(10_000_000 + k * synthetic.LOOKS, 7) for k in range(4)}
    clear, novel = list[float](), list[float]()
    n = 0
    for turn in range(JUDGED):
        for k, levels in own.items():
            moment = WHEN + timedelta(minutes=turn)
            delivery = Delivery(DeliveryId("growth", str(n)), moment, AccountId(f"a{k}"), CameraId(f"c{k}"))
            n += 1
            foreign = turn > 4 and k == turn % 4
            shown = synthetic.levels(20_000_000 + n * synthetic.LOOKS, 8) if foreign else levels
            still = Still(str(n).encode(), b"", Fingerprint.of(shown), "")
            begin = time.thread_time()
            engine.judge(delivery, lambda still=still: still)
            spent = (time.thread_time() - begin) * 1e6
            if turn > 4:
                (novel if foreign else clear).append(spent)
        engine.drain()
    return median(clear), median(novel)


def handed(engine: Engine, cameras: int) -> float:
    """Microseconds to take a camera at hand, and to pack it when it has changed."""
    known = engine.memory.cameras
    some = [camera_id(k) for k in range(0, cameras, max(1, cameras // COLD))]
    begin = time.thread_time()
    for id_ in some:
        known[id_].own[0].part = None
        known.changed(id_)
    known.pack()
    return (time.thread_time() - begin) * 1e6 / len(some)


def measure(say: Say, *, quick: bool) -> list[Row]:
    """All clouds."""
    warm()
    return [row for cloud in (CLOUDS[:1] if quick else CLOUDS) for row in apart(partial(cost, *cloud, say))]


def apart(work: Callable[[], list[Row]]) -> list[Row]:
    """Do it in a process of its own, whose memory holds nothing else."""
    here, there = Pipe()
    process = get_context("fork").Process(target=lambda: there.send(work()))
    process.start()
    there.close()
    rows: list[Row] = here.recv()
    process.join()
    return rows


if __name__ == "__main__":
    main(measure, __doc__)
