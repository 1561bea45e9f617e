"""Stills without a key, or put elsewhere by another client, reach their camera's partition, each once."""

from __future__ import annotations

import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cloud import Cloud, delivered, enrolled, in_memory, rounds
from confluent_kafka import Producer
from kafka import KafkaConsumer
from programs import wait_until
from typer.testing import CliRunner

from api.cli import app
from models.records import Delivery, Kind
from streams import log
from streams.cloudevents import Message, parse_headers, partition_key, to_headers
from streams.health import READY, Health
from streams.kafka.browse import browsing, every
from streams.kafka.forward import forward
from streams.metrics import Metrics
from streams.rekey import route
from streams.settings import Settings
from streams.stop import Stop

PARTITIONS = 4


@pytest.fixture
def place(kafka: str, tmp_path: Path) -> Iterator[Cloud]:
    """A cloud with four partitions and a topic for what has no key."""
    arrived = f"test.{uuid.uuid4().hex[:12]}.arrived"
    made = Cloud(kafka, f"sqlite:///{tmp_path}/store.db", partitions=PARTITIONS, topic_arrived=arrived)
    yield made
    made.remove()


def on(settings: Settings, topic: str) -> list[Any]:
    """Every committed record of a topic."""
    with browsing(settings) as client:
        return list(every(client, topic))


def to_arrived(place: Cloud, messages: list[Message], **options: str) -> None:
    """As librdkafka sends them, without a key or with its own partitioner."""
    producer = Producer({"bootstrap.servers": place.settings.kafka, **options})
    for number, message in enumerate(messages):
        assert isinstance(message.event, Delivery)
        key = message.event.camera if number % 2 else None
        producer.produce(place.settings.topic_arrived, message.data, key, headers=to_headers(message.event))
    assert producer.flush(60) == 0


def rekey(place: Cloud, count: int) -> Metrics:
    """Send on until so many messages were."""
    metrics = Metrics()

    class Until(Stop):
        @property  # type: ignore[override]
        def asked(self) -> bool:
            return (metrics.registry.get_sample_value("strayframe_messages_forwarded_total") or 0) >= count

        @asked.setter
        def asked(self, value: bool) -> None: ...

    health = Health(metrics)
    forward(place.settings, route(place.settings, health), health, Until())
    assert health.state == READY
    return metrics


def judge(place: Cloud, stills: int) -> None:
    """Judge until the store has counted so many: a transaction leaves holes, so no offset is the end."""
    place.judge_all(until=lambda: sum(place.verdicts().values()) >= stills)


def test_stills_reach_their_cameras_partition_whole_and_once(place: Cloud) -> None:
    messages = [delivered(number, number % 5) for number in range(60)]
    to_arrived(place, messages)
    producer = Producer({"bootstrap.servers": place.settings.kafka})
    producer.produce(place.settings.topic_arrived, b"", None, headers=[("ce_type", b"still.eaten")])
    assert producer.flush(60) == 0

    rekey(place, 61)

    found = on(place.settings, place.settings.topic_stills)
    partitions: dict[bytes, set[int]] = {}
    for record in found:
        partitions.setdefault(record.key, set()).add(record.partition)
    assert all(len(each) == 1 for each in partitions.values())
    assert partitions.keys() == {f"cam{n}".encode() for n in range(5)}
    sent = {message.key.id: (message.event, message.data) for message in messages}
    assert {
        (said := parse_headers(record.headers, record.value)).key.id: (said.event, said.data) for record in found
    } == sent
    assert len(found) == len(messages)
    (letter,) = on(place.settings, place.settings.topic_rejected)
    assert dict(letter.headers)["strayframe_topic"] == place.settings.topic_arrived.encode()


def test_what_was_sent_on_is_not_sent_on_again(place: Cloud) -> None:
    to_arrived(place, [delivered(number, 0) for number in range(10)])
    rekey(place, 10)
    to_arrived(place, [delivered(number, 0) for number in range(10, 15)])
    rekey(place, 5)
    ids = Counter(
        parse_headers(each.headers, each.value).key.id for each in on(place.settings, place.settings.topic_stills)
    )
    assert ids == {f"d{number}": 1 for number in range(15)}


def test_a_message_that_fits_no_topic_is_put_aside_and_stops_nothing(place: Cloud) -> None:
    from kafka.admin import ConfigResource, ConfigResourceType

    with place.admin() as admin:
        small = {"max.message.bytes": "60000"}
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, place.settings.topic_stills, small)])
    large = delivered(0, 0)
    to_arrived(
        place, [Message(large.event, large.key, bytes(100_000)), Message(delivered(1, 0).event, large.key, b"x")]
    )
    rekey(place, 2)
    (letter,) = on(place.settings, place.settings.topic_rejected)
    headers = dict(letter.headers)
    assert headers["strayframe_reason"] == b"too_large"
    assert b"value of 100000 bytes" in headers["strayframe_dropped"]
    assert len(on(place.settings, place.settings.topic_stills)) == 1


def test_an_unexpected_failure_on_one_message_stops_nothing(place: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(event: Any) -> bytes:
        if event.key.id == "d3":
            raise ZeroDivisionError("a slip")
        return partition_key(event)

    monkeypatch.setattr("streams.rekey.partition_key", stumble)
    to_arrived(place, [delivered(number, number % 2) for number in range(8)])
    rekey(place, 8)
    (letter,) = on(place.settings, place.settings.topic_rejected)
    headers = dict(letter.headers)
    assert headers["strayframe_reason"] == b"failed"
    assert headers["strayframe_detail"] == b"ZeroDivisionError: a slip"
    assert headers["ce_id"] == b"d3"
    assert len(on(place.settings, place.settings.topic_stills)) == 7


def test_one_that_is_killed_leaves_nothing_half_and_the_next_one_goes_on(place: Cloud, tmp_path: Path) -> None:
    messages = [delivered(number, number % 5) for number in range(300)]
    to_arrived(place, messages)
    first = place.process("rekey", tmp_path / "first.log", batch_stills=5)
    first.await_event("rekey.moved", 3)
    first.end(signal.SIGKILL)
    second = place.process("rekey", tmp_path / "second.log")
    assert wait_until(lambda: len(on(place.settings, place.settings.topic_stills)) >= 300, 90), second.log.read_text()
    assert second.end(signal.SIGTERM) == 0
    ids = [parse_headers(each.headers, each.value).key.id for each in on(place.settings, place.settings.topic_stills)]
    assert Counter(ids) == {f"d{number}": 1 for number in range(300)}


def test_the_topic_grows_by_the_documented_steps_and_the_same_leaks_are_named(place: Cloud) -> None:
    homes, stills = [enrolled(camera) for camera in range(6)], rounds(cameras=6, each=12, leaks_from=5, leak_every=5)
    _, alerts = in_memory([*homes, *stills])
    leaks = {(alert.delivery, alert.owner) for alert in alerts if alert.kind is Kind.LEAK}
    assert len(leaks) >= 5
    place.produce(homes)
    to_arrived(place, stills[:40])
    rekey(place, 40)
    to_arrived(place, stills[40:])
    code, out = grow(place, 9)
    assert code == 2
    assert "has not read" in out
    judge(place, 40)
    code, out = grow(place, 9)
    assert code == 0
    assert f"{place.settings.topic_stills} has 9 partitions" in out
    rekey(place, len(stills) - 40)
    judge(place, len(stills))

    client = KafkaConsumer(bootstrap_servers=place.settings.kafka)
    assert len(client.partitions_for_topic(place.settings.topic_stills)) == 9
    client.close()
    assert {(alert.delivery, alert.owner) for alert in place.alerts() if alert.kind is Kind.LEAK} == leaks


def grow(place: Cloud, partitions: int) -> tuple[int, str]:
    """What `strayframe topics grow` says."""
    names = ("kafka", "kafka_group", "topic_stills")
    environment = {f"STRAYFRAME_{name.upper()}": getattr(place.settings, name) for name in names}
    result = CliRunner().invoke(app, ["topics", "grow", "--partitions", str(partitions)], env=environment)
    log.configure("info", "text")
    return result.exit_code, result.output
