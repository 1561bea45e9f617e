"""Consumers that go on reading: ahead of whoever works, through a join, or thrown away when they have stopped.

Owns how long a silence may last, and the one place where kafka-python is told what it forgets. Refuses everything
else: whoever reads begins again, from where its offsets are kept.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition

from streams.kafka.client import KafkaUnavailable

STALL_SECONDS: Final = 60.0
"""How long nothing may come before it is asked whether there was anything: longer than a rebalance takes when a member
has died (its session, 45 s)."""

LOOKUP_MS: Final = 10_000
"""How long the broker may take to say where partitions end."""


def seen_through(client: KafkaConsumer) -> KafkaConsumer:
    """The same consumer, whose polls wait for a join that is under way until it is through.

    The member that leads a group joins again when the partitions of its topics have changed, and notes the new ones in
    the middle of that join, as it hands them out. kafka-python 3.0.12 then sees nothing left to join for: if the poll
    that began the join has timed out by then, no later one takes its end. The member is left between two generations,
    without partitions and heartbeats, and its polls return at once with nothing, for ever. On a busy machine this met
    one start in fifteen: the first join comes before the topics are known, so each start joins twice.
    """
    coordinator: Any = client._coordinator
    needed = coordinator.need_rejoin
    coordinator.need_rejoin = lambda: coordinator.rejoining or needed()
    return client


def ask_ahead(client: KafkaConsumer) -> None:
    """Have the brokers asked for what comes next, so that it comes while the last poll's messages are worked on.

    kafka-python 3.0.12 asks at the beginning of a poll only. One that has to wait for the answer leaves nothing under
    way behind it, so the next one has to wait as well, and so on: some 10 ms each. As a poll does it, nothing is asked
    while something waits to be handed out, so that no more than two fetches are ever held.
    """
    fetcher: Any = client._fetcher
    if not (fetcher.in_flight_fetches() or fetcher._completed_fetches):
        fetcher.send_fetches()


def has_more(client: KafkaConsumer) -> bool:
    """Whether something has come that no poll has handed out: a poll that finds nothing costs half a millisecond."""
    fetcher: Any = client._fetcher
    return bool(fetcher._completed_fetches or fetcher._next_partition_records)


class Stall:
    """Looks after one consumer. One that is `alone` in its group has to be given something to read."""

    def __init__(self, client: KafkaConsumer, *, alone: bool) -> None:
        self._client = client
        self._alone = alone
        self._since = time.monotonic()

    def look(self, fetched: Collection[object]) -> None:
        """To be told of each poll. Raises KafkaUnavailable when the consumer does not read what it should."""
        now = time.monotonic()
        if fetched:
            self._since = now
        elif now - self._since > STALL_SECONDS:
            self._since = now
            self._require_reading()

    def _require_reading(self) -> None:
        assigned: set[TopicPartition] = self._client.assignment()
        if not assigned and self._alone:
            raise KafkaUnavailable(f"the group has given this consumer nothing to read for {STALL_SECONDS:.0f} s")
        reading = sorted(assigned - self._client.paused())
        if not reading:
            return
        ends: dict[TopicPartition, int] = self._client.end_offsets(reading, timeout_ms=LOOKUP_MS)
        if any(self._client.position(each, timeout_ms=LOOKUP_MS) < end for each, end in ends.items()):
            raise KafkaUnavailable(f"nothing was read for {STALL_SECONDS:.0f} s, although there is something")
