"""Calls: one notice for one target, what became of each attempt, and when the next one is due.

Owns the words for it, the order in which calls are made and the schedule of retries. Refuses to send and to store.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NewType, Protocol

from detector.notice import Notice, NoticeType
from models.records import derived_id
from streams.cloudevents import instant

CallId = NewType("CallId", str)

SINK: Final = "sink:"
"""What the target of a sink's calls begins with; a hook's is its id. A sink only tells and switches nothing, so the
kill switch does not hold back what it is told."""

BODY_BYTES: Final = 20_000
"""Largest body of a notice: Standard Webhooks advise to stay under 20 kB, so that any receiver takes it."""
ENVELOPE_BYTES: Final = 500
"""What `type`, `timestamp` and the names of what was omitted may take beside the data."""

FIRST_RETRY: Final = timedelta(seconds=5)
RETRY_FACTOR: Final = 3.0
LONGEST_RETRY: Final = timedelta(hours=4)
"""Between the attempts at one call: 5 s, 15 s, 45 s, 2 min, 7 min, 20 min, 1 h, 3 h, then 4 h: some 25 attempts. The
first ones are closer than Standard Webhooks propose (5 s, 5 min, 30 min): a suspension waits for them."""
JITTER: Final = 0.2
"""Share by which each pause is drawn longer or shorter, so that calls that failed together come back apart."""
RETRY_SPAN: Final = timedelta(days=3)
"""From the first attempt at a call to the last: a weekend without anybody at the receiver, and a day more."""
LONGEST_ASKED: Final = timedelta(days=1)
"""The longest pause that a receiver may ask for by Retry-After."""


class State(StrEnum):
    """How a call stands. Only a waiting one is attempted; a person may put any other back to waiting."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DRY_RUN = "dry_run"
    """It would have been sent; the hook is in dry run."""
    FAILED = "failed"
    """No attempt within `RETRY_SPAN` succeeded."""
    STOPPED = "stopped"
    """The target was disabled before it was delivered."""


class Result(StrEnum):
    """How an attempt ended."""

    DELIVERED = "delivered"
    RETRY = "retry"
    GONE = "gone"
    DRY_RUN = "dry_run"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a target says of one attempt. `status` is the protocol's own, where it has one; `detail` is for a person.

    `after` is the pause that the receiver asked for: nothing else is sent to it before that. `says` is how the receiver
    put it, in its own words. It may repeat what it was sent, and that names accounts: it belongs into the log of
    deliveries, and never into a line that the process logs.
    """

    result: Result
    detail: str
    status: int | None = None
    after: timedelta | None = None
    says: str = ""

    @property
    def whole(self) -> str:
        """The detail with what the receiver said of it."""
        return f"{self.detail}: {self.says}" if self.says else self.detail


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a call, in `seconds`."""

    at: datetime
    seconds: float
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Due:
    """A call whose turn it is. `tries` were made; `begun` is when the first of them was, None before it."""

    call: CallId
    notice: Notice
    stored: datetime
    tries: int
    begun: datetime | None


class Target(Protocol):
    """Where notices go: a hook, a sink. `name` is the same for ever: calls are kept under it."""

    @property
    def name(self) -> str: ...

    def wants(self, notice: Notice) -> bool:
        """Whether a call is to be made for the notice."""

    async def send(self, notice: Notice, at: datetime) -> Outcome:
        """Attempt to hand the notice over, once, within a bounded time; `at` is now. Never raises for a receiver's
        faults. A second attempt carries the notice's id again, so that the receiver can tell."""


def call_id(target: str, notice: str) -> CallId:
    """The id of the call of one notice to one target."""
    return CallId(derived_id("ca", target, notice))


def lane(notice: Notice) -> str:
    """What the notice is about: notices of one lane reach a target one after the other, in the order in which they were
    stored. It is the alert, incident or suspension whose id the data name under that word, else the integration."""
    family = notice.type.partition(".")[0]
    return f"{family} {notice.data.get(family, notice.integration)}"


def rank(type: NoticeType) -> int:
    """Smaller goes first: what is switched off must not wait behind a thousand alerts."""
    return {"suspension": 0, "alert": 2}.get(type.partition(".")[0], 1)


def next_due(due: Due, outcome: Outcome, at: datetime, draw: float) -> datetime | None:
    """When to try again after a failed attempt at `at`; None when it is given up. `draw` in [0, 1) is the jitter's."""
    if at - (due.begun or at) >= RETRY_SPAN:
        return None
    exponent = min(due.tries, 20)  # beyond, the longest pause holds anyway
    pause = min(FIRST_RETRY * RETRY_FACTOR**exponent, LONGEST_RETRY) * (1 - JITTER + 2 * JITTER * draw)
    return at + max(pause, min(outcome.after or timedelta(0), LONGEST_ASKED))


def body(notice: Notice) -> bytes:
    """What a receiver is told, under `BODY_BYTES`, the same bytes at every attempt: type, timestamp, data, as JSON."""
    return dumped(body_of(notice)).encode()


def body_of(notice: Notice) -> dict[str, Any]:
    """What the body says, as an object."""
    return {"type": notice.type.value, "timestamp": instant(notice.at), "data": dict(notice.data)}


def fitted(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The data, without its largest members where they would make the body too large; `omitted` names those."""
    sizes = {name: len(dumped(value)) + len(name) + 4 for name, value in data.items()}
    omitted = []
    while sum(sizes.values()) > BODY_BYTES - ENVELOPE_BYTES:
        largest = max(sizes, key=lambda name: sizes[name])
        omitted.append(largest)
        del sizes[largest]
    return data if not omitted else {name: data[name] for name in sizes} | {"omitted": sorted(omitted)}


def dumped(value: Any) -> str:
    """JSON in one line without spaces."""
    return json.dumps(value, separators=(",", ":"))
