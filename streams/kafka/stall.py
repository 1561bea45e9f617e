"""A consumer that has stopped reading although there is something to read, found out and thrown away.

Owns how long that may last. Refuses to mend the client: whoever reads begins again, from where its offsets are kept.

kafka-python 3.0.12 was seen, after members of its group had come and gone on busy brokers, to have left the group
without a word: its poll returned at once with nothing, for minutes, and it never joined again.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Final

from kafka import KafkaConsumer, TopicPartition

from streams.kafka.client import KafkaUnavailable

STALL_SECONDS: Final = 60.0
"""How long nothing may come before it is asked whether there was anything: longer than a rebalance takes when a member
has died (its session, 45 s)."""

LOOKUP_MS: Final = 10_000
"""How long the broker may take to say where partitions end."""


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
