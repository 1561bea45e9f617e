"""What goes wrong around a worker, one thing at a time, on the real broker: the same pairs are named as without it.

`make soak` has all of it at once and for longer (tests/soak.py).
"""

from __future__ import annotations

import io
import random
import resource
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cloud import START, Cloud, delivered, enrolled, in_memory, rounds
from kafka import KafkaConsumer, KafkaProducer
from PIL import Image
from programs import wait_until
from services import Broker

from models.records import Alert, Delivery, DeliveryId, Kind, RightAction, RightChanged
from streams.cloudevents import Message, to_headers
from streams.kafka.letters import letters
from streams.store.sql import SqlStore

pytestmark = [pytest.mark.filterwarnings("ignore:unclosed <:ResourceWarning"), pytest.mark.usefixtures("swept")]

CAMERAS = 6
QUIET = 8
"""Rounds before the first leak: every camera is known by then, so that the order between partitions changes nothing."""
Pair = tuple[str, str, str, str]
MakeCloud = Callable[..., Cloud]


@pytest.fixture
def cloud(kafka: str, tmp_path: Path) -> Iterator[MakeCloud]:
    """Makes a cloud with a store of its own."""
    made: list[Cloud] = []

    def make(servers: str = kafka, store: str = "", **settings: Any) -> Cloud:
        made.append(Cloud(servers, store or f"sqlite:///{tmp_path}/{uuid.uuid4().hex}.db", **settings))
        return made[-1]

    yield make
    for each in made:
        each.remove()


def pairs(alerts: list[Alert]) -> set[Pair]:
    """Who saw whom: what no fault may change."""
    return {(alert.kind.value, str(alert.delivery), alert.recipient, str(alert.owner)) for alert in alerts}


def leaks(alerts: list[Alert]) -> set[Pair]:
    """The pairs that are named."""
    return pairs([alert for alert in alerts if alert.kind is Kind.LEAK])


def homes() -> list[Message]:
    return [enrolled(camera) for camera in range(CAMERAS)]


def settle(place: Cloud, each: int) -> tuple[list[Message], list[Message]]:
    """Judge the quiet rounds; all messages, and those that are still to be produced."""
    stills = rounds(CAMERAS, each, leaks_from=QUIET, leak_every=5)
    first, rest = [*homes(), *stills[: QUIET * CAMERAS]], stills[QUIET * CAMERAS :]
    place.produce(first)
    place.judge_all()
    return [*first, *rest], rest


def still_behind(place: Cloud) -> Callable[[], bool]:
    """Whether the store lacks something of what is on the broker now."""
    ends = place.ends()

    def behind() -> bool:
        with SqlStore(place.settings.store) as store:
            return place.positions(store) != ends

    return behind


def require_the_same(place: Cloud, messages: list[Message]) -> None:
    """The store names whom an undisturbed run names, each once."""
    _, undisturbed = in_memory(messages)
    found = place.alerts()
    assert len(pairs(found)) == len(found), "an alert came twice"
    assert pairs(found) == pairs(undisturbed)
    assert leaks(undisturbed), "without a leak there is nothing to miss"


# --- what producers do wrong -------------------------------------------------------------------------------


@cache
def bomb() -> bytes:
    """A small file that says it is 20,000 x 20,000 pixels."""
    out = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(out, "PNG")
    return out.getvalue()


def poison(number: int) -> tuple[bytes, list[tuple[str, bytes]], bool]:
    """A message that nobody can judge, or a picture that nobody can open; whether it becomes a dead letter."""
    event = delivered(number, number % CAMERAS).event
    assert isinstance(event, Delivery)
    event = replace(event, key=DeliveryId("test", f"poison{number}"))
    good = to_headers(event)
    ahead = to_headers(replace(event, time=event.time + timedelta(days=4000)))
    cut = delivered(number, number % CAMERAS).data or b""
    kinds: list[tuple[bytes, list[tuple[str, bytes]], bool]] = [
        (b"", good, True),
        (b"x", good[: len(good) // 2], True),
        (b"x", [(name, b"still.eaten" if name == "ce_type" else value) for name, value in good], True),
        (b"x", ahead, True),
        (bytes(40_000_000), good, False),
        (bomb(), good, False),
        (cut[:40], good, False),
    ]
    return kinds[number % len(kinds)]


def produce_poisoned(place: Cloud, messages: list[Message], every: int) -> int:
    """Produce the messages with one that is poison after every so many; how many of these become dead letters."""
    letters = 0
    producer = KafkaProducer(bootstrap_servers=place.settings.kafka, max_request_size=60_000_000)
    for number, message in enumerate(messages):
        assert isinstance(message.event, Delivery)
        key = message.event.camera.encode()
        producer.send(place.settings.topic_stills, message.data, key=key, headers=to_headers(message.event))
        if number % every == 0:
            value, headers, rejected = poison(number // every)
            producer.send(place.settings.topic_stills, value, key=key, headers=headers)
            letters += rejected
    producer.flush(60)
    producer.close()
    return letters


def test_poison_among_the_stills_changes_no_pair_and_is_counted_and_readable(cloud: MakeCloud) -> None:
    place = cloud(partitions=2, still_bytes=35_000_000, still_pixels=100_000_000)
    messages, rest = settle(place, 28)
    expected = produce_poisoned(place, rest, every=9)
    place.judge_all()
    _, undisturbed = in_memory(messages)
    assert leaks(place.alerts()) == leaks(undisturbed) != set()
    found = letters(place.settings)
    assert len(found) == place.coverage()["rejected"] == expected == 8
    assert {each.reason for each in found} == {"no_picture", "missing_attribute", "unknown_type", "bad_time"}
    assert place.coverage()["unjudged"] == 14 - expected


def test_stills_that_come_twice_and_out_of_order_name_the_same_pairs(cloud: MakeCloud) -> None:
    place, draw = cloud(partitions=3), random.Random(6)
    messages, rest = settle(place, 28)
    when = {message.key: number + draw.uniform(0, 4 * CAMERAS) for number, message in enumerate(rest)}
    mixed = sorted(rest, key=lambda message: when[message.key])
    for number in range(0, len(mixed), 7):
        mixed.insert(draw.randrange(number, len(mixed)), mixed[number])
    place.produce(mixed)
    place.judge_all()
    _, undisturbed = in_memory(messages)
    assert leaks(place.alerts()) == leaks(undisturbed) != set()
    assert len(pairs(place.alerts())) == len(place.alerts())


def test_stills_that_overtake_their_grants_leave_no_alert(cloud: MakeCloud) -> None:
    stills = rounds(CAMERAS, 12, leaks_from=5, leak_every=5)
    guests = [delivered(1000 + n, camera=n % CAMERAS, viewer=(n + 3) % CAMERAS) for n in range(12)]
    grants = [
        Message(
            RightChanged(guest.event.camera, guest.event.account, RightAction.GRANT, START),
            DeliveryId("test", f"grant{number}"),
        )
        for number, guest in enumerate(guests)
        if isinstance(guest.event, Delivery)
    ]
    place = cloud()
    place.produce([*homes(), *stills, *guests])
    place.judge_all()
    assert len(leaks(place.alerts())) >= len(guests)
    place.produce(grants)
    place.judge_all()
    require_the_same(place, [*homes(), *grants, *stills, *guests])


# --- what the surroundings do ------------------------------------------------------------------------------


def test_a_worker_survives_the_restart_of_its_broker(
    own_broker: Callable[..., Broker], cloud: MakeCloud, tmp_path: Path
) -> None:
    messages = [*homes(), *rounds(CAMERAS, 40, leaks_from=5, leak_every=5)]
    broker = own_broker()
    place = cloud(broker.bootstrap, batch_stills=8)
    place.produce(messages)
    behind = still_behind(place)
    worker = place.worker(tmp_path / "worker.log")
    worker.await_event("batch.stored", 3)
    broker.kill()
    time.sleep(1)  # long enough for the client to meet a broker that is away
    broker.start()
    assert wait_until(lambda: not behind(), 90), worker.log.read_text()
    assert worker.end(signal.SIGTERM) == 0
    require_the_same(place, messages)


def test_a_full_disk_stops_nothing_for_good(cloud: MakeCloud, tmp_path: Path) -> None:
    """The embedded store's disk takes nothing more for a while: a limit on the worker's files stands for it."""
    messages = [*homes(), *rounds(CAMERAS, 60, leaks_from=5, leak_every=5)]
    place = cloud(batch_stills=8, lease_seconds=2.0)
    place.produce(messages)
    behind = still_behind(place)
    worker = place.worker(tmp_path / "worker.log")
    worker.await_event("batch.stored", 2)
    unlimited = resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (worker.log.stat().st_size + 30_000, unlimited[1]))
    worker.await_event("worker.retrying")
    assert behind(), "it must have met the full disk at work"
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, unlimited)
    assert wait_until(lambda: not behind(), 90), worker.log.read_text()
    assert worker.end(signal.SIGTERM) == 0
    require_the_same(place, messages)


def test_members_of_its_group_that_come_and_go_cost_the_worker_nothing(cloud: MakeCloud, tmp_path: Path) -> None:
    place = cloud(partitions=3, batch_stills=8)
    messages, rest = settle(place, 60)
    place.produce(rest)
    behind = still_behind(place)
    worker = place.worker(tmp_path / "worker.log")
    worker.await_event("batch.stored", 2)
    for _ in range(3):
        stranger = KafkaConsumer(
            *place.read_topics(),
            bootstrap_servers=place.settings.kafka,
            group_id=place.settings.kafka_group,
            enable_auto_commit=False,
        )
        assert wait_until(lambda client=stranger: bool(client.poll(200) or client.assignment()), 30)
        stranger.close()
    assert wait_until(lambda: not behind(), 90), worker.log.read_text()
    assert worker.events("partitions.elsewhere"), "they must have taken partitions from it"
    assert worker.end(signal.SIGTERM) == 0
    require_the_same(place, messages)
