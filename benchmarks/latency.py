"""From a still that is produced to the alert that is stored, and from a killed process to the next still judged.

    python benchmarks/latency.py [--quick] [--json FILE]

Stills are produced at a steady rate to a real broker; one in eleven shows another home's camera. A leak's latency runs
from just before it is produced until the worker, having committed to PostgreSQL, logs that its alert is stored. The
worker runs with the settings that it has by default. Measured with one process for both roles, and with a worker that
looks beside a matcher. Recovery runs from starting a process anew, its predecessor killed, to its first batch. Uses the
services of the tests: those that `make services-up` left running, or its own.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cloud import Cloud, WorkerProcess, delivered, enrolled
from rows import Row, Say, main
from services import Services
from snapshot import Pool, stored_scenes
from stream import PARTITIONS, await_stills, database

from models.records import Delivery
from streams.cloudevents import Message
from streams.judge import Batch
from streams.kafka.client import Outlet
from streams.settings import Settings
from streams.store.sql import SqlStore
from streams.warm import warm

CAMERAS, LEARNED, STILLS = 40, 3, 1800
A_SECOND = 60.0
LEAK_EVERY = 11
SCENES = 1_000_000
"""Scenes of other cameras in the store of a process that is started anew."""
FIRST_SECONDS = 600.0
"""The matcher's first start, without a snapshot, computes the keys of all of them."""
RESTARTS = 3


def measure(say: Say, *, quick: bool) -> list[Row]:
    """See `rows.Measure`."""
    stills, scenes, restarts = (110, 600, 1) if quick else (STILLS, SCENES, RESTARTS)
    say(f"drawing {stills} stills")
    known, live = _known(), _live(stills)
    warm()
    rows = []
    with Services() as services, tempfile.TemporaryDirectory() as folder:
        for roles in (("both",), ("matcher", "worker")):
            say(f"producing {A_SECOND:.0f} stills a second, judged by {' and '.join(roles)}")
            with database(services.postgres()) as store:
                place = _place(services.kafka(), store, Path(folder))
                rows.append(_latency(place, roles, known, live, Path(folder)))
        say(f"a store of {scenes:,} scenes")
        with database(services.postgres()) as store:
            place = _place(services.kafka(), store, Path(folder))
            rows += _recovery(say, place, scenes, restarts, known, Path(folder))
    return rows


def _place(broker: str, store: str, folder: Path) -> Cloud:
    """A cloud whose workers have the settings of a new installation."""
    usual = {name: Settings.model_fields[name].default for name in ("batch_stills", "batch_seconds", "lease_seconds")}
    scenes = f"bench.{uuid.uuid4().hex}.scenes"
    return Cloud(broker, store, PARTITIONS, topic_scenes=scenes, snapshot=str(folder / uuid.uuid4().hex), **usual)


def _known() -> list[Message]:
    """What every camera was enrolled with and has shown before."""
    shown = [delivered(n, n % CAMERAS) for n in range(CAMERAS * LEARNED)]
    return [*map(enrolled, range(CAMERAS)), *shown]


def _live(stills: int) -> list[Message]:
    """Further stills, the cameras in turn; some show the next one's camera."""
    first = CAMERAS * LEARNED
    return [_one(first + n, n % CAMERAS, leaks=n % LEAK_EVERY == 0) for n in range(stills)]


def _one(number: int, camera: int, *, leaks: bool) -> Message:
    return delivered(number, camera, (camera + 1) % CAMERAS if leaks else None)


def _latency(place: Cloud, roles: Sequence[str], known: list[Message], live: list[Message], folder: Path) -> Row:
    log = folder / f"{uuid.uuid4()}.log"
    place.produce(known)
    running = [place.process("worker", folder / f"{uuid.uuid4()}.log", "--role", role) for role in roles[1:]]
    judge = place.process("worker", log, "--role", roles[0])
    try:
        await_stills(place, judge, len(known) - CAMERAS)
        sent = _paced(place, live)
        await_stills(place, judge, len(known) - CAMERAS + len(live))
        stored = {event["delivery"]: datetime.fromisoformat(event["time"]) for event in judge.events("alert.stored")}
    finally:
        for process in (judge, *running):
            process.end(signal.SIGTERM)
        place.remove()
    took = [stored[name].timestamp() - at for name, at in sent.items() if name in stored]
    about = "one process" if len(roles) == 1 else "a worker that looks and a matcher"
    return Row(
        f"from produced to stored alert, {about}",
        "s, p99",
        quantiles(took, n=100, method="inclusive")[98],
        {"p50": median(took), "slowest": max(took)},
        options=f"{len(took)} leaks among {len(live)} stills of 640x360, {A_SECOND:.0f} a second, default batches",
    )


def _paced(place: Cloud, messages: list[Message]) -> dict[str, float]:
    """Produce at the steady rate; when each delivery was handed to the client."""
    sent, begin = {}, time.monotonic()
    with Outlet(place.settings) as outlet:
        for number, message in enumerate(messages):
            time.sleep(max(0.0, begin + number / A_SECOND - time.monotonic()))
            assert isinstance(message.event, Delivery)
            sent[str(message.event.key)] = time.time()
            outlet.send(message)
    return sent


def _recovery(say: Say, place: Cloud, scenes: int, restarts: int, known: list[Message], folder: Path) -> list[Row]:
    with SqlStore(place.settings.store) as store:
        store.acquire(60)
        for changes in stored_scenes(scenes, Pool()):
            store.commit(Batch(changes))
        store.release()
    running = {role: _begun(place, role, folder) for role in ("worker", "matcher")}
    place.produce(known)
    stills = len(known) - CAMERAS
    await_stills(place, running["matcher"], stills, FIRST_SECONDS)
    assert running["matcher"].end(signal.SIGTERM) == 0  # it leaves a snapshot
    running["matcher"] = _begun(place, "matcher", folder)
    seconds: dict[str, list[float]] = {role: [] for role in running}
    for turn in range(restarts):
        for role, took in seconds.items():
            running["matcher"].await_event("worker.ready")
            say(f"killing the {role}, {turn + 1} of {restarts}")
            running[role].end(signal.SIGKILL)
            place.produce([_one(stills + n, n, leaks=False) for n in range(CAMERAS)])
            stills, began = stills + CAMERAS, time.monotonic()
            running[role] = _begun(place, role, folder)
            await_stills(place, running["matcher"], stills)
            took.append(time.monotonic() - began)
    for process in running.values():
        process.end(signal.SIGTERM)
    place.remove()
    options = f"{scenes:,} scenes in PostgreSQL; from the start of its process until what came meanwhile is stored"
    return [
        Row(f"a {role} that was killed recovers in", "s", median(took), options=f"{options}; median of {restarts}")
        for role, took in seconds.items()
    ]


def _begun(place: Cloud, role: str, folder: Path) -> WorkerProcess:
    """A process of that role. A matcher waits for the dead one's lease to run out."""
    standby = ("--standby",) if role == "matcher" else ()
    return place.process("worker", folder / f"{uuid.uuid4()}.log", "--role", role, *standby)


if __name__ == "__main__":
    main(measure, __doc__)
