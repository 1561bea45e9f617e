"""Ten minutes of everything that goes wrong, under load: `make soak`. Not part of `make test`.

Three brokers, a PostgreSQL, a worker and its standby; then two workers that look, a matcher and its standby. Cameras
deliver all the time, one message in a hundred is poison, one in twenty comes twice. Meanwhile workers are killed, or
stopped for longer than group and lease wait and then woken, a broker is killed and comes back, the database restarts,
members join the group and leave. At the end the store names whom an undisturbed run names, no alert is there twice,
each dead letter is there once, and nothing waits.

`STRAYFRAME_TEST_SOAK_SECONDS` says how long, 300 for each of the two by default; `STRAYFRAME_TEST_SEED` draws another
order of events.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from cloud import Cloud, WorkerProcess, delivered, in_memory
from conftest import plain
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError
from programs import free_port, run, wait_until
from services import Broker, Database, Services, java, kafka_jars
from test_faults import CAMERAS, QUIET, homes, leaks, pairs, poison

from models.errors import StrayframeError
from models.records import Delivery
from streams.cloudevents import Message, to_headers
from streams.kafka.browse import browsing, every
from streams.kafka.letters import letters
from streams.store.sql import SqlStore

pytestmark = [pytest.mark.filterwarnings("ignore:unclosed <:ResourceWarning"), pytest.mark.usefixtures("swept")]

SECONDS = float(os.environ.get("STRAYFRAME_TEST_SOAK_SECONDS", "300"))
SEED = int(os.environ.get("STRAYFRAME_TEST_SEED", "20191231"))
PACE = 0.08
"""Seconds between two stills: a dozen a second, which leaves two cores room for three brokers."""
PAUSE = 12.0
"""Seconds between two disturbances: a worker needs some of them to come back, so that each meets one at work."""
ASLEEP = 60.0
"""How long a worker is stopped: longer than the group's session (45 s) and the lease."""
LEAK_EVERY, POISON_EVERY, TWICE_EVERY = 7, 100, 20


class Node(Broker):
    """One of three brokers that are a cluster."""

    def __init__(self, folder: Path, number: int, cluster: str, controllers: list[int]) -> None:
        super().__init__(folder)
        self._number, self._cluster, self._controllers = number, cluster, controllers

    def _format(self, program: str, classpath: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self._defaults(self._controllers[self._number - 1]) | {
            "node.id": str(self._number),
            "controller.quorum.voters": ",".join(f"{n}@127.0.0.1:{p}" for n, p in enumerate(self._controllers, 1)),
            "offsets.topic.replication.factor": "3",
            "transaction.state.log.replication.factor": "3",
            "transaction.state.log.min.isr": "2",
        }
        (self.folder / "server.properties").write_text("".join(f"{k}={v}\n" for k, v in settings.items()))
        storage = [program, "-cp", classpath, "kafka.tools.StorageTool", "format", "-t", self._cluster]
        run([*storage, "-c", "server.properties"], "Formatting Kafka's storage", cwd=self.folder)


def started(folder: Path) -> list[Node]:
    """Three brokers; none answers before two are there, so they start side by side."""
    java(), kafka_jars()
    cluster, controllers = str(uuid.uuid4()), [free_port() for _ in range(3)]
    nodes = [Node(folder / f"broker{number}", number, cluster, controllers) for number in (1, 2, 3)]
    threads = [threading.Thread(target=node.start) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    admin = KafkaAdminClient(bootstrap_servers=",".join(node.bootstrap for node in nodes))
    assert wait_until(lambda: len(admin.describe_cluster()["brokers"]) == len(nodes), 60)
    admin.close()
    return nodes


class Producer(threading.Thread):
    """Delivers until told to end; knows what an undisturbed worker would have been given, and how much was poison."""

    def __init__(self, place: Cloud) -> None:
        super().__init__()
        self._place = place
        self._draw = random.Random(SEED)
        self.messages: list[Message] = []
        self.poison = 0
        self.ends = threading.Event()
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            self._deliver()
        except Exception as error:  # noqa: BLE001 - told by the main thread, whose test it fails
            self.failure = error

    def _deliver(self) -> None:
        producer = KafkaProducer(
            bootstrap_servers=self._place.settings.kafka,
            acks="all",
            enable_idempotence=False,
            max_in_flight_requests_per_connection=1,
            delivery_timeout_ms=120_000,
            max_request_size=60_000_000,
        )
        sent = []
        number = QUIET * CAMERAS
        while not self.ends.wait(PACE):
            camera = number % CAMERAS
            message = delivered(number, camera, (camera + 1) % CAMERAS if number % LEAK_EVERY == 0 else None)
            self.messages.append(message)
            assert isinstance(message.event, Delivery)
            key, headers = message.event.camera.encode(), to_headers(message.event)
            topic = self._place.settings.topic_stills
            times = 2 if self._draw.random() < 1 / TWICE_EVERY else 1
            sent += [producer.send(topic, message.data, key=key, headers=headers) for _ in range(times)]
            if number % POISON_EVERY == 0:
                value, poisoned, rejected = poison(number // POISON_EVERY)
                sent.append(producer.send(topic, value, key=key, headers=poisoned))
                self.poison += rejected
            number += 1
        for future in sent:
            future.get(timeout=120)
        producer.close()


class Scene:
    """Who is there: brokers, database, a worker at work and its standby. Each method is one disturbance."""

    def __init__(self, place: Cloud, nodes: list[Node], database: Database, folder: Path, draw: random.Random) -> None:
        self._place, self._nodes, self._database, self._folder, self._draw = place, nodes, database, folder, draw
        self._count = 0
        self._group = place.settings.kafka_group
        both, look, match = ("--standby",), ("--role", "worker"), ("--role", "matcher", "--standby")
        self._roles = (look, match) if place.settings.topic_scenes else (both,)
        self.sleepers: list[tuple[float, WorkerProcess]] = []
        self.workers: list[WorkerProcess] = []
        self.zombies = 0

    def fill(self) -> None:
        """There are always two of each role that could work; one that ended is started again, as a supervisor would."""
        self.workers = [worker for worker in self.workers if worker.process.poll() is None]
        for role in self._roles:
            for _ in range(2 - sum(worker.process.args[-len(role) :] == list(role) for worker in self.workers)):
                self._count += 1
                self.workers.append(self._place.worker(self._folder / f"worker{self._count}.log", *role))

    def kill_a_worker(self) -> None:
        self._draw.choice(self.workers).end(signal.SIGKILL)

    def stop_a_worker(self) -> None:
        worker = self.workers.pop(self._draw.randrange(len(self.workers)))
        worker.send(signal.SIGSTOP)
        self.sleepers.append((time.monotonic() + ASLEEP, worker))

    def wake(self, *, all_of_them: bool = False) -> None:
        """Those that slept long enough go on; what they may still write, the fence decides."""
        now = time.monotonic()
        for due, worker in list(self.sleepers):
            if all_of_them or now >= due:
                self.sleepers.remove((due, worker))
                worker.send(signal.SIGCONT)
                self.workers.append(worker)
                self.zombies += 1

    def restart_a_broker(self) -> None:
        node = self._draw.choice(self._nodes)
        node.kill()
        time.sleep(self._draw.uniform(1, 5))
        node.start()

    def restart_the_database(self) -> None:
        self._database.stop()
        time.sleep(self._draw.uniform(0, 3))
        self._database.start()

    def storm(self) -> None:
        """Members join a group and leave, every second or two."""
        groups = (self._group, f"{self._group}.workers") if len(self._roles) == 2 else (self._group,)
        for _ in range(3):
            client = KafkaConsumer(
                *self._place.read_topics(),
                bootstrap_servers=self._place.settings.kafka,
                group_id=self._draw.choice(groups),
                enable_auto_commit=False,
            )
            client.poll(1500)
            client.close()

    def end(self) -> None:
        for worker in [*self.workers, *(worker for _, worker in self.sleepers)]:
            worker.process.kill()
            worker.process.wait()


@pytest.mark.filterwarnings("ignore:unclosed <:ResourceWarning")
@pytest.mark.usefixtures("swept")
@pytest.mark.timeout(SECONDS + 900)
@pytest.mark.parametrize("scenes", ["", "soak.scenes"], ids=["one process", "workers and matcher"])
def test_everything_that_goes_wrong_changes_no_pair(tmp_path: Path, services: Services, scenes: str) -> None:
    draw = random.Random(SEED)
    database = services.database()
    nodes = started(tmp_path)
    bootstrap = ",".join(node.bootstrap for node in nodes)
    with psycopg.connect(plain(database.url), autocommit=True) as server:
        server.execute("CREATE DATABASE soak TEMPLATE template0")
    store = database.url.rpartition("/")[0] + "/soak"
    settings = {"lease_seconds": 3.0, "batch_stills": 20, "still_bytes": 35_000_000, "topic_scenes": scenes}
    place = Cloud(bootstrap, store, partitions=4, replication=3, **settings)
    quiet = [*homes(), *(delivered(number, number % CAMERAS) for number in range(QUIET * CAMERAS))]
    place.produce(quiet)
    scene, producer = Scene(place, nodes, database, tmp_path, draw), Producer(place)
    scene.fill()
    assert wait_until(lambda: is_through(place), 120)
    try:
        disturb(scene, producer, draw)
        require_the_same(place, scene, producer, quiet)
    finally:
        producer.ends.set()
        scene.end()
        for node in nodes:
            node.kill()


def disturb(scene: Scene, producer: Producer, draw: random.Random) -> None:
    """Each disturbance in turn, in an order that is drawn anew each time round."""
    end = time.monotonic() + SECONDS
    acts: list[Callable[[], None]] = []
    producer.start()
    while time.monotonic() < end:
        scene.fill()
        wait_until(lambda: producer.failure is not None, PAUSE)
        assert producer.failure is None, producer.failure
        scene.wake()
        if not acts:
            acts = [
                scene.kill_a_worker,
                scene.stop_a_worker,
                scene.kill_a_worker,
                scene.restart_a_broker,
                scene.restart_the_database,
                scene.storm,
            ]
            draw.shuffle(acts)
        act = acts.pop()
        sys.stderr.write(f"soak: {end - time.monotonic():5.0f} s left, {act.__name__}\n")
        act()
    producer.ends.set()
    producer.join()
    assert producer.failure is None, producer.failure
    scene.wake(all_of_them=True)
    scene.fill()


def require_the_same(place: Cloud, scene: Scene, producer: Producer, quiet: list[Message]) -> None:
    def through() -> bool:
        scene.fill()
        return is_through(place)

    assert wait_until(through, 300), "the lag does not go back to zero"
    verdicts, undisturbed = in_memory([*quiet, *producer.messages])
    found = place.alerts()
    assert leaks(undisturbed)
    assert leaks(found) == leaks(undisturbed)
    assert len(pairs(found)) == len(found)
    assert len(letters(place.settings)) == place.coverage()["rejected"] == producer.poison
    judged = sum(place.verdicts().values())
    poisoned_pictures = len(range(QUIET * CAMERAS, QUIET * CAMERAS + len(producer.messages))) // POISON_EVERY
    assert sum(verdicts.values()) <= judged <= sum(verdicts.values()) + poisoned_pictures + 1
    sys.stderr.write(
        f"soak: {judged} stills, {len(leaks(found))} leaks, {producer.poison} dead letters, "
        f"{scene.zombies} woken, all as undisturbed\n"
    )


def is_through(place: Cloud) -> bool:
    """Whether nothing waits: no still that a worker has not read, no record that the store has not."""
    stills, scenes = place.settings.topic_stills, place.settings.topic_scenes
    try:
        with SqlStore(place.settings.store) as store, browsing(place.settings) as client:
            judged = {topic: store.positions(topic) for topic in (stills, scenes) if topic}
            read = {scenes: judged[scenes]} if scenes else {stills: judged[stills]}
            if scenes:
                with place.admin() as admin:
                    group = f"{place.settings.kafka_group}.workers"
                    offsets = admin.list_group_offsets([group])[group]
                read[stills] = {each.partition: found.offset for each, found in offsets.items()}
            return not any(has_more(client, topic, offsets) for topic, offsets in read.items())
    except (StrayframeError, KafkaError):
        return False


def has_more(client: KafkaConsumer, topic: str, offsets: dict[int, int]) -> bool:
    begin = {TopicPartition(topic, number): offset for number, offset in offsets.items()}
    return next(every(client, topic, begin), None) is not None
