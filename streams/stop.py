"""Asking a process to stop: the first signal lets it finish what it holds, the second ends it at once.

Owns SIGTERM and SIGINT while it is entered. Refuses to decide what finishing means.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

STOPPED: Final = 0
FAILED: Final = 1
"""Exit codes: ended as asked; cannot work, and the log says why."""

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

GLANCE_SECONDS: Final = 0.2
"""How soon somebody who waits sees that it is time to stop. No Event is used: setting one from a signal handler
can meet its own lock."""


class Stop:
    """Whether the process was asked to stop. To be entered in the main thread."""

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self.asked = False
        self._sleep = sleep
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Stop:
        self._before = {each: signal.signal(each, self._heard) for each in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def wait(self, seconds: float) -> bool:
        """Wait, but no longer than until asked to stop; whether that was asked."""
        end = time.monotonic() + seconds
        while not self.asked and (left := end - time.monotonic()) > 0:
            self._sleep(min(left, GLANCE_SECONDS))
        return self.asked

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        if self.asked:
            os._exit(128 + number)  # somebody asked twice: not even locks are waited for
        self.asked = True
