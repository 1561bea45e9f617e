"""Trying a sink out by hand: one attempt, and what the sink keeps open is closed.

Owns nothing else. Refuses to schedule.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from detector.notice import Notice
from streams.outbox import trial
from streams.outbox.call import Attempt
from streams.sinks.sink import Sink


async def attempt(sink: Sink, now: Callable[[], datetime]) -> tuple[Notice, Attempt]:
    """A marked notice, and what came of telling it to the sink once, whoever dispatches."""
    told = trial.test_notice("sink", sink.spec.name, "", now())
    try:
        return told, await trial.attempt(sink, told, now)
    finally:
        sink.close()
