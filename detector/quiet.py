"""How long a scope must stay silent for its silence to say that it was shut.

Owns that measure. Refuses to look at deliveries one by one: it is given their counts. A scope that hardly anything ever
came through is silent most of the time by itself, and then no silence tells: a person does.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from math import inf
from typing import Final

from detector.policy import Exposure, passed
from detector.scope import Scope

TELL: Final = 3.0
"""Deliveries that would have come meanwhile, from which on it tells that none did: by chance none of three comes once
in twenty times (Poisson)."""
MOMENT: Final = timedelta(seconds=1)
"""The least time over which deliveries are counted: an order may come with the first of an integration."""
SPANS: Final = (timedelta(minutes=10), timedelta(hours=1), timedelta(hours=24))
"""Before the order; what came is counted over the shortest of them in which so many did: a release that began to roll
out ten minutes ago has come to more than its share of the day."""


def silence(of: Scope, ordered: datetime, counts: Exposure, accounts: int, since: datetime | None = None) -> float:
    """Seconds in which, by what came before the order, `TELL` deliveries would have come; infinite where fewer came in
    a day.

    Accounts are never counted one by one: of a link it is what an average one of the integration's `accounts` got.
    `since` is from when on the integration is watched at all.
    """
    for longest in SPANS:
        span = longest if since is None else max(min(longest, ordered - since), MOMENT)
        inside, everything = passed(of, of.where, counts, ordered - span, ordered)
        came = inside if of.is_wide else everything / max(accounts, 1)
        if came >= TELL:
            return TELL * span.total_seconds() / came
    return inf
