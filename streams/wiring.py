"""All wiring in one place: which real part fills which place. Tests put their own parts in the same places.

Owns the order in which a judging process comes up: store, lease, digest key, engine, what was stored.
"""

from __future__ import annotations

import gc
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import numpy as np
import structlog
from PIL import Image

from detector.engine import Engine
from models.records import AccountId, CameraId, Delivery, DeliveryId
from models.shift import shipped
from streams.decode import Decoder
from streams.judge import Judge
from streams.metrics import Metrics
from streams.settings import Settings
from streams.store.sql import SqlStore

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OpenJudge:
    """A judge that holds the store's lease, restored and ready."""

    judge: Judge
    store: SqlStore

    @property
    def lost(self) -> bool:
        """Whether another process is known to have taken the store over."""
        return self.store.lease is not None and self.store.lease.lost

    def close(self) -> None:
        """Give the lease back and close the store. What was not committed is forgotten."""
        self.store.close()


def open_judge(settings: Settings, metrics: Metrics, *, who: str, stills: bool = True) -> OpenJudge:
    """Take the store's lease, restore the engine, and return the judge; blocks while the index loads.

    `who` is what a person would call this process; without `stills` it means to judge none, and what only they need is
    not loaded. Raises JudgeRunning, BadStoreUrl, StoreUnavailable, StoreRefused,
    SchemaTooNew.
    """
    store = SqlStore(settings.store)
    try:
        store.acquire(settings.lease_seconds, who)
        if stills:
            warm()  # under the lease: who may not judge is told so at once
        return _restored(settings, metrics, store)
    except BaseException:
        store.close()
        raise


def await_judge(settings: Settings, metrics: Metrics, wait: Callable[[float], bool], *, who: str) -> OpenJudge | None:
    """The same, but wait while another judges; None when `wait(seconds)` returned True, which gives up."""
    store = SqlStore(settings.store)
    try:
        if store.standby(settings.lease_seconds, wait, who) is not None:
            warm()
            return _restored(settings, metrics, store)
    except BaseException:
        store.close()
        raise
    store.close()
    return None


def warm() -> None:
    """Load compiled code and the shift model, seconds that would else be some still's in the middle of the stream.

    A few stills of places that do not exist are judged and forgotten: as they are, cropped, cut off, dark and foreign,
    so that every compiled function is called once. What is not cached on disk yet is compiled now.
    """
    shipped()
    engine, decoder = Engine(), Decoder(b"warm")
    for n, (camera, data) in enumerate(_rehearsed()):
        key = DeliveryId("warm", str(n))
        delivery = Delivery(key, datetime.now(UTC), AccountId(f"of-{camera}"), CameraId(camera))
        engine.judge(delivery, partial(decoder.still, data))
    engine.drain()


def warm_look(decoder: Decoder) -> None:
    """Load the compiled code of who only looks at stills."""
    for _, data in _rehearsed():
        decoder.still(data)


def _rehearsed() -> Iterator[tuple[str, bytes]]:
    """Claimed cameras and stills, one for each way through the engine."""
    rng = np.random.default_rng(1)
    one, two, three = (
        Image.fromarray(rng.integers(0, 255, (9, 16), dtype=np.uint8)).resize((640, 360), Image.Resampling.BICUBIC)
        for _ in range(3)
    )
    yield from (("one", _encoded(one, quality)) for quality in (80, 85, 90))
    yield from (("two", _encoded(two, quality)) for quality in (80, 85, 90))
    yield "two", _encoded(one.crop((40, 20, 620, 340)), 85)
    yield "one", _encoded(three, 85)
    yield "one", _encoded(three, 85)[:-900]
    yield "two", _encoded(Image.new("L", (640, 360)), 85)
    yield "one", _encoded(one, 70)


def _encoded(picture: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def _restored(settings: Settings, metrics: Metrics, store: SqlStore) -> OpenJudge:
    engine = Engine()
    _restore(engine, store)
    log.info("judge.restored", store=store.database.name)
    judge = Judge(engine, decoder(settings, store), metrics, store, now=partial(datetime.now, UTC))
    return OpenJudge(judge, store)


def _restore(engine: Engine, store: SqlStore) -> None:
    """Restore the engine without the cycle collector, which would look at all that is known again and again: a tenth to
    three tenths of the time. Nor does it look at it later, in the middle of the stream."""
    gc.unfreeze()  # an engine before this one may be garbage by now
    gc.collect()
    gc.disable()
    try:
        engine.restore(store.knowledge())
    finally:
        gc.freeze()
        gc.enable()


def decoder(settings: Settings, store: SqlStore) -> Decoder:
    """The decoder under the digest key in force: the one that is set, else the store's own."""
    key = settings.digest_key.get_secret_value().encode() or store.digest_key()
    return Decoder(key, settings.still_bytes, settings.still_pixels)
