"""Re-keying: what producers sent without a key, or with a partitioner of their own, goes on under its own key.

Owns the loop from `topic_arrived` to the topics that workers read, each message once. Refuses to judge, and to look at
a picture: key and topic follow from the event's attributes.

The sequence of a batch
    1. Begin a Kafka transaction.
    2. Send each message to the topic where it belongs, under its key; what is no event, to the dead-letter topic.
    3. Add the group's offsets to the transaction, with the group's generation: who lost a partition is refused here.
    4. Commit. Readers of committed records see all of it or nothing.

A crash before 4 leaves a transaction that the broker aborts after `TRANSACTION_SECONDS`; another one reads the batch
again. Offsets of a transaction become visible a moment after its commit, so whoever is given a partition just then may
read a batch twice: the deliveries' ids make that harmless. Any number of these may run: the group shares partitions.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import structlog
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, MessageSizeTooLargeError
from kafka.structs import OffsetAndMetadata

from models.errors import StrayframeError
from streams import log as logs
from streams.cloudevents import Rejected, parse_headers, partition_key
from streams.health import READY, Health, HealthServer
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
    topic_of,
)
from streams.kafka.deadletters import SHAPES, shaped
from streams.kafka.sockets import DIRECT
from streams.kafka.topics import largest_message, require_topics
from streams.metrics import Metrics
from streams.settings import Settings
from streams.stop import Stop
from streams.worker import FAILED, FIRST_PAUSE, GLANCE_SECONDS, LONGEST_PAUSE, STOPPED

log = structlog.get_logger(__name__)

TRANSACTION_SECONDS: Final = 10.0
"""How long a transaction may take before the broker aborts it; readers wait for it that long after a crash. One takes
some 20 ms; where brokers are so slow that it takes longer than this, it is tried again."""

SILENT_SECONDS: Final = 6.0
"""How long the group waits for a silent member, the least that brokers allow. Heartbeats come every 3 s at most, from a
thread of their own."""

ENVELOPE_BYTES: Final = 8 * 1024
"""What a broker counts of a message beside what the client counts: the batch around it."""


def run(settings: Settings) -> int:
    """Re-key until told to stop; the exit code."""
    logs.configure(settings.log_level, settings.log_format)
    health = Health(Metrics())
    try:
        with Stop() as stop, ExitStack() as stack:
            if settings.metrics_port:
                server = HealthServer(health, settings.host, settings.metrics_port)
                stack.callback(server.close)
            forward(settings, health, stop)
    except StrayframeError as error:
        log.error("rekey.failed", reason=str(error))
        return FAILED
    log.info("rekey.stopped")
    return STOPPED


def forward(settings: Settings, health: Health, stop: Stop) -> None:
    """Re-key until told to stop. Once it worked, what may pass is tried again. Raises what no retry helps against."""
    for problem in require_topics(settings):
        log.warning("topics.problem", problem=problem)
    worked, pause = False, FIRST_PAUSE
    while not stop.asked:
        try:
            with Rekeyer(settings, health) as rekeyer:
                while not stop.asked:
                    rekeyer.step()
                    worked, pause = True, FIRST_PAUSE
        except StrayframeError as error:
            if not worked or not error.retry:
                raise
            log.warning("rekey.retrying", reason=str(error), seconds=pause)
            health.now(f"waiting to try again: {error}")
            stop.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


class Rekeyer:
    """One session. A context manager; after an error it is thrown away, and the next begins at what was committed."""

    def __init__(self, settings: Settings, health: Health) -> None:
        self._settings = settings
        self._health = health
        self._ends = ExitStack()

    def __enter__(self) -> Rekeyer:
        with self._ends:
            self._largest = largest_message(self._settings, self._settings.topic_stills, self._settings.topic_rejected)
            self._producer = _producer(self._settings, self._largest)
            self._ends.callback(self._producer.close, timeout=1)
            with reaching(self._settings):
                self._producer.init_transactions()
            self._consumer = _consumer(self._settings)
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
            if fetched:
                self._move(fetched)

    def _move(self, fetched: dict[TopicPartition, list[Record]]) -> None:
        self._producer.begin_transaction()
        sent = [self._send(record) for records in fetched.values() for record in records]
        following = {each: OffsetAndMetadata(records[-1].offset + 1, "", -1) for each, records in fetched.items()}
        self._producer.send_offsets_to_transaction(following, self._consumer.group_metadata())
        self._producer.commit_transaction()
        for future in sent:
            future.get(timeout=0)  # the commit waited for all; one that failed would have failed it
        self._health.metrics.rekeyed.inc(len(sent))
        log.info("rekey.moved", messages=len(sent))

    def _send(self, record: Record) -> Any:
        if record.value is None and not record.headers:
            return self._put_aside(record, "bad_attribute", "a tombstone: nothing is compacted here")
        try:
            event = parse_headers(record.headers, record.value).event
            if _bytes_of(record) + ENVELOPE_BYTES > self._largest:
                raise Rejected("too_large", f"the topics take messages of {self._largest} bytes at most")
        except Rejected as rejected:
            return self._put_aside(record, rejected.reason, rejected.detail)
        topic, key = topic_of(event, self._settings), partition_key(event)
        return self._producer.send(
            topic, record.value, key=key, headers=_headers(record), timestamp_ms=record.timestamp
        )

    def _put_aside(self, record: Record, reason: str, detail: str) -> Any:
        """Sizes are checked before anything is sent: one message that a broker refuses would fail the transaction."""
        self._health.metrics.rejected.labels(reason).inc()
        log.warning("message.rejected", reason=reason, topic=record.topic, offset=record.offset)
        shape = SHAPES[0] if _bytes_of(record) + ENVELOPE_BYTES <= self._largest else SHAPES[-1]
        key, value, headers = shaped(record, reason, detail, shape)
        return self._producer.send(self._settings.topic_rejected, value, key=key, headers=headers)


@contextmanager
def _failing(settings: Settings) -> Iterator[None]:
    try:
        yield
    except MessageSizeTooLargeError as error:
        raise KafkaRefused(f"Kafka at {settings.kafka}: {said(error)}") from None
    except KafkaError as error:
        # whatever it is, a transaction that failed is aborted with its session, and the batch is read again
        raise KafkaUnavailable(f"Kafka at {settings.kafka}: {said(error)}") from None


def _consumer(settings: Settings) -> KafkaConsumer:
    with connecting(settings) as options:
        consumer = KafkaConsumer(
            **options,
            client_id="strayframe-rekey",
            group_id=f"{settings.kafka_group}.rekey",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            isolation_level="read_committed",
            session_timeout_ms=int(SILENT_SECONDS * 1000),
            max_poll_interval_ms=int(POLL_SECONDS * 1000),
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            proxy_url=DIRECT,
            metrics_enabled=False,
        )
    consumer.subscribe([settings.topic_arrived])
    return consumer


def _producer(settings: Settings, largest: int) -> KafkaProducer:
    """A transactional producer. Its id names this process: two never share one, and a dead one's is never met again."""
    require_crc32c()
    with connecting(settings) as options:
        return KafkaProducer(
            **options,
            client_id="strayframe-rekey",
            transactional_id=f"{settings.kafka_group}.rekey.{socket.gethostname()}.{os.getpid()}",
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


def _headers(record: Record) -> list[tuple[str, bytes]]:
    return [(name, value or b"") for name, value in record.headers]


def _bytes_of(record: Record) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers
