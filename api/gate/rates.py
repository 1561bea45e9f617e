"""How often somebody may ask: so many a minute, with a burst of as many.

Owns the count (GCRA, the generic cell rate algorithm of ITU-T I.371: one time for each caller and no timer), and how
somebody is told to wait. Refuses to know who asks.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from typing import Final

from api.problems import TOO_MANY_REQUESTS, ProblemError

MINUTE: Final = 60.0
KNOWN_MOST: Final = 50_000
"""Callers that are remembered, the latest: some megabytes, whoever tries from how many addresses."""
_ROUNDING: Final = 1e-9
"""Seconds by which sums of steps may be off."""


class Rate:
    """At most `a_minute` at once, and on average. Safe for several threads."""

    def __init__(self, a_minute: int) -> None:
        self._step = MINUTE / a_minute
        self._free: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, who: str, now: float) -> int:
        """Count a request at `now` (seconds); 0, or the whole seconds after which the next one would be let through.

        One that has to wait is not counted.
        """
        with self._lock:
            free = max(self._free.get(who, now), now)
            late = free + self._step - (now + MINUTE)
            if late > _ROUNDING:
                return max(1, math.ceil(late))
            self._free[who] = free + self._step
            self._free.move_to_end(who)
            if len(self._free) > KNOWN_MOST:
                self._free.popitem(last=False)
            return 0


def hold_back(rate: Rate, who: str) -> None:
    """Count a request of `who` now. Raises ProblemError, with Retry-After, when it comes too early."""
    if seconds := rate.wait(who, time.monotonic()):
        raise ProblemError(TOO_MANY_REQUESTS, f"Ask again in {seconds} s.", headers={"Retry-After": str(seconds)})
