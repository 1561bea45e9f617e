"""The dispatcher: carries notices from the store to every target, in a thread of its own, apart from the stream.

Owns who dispatches (one process per store, by a lease like the judge's), when it looks (at a bell, at PostgreSQL's
NOTIFY, else at short intervals) and the couriers. Refuses to decide what is sent where: targets want what they want.

A lease, and not rows locked by several dispatchers (SKIP LOCKED): SQLite has no such locks, one order per target needs
one courier per target in any case, and what is sent is little beside what is judged. A dispatcher that was stopped and
replaced may finish the call that it had in hand; it records nothing, and the call's id is the same.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import psycopg
import structlog

from models.errors import StrayframeError
from streams.metrics import Metrics
from streams.outbox.bell import Bell
from streams.outbox.call import Target
from streams.outbox.courier import Courier
from streams.outbox.reach import Reach
from streams.outbox.repeat import Repeating, repeat
from streams.outbox.webhook import HookTarget
from streams.settings import Settings
from streams.sinks.roster import sinks_of
from streams.sinks.sink import Sink
from streams.store import lease as leasing
from streams.store.database import Database, StoreUnavailable
from streams.store.forgetting import Forgetting
from streams.store.hooks import Hook, Hooks
from streams.store.lease import Lease
from streams.store.outbox import AT_ONCE, CHANNEL, Outbox
from streams.store.sql import SqlStore
from streams.store.suspensions import Suspensions

LOOK_SECONDS: Final = {True: 0.2, False: 5.0}
"""Seconds between two looks without a bell, on SQLite (other processes cannot ring: two reads of a tenth of a
millisecond) and on PostgreSQL (which rings; this is for a connection that broke unseen)."""
LISTEN_AGAIN: Final = 1.0
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 15.0
"""Seconds before a store that is away is tried again, doubling: a database restarts within seconds."""
LEAVE_SECONDS: Final = 5.0
"""What calls in hand get to end when the dispatcher is told to stop; what is cut off is made again later."""
TELL_SECONDS: Final = 5.0
"""Between two counts of what waits, for the metrics."""
FORGET_SECONDS: Final = 600.0
"""Between two looks at what is old enough to be forgotten: one small read where nothing is."""
STORE_THREADS: Final = 4
"""Threads that ask the store: its answers take milliseconds, and on SQLite one writes at a time."""

log = structlog.get_logger(__name__)


class Dispatcher:
    """Dispatches from `start` to `stop`, whenever this process holds the lease. Safe to ring from any thread.

    `sinks` are targets beside the hooks: those that the settings name, unless others are given. Raises SinkError.
    """

    def __init__(self, settings: Settings, metrics: Metrics, sinks: Sequence[Sink] | None = None) -> None:
        self.bell = Bell()
        self._settings = settings
        self._metrics = metrics
        self._sinks = tuple(sinks_of(settings) if sinks is None else sinks)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="strayframe-dispatch", daemon=True)

    def __enter__(self) -> Dispatcher:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin; nothing is waited for. Twice is once."""
        if not self._thread.ident:
            self._thread.start()

    def stop(self) -> None:
        """Finish the calls in hand, give the lease back and end. Before `start`, or twice, nothing happens."""
        self._stop.set()
        self.bell.ring()
        if self._thread.is_alive():
            self._thread.join()

    def noticed(self) -> None:
        """This process has stored a notice: look at once. PostgreSQL tells of that by itself, once and to whoever
        dispatches; a second ring would be a second look."""
        if self._settings.store.startswith("sqlite"):
            self.bell.ring()

    def _run(self) -> None:
        """Sessions one after the other: a fault that may pass ends one, and the next starts from the store."""
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            try:
                self._session()
                pause = FIRST_PAUSE
            except StrayframeError as error:
                self._metrics.store_unavailable.inc(isinstance(error, StoreUnavailable))
                log.warning("dispatch.retrying", error=str(error), seconds=pause)
            except Exception:  # nothing but this thread would carry notices out: it never ends by itself
                log.exception("dispatch.fault", seconds=pause)
            self._stop.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _session(self) -> None:
        with SqlStore(self._settings.store) as store:
            key = self._settings.hook_key.get_secret_value().encode() or store.hook_key()
            seconds, wait = self._settings.lease_seconds, self._stop.wait
            lease = leasing.standby(store.database, seconds, wait, "dispatcher", leasing.DISPATCH)
            if lease is None:
                return
            with lease:
                log.info("dispatch.started", store=store.database.name)
                to_target = partial(HookTarget, key=key, reach=Reach.of(self._settings.hook_networks))
                keep = timedelta(days=self._settings.outbox_days)
                round_ = Round(store.database, lease, to_target, self._sinks, self.bell, self._metrics, keep)
                try:
                    asyncio.run(round_.run(self._stop.is_set))
                finally:
                    for sink in self._sinks:
                        sink.close()
        log.info("dispatch.stopped")


class Round:
    """One session under one lease: routes what is stored, keeps a courier for each target, and forgets what is done
    with for as long as `keep`."""

    def __init__(
        self,
        database: Database,
        lease: Lease,
        to_target: Callable[[Hook], Target],
        sinks: Sequence[Sink],
        bell: Bell,
        metrics: Metrics,
        keep: timedelta,
    ) -> None:
        self._database = database
        self._keep = keep
        self._forgetting = Forgetting(database, lease)
        self._hooks = Hooks(database)
        self._outbox = Outbox(database, lease)
        self._to_target = to_target
        self._sinks = sinks
        self._bell = bell
        self._metrics = metrics
        self._store_threads = ThreadPoolExecutor(STORE_THREADS, "strayframe-outbox")
        self._versions: dict[str, int] = {}
        self._couriers: dict[str, tuple[Courier, asyncio.Task[None]]] = {}

    async def run(self, stopped: Callable[[], bool]) -> None:
        """Dispatch until stopped. Raises Fenced, StoreUnavailable, StoreRefused."""
        beside = [] if self._database.is_sqlite else [asyncio.create_task(self._listen(), name="listen")]
        beside.append(asyncio.create_task(self._tell(), name="tell"))
        beside.append(asyncio.create_task(self._forget(), name="forget"))
        for sink in self._sinks:
            if isinstance(sink, Repeating):
                again = repeat(sink, self._outbox, self._threaded, _now)
                beside.append(asyncio.create_task(again, name=f"{sink.name} again"))
        try:
            while not stopped():
                await self._look()
                for task in (*beside, *(task for _, task in self._couriers.values())):
                    if task.done():
                        task.result()
                await self._bell.wait(LOOK_SECONDS[self._database.is_sqlite])
        finally:
            await self._leave(beside)
            self._store_threads.shutdown()
            self._metrics.outbox_unknown()
            self._metrics.switches_unknown()

    async def _look(self) -> None:
        """See what is stored, then which targets there are, and route it to them, until nothing waits. What is stored
        meanwhile rings again."""
        while True:
            unrouted, hooks = await self._threaded(self._stored)
            targets = self._roll(hooks)
            if unrouted:
                for name in await self._threaded(self._outbox.route, unrouted, targets, _now()):
                    self._couriers[name][0].wake()
            if len(unrouted) < AT_ONCE:
                return

    def _stored(self) -> tuple[Sequence[int], list[Hook]]:
        unrouted = self._outbox.unrouted()
        return unrouted, self._hooks.enabled()

    def _roll(self, hooks: Sequence[Hook]) -> list[Target]:
        """The targets that there are now; each has its courier."""
        changed = {hook.id for hook in hooks if self._versions.get(hook.id) != hook.version}
        self._versions = {hook.id: hook.version for hook in hooks}
        targets: list[Target] = [*self._sinks, *map(self._to_target, hooks)]
        for target in targets:
            if target.name not in self._couriers:
                self._hire(target)
            elif target.name in changed:
                self._couriers[target.name][0].target = target
                self._couriers[target.name][0].wake()
        for name in self._couriers.keys() - {target.name for target in targets}:
            courier, task = self._couriers.pop(name)
            courier.stop()
            task.add_done_callback(_forget)
        return targets

    def _hire(self, target: Target) -> None:
        courier = Courier(target, self._outbox, self._threaded, _now, random.random, self._metrics)
        task = asyncio.create_task(courier.run(), name=target.name)
        task.add_done_callback(lambda _: self._bell.ring())  # one that failed ends the round
        self._couriers[target.name] = (courier, task)

    async def _leave(self, beside: Sequence[asyncio.Task[None]]) -> None:
        for courier, _ in self._couriers.values():
            courier.stop()
        tasks = [task for _, task in self._couriers.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=LEAVE_SECONDS)
        for task in (*tasks, *beside):
            task.cancel()
        await asyncio.gather(*tasks, *beside, return_exceptions=True)

    async def _listen(self) -> None:
        """Ring the bell whenever PostgreSQL says that there is something; for ever."""
        url = self._database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        while True:
            with suppress(psycopg.Error, OSError):
                async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}".encode())
                    self._bell.ring()
                    async for _ in connection.notifies():
                        self._bell.ring()
            await asyncio.sleep(LISTEN_AGAIN)

    async def _tell(self) -> None:
        while True:
            waiting, oldest = await self._threaded(self._outbox.backlog)
            self._metrics.outbox_waiting.set(waiting)
            self._metrics.outbox_oldest_seconds.set(0 if oldest is None else (_now() - oldest).total_seconds())
            self._metrics.switches(*await self._threaded(Suspensions(self._database).stand))
            await asyncio.sleep(TELL_SECONDS)

    async def _forget(self) -> None:
        while True:
            gone = await self._threaded(self._forgetting.run, _now() - self._keep)
            if gone:
                log.info("outbox.forgotten", notices=gone)
            await asyncio.sleep(FORGET_SECONDS)

    async def _threaded(self, ask: Callable[..., Any], *given: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._store_threads, partial(ask, *given))


def _now() -> datetime:
    return datetime.now(UTC)


def _forget(task: asyncio.Task[None]) -> None:
    """A courier that was dismissed may end as it likes."""
    if not task.cancelled():
        task.exception()
