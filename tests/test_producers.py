"""Any producer: stills from another client and another library are judged as ours are, in both content modes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cloud import Cloud, delivered, enrolled, in_memory, rounds, told
from cloudevents.core.bindings.kafka import KafkaMessage, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from confluent_kafka import Producer

from models.records import Delivery
from streams.cloudevents import Message, to_json
from streams.kafka.topics import check_topics
from streams.settings import Settings

Encode = Callable[..., KafkaMessage]


@pytest.fixture
def cloud(kafka: str, tmp_path: Path) -> Iterator[Callable[..., Cloud]]:
    """Makes a cloud with a store of its own."""
    made: list[Cloud] = []

    def make(**settings: Any) -> Cloud:
        made.append(Cloud(kafka, f"sqlite:///{tmp_path}/{uuid.uuid4().hex}.db", **settings))
        return made[-1]

    yield make
    for each in made:
        each.remove()


class Pictures(JSONFormat):
    """The library's JSON format, with the bytes of pictures left as they are in binary mode."""

    def write_data(self, data: Any, datacontenttype: str | None) -> bytes:
        return data if isinstance(data, bytes) else super().write_data(data, datacontenttype)


def as_the_library_has_it(message: Message) -> CloudEvent:
    """The event as `cloudevents` makes one, with its picture, if it has one."""
    attributes: dict[str, Any] = to_json(message.event, id=message.key.id, source=message.key.source)
    attributes["time"] = datetime.fromisoformat(attributes["time"])
    picture = message.data if isinstance(message.event, Delivery) else None
    return CloudEvent(attributes, {} if picture is None else picture)


def produce(settings: Settings, messages: list[Message], encode: Encode, keyed: bool) -> None:
    """Send stills as a program would that knows neither our client nor our code."""
    producer = Producer({"bootstrap.servers": settings.kafka, "message.max.bytes": 4_000_000})
    for message in messages:
        event = message.event
        assert isinstance(event, Delivery)
        key = (lambda _, camera=event.camera: camera) if keyed else (lambda _: None)
        sent = encode(as_the_library_has_it(message), Pictures(), key)
        producer.produce(settings.topic_stills, sent.value, sent.key, headers=sent.headers)
    assert producer.flush(60) == 0


@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "without a key"])
@pytest.mark.parametrize("encode", [to_binary, to_structured], ids=["binary", "structured"])
def test_stills_from_librdkafka_and_the_cloudevents_library_are_judged_like_ours(
    cloud: Callable[..., Cloud], encode: Encode, keyed: bool
) -> None:
    homes, stills = [enrolled(camera) for camera in range(4)], rounds(cameras=4, each=9, leaks_from=5, leak_every=5)
    verdicts, alerts = in_memory([*homes, *stills])
    assert verdicts["leak"] >= 2
    place = cloud()
    place.produce(homes)
    produce(place.settings, stills, encode, keyed)
    place.judge_all()
    assert place.rejects() == []
    assert place.verdicts() == verdicts
    assert told(place.alerts()) == told(alerts)


def test_a_topic_holds_the_largest_still_in_base64(cloud: Callable[..., Cloud]) -> None:
    place = cloud(still_bytes=600_000)
    assert check_topics(place.settings) == []
    message = delivered(1, 1)
    largest = Message(message.event, message.key, data=bytes(600_000))
    produce(place.settings, [largest], to_structured, keyed=True)
    place.judge_all()
    assert place.verdicts() == {"unjudged": 1}
