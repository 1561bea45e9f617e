"""Whose a token or a session is, remembered for some seconds.

Owns the memory, so that a request with a known key costs a digest and no question to the store. Refuses to decide what
its holder may do. A key that was ended goes on for `REMEMBERED_SECONDS` in the processes that had just seen it; where
it was ended, it ends at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from starlette.concurrency import run_in_threadpool

from api.gate.secret import TOKEN, digest
from detector.access import Caller
from streams.store.access import Access
from streams.store.sql import SqlStore

REMEMBERED_SECONDS: Final = 5.0
"""How long an ended key may go on elsewhere: nobody revokes one and leaves within that time."""
KEYS_MOST: Final = 10_000


class Keys:
    """The keys that were shown lately. For one event loop."""

    def __init__(self, store: Callable[[], SqlStore], now: Callable[[], datetime]) -> None:
        self._store, self._now = store, now
        self._known: dict[str, tuple[Caller, float]] = {}
        self._changes = 0

    def known(self, key: str) -> Caller | None:
        """Whose key it is, if that was looked up a moment ago."""
        found = self._known.get(key)
        return found[0] if found is not None and time.monotonic() < found[1] else None

    async def look_up(self, key: str, secret: str) -> Caller | None:
        """Whose key it is by the store; None: nobody's, or no longer. Raises StoreUnavailable, ProblemError."""
        changes = self._changes
        caller = await run_in_threadpool(self._stored, key, secret)
        if caller is not None and changes == self._changes:  # else what was read may be from before the change
            if len(self._known) >= KEYS_MOST:
                self._known.clear()
            self._known[key] = caller, time.monotonic() + REMEMBERED_SECONDS
        return caller

    def forget(self) -> None:
        """Look every key up anew: somebody may do something else now."""
        self._changes += 1
        self._known.clear()

    def _stored(self, key: str, secret: str) -> Caller | None:
        access, now = Access(self._store().database), self._now()
        if secret.startswith(TOKEN):
            token = access.token(key)
            return token.caller() if token is not None and token.holds(now) else None
        user = access.session(key, now)
        return None if user is None else user.caller()


def key_of(secret: str) -> str:
    """What a secret is looked up by."""
    return digest(secret)
