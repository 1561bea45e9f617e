"""What Kafka and a store cost: a worker on a real broker and PostgreSQL beside the same stills judged in memory.

    python benchmarks/stream.py [--quick] [--json FILE]

The stills wait on the broker before the worker starts. It is timed from its first batch stored to its last but one, as
a stream that goes on: the first one waits for the first answer, the last one for company. Judging from memory is timed
from the first batch on, too. CPU is that of the worker with the processes that look at stills for it, not of broker
and database, and without its start. Judging from memory is measured twice: alone, which
the bars go by, and while the broker serves as many stills to somebody who throws them away. Beside it the same with
the roles divided: so many workers that look, and a matcher, all of them counted. Uses the services of the tests: those
that `make services-up` left running, or its own.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psycopg
from cloud import Cloud, WorkerProcess
from drawn import cloud
from kafka import KafkaConsumer, TopicPartition
from programs import wait_until
from rows import Bar, Row, Say, main
from services import Services

from detector.engine import Engine
from models.records import Delivery
from streams.cloudevents import Message
from streams.decode import Decoder
from streams.judge import Judge
from streams.kafka.browse import browsing, every
from streams.kafka.client import FETCH_BYTES, PARTITION_FETCH_BYTES, connecting
from streams.kafka.forward import bytes_of
from streams.metrics import Metrics
from streams.settings import Settings
from streams.store.sql import SqlStore
from streams.warm import warm

CAMERAS, STILLS, REPEATS = 40, 1200, 3
PARTITIONS = 12
BATCH = 200
"""Stills a transaction: the default of `batch_stills`."""
MANY = 4
"""From so many batches on, the first and the last are left out of the time."""
PATIENCE_SECONDS = 120.0
LEAST_RATE = 0.85
MOST_CPU = 1.2
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds that all stills took together: by the clock on the wall, and of CPU."""

    wall: float
    cpu: float
    matcher: float = 0.0
    """Of the CPU, the matcher's part."""

    def __str__(self) -> str:
        return f"{self.wall:.2f} s, {self.cpu:.2f} s of CPU"


def measure(say: Say, *, quick: bool) -> list[Row]:
    """Stills a second and CPU a still, from medians over repeats in turns."""
    stills, repeats = (120, 1) if quick else (STILLS, REPEATS)
    say(f"drawing {stills} stills")
    messages = cloud(CAMERAS, stills)
    warm()
    memory: list[Took] = []
    busy: list[Took] = []
    kafka: dict[int, list[Took]] = {1: [], 2: []}
    roles: dict[int, list[Took]] = {1: [], 2: []}
    sizes: list[tuple[float, float]] = []
    with Services() as services, tempfile.TemporaryDirectory() as folder:
        for repeat in range(repeats):
            memory.append(in_memory(messages))
            busy.append(beside_a_broker(services.kafka(), messages, stills / memory[-1].wall))
            for processes, took in kafka.items():
                with database(services.postgres()) as store:
                    took.append(through_kafka(services.kafka(), store, messages, processes, Path(folder)))
            for workers, took in roles.items():
                with database(services.postgres()) as store:
                    each, size = divided(services.kafka(), store, messages, workers, Path(folder))
                    took.append(each)
                    sizes.append(size)
            through = ", ".join(f"{took[-1]} with {processes}" for processes, took in kafka.items())
            apart = ", ".join(f"{took[-1]} with {workers}" for workers, took in roles.items())
            inside = f"in memory {memory[-1]}, {busy[-1]} beside a broker"
            say(f"round {repeat + 1} of {repeats}: {inside}, through Kafka {through}; divided {apart}")
    options = f"{stills} drawn stills of 1280x720, {CAMERAS} cameras, {PARTITIONS} partitions, batches of {BATCH}, "
    options = f"{options}PostgreSQL, median of {repeats} rounds"
    return [*rows(stills, memory, busy, kafka, options), *divided_rows(stills, memory, roles, sizes[-1], options)]


def divided_rows(
    stills: int, memory: list[Took], roles: dict[int, list[Took]], size: tuple[float, float], options: str
) -> list[Row]:
    """The same for workers that look beside a matcher, and what a still is on each topic."""
    out = []
    for workers, took in roles.items():
        about = f"through Kafka, {workers} x --role worker and a matcher"
        rate = {"in memory, one process": stills / median(one.wall for one in memory)}
        out.append(Row(about, "stills/s", stills / median(one.wall for one in took), rate, (), options))
        cpu = {"in memory, one process": median(one.cpu for one in memory) / stills * 1e3}
        cpu["of ours the matcher"] = median(one.matcher for one in took) / stills * 1e3
        out.append(Row(about, "ms of CPU a still", median(one.cpu for one in took) / stills * 1e3, cpu, (), options))
    out.append(
        Row("a still on the topic of scenes", "bytes", size[1], {"on the topic of stills": size[0]}, (), options)
    )
    return out


def rows(stills: int, memory: list[Took], busy: list[Took], kafka: dict[int, list[Took]], options: str) -> list[Row]:
    """The table: rates and CPU, each beside that of the same round in memory."""
    rate = median(one.wall / other.wall for one, other in zip(memory, kafka[1], strict=True))
    cpu = {k: median(other.cpu / one.cpu for one, other in zip(memory, kafka[k], strict=True)) for k in kafka}
    told = {"in memory, one process": memory, "in memory, beside a busy broker": busy}
    in_memory_rate = {name: stills / median(one.wall for one in took) for name, took in told.items()}
    in_memory_cpu = {name: median(one.cpu for one in took) / stills * 1e3 for name, took in told.items()}
    out = []
    for processes, took in kafka.items():
        bar = (Bar("rate as a share of that in memory", rate, LEAST_RATE, True),) if processes == 1 else ()
        about = f"through Kafka, worker --processes {processes}"
        out.append(Row(about, "stills/s", stills / median(one.wall for one in took), in_memory_rate, bar, options))
        bar = (Bar("CPU a still as a multiple of that in memory", cpu[processes], MOST_CPU, False),)
        out.append(
            Row(about, "ms of CPU a still", median(one.cpu for one in took) / stills * 1e3, in_memory_cpu, bar, options)
        )
    return out


def in_memory(messages: list[Message]) -> Took:
    """Judge the messages one after the other without a store."""
    judge = Judge(Engine(), Decoder(b"benchmark"), Metrics())
    first = min(BATCH, len(messages) // 2)
    wall, cpu = 0.0, time.process_time()
    for part in (messages[:first], messages[first:]):
        wall = time.perf_counter()
        for number, message in enumerate(part, 1):
            judge.take(message)
            if number % BATCH == 0:
                judge.commit()
    a_still = (time.perf_counter() - wall) / (len(messages) - first)
    return Took(a_still * stills_of(messages), time.process_time() - cpu)


def stills_of(messages: list[Message]) -> int:
    """How many of the messages bring a still."""
    return sum(isinstance(message.event, Delivery) for message in messages)


def beside_a_broker(broker: str, messages: list[Message], rate: float) -> Took:
    """The same while the broker serves so many stills a second to a process that throws them away."""
    place = Cloud(broker, "sqlite:///unused.db", PARTITIONS)
    context = get_context("spawn")
    begun, done = context.Event(), context.Event()
    other = context.Process(target=throw_away, args=(broker, place.settings.topic_stills, rate, begun, done))
    try:
        place.produce(messages)
        other.start()
        assert begun.wait(PATIENCE_SECONDS)
        return in_memory(messages)
    finally:
        done.set()
        other.join(PATIENCE_SECONDS)
        place.remove()


def throw_away(broker: str, topic: str, rate: float, begun: Any, done: Any) -> None:
    """Read a topic again and again, so many messages a second, as the worker's client reads it."""
    with connecting(Settings(kafka=broker)) as options:
        client = KafkaConsumer(**options, fetch_max_bytes=FETCH_BYTES, max_partition_fetch_bytes=PARTITION_FETCH_BYTES)
    every_one = [TopicPartition(topic, number) for number in client.partitions_for_topic(topic)]
    client.assign(every_one)
    ends, read, since = client.end_offsets(every_one), 0, time.monotonic()
    client.seek_to_beginning(*every_one)
    while not done.is_set():
        read += sum(map(len, client.poll(100).values()))
        begun.set()
        if all(client.position(each) >= end for each, end in ends.items()):
            client.seek_to_beginning(*every_one)
        time.sleep(max(0.0, read / rate - (time.monotonic() - since)))
    client.close()


def through_kafka(broker: str, store: str, messages: list[Message], processes: int, folder: Path) -> Took:
    """Have a worker judge the messages from topics of its own."""
    place = Cloud(broker, store, PARTITIONS, batch_stills=BATCH, batch_seconds=0.5, lease_seconds=15.0)
    try:
        place.produce(messages)
        ends = place.ends()
        worker = place.worker(folder / f"{uuid.uuid4()}.log", processes=processes)
        worker.await_event("rights.read")
        before = cpu_of(worker)
        with SqlStore(store) as watched:
            assert wait_until(lambda: place.positions(watched) == ends, PATIENCE_SECONDS), worker.log.read_text()
        cpu = cpu_of(worker) - before
        assert worker.end(signal.SIGTERM) == 0, worker.log.read_text()
        return Took(a_message(worker, worker.events("rights.read")[0]["time"]) * stills_of(messages), cpu)
    finally:
        place.remove()


def divided(
    broker: str, store: str, messages: list[Message], workers: int, folder: Path
) -> tuple[Took, tuple[float, float]]:
    """Have workers look and a matcher judge; what that took, and the mean bytes of a message on either topic."""
    settings = {"topic_scenes": f"bench.{uuid.uuid4().hex}.scenes", "batch_stills": BATCH, "batch_seconds": 0.5}
    place = Cloud(broker, store, PARTITIONS, lease_seconds=15.0, **settings)
    try:
        place.produce(messages)
        matcher = place.process("worker", folder / f"{uuid.uuid4()}.log", "--role", "matcher")
        matcher.await_event("worker.ready")
        lookers = [place.process("worker", folder / f"{uuid.uuid4()}.log", "--role", "worker") for _ in range(workers)]
        for worker in lookers:
            worker.await_event("worker.started")
        every_one = [matcher, *lookers]
        before, judging = sum(map(cpu_of, every_one)), cpu_of(matcher)
        stills = stills_of(messages)
        await_stills(place, matcher, stills)
        cpu, judging = sum(map(cpu_of, every_one)) - before, cpu_of(matcher) - judging
        wall = stills * a_message(matcher, max(worker.events("worker.started")[0]["time"] for worker in lookers))
        sizes = (mean_bytes(place, place.settings.topic_stills), mean_bytes(place, place.settings.topic_scenes))
        assert all(each.end(signal.SIGTERM) == 0 for each in every_one)
        return Took(wall, cpu, judging), sizes
    finally:
        place.remove()


def await_stills(place: Cloud, judge: WorkerProcess, stills: int, patience: float = PATIENCE_SECONDS) -> None:
    """Return once the judge's store has counted so many."""
    with SqlStore(place.settings.store) as watched:
        counted = lambda: sum(watched.counts().stills.values()) >= stills  # noqa: E731
        assert wait_until(counted, patience), judge.log.read_text()


def mean_bytes(place: Cloud, topic: str) -> float:
    """Key, value and headers of a message of a topic, on average."""
    with browsing(place.settings) as client:
        sizes = [bytes_of(record) for record in every(client, topic)]
    return sum(sizes) / max(len(sizes), 1)


def a_message(judge: WorkerProcess, first: str) -> float:
    """Seconds that a message took, by the judge's own log: between its first batch stored and its last but one.

    Where there are too few batches for that, it is timed from the moment `first` on: what was stored before is rights,
    which a matcher reads before the workers are there.
    """
    begin = datetime.fromisoformat(first)
    batches = [(_time(batch), batch) for batch in judge.events("batch.stored") if _time(batch) > begin]
    if len(batches) >= MANY:
        (begin, _), *batches, _ = batches
    return (batches[-1][0] - begin).total_seconds() / sum(_messages(batch) for _, batch in batches)


def _time(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["time"])


def _messages(batch: dict[str, Any]) -> int:
    messages: int = batch["messages"]
    return messages


def cpu_of(worker: WorkerProcess) -> float:
    """Seconds of CPU of the worker and the processes that it started."""
    pid = worker.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(_ticks(int(each)) for each in (pid, *children)) / TICK


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@contextmanager
def database(server: str) -> Iterator[str]:
    """The URL of an empty database of its own."""
    name = f"benchmark_{uuid.uuid4().hex}"
    with psycopg.connect(server.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield f"{server.rpartition('/')[0]}/{name}"
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


if __name__ == "__main__":
    main(measure, __doc__)
