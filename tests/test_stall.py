"""A consumer that stops reading is found out, one that has nothing to read is left alone, and no wait is for ever."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from cloud import PATIENCE_SECONDS, Cloud, delivered
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError
from kafka.producer.transaction_manager import TransactionalRequestResult
from kafka.structs import OffsetAndMetadata
from programs import wait_until

from streams.kafka import client as clients
from streams.kafka import stall, transactions
from streams.kafka.client import KafkaUnavailable
from streams.kafka.reader import Reader
from streams.kafka.stall import STALL_SECONDS, Stall, seen_through
from streams.kafka.transactions import BoundedProducer

HERE = TopicPartition("stills", 0)


class Client:
    """A consumer that stands at `position` in a partition that ends at `end`."""

    def __init__(self, position: int, end: int, assigned: bool = True, paused: bool = False) -> None:
        self._position, self._end, self._assigned, self._paused = position, end, assigned, paused

    def assignment(self) -> set[TopicPartition]:
        return {HERE} if self._assigned else set()

    def paused(self) -> set[TopicPartition]:
        return {HERE} if self._paused else set()

    def end_offsets(self, partitions: Any, timeout_ms: int) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, self._end)

    def position(self, partition: TopicPartition, timeout_ms: int) -> int:
        return self._position


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(stall.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("client", "stalled"),
    [
        (Client(5, 9), True),
        (Client(9, 9), False),
        (Client(5, 9, paused=True), False),
        (Client(9, 9, assigned=False), True),
    ],
    ids=["something to read", "nothing to read", "told not to read", "nothing assigned"],
)
def test_silence_is_a_stall_only_where_something_should_be_read(
    client: Client, stalled: bool, clock: list[float]
) -> None:
    watch = Stall(client, alone=True)  # type: ignore[arg-type]
    clock[0] = STALL_SECONDS
    watch.look([])
    clock[0] = STALL_SECONDS + 1
    if not stalled:
        watch.look([])
        return
    with pytest.raises(KafkaUnavailable):
        watch.look([])


def test_whatever_is_read_begins_the_time_anew(clock: list[float]) -> None:
    watch = Stall(Client(5, 9), alone=True)  # type: ignore[arg-type]
    clock[0] = STALL_SECONDS - 1
    watch.look(["a message"])
    clock[0] = 2 * STALL_SECONDS - 2
    watch.look([])


def test_one_of_many_may_have_nothing_to_read(clock: list[float]) -> None:
    watch = Stall(Client(9, 9, assigned=False), alone=False)  # type: ignore[arg-type]
    clock[0] = STALL_SECONDS + 1
    watch.look([])


def test_a_join_is_seen_through_however_short_the_polls_are(kafka: str, tmp_path: Path) -> None:
    """Polls of a millisecond: the join to which new partitions lead outlives each of them."""
    place = Cloud(kafka, f"sqlite:///{tmp_path}/store.db")
    group, topic = place.settings.kafka_group, place.settings.topic_stills
    member = seen_through(KafkaConsumer(bootstrap_servers=kafka, group_id=group, metadata_max_age_ms=100))
    member.subscribe([topic])
    assert has_within(20, member, 1, topic)
    with place.admin() as admin:
        admin.create_partitions({topic: 3})
    assert has_within(20, member, 3, topic)
    member.close()
    place.remove()


def has_within(seconds: float, member: KafkaConsumer, partitions: int, topic: str) -> bool:
    """Whether the member is given all of the topic's partitions while it is polled for so long."""
    every = {TopicPartition(topic, number) for number in range(partitions)}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        member.poll(1)
        if member.assignment() == every:
            return True
    return False


class Unread:
    """A store that has read nothing yet."""

    def claim(self, topic: str, partition: int, begin: int) -> int:
        return begin

    def follow(self, topic: str, partition: int, begin: int) -> int:
        return begin


def test_what_comes_next_arrives_without_a_further_poll(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kafka-python alone asks for nothing behind a poll that had to wait."""
    monkeypatch.setattr(clients, "FETCH_BYTES", 1000)  # one batch of some stills at a time
    place = Cloud(kafka, f"sqlite:///{tmp_path}/store.db")
    place.produce([delivered(number, 1) for number in range(40)])
    reader = Reader(place.settings, Unread())
    assert wait_until(lambda: bool(reader.poll(1.0, 5000).records), PATIENCE_SECONDS)
    assert wait_until(lambda: bool(reader._client._fetcher._completed_fetches), PATIENCE_SECONDS)
    reader.close(leave=True)
    place.remove()


class Silent:
    """A transaction's coordinator that never answers, as one that went away with the question in its hands."""

    def begin_commit(self) -> TransactionalRequestResult:
        return TransactionalRequestResult()

    def send_offsets_to_transaction(self, *_: Any) -> TransactionalRequestResult:
        return TransactionalRequestResult()


def test_a_transaction_that_nobody_answers_ends_in_an_error(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """kafka-python itself would wait for ever: these are the waits in which workers were seen to stay."""
    monkeypatch.setattr(transactions, "ANSWER_SECONDS", 0.2)
    producer = BoundedProducer(bootstrap_servers=kafka, transactional_id=f"test.{uuid.uuid4()}")
    producer.init_transactions()
    monkeypatch.setattr(producer, "_transactions", Silent())
    with pytest.raises(KafkaTimeoutError):
        producer.commit_transaction()
    with pytest.raises(KafkaTimeoutError):
        producer.send_offsets_to_transaction({HERE: OffsetAndMetadata(1, "", -1)}, "group")
    producer.close()
