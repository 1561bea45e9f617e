"""The store at a million alerts: pages, the batch's transaction beside the decoding of its stills, and the start.

    python benchmarks/store.py [--quick] [--json FILE]

Each question of tests/stored.py is asked for its first page, one in the middle and the last, on SQLite and on
PostgreSQL; beside the middle page of all alerts stands the same page by OFFSET. A batch holds 200 stills: once as a
replay has them, and once of 200 cameras that all teach something; the decoding of drawn stills is timed between
batches. The start is the reading of what was stored, and the engine's taking it up. PostgreSQL is the tests' own:
what it stores is not flushed to the disk, while SQLite flushes each batch.
"""

from __future__ import annotations

import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

import numpy as np
import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import stored
from rows import Bar, Row, Say, main
from services import Services
from sqlalchemy import select

from detector.engine import Changes, Engine
from detector.memory import Memory
from models.fingerprint import Fingerprint, Still
from models.records import AccountId, CameraId, Delivery, DeliveryId, RightAction, RightChanged, Verdict
from models.scene import Standing
from streams.decode import Decoder
from streams.judge import Batch, Covered
from streams.simulator.render import Mode, Moment, jpeg, stage, still
from streams.store import schema
from streams.store.queries import IncidentFilter
from streams.store.sql import SqlStore
from streams.warm import warm

ALERTS, CAMERAS, SCENES, BATCHES, ASKED = 1_000_000, (1_000, 10_000), 3, 15, 30
"""Alerts of which pages are asked; cameras that a start takes up, and scenes of each; batches; repeats of a page."""
QUICK = (20_000, (200,), 3, 4, 5)
STILLS, DRAWN = 200, 12
"""Stills of a batch, and how many are drawn and decoded to know what they cost."""
PAGE_MS, SHARE = 5.0, 0.1
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MIX = {"seen": 112, "new": 75, "cameras": 168}
"""Scenes that a batch of a replay changes and adds, and cameras that it changes: means of one of 3,000 stills."""


def measure(say: Say, *, quick: bool) -> list[Row]:
    """Rows of both databases."""
    alerts, cameras, scenes, batches, asked = QUICK if quick else (ALERTS, CAMERAS, SCENES, BATCHES, ASKED)
    warm()
    rows = []
    with tempfile.TemporaryDirectory() as folder, Services() as services:
        for name, fresh in (("SQLite", lambda: _file(Path(folder))), ("PostgreSQL", lambda: _database(services))):
            with fresh() as url, SqlStore(url) as store:
                say(f"{name}: {alerts} alerts are made up")
                stored.fill(store, alerts)
                say(f"{name}: pages")
                rows += [*pages(store, name, alerts, asked), standing(store, name)]
            with fresh() as url, SqlStore(url) as store:
                say(f"{name}: batches")
                rows += transactions(store, name, batches)
            for count in cameras:
                with fresh() as url, SqlStore(url) as store:
                    say(f"{name}: the start with {count} cameras")
                    rows.append(start(store, name, count, scenes))
    return rows


@contextmanager
def _file(folder: Path) -> Iterator[str]:
    path = folder / f"{uuid.uuid4().hex}.db"
    yield f"sqlite:///{path}"
    path.unlink()


@contextmanager
def _database(services: Services) -> Iterator[str]:
    """A database of our own on the tests' server, dropped afterwards."""
    name, server = f"bench_{uuid.uuid4().hex}", services.postgres()
    with psycopg.connect(server.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        yield f"{server.rpartition('/')[0]}/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


# --- pages ------------------------------------------------------------------------------------------------


def pages(store: SqlStore, name: str, alerts: int, asked: int) -> list[Row]:
    """A row for each question: milliseconds of the dearest of its pages."""
    rows = []
    for question, wanted in stored.QUESTIONS.items():
        took = [timed(asked, lambda at=at, f=wanted: store.alerts(f, at)) for at in (None, alerts // 2, 60)]
        p50, p99 = max(median(times) for times in took), max(quantiles(times, n=100)[98] for times in took)
        peers = {"the middle page by OFFSET": _by_offset(store, alerts)} if question == "all" else {}
        bars = (Bar("p50, ms", p50, PAGE_MS, at_least=False),)
        told = ", ".join(f"{median(times):.2f}" for times in took)
        options = f"first, middle, last page: {told} ms; p99 {p99:.2f} ms; 50 alerts a page"
        rows.append(Row(f"{name}, {alerts} alerts: {question}", "ms", p50, peers, bars, options))
    took = [timed(asked, lambda at=at: store.incidents(IncidentFilter("lab"), at)) for at in (None, 500)]
    p50 = max(median(times) for times in took)
    rows.append(Row(f"{name}: incidents", "ms", p50, {}, (Bar("p50, ms", p50, PAGE_MS, at_least=False),)))
    return rows


def timed(times: int, ask: Callable[[], object]) -> list[float]:
    """Milliseconds of each repeat, the first one left out."""
    took = []
    for _ in range(times + 1):
        begin = time.perf_counter()
        ask()
        took.append((time.perf_counter() - begin) * 1e3)
    return took[1:]


def _by_offset(store: SqlStore, alerts: int) -> float:
    middle = select(schema.alerts).order_by(schema.alerts.c.seq.desc()).limit(51).offset(alerts // 2)

    def ask() -> None:
        with store.database.reading() as connection:
            connection.execute(middle).all()

    return median(timed(3, ask))


def standing(store: SqlStore, name: str) -> Row:
    """What a judge reads of alerts and incidents when it starts."""
    begin = time.perf_counter()
    known = store.knowledge()
    alerts, incidents = sum(1 for _ in known.alerts), sum(1 for _ in known.incidents)
    took = time.perf_counter() - begin
    return Row(f"{name}: reading {alerts} standing alerts and {incidents} incidents at the start", "s", took)


# --- batches ----------------------------------------------------------------------------------------------


def transactions(store: SqlStore, name: str, batches: int) -> list[Row]:
    """The share of a batch's transaction in the decoding of its stills, timed in turns."""
    store.acquire(600, "benchmark")
    decoder = Decoder(b"benchmark")
    data = [jpeg(still(stage(f"store-{n}", Mode.DAY), Moment(n, NOON)), 85) for n in range(DRAWN)]
    rows = []
    for kind, made in (("as in a replay", _mixed), ("all teaching", _teaching)):
        stores, decodes = [], []
        for number in range(batches):
            batch = made(number)
            begin = time.perf_counter()
            store.commit(batch)
            stores.append((time.perf_counter() - begin) * 1e3)
            begin = time.perf_counter()
            for one in data:
                decoder(one)
            decodes.append((time.perf_counter() - begin) * 1e3 * STILLS / DRAWN)
        share = median(stores) / median(decodes)
        rows.append(
            Row(
                f"{name}: the transaction of {STILLS} stills, {kind}",
                "ms",
                median(stores),
                {"decoding them": median(decodes)},
                (Bar("of the decoding", share, SHARE, at_least=False),),
                f"{batches} batches; {median(decodes) / STILLS:.2f} ms to decode a still",
            )
        )
    return rows


def _teaching(number: int) -> Batch:
    """Each still is the first of a new camera, whose owner is told in the same batch."""
    changes = learned(range(number * STILLS, (number + 1) * STILLS), 1)
    return Batch(changes, Counter({Covered(NOON, "display", Verdict.LEARNING): STILLS}))


def _mixed(number: int) -> Batch:
    """Scenes that were seen again beside new ones, and the cameras that showed them."""
    new = learned(range(number * MIX["new"], (number + 1) * MIX["new"]), 1)
    again = learned(range(MIX["seen"]), 1)
    scenes = [*new.scenes, *(replace(scene, seen=number + 2) for scene in again.scenes)]
    changes = Changes(scenes=scenes, cameras=[*new.cameras, *again.cameras][: MIX["cameras"]])
    return Batch(changes, Counter({Covered(NOON, "display", Verdict.CLEAR): STILLS}))


def learned(cameras: range, scenes: int) -> Changes:
    """What an engine would store that learned so many scenes of these cameras."""
    memory = Memory()
    for camera in cameras:
        draw = np.random.default_rng(camera)
        for scene in range(scenes):
            key = DeliveryId("/edge/eu-1", f"d-{camera}-{scene}")
            delivery = Delivery(key, NOON, AccountId(f"acct-{camera}"), CameraId(f"cam-{camera}"))
            cells = np.kron(draw.integers(-7, 8, (16, 16)), np.ones((4, 4))).astype(np.int8)
            found = Still(draw.bytes(16), b"", Fingerprint.of(cells), "")
            watched = memory.camera(delivery)
            memory.learn(watched, delivery, found, Standing.CONFIRMED, novel=False)
            memory.changed(watched)
    kept, removed, changed = memory.drain()
    rights = [RightChanged(c.id, AccountId(f"acct-{c.id[4:]}"), RightAction.ENROL, NOON) for c in changed]
    return Changes(kept, removed, changed, rights)


# --- the start --------------------------------------------------------------------------------------------


def start(store: SqlStore, name: str, cameras: int, scenes: int) -> Row:
    """Reading everything and restoring the engine."""
    store.acquire(600, "benchmark")
    for first in range(0, cameras, 1000):
        store.commit(Batch(learned(range(first, min(first + 1000, cameras)), scenes)))
    known = store.knowledge()
    begin = time.perf_counter()
    for part in (known.rights, known.cameras, known.scenes):
        for _ in part:
            pass
    read = time.perf_counter() - begin
    begin = time.perf_counter()
    Engine().restore(known)
    took = time.perf_counter() - begin
    work = f"{name}: restoring {cameras} cameras with {scenes} scenes each"
    return Row(work, "s", took, {}, (), f"of it {read:.2f} s to read them")


if __name__ == "__main__":
    main(measure, __doc__)
