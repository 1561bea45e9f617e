"""Trying a sink out by hand: a notice that says it is a test, one attempt, and both in the log of its calls.

Owns the marked notice. Refuses to schedule.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import datetime

from detector.notice import Notice, NoticeType, notice
from streams.outbox.call import Attempt
from streams.outbox.manual import TEST_DATA
from streams.sinks.sink import Sink


def test_notice(name: str, at: datetime) -> Notice:
    """A notice for the sink of that name, which says of itself that it is a test; each is another one."""
    return notice(NoticeType.TEST, at, "", {"sink": name, **TEST_DATA}, name, secrets.token_hex(8))


async def attempt(sink: Sink, told: Notice, now: Callable[[], datetime]) -> Attempt:
    """Tell the sink once, now, whoever dispatches; what it keeps open is closed."""
    at, clock = now(), time.monotonic()
    try:
        outcome = await sink.send(told, at)
    finally:
        sink.close()
    return Attempt(at, time.monotonic() - clock, outcome)
