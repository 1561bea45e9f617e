"""A courier: makes the calls of one target, one at a time, so that what goes wrong at it holds up no other.

Owns the order of attempt and record: a call is recorded after its attempt, never before. Whoever dies in between leaves
it waiting, and it is made again with the same id. Refuses to know what a target is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import structlog

from detector.notice import Notice
from models.records import DeliveryId
from streams import tracing
from streams.metrics import Metrics
from streams.outbox.call import LONGEST_ASKED, Attempt, Due, Outcome, Result, State, Target, next_due
from streams.store.outbox import Outbox

T = TypeVar("T")
Threaded = Callable[..., Awaitable[Any]]
"""Runs a blocking function with its arguments in a thread."""

LOOK_SECONDS: Final = 5.0
"""Longest sleep of a courier for whom nothing is due: what a clock that was set back, or the kill switch once it is off
again, delays at most."""
FIRST_REST: Final = 0.5
LONGEST_REST: Final = 30.0
"""Seconds between two calls to a target at which every call fails, doubling: one that is down is not stormed with all
that waits for it, and one that comes back is noticed within half a minute."""

log = structlog.get_logger(__name__)

SETTLES: Final = {Result.DELIVERED: State.DELIVERED, Result.DRY_RUN: State.DRY_RUN, Result.GONE: State.STOPPED}


class Courier:
    """The calls of one target. `target` may be replaced by a newer form of the same at any time.

    `threaded` runs what asks the store; `now` is the clock on the wall, `draw` gives jitter in [0, 1).
    """

    def __init__(
        self,
        target: Target,
        outbox: Outbox,
        threaded: Threaded,
        now: Callable[[], datetime],
        draw: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        self.target = target
        self._outbox = outbox
        self._threaded = threaded
        self._now = now
        self._draw = draw
        self._metrics = metrics
        self._woken = asyncio.Event()
        self._failures = 0
        self._leave = asyncio.Event()

    def wake(self) -> None:
        """Something may be due: look."""
        self._woken.set()

    def stop(self) -> None:
        """Make no further call; the one in hand is finished and recorded."""
        self._leave.set()
        self._woken.set()

    async def run(self) -> None:
        """Make calls until told to stop. Raises Fenced, StoreUnavailable, StoreRefused."""
        while not self._leave.is_set():
            due = await self._threaded(self._outbox.due, self.target.name, self._now())
            if due is None:
                await self._await_due()
            else:
                await self._pause(await self._call(due))

    async def _call(self, due: Due) -> timedelta:
        """Make one call and record it; how long the target is then left alone."""
        begun, clock = self._now(), time.monotonic()
        if due.tries == 0:
            self._metrics.notice_delay_seconds.observe(max(0.0, (begun - due.stored).total_seconds()))
        outcome = await self._attempt(due, begun)
        attempt = Attempt(begun, time.monotonic() - clock, outcome)
        again = next_due(due, outcome, self._now(), self._draw()) if outcome.result is Result.RETRY else None
        state = SETTLES.get(outcome.result, State.FAILED if again is None else State.WAITING)
        await self._threaded(self._outbox.record, due, attempt, state, again)
        self._metrics.outbox_attempts.labels(outcome.result.value).inc()
        self._tell(due, outcome, state)
        return self._rest(outcome)

    async def _attempt(self, due: Due, at: datetime) -> Outcome:
        told = due.notice
        with tracing.span("strayframe.call", told.trace, kind="CLIENT", target=self.target.name, notice=told.id) as own:
            outcome = await self._sent(replace(told, trace=own.traceparent), at)
            own.say(result=outcome.result.value)
        return outcome

    async def _sent(self, notice: Notice, at: datetime) -> Outcome:
        try:
            return await self.target.send(notice, at)
        except Exception as error:  # behind this no fault of one target's can end the others' couriers
            log.exception("call.fault", target=self.target.name, notice=notice.id)
            return Outcome(Result.RETRY, f"fault: {type(error).__name__}")

    def _tell(self, due: Due, outcome: Outcome, state: State) -> None:
        fields = {"target": self.target.name, "notice": due.notice.id, "type": due.notice.type.value}
        if (delivery := due.notice.data.get("delivery")) is not None:
            fields["delivery"] = str(DeliveryId(delivery["source"], delivery["id"]))
        if outcome.result is Result.RETRY:
            log.warning(
                "call.failed", **fields, tries=due.tries + 1, given_up=state is State.FAILED, why=outcome.detail
            )
        elif outcome.result is Result.GONE:
            log.warning("hook.gone", **fields)
        else:
            log.info("call.made", **fields, dry_run=outcome.result is Result.DRY_RUN)

    def _rest(self, outcome: Outcome) -> timedelta:
        if outcome.result is not Result.RETRY:
            self._failures = 0
            return timedelta(0)
        rest = min(FIRST_REST * 2**self._failures, LONGEST_REST)
        self._failures = min(self._failures + 1, 20)
        return max(timedelta(seconds=rest), min(outcome.after or timedelta(0), LONGEST_ASKED))

    async def _pause(self, span: timedelta) -> None:
        if span:
            with suppress(TimeoutError):
                async with asyncio.timeout(span.total_seconds()):
                    await self._leave.wait()

    async def _await_due(self) -> None:
        at = await self._threaded(self._outbox.next_due, self.target.name)
        seconds = LOOK_SECONDS if at is None else min(LOOK_SECONDS, max(0.0, (at - self._now()).total_seconds()))
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()
