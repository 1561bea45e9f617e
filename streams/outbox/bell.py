"""A bell: wakes the dispatcher at once when somebody in the same process has stored a notice.

Owns the way from any thread into the dispatcher's loop. Refuses to carry anything: what there is to do lies in
the store.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress


class Bell:
    """Rung by any thread, as often as wished; heard by one loop at a time. A ring that nobody awaits is kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rung = False
        self._heard: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def ring(self) -> None:
        """Wake whoever waits, or will."""
        with self._lock:
            self._rung = True
            if self._heard is not None:
                loop, event = self._heard
                with suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(event.set)

    async def wait(self, seconds: float) -> None:
        """Wait for a ring, but no longer than so many seconds."""
        event = asyncio.Event()
        with self._lock:
            self._heard = (asyncio.get_running_loop(), event)
            if self._rung:
                event.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
        with self._lock:
            self._rung, self._heard = False, None
