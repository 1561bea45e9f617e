"""What a still costs as the cloud grows: a clear one and a novel one among a thousand to ten million cameras.

    python benchmarks/growth.py [--quick] [--json FILE]

Beyond what this machine can hold as whole histories, only the index is filled (benchmarks/search.py says with what):
the other part of a still's cost does not know how many cameras there are. Stills of a few cameras with histories of
their own are judged on top. A novel still is one that no scene shows, so that every placing is searched.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import synthetic
from rows import Row, Say, main
from search import filled

from detector.engine import Engine
from detector.known import Known
from models.fingerprint import Fingerprint, Still
from models.records import AccountId, CameraId, Delivery, DeliveryId, SceneId
from models.scene import Scene, Standing
from streams.warm import warm

CLOUDS: Final = (1_000, 100_000, 1_000_000, 10_000_000)
"""Cameras. One scene each: more scenes cost as more cameras do."""
JUDGED: Final = 120
"""Stills of each sort."""
START: Final = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


class Strangers(dict[int, Known]):
    """What a row of the index stands for; those that were filled in are all one camera's scene."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        delivery = Delivery(DeliveryId("growth", "stranger"), START, AccountId("stranger"), CameraId("stranger"))
        engine.memory.camera(delivery)
        id_, at = SceneId("sc-stranger"), (delivery.key, START, START)
        self._stranger = Known(Scene(id_, delivery.camera, delivery.account, Standing.CONFIRMED, *at, 2, b""), 0, b"")

    def __missing__(self, row: int) -> Known:
        return self._stranger


def cost(cameras: int, say: Say) -> list[Row]:
    """Rows of one cloud."""
    engine = Engine()
    say(f"{cameras:,} cameras")
    index = filled(cameras, say)
    engine.memory.index = index
    engine.memory.at_row = Strangers(engine)
    own = {k: synthetic.levels(10_000_000 + k * synthetic.LOOKS, 7) for k in range(4)}
    clear, novel = [], []
    n = 0
    for turn in range(JUDGED):
        for k, levels in own.items():
            moment = START + timedelta(minutes=turn)
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
    searched, apart = index.nbytes
    return [
        Row(f"a clear still among {cameras:,} cameras, decoding aside", "us", round(median(clear), 1)),
        Row(f"a novel still among {cameras:,} cameras, decoding aside", "us", round(median(novel), 1)),
        Row(f"the index of {cameras:,} scenes, searched", "MB", round(searched / 1e6, 1)),
        Row(f"beside it, apart: {cameras:,} thumbnails and keys", "MB", round(apart / 1e6, 1)),
    ]


def measure(say: Say, *, quick: bool) -> list[Row]:
    """All clouds."""
    warm()
    return [row for cameras in (CLOUDS[:1] if quick else CLOUDS) for row in cost(cameras, say)]


if __name__ == "__main__":
    main(measure, __doc__)
