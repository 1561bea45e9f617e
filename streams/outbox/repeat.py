"""Saying again what stands, to targets that forget what nobody repeats.

Owns when. What stands at the start is read from the calls, so it is the same after a restart. Refuses to log what was
repeated as deliveries: the call was made once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

import structlog

from detector.notice import Notice
from streams.outbox.call import Outcome, Result, Target
from streams.store.outbox import Outbox

log = structlog.get_logger(__name__)


@runtime_checkable
class Repeating(Target, Protocol):
    """A target that has to be told again, `every` so often, what stands."""

    @property
    def every(self) -> timedelta: ...

    async def repeat(self, told: Sequence[Notice], at: datetime) -> Outcome | None:
        """Say again what stands; None where nothing does. `told` is what it took before this session, the last notice
        of each thing, and given once: what it has been sent since it knows itself."""


async def repeat(
    target: Repeating, outbox: Outbox, threaded: Callable[..., Awaitable[Any]], now: Callable[[], datetime]
) -> None:
    """Repeat for ever, at once and then every so often. Raises StoreUnavailable, StoreRefused.

    What was told is read once: nobody else sends to the target in this session, and reading takes seconds where much
    was told.
    """
    told = await threaded(outbox.standing, target.name)
    while True:
        outcome = await target.repeat(told, now())
        told = ()
        if outcome is not None and outcome.result is not Result.DELIVERED:
            log.warning("sink.repeat_failed", target=target.name, why=outcome.detail)
        await asyncio.sleep(target.every.total_seconds())
