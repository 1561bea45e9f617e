"""Workers as processes on the real broker: killed, stopped, doubled, told to end. Nothing is lost or comes twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cloud import (
    PATIENCE_SECONDS,
    Cloud,
    WorkerProcess,
    answer,
    delivered,
    enrolled,
    from_disk,
    in_memory,
    rounds,
    told,
)
from programs import free_port, start_tick, wait_until
from services import Services
from typer.testing import CliRunner

from api.cli import app
from models.records import Alert
from streams import log
from streams.cloudevents import Message
from streams.crew import AHEAD_BYTES
from streams.kafka import client
from streams.store.sql import SqlStore

MakeCloud = Callable[..., Cloud]
CAMERAS = 6


@pytest.fixture
def cloud(kafka: str, tmp_path: Path) -> Iterator[MakeCloud]:
    """Makes a cloud with a store of its own."""
    made: list[Cloud] = []

    def make(store: str = f"sqlite:///{tmp_path}/store.db", **settings: Any) -> Cloud:
        made.append(Cloud(kafka, store, **settings))
        return made[-1]

    yield make
    for each in made:
        each.remove()


@cache
def events(rounds_each: int) -> tuple[list[Message], dict[str, int], list[Alert]]:
    """Enrolments and deliveries with leaks, and what they come to when nothing disturbs."""
    stills = rounds(CAMERAS, rounds_each, leaks_from=5, leak_every=5)
    messages = [*(enrolled(camera) for camera in range(CAMERAS)), *stills]
    verdicts, alerts = in_memory(messages)
    assert verdicts["leak"] >= 5, "without leaks there is nothing to double"
    return messages, verdicts, alerts


def is_through(place: Cloud) -> Callable[[], bool]:
    """Whether the store has everything that is on the broker now."""
    ends, store = place.ends(), SqlStore(place.settings.store)

    def through() -> bool:
        done = place.positions(store) == ends
        if done:
            store.close()
        return done

    return through


def require_undisturbed(place: Cloud, verdicts: dict[str, int], alerts: list[Alert]) -> None:
    """The store holds what an undisturbed run gives: each verdict counted once, each alert there once."""
    assert place.verdicts() == verdicts
    found = place.alerts()
    assert len({alert.id for alert in found}) == len(found)
    assert told(found) == told(alerts)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_killed_at_random_moments_nothing_is_lost_and_nothing_doubled(
    cloud: MakeCloud, tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    messages, verdicts, alerts = events(rounds_each=90)  # more than four lives of a worker on a quiet machine
    store = {} if database == "sqlite" else {"store": request.getfixturevalue("postgres_url")}
    place = cloud(batch_stills=4, **store)
    place.produce(messages)
    through, moments = is_through(place), random.Random(20260301)
    kills = 0
    while kills < 4:
        worker = place.worker(tmp_path / f"{kills}.log")
        worker.await_event("batch.stored")
        time.sleep(moments.uniform(0.0, 0.2))
        worker.end(signal.SIGKILL)
        kills += 1
    left = sum(verdicts.values()) - sum(place.verdicts().values())
    assert left > 0, "the kills must have met a worker at work"

    last = place.worker(tmp_path / "last.log")
    assert wait_until(through, 90), last.log.read_text()
    assert last.end(signal.SIGTERM) == 0
    require_undisturbed(place, verdicts, alerts)


def test_those_that_look_at_stills_are_killed_again_and_again_and_the_store_does_not_show_it(
    cloud: MakeCloud, tmp_path: Path
) -> None:
    """Between the deaths, what was in hand at one is stored: a still that took two with it would not be judged."""
    messages, verdicts, alerts = events(rounds_each=60)
    in_hand = 2 * AHEAD_BYTES // min(len(message.data) for message in messages if message.data)
    place = cloud(batch_stills=8, processes=2)
    place.produce(messages)
    through = is_through(place)
    worker = place.worker(tmp_path / "worker.log")
    for which in (0, 1):  # one at a time: of two at once the second may die with what the first had in hand
        worker.await_event("batch.stored", len(worker.events("batch.stored")) + 1)
        os.kill(lookers(worker.process.pid)[which], signal.SIGKILL)
        worker.await_event("batch.stored", len(worker.events("batch.stored")) + in_hand // 8 + 1)
    assert wait_until(through, 90), worker.log.read_text()
    assert worker.events("looker.died")
    left = lookers(worker.process.pid)
    assert len(left) == 2
    assert worker.end(signal.SIGTERM) == 0
    assert not any(start_tick(pid) for pid in left)
    require_undisturbed(place, verdicts, alerts)


def lookers(worker: int) -> list[int]:
    """The processes that look at stills for a worker."""
    found = Path(f"/proc/{worker}/task/{worker}/children").read_text().split()
    return [pid for pid in map(int, found) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_a_worker_that_was_stopped_and_taken_over_commits_nothing_stale(
    cloud: MakeCloud, tmp_path: Path, postgres_url: str
) -> None:
    """On PostgreSQL, which ends a transaction that was stopped half-way; SQLite's lock would stay."""
    messages, verdicts, alerts = events(rounds_each=60)
    place = cloud(store=postgres_url, batch_stills=8, lease_seconds=2.0)
    place.produce(messages)
    sleeper = place.worker(tmp_path / "sleeper.log")
    sleeper.await_event("batch.stored")
    sleeper.send(signal.SIGSTOP)
    before = sum(place.verdicts().values())
    assert before < sum(verdicts.values()), "it must have been stopped at work"

    heir = place.worker(tmp_path / "heir.log", "--standby")
    assert wait_until(is_through(place), 90), heir.log.read_text()
    sleeper.send(signal.SIGCONT)

    # fenced; or, where it was stopped inside a transaction that PostgreSQL has ended since, refused on trying again
    code = sleeper.wait()
    assert code in (3, 4), sleeper.log.read_text()
    assert sleeper.events("worker.fenced" if code == 4 else "worker.refused")
    assert heir.end(signal.SIGTERM) == 0
    require_undisturbed(place, verdicts, alerts)


def test_a_second_worker_is_refused_while_the_first_lives(cloud: MakeCloud, tmp_path: Path) -> None:
    place = cloud()
    first = place.worker(tmp_path / "first.log")
    first.await_event("worker.ready")

    second = place.worker(tmp_path / "second.log")

    assert second.wait() == 3
    (refusal,) = second.events("worker.refused")
    assert f"process {first.process.pid}" in refusal["reason"]
    assert "judges this store since" in refusal["reason"]
    place.produce([delivered(0, 0)])
    assert wait_until(is_through(place), 90), "the first goes on"
    assert first.end(signal.SIGTERM) == 0


def test_a_standby_takes_over_when_the_first_ends(cloud: MakeCloud, tmp_path: Path) -> None:
    messages, verdicts, alerts = events(rounds_each=10)
    place = cloud()
    port = free_port()
    first = place.worker(tmp_path / "first.log")
    first.await_event("worker.ready")
    standby = place.worker(tmp_path / "standby.log", "--standby", metrics_port=port)
    assert wait_until(lambda: "standing by" in answer(port, "/readyz")[1], 90)
    assert answer(port, "/readyz")[0] == 503
    assert answer(port, "/healthz")[0] == 200
    place.produce(messages[:30])
    assert wait_until(is_through(place), 90)

    assert first.end(signal.SIGTERM) == 0
    standby.await_event("worker.ready")
    assert wait_until(lambda: answer(port, "/readyz")[0] == 200, 30)
    place.produce(messages[30:])
    assert wait_until(is_through(place), 90)
    assert standby.end(signal.SIGTERM) == 0
    require_undisturbed(place, verdicts, alerts)


def test_sigterm_stores_the_batch_in_hand_and_leaves_the_group(cloud: MakeCloud, tmp_path: Path) -> None:
    """A batch that would wait a minute for more is stored at once when the worker is told to stop."""
    place = cloud(batch_seconds=60.0, batch_stills=1000)
    port = free_port()
    place.produce([enrolled(0), *(delivered(number, 0) for number in range(5))])
    worker = place.worker(tmp_path / "worker.log", metrics_port=port)
    judged = 'strayframe_stills_judged_total{verdict="clear"} 4.0'
    assert wait_until(lambda: judged in answer(port, "/metrics")[1], 90), worker.log.read_text()
    assert place.verdicts() == {}, "nothing is stored yet"

    assert worker.end(signal.SIGTERM) == 0

    assert sum(place.verdicts().values()) == 5
    with place.admin() as admin:
        group = admin.describe_groups([place.settings.kafka_group])[place.settings.kafka_group]
        assert group["members"] == []
        offsets = admin.list_group_offsets([place.settings.kafka_group])[place.settings.kafka_group]
    assert {each.topic: each_offset.offset for each, each_offset in offsets.items()} == {
        place.settings.topic_stills: 5,
        place.settings.topic_rights: 1,
        place.settings.topic_changes: 0,
    }


def test_sigint_ends_an_idle_worker_in_order(cloud: MakeCloud, tmp_path: Path) -> None:
    worker = WorkerProcess(cloud().settings, tmp_path / "worker.log", ["worker"], start=from_disk)
    worker.await_event("worker.ready")
    assert worker.end(signal.SIGINT) == 0
    assert worker.events("worker.stopped")


def test_a_second_signal_ends_a_process_at_once() -> None:
    program = (
        "import time\nfrom streams.stop import Stop\n"
        "with Stop() as stop:\n print('up', flush=True)\n while True: time.sleep(0.05)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)  # the first signal must have been handled: two that wait together are one
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_SECONDS) == 128 + signal.SIGTERM
    process.stdout.close()


def test_a_worker_survives_the_restart_of_its_database(cloud: MakeCloud, services: Services, tmp_path: Path) -> None:
    messages, verdicts, alerts = events(rounds_each=12)
    database = services.database()
    place = cloud(store=database.url, lease_seconds=2.0)
    place.produce(messages[:40])
    worker = place.worker(tmp_path / "worker.log")
    assert wait_until(is_through(place), 90), worker.log.read_text()

    database.stop()
    place.produce(messages[40:])
    worker.await_event("worker.retrying")
    database.start()

    assert wait_until(is_through(place), 90), worker.log.read_text()
    assert worker.end(signal.SIGTERM) == 0
    require_undisturbed(place, verdicts, alerts)
    database.stop()


@pytest.mark.filterwarnings("ignore:unclosed <:ResourceWarning")
@pytest.mark.usefixtures("swept")
def test_a_wrong_address_of_kafka_ends_the_worker_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(client, "BOOTSTRAP_SECONDS", 1.0)
    words = ["worker", "--kafka", f"127.0.0.1:{free_port()}", "--store", f"sqlite:///{tmp_path}/s.db"]
    ended = CliRunner().invoke(app, words)
    log.configure("info", "text")
    assert ended.exit_code == 1
    (failure,) = [line for line in ended.output.splitlines() if "worker.failed" in line]
    assert f"no Kafka broker answered at {words[2]}" in failure
    assert "Traceback" not in ended.output


def test_topics_that_nobody_made_end_the_worker_with_one_sentence(cloud: MakeCloud, tmp_path: Path) -> None:
    worker = cloud().worker(tmp_path / "worker.log", topic_stills="nobody.made.this")
    assert worker.wait() == 1
    (failure,) = worker.events("worker.failed")
    assert "topic nobody.made.this does not exist; `strayframe topics create` makes it" in failure["reason"]
