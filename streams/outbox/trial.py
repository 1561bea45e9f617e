"""Trying a hook or a sink out by hand: a notice that says it is a test, and one attempt at it.

Owns the marked notice. Refuses to schedule, and to write anything down.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from detector.notice import Notice, NoticeType, notice
from streams.outbox.call import Attempt, Target

MESSAGE: Final = "This is a test from Strayframe. Nothing happened."


def test_notice(kind: str, name: str, integration: str, at: datetime) -> Notice:
    """A notice for the hook or sink (`kind`) of that name, which says of itself that it is a test; each is another."""
    return notice(NoticeType.TEST, at, integration, {kind: name, "message": MESSAGE}, name, secrets.token_hex(8))


async def attempt(target: Target, told: Notice, now: Callable[[], datetime]) -> Attempt:
    """Tell it once, now, whoever dispatches, and whether or not it would be told of this."""
    at, clock = now(), time.monotonic()
    outcome = await target.send(told, at)
    return Attempt(at, time.monotonic() - clock, outcome)
