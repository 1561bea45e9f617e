"""Topics read by somebody who belongs to no group: nobody's offsets move, and no partition is taken from a worker.

Owns that consumer, and reading up to where a topic ends now. Refuses to wait for what comes later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from streams.kafka.client import (
    FETCH_BYTES,
    PARTITION_FETCH_BYTES,
    KafkaUnavailable,
    Record,
    connecting,
    require_crc32c,
    said,
)
from streams.settings import Settings

GLANCE_MS: Final = 500
LOOKUP_MS: Final = 10_000
"""How long one poll waits, and how long the broker may take to say where partitions begin and end."""


@contextmanager
def browsing(settings: Settings) -> Iterator[KafkaConsumer]:
    """The consumer; closed afterwards. Raises KafkaUnavailable, KafkaRefused, within it as well."""
    require_crc32c()
    with connecting(settings) as options:
        client = KafkaConsumer(
            **options,
            client_id="strayframe-browser",
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            isolation_level="read_committed",
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            metrics_enabled=False,
        )
    try:
        yield client
    except KafkaError as error:
        raise KafkaUnavailable(f"Kafka at {settings.kafka}: {said(error)}") from None
    finally:
        client.close()


def partitions_of(client: KafkaConsumer, topic: str) -> list[TopicPartition]:
    """The partitions of a topic, which has to be there. Raises KafkaUnavailable."""
    numbers = client.partitions_for_topic(topic)
    if not numbers:
        raise KafkaUnavailable(f"topic {topic} is not there; `strayframe topics create` makes it")
    return [TopicPartition(topic, number) for number in sorted(numbers)]


def every(client: KafkaConsumer, topic: str, begin: Mapping[TopicPartition, int] | None = None) -> Iterator[Record]:
    """Every record that a topic holds now, or those from `begin` on, where a partition has one."""
    partitions = partitions_of(client, topic)
    ends: dict[TopicPartition, int] = client.end_offsets(partitions, timeout_ms=LOOKUP_MS)
    begins: dict[TopicPartition, int] = client.beginning_offsets(partitions, timeout_ms=LOOKUP_MS)
    client.assign(partitions)
    for each in partitions:
        client.seek(each, max(begins[each], (begin or {}).get(each, 0)))
    while any(client.position(each, timeout_ms=LOOKUP_MS) < end for each, end in ends.items()):
        for each, records in client.poll(GLANCE_MS).items():
            yield from (record for record in records if record.offset < ends[each])


def at(client: KafkaConsumer, partition: TopicPartition, offset: int) -> Record | None:
    """The record at one place; None where there is none, or no longer."""
    if partition not in partitions_of(client, partition.topic):
        return None
    begin = client.beginning_offsets([partition], timeout_ms=LOOKUP_MS)[partition]
    end = client.end_offsets([partition], timeout_ms=LOOKUP_MS)[partition]
    if not begin <= offset < end:
        return None
    client.assign([partition])
    client.seek(partition, offset)
    while client.position(partition, timeout_ms=LOOKUP_MS) <= offset:
        for record in client.poll(GLANCE_MS, max_records=1).get(partition, []):
            found: Record = record
            return found if found.offset == offset else None
    return None
