"""From one topic to others, each message once: what `rekey` and the workers that only look have in common.

Owns the session, its transactions, and what is tried again. Refuses to know what a message becomes: a `Route` says.

The sequence of a batch
    1. Poll, and have the route say what becomes of each message.
    2. Begin a Kafka transaction, and send what became of them.
    3. Add the group's offsets to the transaction, with the group's generation: who lost a partition is refused here.
    4. Commit. Readers of committed records see all of it or nothing.

A crash before 4 leaves a transaction that the broker aborts after `TRANSACTION_SECONDS`; another member reads the batch
again. Offsets of a transaction become visible a moment after its commit, so whoever is given a partition just then may
read a batch twice: the deliveries' ids make that harmless. Any number of these may run: the group shares partitions.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import structlog
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, MessageSizeTooLargeError
from kafka.structs import OffsetAndMetadata

from models.errors import StrayframeError
from streams.cloudevents import Rejected
from streams.health import READY, Health
from streams.kafka.client import (
    BATCH_BYTES,
    DELIVERY_SECONDS,
    FETCH_BYTES,
    LINGER_MS,
    PARTITION_FETCH_BYTES,
    POLL_SECONDS,
    REQUEST_SECONDS,
    KafkaRefused,
    KafkaUnavailable,
    Record,
    connecting,
    reaching,
    require_crc32c,
    said,
)
from streams.kafka.deadletters import SHAPES, shaped
from streams.kafka.stall import Stall, ask_ahead, seen_through
from streams.kafka.topics import largest_message
from streams.kafka.transactions import TRANSACTION_SECONDS, BoundedProducer
from streams.settings import Settings
from streams.stop import Stop

log = structlog.get_logger(__name__)

GLANCE_SECONDS: Final = 0.5
"""Longest wait for a message, so that a signal is seen soon."""

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
"""Seconds before Kafka is tried again, doubled each time."""

SILENT_SECONDS: Final = 6.0
"""How long the group waits for a silent member, the least that brokers allow. Heartbeats come every 3 s at most, from a
thread of their own."""

ENVELOPE_BYTES: Final = 8 * 1024
"""What a broker counts of a message beside what is counted here: the batch around it."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What a message becomes. Without a `partition` the key decides; `timestamp` is the message's own."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    partition: int | None = None
    timestamp: int | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """From `topic` to `topics`, under a group and transactions that bear `name`. `become` is given a batch in order and
    returns what is to be sent, none of it larger than so many bytes; `put_aside`, what is sent of a message on which it
    failed."""

    name: str
    topic: str
    topics: tuple[str, ...]
    become: Callable[[Sequence[Record], int], list[Outgoing]]
    put_aside: Callable[[Record, Rejected, int], list[Outgoing]]


def forward(settings: Settings, route: Route, health: Health, stop: Stop) -> None:
    """Go on until told to stop. Once it worked, what may pass is tried again. Raises what no retry helps against."""
    worked, pause = False, FIRST_PAUSE
    while not stop.asked:
        try:
            with Forwarder(settings, route, health) as forwarder:
                while not stop.asked:
                    forwarder.step()
                    worked, pause = True, FIRST_PAUSE
        except StrayframeError as error:
            if not worked or not error.retry:
                raise
            log.warning(f"{route.name}.retrying", reason=str(error), seconds=pause)
            health.now(f"waiting to try again: {error}")
            stop.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


class Forwarder:
    """One session. A context manager; after an error it is thrown away, and the next begins at what was committed."""

    def __init__(self, settings: Settings, route: Route, health: Health) -> None:
        self._settings = settings
        self._route = route
        self._health = health
        self._ends = ExitStack()

    def __enter__(self) -> Forwarder:
        with self._ends:
            self._largest = largest_message(self._settings, *self._route.topics)
            self._producer = _producer(self._settings, self._route.name, self._largest)
            self._ends.callback(self._producer.close, timeout=1)
            with reaching(self._settings):
                self._producer.init_transactions()
            self._consumer = seen_through(_consumer(self._settings, self._route))
            self._stall = Stall(self._consumer, alone=False)
            self._ends.callback(self._consumer.close)
            self._ends = self._ends.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def step(self) -> None:
        """Move what one poll brings. Raises KafkaUnavailable, KafkaRefused."""
        with _failing(self._settings):
            fetched = self._consumer.poll(int(GLANCE_SECONDS * 1000), max_records=self._settings.batch_stills)
            if self._consumer.assignment():
                self._health.now(READY)
            self._stall.look(fetched)
            if fetched:
                ask_ahead(self._consumer)
                self._move(fetched)

    def _move(self, fetched: dict[TopicPartition, list[Record]]) -> None:
        records = [record for run in fetched.values() for record in run]
        outgoing = self._become(records)
        following = {each: OffsetAndMetadata(run[-1].offset + 1, "", -1) for each, run in fetched.items()}
        self._producer.begin_transaction()
        sent = [self._send(each) for each in outgoing]
        self._producer.send_offsets_to_transaction(following, self._consumer.group_metadata())
        self._producer.commit_transaction()
        for future in sent:
            future.get(timeout=0)  # the commit waited for all; one that failed would have failed it
        self._health.metrics.forwarded.inc(len(records))
        log.info(f"{self._route.name}.moved", messages=len(records))

    def _become(self, records: list[Record]) -> list[Outgoing]:
        """Behind this nothing that a message holds can stop the loop: it is put aside, and the others go on."""
        largest = self._largest - ENVELOPE_BYTES
        try:
            return self._route.become(records, largest)
        except StrayframeError:
            raise
        except Exception as error:
            log.exception("message.failed", messages=len(records), first=records[0].offset, topic=records[0].topic)
            if len(records) > 1:
                return [outgoing for record in records for outgoing in self._become([record])]
            failed = Rejected("failed", f"{type(error).__name__}: {error}")
            return self._route.put_aside(records[0], failed, largest)

    def _send(self, each: Outgoing) -> Any:
        return self._producer.send(
            each.topic,
            each.value,
            key=each.key,
            headers=each.headers,
            partition=each.partition,
            timestamp_ms=each.timestamp,
        )


def letter(settings: Settings, record: Record, reason: str, detail: str, largest: int) -> Outgoing:
    """The dead letter of a message. Sizes are looked at before anything is sent: one message that a broker refuses
    would fail the whole transaction."""
    key, value, headers = shaped(record, reason, detail, SHAPES[0 if bytes_of(record) <= largest else -1])
    return Outgoing(settings.topic_rejected, key, value, headers)


def bytes_of(record: Record) -> int:
    """What a message holds: key, value and headers."""
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


def headers_of(record: Record) -> list[tuple[str, bytes]]:
    """The headers as they are sent on."""
    return [(name, value or b"") for name, value in record.headers]


@contextmanager
def _failing(settings: Settings) -> Iterator[None]:
    try:
        yield
    except MessageSizeTooLargeError as error:
        raise KafkaRefused(f"Kafka at {settings.kafka}: {said(error)}") from None
    except KafkaError as error:
        # whatever it is, a transaction that failed is aborted with its session, and the batch is read again
        raise KafkaUnavailable(f"Kafka at {settings.kafka}: {said(error)}") from None


def _consumer(settings: Settings, route: Route) -> KafkaConsumer:
    with connecting(settings) as options:
        consumer = KafkaConsumer(
            **options,
            client_id=f"strayframe-{route.name}",
            group_id=f"{settings.kafka_group}.{route.name}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            isolation_level="read_committed",
            session_timeout_ms=int(SILENT_SECONDS * 1000),
            heartbeat_interval_ms=int(SILENT_SECONDS * 1000 / 3),
            max_poll_interval_ms=int(POLL_SECONDS * 1000),
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            metrics_enabled=False,
        )
    consumer.subscribe([route.topic])
    return consumer


def _producer(settings: Settings, name: str, largest: int) -> KafkaProducer:
    """A transactional producer. Its id names this process: two never share one."""
    require_crc32c()
    with connecting(settings) as options:
        return BoundedProducer(
            **options,
            client_id=f"strayframe-{name}",
            transactional_id=f"{settings.kafka_group}.{name}.{socket.gethostname()}.{os.getpid()}",
            transaction_timeout_ms=int(TRANSACTION_SECONDS * 1000),
            acks="all",
            batch_size=BATCH_BYTES,
            linger_ms=LINGER_MS,
            delivery_timeout_ms=int(DELIVERY_SECONDS * 1000),
            max_block_ms=int(REQUEST_SECONDS * 1000),
            max_request_size=largest,
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )
