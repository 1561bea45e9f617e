"""The API with Kafka behind it: it produces and answers once that is acknowledged; it holds no index."""

from __future__ import annotations

import base64
import gc
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from kafka import KafkaConsumer, TopicPartition
from serve_command import serve, until_ready
from serving import Served, at, events, headers, picture, post, right, serving, still

from api.app import create_app
from models.records import Delivery
from streams.cloudevents import Message, parse_headers
from streams.settings import Settings

STRUCTURED = {"content-type": "application/cloudevents+json"}
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True)
def _refused_sockets(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """kafka-python drops the sockets of refused connections without closing them: collected here, not elsewhere.

    Its log records hold them as well, for as long as pytest holds the records.
    """
    caplog.set_level(logging.CRITICAL, "kafka")
    yield
    gc.collect()


@pytest.fixture
def kafka_settings(kafka: str, topic: Callable[..., str], tmp_path: Path) -> Settings:
    return Settings(
        store=f"sqlite:///{tmp_path / 'store.db'}",
        kafka=kafka,
        topic_stills=topic(partitions=2),
        topic_rights=topic(),
        topic_changes=topic(),
        topic_rejected=topic(),
    )


@pytest.fixture
def served(kafka_settings: Settings) -> Iterator[Served]:
    with serving(create_app(kafka_settings)) as running:
        yield running.ready()


def arrived(settings: Settings, topic: str) -> list[tuple[bytes | None, Message]]:
    """Key and message of everything in a topic."""
    consumer = KafkaConsumer(bootstrap_servers=settings.kafka, auto_offset_reset="earliest", enable_auto_commit=False)
    try:
        parts = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        consumer.assign(parts)
        ends = consumer.end_offsets(parts)
        found: list[tuple[bytes | None, Message]] = []
        while any(consumer.position(part) < ends[part] for part in parts):
            for records in consumer.poll(timeout_ms=1000).values():
                found += [(record.key, parse_headers(record.headers, record.value)) for record in records]
        return found
    finally:
        consumer.close()


def test_a_still_is_acknowledged_and_arrives_as_it_was_sent(served: Served, kafka_settings: Settings) -> None:
    attributes, data = still("d1", "acct", "cam", 1, cachenode="cache-é"), picture(1)
    answer = post(served.client, attributes, data)
    assert (answer.status_code, answer.json()) == (
        202,
        {"delivery": {"source": "cloud", "id": "d1"}, "status": "accepted"},
    )
    ((key, message),) = arrived(kafka_settings, kafka_settings.topic_stills)
    assert (key, message.data) == (b"cam", data)
    assert isinstance(message.event, Delivery)
    assert message.event.attributes["cachenode"] == "cache-é"


def test_parallel_posts_in_all_three_forms_arrive_each_once(served: Served, kafka_settings: Settings) -> None:
    data = picture(1)

    def send(number: int) -> int:
        attributes = still(f"d{number}", "acct", f"cam-{number}", number)
        if number % 3 == 0:
            return post(served.client, attributes, data).status_code
        if number % 3 == 1:
            sent = {**attributes, "data_base64": base64.b64encode(data).decode()}
            return served.client.post("/v1/stills", json=sent, headers=STRUCTURED).status_code
        fields = {name: attributes[name] for name in ("id", "source", "account", "camera", "time")}
        return served.client.post("/v1/stills", data=fields, files={"still": ("s.jpg", data)}).status_code

    with ThreadPoolExecutor(30) as many:
        assert set(many.map(send, range(60))) == {202}
    found = arrived(kafka_settings, kafka_settings.topic_stills)
    assert sorted(message.key.id for _, message in found) == sorted(f"d{n}" for n in range(60))
    assert {message.data for _, message in found} == {data}


def test_each_event_goes_to_its_topic_and_what_is_refused_goes_nowhere(
    served: Served, kafka_settings: Settings
) -> None:
    change: dict[str, Any] = {"specversion": "1.0", "type": "change.deployed", "source": "ci", "id": "c", "time": at(0)}
    taken = events(
        served.client,
        right("r1", "enrol", "cam", "owner"),
        {**change, "component": "image-cache", "version": "2"},
        right("r2", "own", "cam", "owner"),
    )
    assert (taken["taken"], [one["index"] for one in taken["refused"]]) == (2, [2])
    ((key, _),) = arrived(kafka_settings, kafka_settings.topic_rights)
    assert key == b"cam|owner"
    assert len(arrived(kafka_settings, kafka_settings.topic_changes)) == 1
    single = served.client.post("/v1/events", json=right("r3", "grant", "cam", "guest"), headers=STRUCTURED)
    assert (single.status_code, single.json()) == (202, {"taken": 1, "refused": []})


def test_a_bad_still_is_refused_here_and_not_produced(served: Served, kafka_settings: Settings) -> None:
    answer = served.client.post("/v1/stills", content=b"x", headers=headers(still("d", "", "cam", 1)))
    assert (answer.status_code, answer.json()["reason"]) == (422, "missing_attribute")
    assert arrived(kafka_settings, kafka_settings.topic_stills) == []


def test_it_leaves_the_lease_to_the_worker_and_reads_what_the_worker_stored(served: Served) -> None:
    assert {check["name"] for check in served.client.get("/readyz").json()["checks"]} == {
        "kafka",
        "kill-switch",
        "store",
    }
    assert served.client.get("/v1/alerts").json() == {"items": [], "next": None}


def test_a_broker_that_is_away_or_lacks_the_topics_is_told(kafka: str, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 's.db'}"
    with serving(create_app(Settings(store=store, kafka=kafka, topic_stills="never.made"))) as served:
        served.until(lambda: "never.made" in served.client.get("/readyz").text)
        assert served.client.get("/readyz").status_code == 503


def test_while_the_broker_is_away_nothing_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.kafka.client.BOOTSTRAP_SECONDS", 1.0)
    with serving(create_app(Settings(store=f"sqlite:///{tmp_path / 's.db'}", kafka="127.0.0.1:1"))) as served:
        answer = post(served.client, still("d", "acct", "cam", 1), picture(1))
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:strayframe:problem:stream-unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert served.client.get("/healthz").status_code == 200
        served.until(lambda: "no Kafka broker answered" in served.client.get("/readyz").text)
        assert served.client.get("/readyz").status_code == 503


def taken(client: httpx.Client, head: dict[str, str]) -> httpx.Response:
    """Post until whichever process answers is ready, as a client does that heeds Retry-After."""
    for _ in range(100):
        answer = post(client, head, picture(1))
        if answer.status_code != 503:
            break
        assert "retry-after" in answer.headers
        time.sleep(0.2)
    return answer


def test_several_processes_hand_on_what_comes_to_any_of_them(kafka_settings: Settings, tmp_path: Path) -> None:
    names = ("kafka", "topic_stills", "topic_rights", "topic_changes", "topic_rejected")
    (tmp_path / "s.toml").write_text("".join(f'{name} = "{getattr(kafka_settings, name)}"\n' for name in names))
    with serve(tmp_path / "s.db", "--processes", "2", "--config", str(tmp_path / "s.toml")) as (process, client):
        until_ready(process, client)
        with ThreadPoolExecutor(8) as many:
            answers = list(many.map(lambda n: taken(client, still(f"d{n}", "a", f"cam-{n}", n)), range(16)))
        assert {answer.status_code for answer in answers} == {202}
        assert client.get("/metrics").status_code == 200
    found = arrived(kafka_settings, kafka_settings.topic_stills)
    assert sorted(sent.key.id for _, sent in found) == sorted(f"d{n}" for n in range(16))
    assert {sent.data for _, sent in found} == {picture(1)}
