"""What requests may use: settings, clock, store, intake, counts; opened when the app starts, closed when it ends.

Owns their order: the store first (its schema is brought up to date), then the intake and the dispatcher. A store that
is away is tried again until it answers; until then reads are refused with 503. Refuses to know a route.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import structlog
from fastapi import Request
from starlette.concurrency import run_in_threadpool

from api.intake import Check, Counts, Intake
from api.live import Live
from api.problems import STORE_UNAVAILABLE, ProblemError
from api.schemas import AlertBody
from detector.access import Permission
from models.errors import StrayframeError
from models.records import Delivery, Judgement, Verdict
from streams.acting import acting
from streams.outbox.dispatch import Dispatcher
from streams.settings import Settings
from streams.store.audit import Audit
from streams.store.own import OwnStore
from streams.store.rows import StoredAlert
from streams.store.sql import SqlStore
from streams.store.walk import AlertFilter

T = TypeVar("T")

FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 15.0
"""Seconds between attempts to open the store, doubling: a database restarts within seconds."""
MOMENT: Final = timedelta(microseconds=1)
"""Resolution of the times in the store."""
LAST: Final = datetime.max.replace(tzinfo=UTC)
"""The last moment that a time can tell."""
AT_ONE_MOMENT: Final = 100
"""Alerts looked through for those of one delivery: those of one camera, account and microsecond."""

_log = structlog.get_logger()


class House:
    """One per app. `now` is the clock on the wall; it is asked for stills that are uploaded without a time only."""

    def __init__(
        self,
        settings: Settings,
        intake: Intake,
        counts: Counts,
        open_store: Callable[[], SqlStore],
        now: Callable[[], datetime],
        dispatcher: Dispatcher | None = None,
    ) -> None:
        self.settings = settings
        self.intake = intake
        self.counts = counts
        self.now = now
        self.live = Live()
        self._dispatcher = dispatcher
        self._open_store = open_store
        self._store: SqlStore | None = None
        self._wrong = "not yet opened"
        self._closing = asyncio.Event()
        self._opening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to open everything, without waiting for it."""
        self._opening = asyncio.create_task(self._open(), name="opening")

    async def close(self) -> None:
        """Finish what is in hand and close everything."""
        self.live.leave()
        self._closing.set()
        if self._opening is not None:
            await self._opening
        await self.intake.stop()
        if self._dispatcher is not None:
            await run_in_threadpool(self._dispatcher.stop)
        if self._store is not None:
            with contextlib.suppress(StrayframeError):
                await run_in_threadpool(self._tell_head, self._store)
            await run_in_threadpool(self._store.close)

    def store(self) -> SqlStore:
        """The store, as far as whoever asks may see it. Raises ProblemError while it is not open."""
        if self._store is None:
            raise ProblemError(STORE_UNAVAILABLE)
        own = acting.get().integrations
        return self._store if own is None else OwnStore(self._store, own)

    def noticed(self) -> None:
        """Have notices that a request stored carried out at once, where this process does that."""
        if self._dispatcher is not None:
            self._dispatcher.noticed()

    def store_check(self) -> Check:
        """Whether the store answers now; blocks while it is asked."""
        if self._store is None:
            return Check("store", False, self._wrong)
        try:
            self._store.alerts(limit=1)
        except StrayframeError as error:
            return Check("store", False, str(error))
        return Check("store", True, "answers")

    def is_killed(self) -> bool:
        """Whether the kill switch is on. Raises ProblemError while the store is not open, StoreUnavailable."""
        word = self.store().suspensions.kill_switch()
        return word is not None and word.is_on

    def kill_check(self) -> Check:
        """How the kill switch stands: on, it stops no still from being taken, and everybody should see it."""
        if self._store is None:
            return Check("kill-switch", True, f"unknown: {self._wrong}")
        try:
            return Check(
                "kill-switch", True, self._store.suspensions.kill_told(named=acting.get().may(Permission.READ))
            )
        except StrayframeError as error:
            return Check("kill-switch", True, f"unknown: {error}")

    async def alerts_of(self, judgement: Judgement) -> list[AlertBody]:
        """The alerts that a verdict carries, as they are stored. A delivery that was judged before raises none anew:
        those that it raised then are found.
        """
        if not judgement.alerts and judgement.verdict not in (Verdict.LEAK, Verdict.SHIFT):
            return []
        return await run_in_threadpool(self._alerts_of, judgement)

    def _alerts_of(self, judgement: Judgement) -> list[AlertBody]:
        if judgement.alerts:
            found = [self.store().alert(alert.id) for alert in judgement.alerts]
        else:
            found = [one for one in self._at(judgement.delivery) if one.alert.delivery == judgement.delivery.key]
        return [AlertBody.of(one) for one in found if one is not None]

    def _at(self, delivery: Delivery) -> tuple[StoredAlert, ...]:
        until = delivery.time + MOMENT if delivery.time < LAST else None
        wanted = AlertFilter(account=delivery.account, camera=delivery.camera, since=delivery.time, until=until)
        return self.store().alerts(wanted, limit=AT_ONE_MOMENT).items

    @staticmethod
    def _tell_head(store: SqlStore) -> None:
        """An anchor of the audit into the log, which mostly lies where the store's writers cannot reach."""
        _log.info("audit.head", anchor=str(Audit(store.database).head()))

    async def _open(self) -> None:
        wait = FIRST_WAIT
        while not self._closing.is_set():
            try:
                if self._store is None:
                    self._store = await asyncio.to_thread(self._open_store)
                    await asyncio.to_thread(self._tell_head, self._store)
                await self.intake.start()
                if self._dispatcher is not None:
                    self._dispatcher.start()
                return
            except StrayframeError as error:
                self._wrong = str(error)
                _log.warning("store.not_opened", error=self._wrong)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), wait)
            wait = min(2 * wait, LONGEST_WAIT)


async def house(request: Request) -> Any:
    """The dependency by which a route gets at its app's house.

    A coroutine, because FastAPI gives a plain function a thread, whose turn is a fifth of what a request costs.
    """
    return request.app.state.house
