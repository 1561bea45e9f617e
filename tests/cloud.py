"""A small camera cloud on the real broker, with leaks that are known, and workers that judge it.

Owns pictures, events, topics of its own and worker processes. Pictures are seeded noise textures: no two cameras
alike, a camera's own stills alike but for the sensor's noise.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import numpy as np
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from nursery import Born, born
from PIL import Image
from programs import wait_until

from detector.engine import Engine
from models.records import (
    AccountId,
    Alert,
    CameraId,
    ChangeDeployed,
    Delivery,
    DeliveryId,
    Event,
    RightAction,
    RightChanged,
)
from streams.cloudevents import Message
from streams.decode import Decoder
from streams.health import Health
from streams.judge import Judge, Unwatched
from streams.kafka.client import Outlet
from streams.kafka.topics import create_topics
from streams.metrics import Metrics
from streams.settings import Settings
from streams.stop import Stop
from streams.store.sql import SqlStore
from streams.worker import Supervisor

START = datetime(2026, 3, 1, tzinfo=UTC)
PATIENCE_SECONDS = 90.0
"""How long anything on the broker may take before a test gives up: CI machines share their cores."""


@cache
def still(camera: int, moment: int) -> bytes:
    """A JPEG of the camera's scene with the moment's noise."""
    cells = np.random.default_rng(camera).integers(0, 255, (18, 32), dtype=np.uint8)
    scene = np.asarray(Image.fromarray(cells).resize((640, 360), Image.Resampling.BICUBIC), dtype=np.float64)
    noisy = scene + np.random.default_rng((camera, moment)).normal(0, 4, scene.shape)
    out = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=80)
    return out.getvalue()


def enrolled(camera: int, when: datetime = START) -> Message:
    """The camera's own account enrols it."""
    right = RightChanged(CameraId(f"cam{camera}"), AccountId(f"home{camera}"), RightAction.ENROL, when)
    return Message(right, DeliveryId("test", f"enrol{camera}"))


def delivered(number: int, camera: int, shows: int | None = None, viewer: int | None = None) -> Message:
    """Delivery `number`: the camera's still, or that of another one, to its home or to another viewer."""
    key = DeliveryId("test", f"d{number}")
    account = AccountId(f"home{camera if viewer is None else viewer}")
    when = START + timedelta(minutes=number)
    event = Delivery(key, when, account, CameraId(f"cam{camera}"), {"integration": "displays", "cachenode": "c1"})
    return Message(event, key, still(camera if shows is None else shows, number))


def rounds(cameras: int, each: int, leaks_from: int, leak_every: int = 7) -> list[Message]:
    """Every camera in turn, `each` times; from round `leaks_from` on, every so many stills shows the next camera."""
    messages: list[Message] = []
    for number in range(cameras * each):
        turn, camera = divmod(number, cameras)
        leaks = turn >= leaks_from and number % leak_every == 0
        messages.append(delivered(number, camera, (camera + 1) % cameras if leaks else None))
    return messages


def in_memory(messages: list[Message]) -> tuple[dict[str, int], list[Alert]]:
    """Verdict counts and standing alerts of the same messages judged in memory, one after the other."""
    judge = Judge(Engine(), Decoder(b"any key"), Metrics())
    verdicts: dict[str, int] = {}
    for message in messages:
        judgement = judge.take(message)
        if judgement is not None:
            verdicts[judgement.verdict.value] = verdicts.get(judgement.verdict.value, 0) + 1
    changes = judge.commit()
    withdrawn = {withdrawal.alert for withdrawal in changes.withdrawn}
    return verdicts, [alert for alert in changes.raised if alert.id not in withdrawn]


def told(alerts: list[Alert]) -> set[tuple[str, ...]]:
    """What an alert says that must not depend on crashes or places."""
    return {
        (alert.id, alert.kind, alert.level, str(alert.delivery), alert.recipient, str(alert.owner), alert.rule)
        for alert in alerts
    }


class _Until(Stop):
    """Asks to stop once a condition holds."""

    def __init__(self, done: Callable[[], bool]) -> None:
        super().__init__()
        self._done = done
        self._deadline = time.monotonic() + PATIENCE_SECONDS
        self.late = False

    @property  # type: ignore[override]
    def asked(self) -> bool:
        self.late = time.monotonic() > self._deadline
        return self.late or self._done()

    @asked.setter
    def asked(self, value: bool) -> None: ...


class Cloud:
    """Topics of its own on a broker, a store, and what a worker needs to judge the one into the other."""

    def __init__(self, kafka: str, store: str, partitions: int = 1, replication: int = 1, **settings: Any) -> None:
        name = f"test.{uuid.uuid4().hex[:12]}"
        self.settings = Settings(
            kafka=kafka,
            store=store,
            kafka_group=name,
            topic_stills=f"{name}.stills",
            topic_rights=f"{name}.rights",
            topic_changes=f"{name}.changes",
            topic_rejected=f"{name}.rejected",
            **{"batch_seconds": 0.1, "batch_stills": 20, "lease_seconds": 5.0, **settings},
        )
        self._workers: list[WorkerProcess] = []
        create_topics(self.settings, partitions, replication)

    def remove(self) -> None:
        """Delete the topics, and end workers that a failed test left behind."""
        for worker in self._workers:
            worker.end(signal.SIGKILL)
        with self.admin() as admin:
            arrived = [name for name in (self.settings.topic_arrived, self.settings.topic_scenes) if name]
            admin.delete_topics([*self.read_topics(), self.settings.topic_rejected, *arrived])

    def read_topics(self) -> list[str]:
        """The topics that a worker reads."""
        return [self.settings.topic_rights, self.settings.topic_changes, self.settings.topic_stills]

    @contextmanager
    def admin(self) -> Iterator[KafkaAdminClient]:
        """An admin client."""
        client = KafkaAdminClient(bootstrap_servers=self.settings.kafka)
        try:
            yield client
        finally:
            client.close()

    def produce(self, messages: list[Message]) -> None:
        """Produce and wait for the acknowledgements."""
        with Outlet(self.settings) as outlet:
            for message in messages:
                outlet.send(message)

    def ends(self) -> dict[tuple[str, int], int]:
        """Where each partition ends."""
        client = KafkaConsumer(bootstrap_servers=self.settings.kafka)
        try:
            every = [
                TopicPartition(topic, number)
                for topic in self.read_topics()
                for number in client.partitions_for_topic(topic)
            ]
            return {(each.topic, each.partition): end for each, end in client.end_offsets(every).items()}
        finally:
            client.close()

    def rejects(self) -> list[Any]:
        """The dead letters, as records."""
        client = KafkaConsumer(bootstrap_servers=self.settings.kafka, max_partition_fetch_bytes=32_000_000)
        try:
            numbers = client.partitions_for_topic(self.settings.topic_rejected)
            every = [TopicPartition(self.settings.topic_rejected, number) for number in numbers]
            client.assign(every)
            client.seek_to_beginning(*every)
            wanted, found = sum(client.end_offsets(every).values()), []
            while len(found) < wanted:
                for records in client.poll(1000).values():
                    found += records
            return found
        finally:
            client.close()

    def positions(self, store: SqlStore) -> dict[tuple[str, int], int]:
        """Where the store says that reading goes on."""
        return {
            (topic, partition): offset
            for topic in self.read_topics()
            for partition, offset in store.positions(topic).items()
        }

    def judge_all(
        self,
        metrics: Metrics | None = None,
        until: Callable[[], bool] | None = None,
        health: Callable[[Metrics], Health] = Health,
    ) -> Metrics:
        """Run a worker in this process until everything that is on the broker now is stored."""
        metrics = metrics or Metrics()
        ends = self.ends()
        with SqlStore(self.settings.store) as store:
            stop = _Until(until or (lambda: self.positions(store) == ends))
            assert Supervisor(self.settings, metrics, health(metrics), stop, standby=False).run() == 0
        assert not stop.late, "the worker did not get through in time"
        return metrics

    def alerts(self) -> list[Alert]:
        """The alerts that stand, as the store has them."""
        with SqlStore(self.settings.store) as store:
            return list(store.knowledge().alerts)

    def verdicts(self) -> dict[str, int]:
        """Stills by verdict, as the store has counted them; what was rejected has none."""
        return {word: stills for word, stills in self.coverage().items() if word != Unwatched.REJECTED}

    def coverage(self) -> dict[str, int]:
        """All that coverage counts."""
        with SqlStore(self.settings.store) as store:
            return {str(word): stills for word, stills in store.counts().stills.items()}

    def worker(self, log: Path, *options: str, **settings: Any) -> WorkerProcess:
        """Start `strayframe worker` as a process of its own."""
        return self.process("worker", log, *options, **settings)

    def process(self, command: str, log: Path, *options: str, **settings: Any) -> WorkerProcess:
        """Start a command as a process of its own."""
        self._workers.append(WorkerProcess(self.settings.model_copy(update=settings), log, (command, *options)))
        return self._workers[-1]


def from_disk(
    words: Sequence[str], environment: Mapping[str, str], folder: Path, out: int, errors: int
) -> subprocess.Popen[bytes]:
    """Start a command as its users do."""
    command = [Path(sys.executable).with_name("strayframe"), *words]
    return subprocess.Popen(command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=errors)


Start = Callable[[Sequence[str], Mapping[str, str], Path, int, int], Born | subprocess.Popen[bytes]]
"""How a process begins: `born`, at once, or `from_disk`."""


class WorkerProcess:
    """A running `strayframe worker`, or another command; its log lines are JSON objects in a file."""

    def __init__(self, settings: Settings, log: Path, options: Sequence[str], start: Start = born) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("STRAYFRAME_")}
        for name in type(settings).model_fields:
            value = getattr(settings, name)
            if isinstance(value, str | int | float):
                environment[f"STRAYFRAME_{name.upper()}"] = str(value)
        environment["STRAYFRAME_LOG_FORMAT"] = "json"
        self.log = log
        with log.open("ab") as out:
            self.process = start(options, environment, log.parent, out.fileno(), out.fileno())

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log events of that name so far."""
        lines = self.log.read_text().splitlines()
        parsed = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [event for event in parsed if event["event"] == name]

    def await_event(self, name: str, count: int = 1) -> None:
        """Return once the log has that many events of this name."""
        found = wait_until(lambda: len(self.events(name)) >= count or self.process.poll() is not None, PATIENCE_SECONDS)
        assert found, f"no {name} within {PATIENCE_SECONDS} s:\n{self.log.read_text()}"
        assert len(self.events(name)) >= count, f"the worker ended without {name}:\n{self.log.read_text()}"

    def send(self, sign: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(sign)

    def end(self, sign: signal.Signals) -> int:
        """Send a signal and wait; the exit code."""
        self.process.send_signal(sign)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end; the exit code."""
        return self.process.wait(PATIENCE_SECONDS)


def answer(port: int, path: str) -> tuple[int, str]:
    """What a worker's health server says: status and body; status 0 while nothing listens."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_SECONDS) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except URLError:
        return 0, ""


def change(component: str, version: str, number: int) -> Message:
    """A deploy."""
    event: Event = ChangeDeployed(component, version, START + timedelta(minutes=number))
    return Message(event, DeliveryId("test", f"change{number}"))
