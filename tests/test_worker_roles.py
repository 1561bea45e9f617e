"""Workers that look and a matcher that judges: together they say what the one process says, whoever dies."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cloud import START, Cloud, delivered, enrolled, in_memory, rounds, told
from kafka import KafkaProducer
from places import picture
from places import still as seen
from programs import wait_until
from sqlalchemy import select

from models.fingerprint import Still
from models.records import CameraId, Delivery, Kind
from streams import looking
from streams.cloudevents import Message, Rejected, to_headers
from streams.decode import Decoder
from streams.kafka.browse import browsing, every
from streams.kafka.letters import letters
from streams.kafka.reader import cameras_of
from streams.scenes import Aside, read_record, record_of, record_of_rejected
from streams.share import Share
from streams.store import schema
from streams.store.sql import SqlStore

MakeCloud = Callable[..., Cloud]
DELIVERY = delivered(1, 0).event
assert isinstance(DELIVERY, Delivery)


@pytest.fixture
def cloud(kafka: str, tmp_path: Path) -> Iterator[MakeCloud]:
    """Makes a cloud with a topic of scenes and a store of its own."""
    made: list[Cloud] = []

    def make(**settings: Any) -> Cloud:
        scenes = f"test.{uuid.uuid4().hex[:12]}.scenes"
        made.append(Cloud(kafka, f"sqlite:///{tmp_path}/store.db", topic_scenes=scenes, **settings))
        return made[-1]

    yield make
    for each in made:
        each.remove()


# --- the record ----------------------------------------------------------------------------------------------


def same(a: Any, b: Any) -> bool:
    """Whether two looked-at stills agree in everything that is compared."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    if hasattr(a, "__dataclass_fields__"):
        return type(a) is type(b) and all(same(getattr(a, n), getattr(b, n)) for n in a.__dataclass_fields__)
    return bool(a == b)


def without_cells(still: Still) -> Still:
    """What travels of a still: not its grey cells, which are nearly a picture."""
    found = still.fingerprint
    return still if found is None else replace(still, fingerprint=replace(found, cells=None))


LOOK = Decoder(b"k")
STILLS = {
    "a still": LOOK.still(delivered(1, 0).data or b""),
    "a still cut off": LOOK.still((delivered(1, 0).data or b"")[:-9000]),
    "a drawn place": seen(0, 1),
    "dark with noise": LOOK.still(b""),
    "nothing that can be decoded": LOOK.still(b"no picture"),
    "blank": LOOK.still(bytes(picture(np.full((360, 640), 52, np.uint8)).digest)),
}


@pytest.mark.parametrize("name", STILLS)
def test_what_was_seen_comes_back_as_it_was(name: str) -> None:
    headers, value = record_of(DELIVERY, STILLS[name])
    message = read_record(headers, value)
    assert message.event == DELIVERY
    assert message.data is None
    assert not message.late
    assert same(message.still, without_cells(STILLS[name]))


def test_a_late_still_and_one_put_aside_say_so() -> None:
    late = read_record(*record_of(DELIVERY, None))
    assert (late.event, late.late, late.still) == (DELIVERY, True, None)
    with pytest.raises(Aside):
        read_record(*record_of_rejected("displays"))


def test_a_time_keeps_its_microseconds() -> None:
    moment = replace(DELIVERY, time=START.replace(microsecond=123_456))
    assert read_record(*record_of(moment, None)).event == moment


@pytest.mark.parametrize("cut", [0, 1, 2, 5, 40, 90, -1])
def test_a_torn_record_is_rejected(cut: int) -> None:
    headers, value = record_of(DELIVERY, STILLS["a still"])
    with pytest.raises(Rejected):
        read_record(headers, value[:cut])


def test_a_record_of_another_version_is_rejected() -> None:
    headers, value = record_of(DELIVERY, STILLS["a still"])
    with pytest.raises(Rejected, match="version 9"):
        read_record(headers, bytes([9]) + value[1:])


# --- on the broker ---------------------------------------------------------------------------------------------


def through(place: Cloud, stills: int) -> Callable[[], bool]:
    """Whether the matcher's store has counted so many stills, those that were rejected included."""

    def done() -> bool:
        with SqlStore(place.settings.store) as store:
            return sum(store.counts().stills.values()) >= stills

    return done


def scene_records(place: Cloud) -> list[Any]:
    with browsing(place.settings) as client:
        return list(every(client, place.settings.topic_scenes))


def test_a_worker_and_a_matcher_say_what_one_process_says_and_no_still_leaves_the_worker(
    cloud: MakeCloud, tmp_path: Path
) -> None:
    messages = [*(enrolled(camera) for camera in range(6)), *rounds(cameras=6, each=15, leaks_from=5, leak_every=5)]
    verdicts, alerts = in_memory(messages)
    assert verdicts["leak"] >= 5
    place = cloud(when_behind="newest", late_seconds=600.0)
    place.produce(messages)
    producer = KafkaProducer(bootstrap_servers=place.settings.kafka)
    sent(producer, place, delivered(900, camera=9), int((time.time() - 3600) * 1000))
    broken = [(name, value) for name, value in to_headers(DELIVERY) if name != "ce_account"]
    producer.send(place.settings.topic_stills, b"x", key=b"cam0", headers=broken).get(30)
    producer.close()

    worker = place.process("worker", tmp_path / "worker.log", "--role", "worker")
    matcher = place.process("worker", tmp_path / "matcher.log", "--role", "matcher")
    assert wait_until(through(place, 92), 90), worker.log.read_text() + matcher.log.read_text()

    assert worker.end(signal.SIGTERM) == 0
    assert matcher.end(signal.SIGTERM) == 0
    assert place.verdicts() == verdicts | {"late": 1}
    assert place.coverage()["rejected"] == 1
    assert told(place.alerts()) == told(alerts)
    (letter,) = letters(place.settings)
    assert (letter.reason, letter.origin[0]) == ("missing_attribute", place.settings.topic_stills)
    records = scene_records(place)
    assert len(records) == 92
    assert max(len(record.value) for record in records) < 3000 < min(len(m.data) for m in messages if m.data)
    assert not any(b"JFIF" in record.value for record in records)


def test_killed_again_and_again_worker_and_matcher_lose_nothing_and_double_nothing(
    cloud: MakeCloud, tmp_path: Path
) -> None:
    """Two workers over three partitions; one of them and the matcher are killed at work."""
    stills = rounds(cameras=6, each=40, leaks_from=8, leak_every=5)
    quiet, rest = stills[:48], stills[48:]
    homes = [enrolled(camera) for camera in range(6)]
    _, alerts = in_memory([*homes, *stills])
    place = cloud(partitions=3, batch_stills=8, lease_seconds=1.0)
    place.produce([*homes, *quiet])

    def start(name: str, role: str, *options: str) -> Any:
        return place.process("worker", tmp_path / f"{name}.log", "--role", role, *options)

    workers = [start("w0", "worker"), start("w1", "worker")]
    matcher = start("m0", "matcher")
    assert wait_until(lambda: share_partitions(place, 2), 90), workers[0].log.read_text()
    assert wait_until(through(place, len(quiet)), 90), matcher.log.read_text()
    moved = [len(worker.events("workers.moved")) for worker in workers]
    place.produce(rest)
    for worker, before in zip(workers, moved, strict=True):
        worker.await_event("workers.moved", before + 1)
    workers.pop(0).end(signal.SIGKILL)
    matcher.end(signal.SIGKILL)
    workers.append(start("w2", "worker"))
    matcher = start("m1", "matcher", "--standby")
    assert wait_until(through(place, len(stills)), 90), matcher.log.read_text()
    assert all(worker.end(signal.SIGTERM) == 0 for worker in workers)
    assert matcher.end(signal.SIGTERM) == 0

    found = place.alerts()
    leaks = {(alert.delivery, alert.recipient, alert.owner) for alert in alerts if alert.kind is Kind.LEAK}
    assert {(alert.delivery, alert.recipient, alert.owner) for alert in found if alert.kind is Kind.LEAK} == leaks
    assert sum(place.verdicts().values()) == len(stills)
    ids = [read_record(record.headers, record.value).key for record in scene_records(place)]
    assert len(ids) == len(set(ids)) == len(stills), "committed records hold each still once"


def test_two_matchers_of_which_one_is_killed_say_what_one_process_says(cloud: MakeCloud, tmp_path: Path) -> None:
    """Each judges half of the partitions; what they learned of each other's cameras survives the death of one. A still
    that lies in the other's half is put aside."""
    messages = [*(enrolled(camera) for camera in range(8)), *rounds(cameras=8, each=18, leaks_from=6, leak_every=5)]
    stills = len(messages) - 8
    _, alerts = in_memory(messages)
    place = cloud(partitions=4, batch_stills=8, lease_seconds=1.0)
    place.produce(messages[:88])
    worker = place.process("worker", tmp_path / "worker.log", "--role", "worker")

    def matcher(name: str, *options: str) -> Any:
        return place.process("worker", tmp_path / f"{name}.log", "--role", "matcher", *options)

    first, second = matcher("m1", "--share", "1/2"), matcher("m2", "--share", "2/2")
    assert wait_until(through(place, 80), 90), first.log.read_text() + second.log.read_text()
    before = len(second.events("batch.stored"))
    place.produce(messages[88:])
    stray, there = delivered(900, camera=0), cameras_of(Share(1, 2), 4)(CameraId("cam0"))
    with KafkaProducer(bootstrap_servers=place.settings.kafka) as producer:
        sent(producer, place, stray, int(time.time() * 1000), partition=1 if there else 0)
    second.await_event("batch.stored", before + 1)
    second.end(signal.SIGKILL)
    second = matcher("m2b", "--share", "2/2", "--standby")
    assert wait_until(through(place, stills + 1), 90), first.log.read_text() + second.log.read_text()
    with SqlStore(place.settings.store) as store:
        assert wait_until(lambda: told_all(store), 30), "the desk has taken up what the other matcher raised"

    leaks = {(alert.delivery, alert.recipient, alert.owner) for alert in alerts if alert.kind is Kind.LEAK}
    found = [alert for alert in place.alerts() if alert.kind is Kind.LEAK]
    assert {(alert.delivery, alert.recipient, alert.owner) for alert in found} == leaks
    assert len(leaks) >= 10
    assert place.coverage()["rejected"] == 1
    assert sum(place.verdicts().values()) == stills
    assert all(process.end(signal.SIGTERM) == 0 for process in (worker, first, second))


def share_partitions(place: Cloud, members: int) -> bool:
    """Whether so many workers are in their group and it stands: then each of them has partitions."""
    group = f"{place.settings.kafka_group}.{looking.NAME}"
    with place.admin() as admin:
        found = admin.describe_groups([group])[group]
    return len(found["members"]) == members and found["group_state"] == "Stable"


def told_all(store: SqlStore) -> bool:
    """Whether every leak that stands is in the incident, and both shares have taken up the whole log."""
    with store.database.reading() as connection:
        loose = connection.execute(select(schema.alerts).where(schema.alerts.c.incident.is_(None)))
        behind = connection.execute(select(schema.learned.c.seq))
        return not [row for row in loose if row.kind == Kind.LEAK and row.withdrawn_at is None] and not behind.all()


def test_topics_of_unequal_partitions_are_refused(cloud: MakeCloud, tmp_path: Path) -> None:
    place = cloud()
    with place.admin() as admin:
        admin.create_partitions({place.settings.topic_stills: 2})
    worker = place.process("worker", tmp_path / "worker.log", "--role", "worker")
    assert worker.wait() == 1
    (failure,) = worker.events("worker.failed")
    assert "they need the same number" in failure["reason"]


def sent(producer: KafkaProducer, place: Cloud, message: Message, when: int, partition: int | None = None) -> None:
    assert isinstance(message.event, Delivery)
    headers, key = to_headers(message.event), message.event.camera.encode()
    topic = place.settings.topic_stills
    producer.send(topic, message.data, key, headers, partition, when).get(30)
