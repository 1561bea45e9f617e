"""The worker on the real broker: what it stores is what the same events give in memory, and nothing is skipped."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cloud import START, Cloud, change, delivered, enrolled, in_memory, rounds, told
from kafka import KafkaProducer, TopicPartition
from prometheus_client import generate_latest

from detector.engine import Engine
from models.records import Delivery, DeliveryId, Kind, RightAction, RightChanged
from streams.cloudevents import Message, to_headers
from streams.health import Health
from streams.kafka.client import KafkaRefused
from streams.metrics import Metrics
from streams.store.sql import SqlStore

MakeCloud = Callable[..., Cloud]


@pytest.fixture
def cloud(kafka: str, tmp_path: Path) -> Iterator[MakeCloud]:
    """Makes a cloud with a store of its own: `cloud()`, `cloud(partitions=3, batch_stills=5)`."""
    made: list[Cloud] = []

    def make(store: str = f"sqlite:///{tmp_path}/store.db", **settings: Any) -> Cloud:
        made.append(Cloud(kafka, store, **settings))
        return made[-1]

    yield make
    for each in made:
        each.remove()


def value_of(metrics: Metrics, name: str, **labels: str) -> float:
    value = metrics.registry.get_sample_value(name, labels)
    return 0.0 if value is None else value


def raw(cloud: Cloud, topic: str, *messages: tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]) -> None:
    """Produce what no Outlet would."""
    producer = KafkaProducer(bootstrap_servers=cloud.settings.kafka, max_request_size=8_000_000)
    for key, value, headers in messages:
        producer.send(topic, value, key=key, headers=headers).get(30)
    producer.close()


def test_judged_from_kafka_equals_judged_in_memory(cloud: MakeCloud) -> None:
    messages = [*(enrolled(camera) for camera in range(6)), *rounds(cameras=6, each=10, leaks_from=5)]
    verdicts, alerts = in_memory(messages)
    assert verdicts["leak"] >= 3, "the scene must hold leaks, else equality says little"
    place = cloud()
    place.produce(messages)

    metrics = place.judge_all()

    assert place.verdicts() == verdicts
    assert told(place.alerts()) == told(alerts)
    assert value_of(metrics, "strayframe_alerts_raised_total", kind="leak", level="acting") + value_of(
        metrics, "strayframe_alerts_raised_total", kind="leak", level="shown"
    ) == len(alerts)


def test_judged_into_postgresql_equals_judged_in_memory(cloud: MakeCloud, postgres_url: str) -> None:
    messages = [*(enrolled(camera) for camera in range(6)), *rounds(cameras=6, each=10, leaks_from=5)]
    verdicts, alerts = in_memory(messages)
    place = cloud(store=postgres_url)
    place.produce(messages)
    place.judge_all()
    assert place.verdicts() == verdicts
    assert told(place.alerts()) == told(alerts)


def test_several_partitions_accuse_the_same_pairs(cloud: MakeCloud) -> None:
    messages = [*(enrolled(camera) for camera in range(8)), *rounds(cameras=8, each=10, leaks_from=7)]
    _, alerts = in_memory(messages)
    place = cloud(partitions=3)
    place.produce(messages)
    place.judge_all()
    leaks = {(alert.delivery, alert.owner) for alert in alerts if alert.kind is Kind.LEAK}
    assert {(alert.delivery, alert.owner) for alert in place.alerts() if alert.kind is Kind.LEAK} == leaks


def test_rights_are_read_to_their_end_before_the_first_still(cloud: MakeCloud) -> None:
    """The stills come first into Kafka, and so many grants follow that they fill several polls."""
    place = cloud(partitions=2, batch_stills=5)
    stranger = [delivered(number, camera=0, viewer=1) for number in range(3)]
    grants = [
        Message(RightChanged(f"cam{n}", f"home{n}", RightAction.ENROL, START), DeliveryId("test", f"e{n}"))  # type: ignore[arg-type]
        for n in range(2, 400)
    ]
    allowed = Message(RightChanged("cam0", "home1", RightAction.GRANT, START), DeliveryId("test", "grant"))  # type: ignore[arg-type]
    place.produce([*stranger, enrolled(0), *grants, allowed])

    place.judge_all()

    assert place.alerts() == []
    assert "leak" not in place.verdicts()
    with SqlStore(place.settings.store) as store:
        assert store.counts().alerts == 0, "not even one that was withdrawn"


def test_a_restart_goes_on_where_the_store_left_off(cloud: MakeCloud) -> None:
    messages = [*(enrolled(camera) for camera in range(4)), *rounds(cameras=4, each=12, leaks_from=6, leak_every=5)]
    verdicts, alerts = in_memory(messages)
    place = cloud(batch_stills=7)
    for part in (messages[:20], messages[20:35], messages[35:]):
        place.produce(part)
        place.judge_all()
    assert place.verdicts() == verdicts
    assert told(place.alerts()) == told(alerts)


def test_the_groups_own_offsets_are_written_but_never_read(cloud: MakeCloud, tmp_path: Path) -> None:
    place = cloud()
    place.produce([enrolled(0), *(delivered(number, 0) for number in range(8))])
    place.judge_all()
    with place.admin() as admin:
        offsets = admin.list_group_offsets([place.settings.kafka_group])[place.settings.kafka_group]
        stills = offsets[TopicPartition(place.settings.topic_stills, 0)]
        assert stills.offset == 8
        assert admin.describe_groups([place.settings.kafka_group])[place.settings.kafka_group]["members"] == []

    place.settings = place.settings.model_copy(update={"store": f"sqlite:///{tmp_path}/another.db"})
    place.judge_all()
    assert sum(place.verdicts().values()) == 8, "a fresh store reads from the beginning, whatever the group says"


def test_a_deploy_is_stored_with_what_it_says(cloud: MakeCloud) -> None:
    place = cloud()
    place.produce([change("cache", "2.4.1", 3)])
    place.judge_all()
    from sqlalchemy import select

    from streams.store.schema import deployed

    with SqlStore(place.settings.store) as store, store.database.reading() as connection:
        rows = connection.execute(select(deployed.c.component, deployed.c.version)).all()
    assert [tuple(row) for row in rows] == [("cache", "2.4.1")]


GOOD = delivered(0, 0)
assert isinstance(GOOD.event, Delivery)
HEADERS = to_headers(GOOD.event)
POISON: dict[str, tuple[bytes | None, list[tuple[str, bytes]], str]] = {
    "no headers": (b"\xff\xd8 something", [], "bad_attribute"),
    "nothing at all": (b"", [], "bad_attribute"),
    "no picture": (b"", HEADERS, "no_picture"),
    "a null picture": (None, HEADERS, "no_picture"),
    "unknown type": (b"x", [(n, b"still.eaten" if n == "ce_type" else v) for n, v in HEADERS], "unknown_type"),
    "no time zone": (b"x", [(n, b"2026-03-01T00:00:00" if n == "ce_time" else v) for n, v in HEADERS], "bad_time"),
    "not UTF-8": (b"x", [(n, b"\xff\xfe" if n == "ce_account" else v) for n, v in HEADERS], "bad_attribute"),
    "no account": (b"x", [(n, v) for n, v in HEADERS if n != "ce_account"], "missing_attribute"),
    "torn JSON": (b'{"specversion": "1.0", ', [("content-type", b"application/cloudevents+json")], "not_json"),
    "a reference that nothing may follow": (b"", [*HEADERS, ("ce_dataref", b"https://x.invalid/1")], "no_picture"),
}  # fmt: skip


def test_what_cannot_be_judged_becomes_a_dead_letter_and_the_rest_goes_on(cloud: MakeCloud) -> None:
    place = cloud()
    place.produce([enrolled(0)])
    stills = place.settings.topic_stills
    for value, headers, _ in POISON.values():
        raw(place, stills, (b"cam0", value, headers))
    place.produce([delivered(number, 0) for number in range(5)])

    metrics = place.judge_all()

    letters = place.rejects()
    assert [(letter.key, letter.value) for letter in letters] == [(b"cam0", value) for value, _, _ in POISON.values()]
    for offset, (letter, (_, headers, reason)) in enumerate(zip(letters, POISON.values(), strict=True)):
        added = dict(letter.headers[len(headers) :])
        assert letter.headers[: len(headers)] == headers
        assert added.pop("strayframe_detail")
        assert added == {
            "strayframe_reason": reason.encode(),
            "strayframe_topic": stills.encode(),
            "strayframe_partition": b"0",
            "strayframe_offset": str(offset).encode(),
        }
    assert sum(place.verdicts().values()) == 5
    assert place.coverage()["rejected"] == len(POISON)
    assert value_of(metrics, "strayframe_messages_rejected_total", reason="no_picture") == 3


def test_an_unexpected_failure_on_one_message_stops_nothing(
    cloud: MakeCloud, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    judge = Engine.judge

    def stumble(self: Engine, delivery: Delivery, look: Callable[[], Any]) -> Any:
        if delivery.key.id == "d2":
            raise ZeroDivisionError("an engine's slip")
        return judge(self, delivery, look)

    monkeypatch.setattr(Engine, "judge", stumble)
    place = cloud()
    place.produce([enrolled(0), *(delivered(number, 0) for number in range(5))])
    metrics = place.judge_all()
    (letter,) = place.rejects()
    headers = dict(letter.headers)
    assert headers["strayframe_reason"] == b"failed"
    assert headers["strayframe_detail"] == b"ZeroDivisionError: an engine's slip"
    assert headers["ce_id"] == b"d2"
    assert value_of(metrics, "strayframe_messages_rejected_total", reason="failed") == 1
    assert sum(place.verdicts().values()) == 4


def test_a_dead_letter_that_does_not_fit_goes_without_its_value(cloud: MakeCloud) -> None:
    place = cloud()
    with place.admin() as admin:
        from kafka.admin import ConfigResource, ConfigResourceType

        small = {"max.message.bytes": "20000"}
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, place.settings.topic_rejected, small)])
    big = bytes(100_000)
    raw(
        place,
        place.settings.topic_stills,
        (b"k1", big, [("ce_type", b"still.eaten")]),
        (b"k2", b"small", [("ce_type", b"still.eaten")]),
        (b"k3", b"small", [("ce_type", b"still.eaten"), ("ce_padding", big)]),
    )
    place.judge_all()
    letters = {dict(letter.headers)["strayframe_offset"]: letter for letter in place.rejects()}
    without_value, whole, without_headers = letters[b"0"], letters[b"1"], letters[b"2"]
    assert (without_value.key, without_value.value) == (b"k1", b"")
    assert dict(without_value.headers)["strayframe_dropped"] == b"value of 100000 bytes"
    assert dict(without_value.headers)["ce_type"] == b"still.eaten"
    assert whole.value == b"small"
    assert "strayframe_dropped" not in dict(whole.headers)
    assert without_headers.key is None
    assert dict(without_headers.headers)["strayframe_dropped"] == b"value of 5 bytes, key and headers"
    assert "ce_padding" not in dict(without_headers.headers)


class Latin(str):
    """A header's name as a client in another language may write it."""

    def encode(self, *_: object) -> bytes:  # type: ignore[override]
        return str(self).encode("latin-1")


def test_a_header_name_that_the_client_cannot_read_is_said_in_a_sentence(cloud: MakeCloud) -> None:
    place = cloud()
    raw(place, place.settings.topic_stills, (b"cam0", b"x", [(Latin("caméra"), b"")]))
    with pytest.raises(KafkaRefused, match="a header whose name is not UTF-8"):
        place.judge_all()


def test_lag_is_the_age_of_the_last_still(cloud: MakeCloud) -> None:
    place = cloud()
    place.produce([enrolled(0)])
    assert math.isnan(value_of(place.judge_all(), "strayframe_lag_seconds"))
    producer = KafkaProducer(bootstrap_servers=place.settings.kafka)
    assert GOOD.data is not None
    hour_ago = int((time.time() - 3600) * 1000)
    producer.send(place.settings.topic_stills, GOOD.data, key=b"cam0", headers=HEADERS, timestamp_ms=hour_ago).get(30)
    producer.close()
    assert 3600 <= value_of(place.judge_all(), "strayframe_lag_seconds") < 3700


def produce_as_of(place: Cloud, messages: list[Message], seconds_ago: float) -> None:
    """Produce stills that have been on Kafka for so long."""
    producer = KafkaProducer(bootstrap_servers=place.settings.kafka)
    when = int((time.time() - seconds_ago) * 1000)
    for message in messages:
        assert isinstance(message.event, Delivery)
        key, headers = message.event.camera.encode(), to_headers(message.event)
        producer.send(place.settings.topic_stills, message.data, key=key, headers=headers, timestamp_ms=when)
    producer.flush(30)
    producer.close()


@pytest.mark.parametrize(("when_behind", "late"), [("all", 0), ("newest", 5)])
def test_what_is_late_is_judged_or_passed_over_as_the_setting_says(
    cloud: MakeCloud, when_behind: str, late: int
) -> None:
    place = cloud(when_behind=when_behind, late_seconds=600.0)
    place.produce([enrolled(0), enrolled(1)])
    old = [*(delivered(number, 0) for number in range(5)), delivered(5, 0, viewer=1)]
    produce_as_of(place, old, seconds_ago=3600)
    raw(place, place.settings.topic_stills, (b"cam0", b"", HEADERS))
    place.produce([delivered(number, 0) for number in range(6, 10)])

    metrics = place.judge_all()

    verdicts = place.coverage()
    assert verdicts.pop("leak") == 1, "rights are judged however late"
    assert verdicts.pop("rejected") == 1
    assert verdicts.pop("late", 0) == late
    assert sum(verdicts.values()) == 9 - late
    assert value_of(metrics, "strayframe_stills_late_total") == late


def test_readiness_tells_lag_and_backlog(cloud: MakeCloud) -> None:
    place, metrics = cloud(batch_stills=2), Metrics()
    health = Health(metrics)
    starting = {"detail": "starting", "lag_seconds": None, "messages_behind": 0, "kill_switch": "unknown"}
    assert health.told() == starting
    health.watches(lambda: "ON since noon, by anna (drill): nothing acts")
    assert health.told()["kill_switch"] == "ON since noon, by anna (drill): nothing acts"
    place.produce([enrolled(0)])
    produce_as_of(place, [delivered(number, 0) for number in range(20)], seconds_ago=3600)
    seen: list[dict[str, Any]] = []

    class Watched(Health):
        def lags(self, seconds: float | None, behind: int) -> None:
            super().lags(seconds, behind)
            seen.append(self.told())

    place.judge_all(metrics, health=Watched)
    assert any(said["messages_behind"] >= 10 for said in seen), "it said how much waits"
    assert seen[-1]["messages_behind"] == 0
    assert 3600 <= seen[-1]["lag_seconds"] < 3700
    assert value_of(metrics, "strayframe_messages_behind") == 0


def test_a_tombstone_of_the_compacted_topic_is_no_event(cloud: MakeCloud) -> None:
    place = cloud()
    place.produce([enrolled(0)])
    raw(place, place.settings.topic_rights, (b"cam0|home0", None, []))
    place.produce([delivered(number, 0) for number in range(3)])
    place.judge_all()
    assert place.rejects() == []
    assert place.alerts() == []


def test_offsets_that_the_broker_no_longer_has_are_counted_as_loss(cloud: MakeCloud) -> None:
    place = cloud()
    place.produce([enrolled(0), *(delivered(number, 0) for number in range(4))])
    place.judge_all()
    place.produce([delivered(number, 0) for number in range(4, 20)])
    with place.admin() as admin:
        admin.delete_records({TopicPartition(place.settings.topic_stills, 0): 15})

    metrics = place.judge_all()

    with SqlStore(place.settings.store) as store:
        assert store.lost(place.settings.topic_stills) == 11
        assert store.positions(place.settings.topic_stills) == {0: 20}
    assert value_of(metrics, "strayframe_messages_lost_total", topic=place.settings.topic_stills) == 11
    assert sum(place.verdicts().values()) == 4 + 5


def test_loss_is_stored_although_nothing_is_left_to_judge(cloud: MakeCloud) -> None:
    place = cloud()
    place.produce([delivered(number, 0) for number in range(6)])
    place.judge_all()
    place.produce([delivered(number, 0) for number in range(6, 9)])
    with place.admin() as admin:
        admin.delete_records({TopicPartition(place.settings.topic_stills, 0): 9})
    place.judge_all()
    with SqlStore(place.settings.store) as store:
        assert store.lost(place.settings.topic_stills) == 3


def test_a_topic_that_was_made_anew_is_read_from_its_beginning(cloud: MakeCloud) -> None:
    place = cloud()
    place.produce([delivered(number, 0) for number in range(6)])
    place.judge_all()
    from streams.kafka.topics import create_topics

    with place.admin() as admin:
        admin.delete_topics([place.settings.topic_stills])
    while not create_topics(place.settings, 1):
        pass
    place.produce([delivered(number, 0) for number in range(6, 9)])
    place.judge_all()
    assert sum(place.verdicts().values()) == 9
    with SqlStore(place.settings.store) as store:
        assert store.lost(place.settings.topic_stills) == 0


def test_metrics_carry_no_account_camera_or_delivery(cloud: MakeCloud) -> None:
    place = cloud()
    place.produce([enrolled(0), enrolled(1), delivered(0, 0), delivered(1, 1, viewer=0)])
    text = generate_latest(place.judge_all().registry).decode()
    assert 'verdict="leak"} 1.0' in text
    assert not any(word in text for word in ("home0", "cam1", 'd1"'))


def test_logs_never_hold_a_picture(cloud: MakeCloud, capfd: pytest.CaptureFixture[str]) -> None:
    from streams import log

    log.configure("debug", "json")
    place = cloud()
    picture = b"\xff\xd8 SECRETPICTURE" * 50
    raw(place, place.settings.topic_stills, (b"cam0", picture, [("ce_type", b"still.eaten")]))
    place.produce([delivered(0, 0)])
    place.judge_all()
    err = capfd.readouterr().err
    assert "SECRETPICTURE" not in err
    assert "JFIF" not in err
    events = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert {"worker.started", "rights.read", "message.rejected", "batch.stored", "worker.stopped"} <= {
        event["event"] for event in events
    }
