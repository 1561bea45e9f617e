"""Kafka's clients on the real broker: what is produced arrives whole, what is wrong is said in a sentence."""

from __future__ import annotations

import importlib.util
import uuid
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from cloud import START, delivered, enrolled
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from programs import free_port

from models.records import AccountId, ChangeDeployed, Delivery, DeliveryId, StillOpened
from streams.cloudevents import Message, parse_headers
from streams.kafka import client as clients
from streams.kafka import inlet
from streams.kafka.client import (
    KafkaRefused,
    KafkaUnavailable,
    MessageTooLarge,
    Outlet,
    admin,
    message_bytes,
    require_crc32c,
)
from streams.kafka.inlet import Inlet
from streams.kafka.topics import check_topics, create_topics, require_topics, topics
from streams.settings import Settings

pytestmark = [pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"), pytest.mark.usefixtures("swept")]


@pytest.fixture
def settings(kafka: str) -> Iterator[Settings]:
    """Settings with topic names of this test's own; what was made of them is deleted afterwards."""
    name = f"test.{uuid.uuid4().hex[:12]}"
    names = {f"topic_{each}": f"{name}.{each}" for each in ("stills", "rights", "changes", "rejected")}
    yield Settings(kafka=kafka, kafka_group=name, still_bytes=200_000, **names)
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    made = [topic for topic in names.values() if topic in admin.list_topics()]
    if made:
        admin.delete_topics(made)
    admin.close()


def read(settings: Settings, topic: str) -> list[Any]:
    """Every message of a topic, by partition and offset."""
    client = KafkaConsumer(bootstrap_servers=settings.kafka)
    every = [TopicPartition(topic, number) for number in client.partitions_for_topic(topic)]
    client.assign(every)
    client.seek_to_beginning(*every)
    wanted, found = sum(client.end_offsets(every).values()), []
    while len(found) < wanted:
        for records in client.poll(1000).values():
            found += records
    client.close()
    return sorted(found, key=lambda record: (record.partition, record.offset))


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "BOOTSTRAP_SECONDS", 2.0)


# --- topics ----------------------------------------------------------------------------------------------


def test_created_topics_have_nothing_wrong_with_them(settings: Settings) -> None:
    assert len(check_topics(settings)) == 4
    assert len(create_topics(settings, partitions=3)) == 4
    assert check_topics(settings) == []


def test_every_connection_has_an_inlet(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[int] = []

    class Watched(Inlet):
        def receive(self) -> tuple[bytes, Exception | None]:
            received.append(id(self))
            return super().receive()

    monkeypatch.setattr(inlet, "Inlet", Watched)
    with admin(settings) as client:
        client.describe_cluster()
    assert received


def test_creating_topics_twice_changes_nothing(settings: Settings) -> None:
    create_topics(settings, partitions=2)
    assert create_topics(settings, partitions=5) == []
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka)
    (stills,) = admin.describe_topics([settings.topic_stills])
    admin.close()
    assert len(stills["partitions"]) == 2


def test_missing_topics_are_refused_by_name_and_remedy(settings: Settings) -> None:
    with pytest.raises(KafkaRefused) as refused:
        require_topics(settings)
    assert settings.topic_rights in str(refused.value)
    assert "strayframe topics create" in str(refused.value)


def test_wrong_topics_are_described_in_words(settings: Settings) -> None:
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka)
    compact = {"num_partitions": 1, "replication_factor": 1, "configs": {"cleanup.policy": "compact"}}
    plain = {"num_partitions": 1, "replication_factor": 1, "configs": {"max.message.bytes": "100000"}}
    admin.create_topics({settings.topic_stills: compact, settings.topic_rights: plain, settings.topic_rejected: plain})
    admin.close()
    problems = check_topics(settings)
    assert len(problems) == 4, problems
    assert any(settings.topic_stills in each and "is compacted" in each for each in problems)
    assert any(settings.topic_rights in each and "not compacted" in each for each in problems)
    assert any(settings.topic_changes in each and "does not exist" in each for each in problems)
    assert any(settings.topic_rejected in each and "max.message.bytes" in each for each in problems)


class Cluster:
    """What an admin client of three brokers would say of the topics, in `parts` of a partition that differ."""

    def __init__(self, settings: Settings, **parts: Any) -> None:
        whole = {"partition_index": 0, "leader_id": 1, "replica_nodes": [1, 2], "isr_nodes": [1, 2]}
        self._partition = whole | parts
        self._wanted = {each.name: each for each in topics(settings)}
        self._bytes = str(message_bytes(settings))

    def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        return [{"name": name, "error_code": 0, "partitions": [self._partition]} for name in names]

    def describe_cluster(self) -> dict[str, Any]:
        return {"brokers": [{}, {}, {}]}

    def describe_configs(self, resources: list[Any], config_filter: str) -> dict[str, Any]:
        name = resources[0].name
        usual = {"cleanup.policy": "delete", "max.message.bytes": self._bytes, "retention.ms": "1000"}
        configs = usual | self._wanted[name].configs | {"min.insync.replicas": "1"}
        return {"topic": {name: {key: {"value": value} for key, value in configs.items()}}}


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({}, None),
        ({"replica_nodes": [1], "isr_nodes": [1]}, "one replica of partition 0 among 3 brokers"),
        ({"isr_nodes": [1]}, "of partition 0 not all replicas are in sync"),
        ({"leader_id": -1, "isr_nodes": [2]}, "nobody leads partition 0"),
        ({"replica_nodes": [1, 2, 3], "isr_nodes": [1, 2, 3]}, "min.insync.replicas = 1"),
    ],
)
def test_partitions_that_may_fail_are_told_before_they_do(
    parts: dict[str, Any], said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings()
    monkeypatch.setattr("streams.kafka.topics.admin", lambda _: nullcontext(Cluster(settings, **parts)))
    problems = check_topics(settings)
    assert len(problems) == (0 if said is None else 4), problems
    assert all(said is not None and said in problem for problem in problems)


# --- the outlet ------------------------------------------------------------------------------------------


def test_what_was_sent_arrives_in_its_topic_with_key_headers_and_picture(settings: Settings) -> None:
    create_topics(settings, partitions=3)
    still = delivered(7, camera=2)
    opened = Message(StillOpened(DeliveryId("test", "d7"), START, AccountId("home2")), DeliveryId("test", "o1"))
    change = Message(ChangeDeployed("cache", "2.0", START), DeliveryId("test", "c1"))
    with Outlet(settings) as outlet:
        receipts = [outlet.send(message) for message in (still, enrolled(2), opened, change)]
        receipts[0].wait()
        assert receipts[0].done
    stills = {parse_headers(each.headers, each.value).key.id: each for each in read(settings, settings.topic_stills)}
    (right,) = read(settings, settings.topic_rights)
    (deploy,) = read(settings, settings.topic_changes)
    assert (stills["d7"].key, stills["d7"].value) == (b"cam2", still.data)
    for record, message in ((stills["d7"], still), (stills["o1"], opened), (right, enrolled(2)), (deploy, change)):
        assert parse_headers(record.headers, record.value).event == message.event
    assert right.key == b"cam2|home2"
    assert right.value, "a null value would be compaction's tombstone"


def test_a_claim_check_travels_as_a_reference(settings: Settings) -> None:
    create_topics(settings, partitions=1)
    still = delivered(1, camera=1)
    with Outlet(settings) as outlet:
        outlet.send(Message(still.event, still.key, dataref="https://pictures.example/1.jpg"))
    (record,) = read(settings, settings.topic_stills)
    parsed = parse_headers(record.headers, record.value)
    assert (parsed.data, parsed.dataref) == (None, "https://pictures.example/1.jpg")


def test_a_cameras_stills_keep_their_order(settings: Settings) -> None:
    create_topics(settings, partitions=4)
    with Outlet(settings) as outlet:
        for number in range(200):
            outlet.send(
                Message(delivered(number, number % 5).event, DeliveryId("test", f"d{number}"), data=b"\xff\xd8")
            )
    by_camera: dict[bytes, list[int]] = {}
    partitions: dict[bytes, set[int]] = {}
    for record in read(settings, settings.topic_stills):
        by_camera.setdefault(record.key, []).append(int(dict(record.headers)["ce_id"][1:]))
        partitions.setdefault(record.key, set()).add(record.partition)
    assert all(numbers == sorted(numbers) for numbers in by_camera.values())
    assert all(len(each) == 1 for each in partitions.values())
    assert sum(map(len, by_camera.values())) == 200


def test_a_message_too_large_fails_alone(settings: Settings) -> None:
    create_topics(settings, partitions=1)
    brokers_limit = settings.model_copy(update={"still_bytes": 5_000_000})
    fits = delivered(1, camera=1)
    huge = delivered(2, camera=1)
    with Outlet(brokers_limit) as outlet:
        receipt = outlet.send(Message(huge.event, huge.key, data=bytes(3_000_000)))
        with pytest.raises(MessageTooLarge):
            receipt.wait()
        with pytest.raises(MessageTooLarge):
            outlet.send(Message(huge.event, huge.key, data=bytes(9_000_000)))
        outlet.send(fits).wait()
    assert [record.value for record in read(settings, settings.topic_stills)] == [fits.data]


def test_flush_tells_of_a_message_that_was_refused(settings: Settings) -> None:
    create_topics(settings, partitions=1)
    outlet = Outlet(settings.model_copy(update={"still_bytes": 5_000_000}))
    huge = delivered(2, camera=1)
    outlet.send(Message(huge.event, huge.key, data=bytes(3_000_000)))
    with pytest.raises(MessageTooLarge):
        outlet.flush()
    outlet.flush()
    outlet.close()


def test_much_on_its_way_makes_the_sender_wait(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "PENDING_BYTES", 100_000)
    create_topics(settings, partitions=1)
    event = delivered(0, 0).event
    assert isinstance(event, Delivery)
    most = 0
    with Outlet(settings) as outlet:
        for number in range(60):
            outlet.send(Message(event, DeliveryId("test", str(number)), data=bytes(20_000)))
            most = max(most, outlet.pending_bytes)
    assert most <= 120_000
    assert len(read(settings, settings.topic_stills)) == 60


def test_a_topic_that_nobody_made_is_refused_in_a_sentence(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "REQUEST_SECONDS", 2.0)
    outlet = Outlet(settings)
    with pytest.raises(KafkaUnavailable, match="strayframe topics check"):
        outlet.send(delivered(0, 0))
    outlet.close()


# --- what is wrong with the connection -------------------------------------------------------------------


@pytest.mark.parametrize(
    "client", [clients.consumer, clients.producer, check_topics], ids=["consume", "produce", "check"]
)
def test_a_wrong_address_is_said_with_the_address(
    client: Callable[[Settings], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    port = free_port()
    with pytest.raises(KafkaUnavailable) as unavailable:
        client(Settings(kafka=f"127.0.0.1:{port}"))
    assert f"no Kafka broker answered at 127.0.0.1:{port} within 2 s" in str(unavailable.value)
    assert unavailable.value.retry


def test_an_address_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch)
    with pytest.raises((KafkaRefused, KafkaUnavailable), match=r"no-such-host\.invalid"):
        clients.producer(Settings(kafka="no-such-host.invalid:9092"))


def test_a_certificate_that_is_missing_is_refused_before_anything_is_sent(kafka: str) -> None:
    settings = Settings(kafka=kafka, kafka_security="SSL", kafka_ca="/nowhere/ca.pem")
    with pytest.raises(KafkaRefused, match="kafka_ca, kafka_certificate or kafka_key cannot be used"):
        clients.producer(settings)


def test_without_the_compiled_checksum_nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(KafkaRefused, match="crc32c is missing"):
        require_crc32c()
