"""All wiring in one place: which real part fills which place. Tests put their own parts in the same places.

Owns the order in which a judging process comes up: store, lease, digest key, engine, what was stored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import structlog

from detector.engine import Engine
from models.fingerprint import fingerprint
from models.records import AccountId, CameraId, Delivery, DeliveryId, Picture
from models.shift import shipped
from streams.decode import Decoder
from streams.judge import Judge
from streams.metrics import Metrics
from streams.settings import Settings
from streams.snapshot import Keeper, load
from streams.store.sql import SqlStore

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OpenJudge:
    """A judge that holds the store's lease, restored and ready."""

    judge: Judge
    store: SqlStore
    keeper: Keeper | None = None

    @property
    def lost(self) -> bool:
        """Whether another process is known to have taken the store over."""
        return self.store.lease is not None and self.store.lease.lost

    def close(self) -> None:
        """Write the last snapshot, give the lease back and close the store. What was not committed is forgotten."""
        try:
            if self.keeper is not None:
                self.keeper.close(last=self.judge.whole and not self.lost)
        finally:
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
    """Load compiled code and the shift model, seconds that would else be the first still's."""
    shipped()
    noise = np.random.default_rng(1).integers(0, 255, (270, 480), dtype=np.uint8)
    delivery = Delivery(DeliveryId("warm", "up"), datetime.now(UTC), AccountId("nobody"), CameraId("none"))
    Engine().judge(delivery, lambda: fingerprint(Picture(noise, True, b"")))


def _restored(settings: Settings, metrics: Metrics, store: SqlStore) -> OpenJudge:
    engine, path = Engine(), Path(settings.snapshot) if settings.snapshot else None
    image = None if path is None else load(path, store.identity())
    engine.restore(store.knowledge(), image)
    log.info("judge.restored", store=store.database.name, snapshot=image is not None)
    keeper = None
    if path is not None:
        keeper = Keeper(path, store.identity(), engine.memory, 60 * settings.snapshot_minutes)
    judge = Judge(
        engine,
        decoder(settings, store),
        metrics,
        store,
        now=partial(datetime.now, UTC),
        stored=None if keeper is None else keeper.stored,
    )
    return OpenJudge(judge, store, keeper)


def decoder(settings: Settings, store: SqlStore) -> Decoder:
    """The decoder under the digest key in force: the one that is set, else the store's own."""
    key = settings.digest_key.get_secret_value().encode() or store.digest_key()
    return Decoder(key, settings.still_bytes, settings.still_pixels)
