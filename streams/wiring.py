"""All wiring in one place: which real part fills which place. Tests put their own parts in the same places.

Owns the order in which a judging process comes up: store, lease, digest key, engine, what was stored.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from detector.engine import Engine
from detector.image import Image
from detector.learned import Mine, every
from detector.policy import Mode, Rules
from detector.switchboard import Switchboard
from streams.beside import Beside
from streams.claims import ClaimCheck
from streams.crew import Crew, crew_of
from streams.decode import Decoder
from streams.judge import Judge
from streams.metrics import Metrics
from streams.settings import Settings
from streams.share import WHOLE, Share
from streams.snapshot import Keeper, load
from streams.store.sql import SqlStore
from streams.warm import warm

log = structlog.get_logger(__name__)


def _wall() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Part:
    """What of the work is a process's: its share, and the cameras that are in it."""

    share: Share = WHOLE
    mine: Mine = every


ALL: Final = Part()


@dataclass(frozen=True, slots=True)
class OpenJudge:
    """A judge that holds the store's lease, restored and ready."""

    judge: Judge
    store: SqlStore
    ends: ExitStack
    claims: ClaimCheck | None = None

    @property
    def lost(self) -> bool:
        """Whether another process is known to have taken the store over."""
        return self.store.lease is not None and self.store.lease.lost

    def close(self) -> None:
        """Write the last snapshot, give the lease back and close the store. What was not committed is forgotten."""
        self.ends.close()


def open_judge(
    settings: Settings,
    metrics: Metrics,
    *,
    who: str,
    stills: bool = True,
    processes: int = 1,
    noticed: Callable[[], None] | None = None,
    now: Callable[[], datetime] | None = _wall,
    part: Part = ALL,
    beside: bool = False,
) -> OpenJudge:
    """Take the store's lease, restore the engine, and return the judge; blocks while the index loads.

    `who` is what a person would call this process; without `stills` it means to judge none, and what only they need is
    not loaded. `processes` look at the stills; with one, that is the judging process itself. `noticed` is called when
    notices were stored. `now` is the clock on the wall; without it an order holds from the time of the delivery that
    led to it, as in a replay, and no event lies in the future. `part` is what of the work is this process's. With one
    process, `beside` has a thread of it look at stills that are begun ahead.
    Raises JudgeRunning, BadStoreUrl, StoreUnavailable, StoreRefused, SchemaTooNew, CrewFailed.
    """
    with ExitStack() as ends:
        store = ends.enter_context(SqlStore(settings.store))
        store.acquire(settings.lease_seconds, who, part.share)  # first: who may not judge is told so at once
        return _opened(settings, metrics, store, ends, stills, processes, noticed, part, beside, now)


def await_judge(
    settings: Settings,
    metrics: Metrics,
    wait: Callable[[float], bool],
    *,
    who: str,
    processes: int = 1,
    noticed: Callable[[], None] | None = None,
    part: Part = ALL,
    beside: bool = False,
) -> OpenJudge | None:
    """The same, but wait while another judges; None when `wait(seconds)` returned True, which gives up."""
    with ExitStack() as ends:
        store = ends.enter_context(SqlStore(settings.store))
        if store.standby(settings.lease_seconds, wait, who, part.share) is None:
            return None
        return _opened(settings, metrics, store, ends, True, processes, noticed, part, beside)


def _opened(
    settings: Settings,
    metrics: Metrics,
    store: SqlStore,
    ends: ExitStack,
    stills: bool,
    processes: int,
    noticed: Callable[[], None] | None,
    part: Part,
    beside: bool,
    now: Callable[[], datetime] | None = _wall,
) -> OpenJudge:
    decode = decoder(settings, store)
    crew = ends.enter_context(crew_of(decode, processes, metrics.look_seconds.observe))
    if stills:
        warm()
    engine, path = Engine(mine=part.mine, desk=part.share.is_desk), _snapshot(settings, part.share)
    image = None if path is None else load(path, store.identity())
    if path is not None and (marked := store.mark()):
        log.info("store.marked", rows=marked)
    _restore(engine, store, image)
    lookers: Crew | Beside | None = crew
    if crew is not None:
        crew.await_ready()  # they started while the index was loaded
    elif beside:
        lookers = ends.enter_context(Beside(decode, metrics.look_seconds.observe))
    log.info("judge.restored", store=store.database.name, snapshot=image is not None)
    keeper = None
    if path is not None:
        if image is not None:
            metrics.snapshot_time.set(path.stat().st_mtime)
        told = metrics.snapshot_time.set_to_current_time
        keeper = Keeper(path, store.identity(), engine.memory, 60 * settings.snapshot_minutes, written=told)
    stored = None if keeper is None else keeper.stored
    board = board_of(settings, engine) if part.share.is_desk else None
    if board is not None:
        board.take(store.standing())
        board.begin(engine.latest)
    claims = ends.enter_context(ClaimCheck(settings)) if settings.dataref_origins or settings.dataref_folder else None
    judge = Judge(
        engine,
        decode,
        metrics,
        store,
        claims,
        now,
        lookers,
        stored=stored,
        noticed=noticed,
        board=board,
        tells=not part.share.is_desk,
    )
    while judge.fold():  # what other matchers told while this one was away
        judge.commit()
    opened = OpenJudge(judge, store, ends.pop_all(), claims)
    if keeper is not None:
        opened.ends.callback(lambda: keeper.close(last=judge.whole and not opened.lost))
    return opened


def _snapshot(settings: Settings, share: Share) -> Path | None:
    """Where the snapshot lies: matchers of one machine have one each."""
    if not settings.snapshot:
        return None
    path = Path(settings.snapshot)
    return path if share.is_whole else path.with_name(f"{path.stem}.{share.number}of{share.of}{path.suffix}")


def _restore(engine: Engine, store: SqlStore, image: Image | None) -> None:
    """Restore the engine without the cycle collector, which would look at all that is known again and again: a tenth to
    three tenths of the time. Nor does it look at it later, in the middle of the stream."""
    gc.unfreeze()  # an engine before this one may be garbage by now
    gc.collect()
    gc.disable()
    try:
        engine.restore(store.knowledge(), image)
    finally:
        gc.freeze()
        gc.enable()


def decoder(settings: Settings, store: SqlStore) -> Decoder:
    """The decoder under the digest key in force: the one that is set, else the store's own."""
    key = settings.digest_key.get_secret_value().encode() or store.digest_key()
    return Decoder(key, settings.still_bytes, settings.still_pixels)


def board_of(settings: Settings, engine: Engine) -> Switchboard:
    """A switchboard without a switch that was touched, by the thresholds in force and the engine's counts."""
    return Switchboard(rules_of(settings), engine.tally)


def rules_of(settings: Settings) -> Rules:
    """The policy's thresholds as the settings have them."""
    return Rules(
        Mode(settings.policy_mode),
        settings.policy_pairs,
        timedelta(minutes=settings.policy_minutes),
        settings.policy_ratio,
        settings.policy_spread_pairs,
        settings.policy_spread_places,
        settings.policy_per_hour,
        settings.policy_links_share,
        settings.policy_links_least,
        timedelta(seconds=settings.policy_grace_seconds),
        timedelta(seconds=settings.policy_watch_seconds),
        settings.policy_clean,
        settings.warm_up_cameras,
        settings.warm_up_share,
    )
