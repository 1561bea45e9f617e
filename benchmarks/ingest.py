"""What a still costs over HTTP: POST /v1/stills to one process and to two, beside the same stills judged in memory.

    python benchmarks/ingest.py [--quick] [--json FILE]

Each turn judges the same drawn stills from nothing: by `strayframe serve`, beside one process that judges them in
memory, without a store; and by `strayframe serve --processes 2`, beside two such processes at a time, because a core
that shares caches and units with a busy one takes more CPU time for the same work. A client in a process of its own
sends them over kept connections, one thread each, and takes its share of the machine: so the bars are on the CPU time
that the server's processes take for a still, not on stills a second, which are told beside it. A request's time is from
its first byte to the verdict's last, stored.
"""

from __future__ import annotations

import http.client
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

from rows import Bar, Row, Say, main

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from detector.engine import Engine
from models.records import AccountId, CameraId, Delivery, DeliveryId
from streams.cloudevents import Message, to_http
from streams.decode import Decoder
from streams.judge import Judge
from streams.metrics import Metrics
from streams.simulator.render import Mode, Moment, jpeg, stage, still

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
CONNECTIONS = 16
"""Requests under way at a time: enough that a transaction is shared, few enough that the client stays small."""
DRAIN = 64
"""Stills between two drains of the engine in memory, as `strayframe replay` does it."""
WARMING = 40
"""Stills before the clock starts: each camera's first, and what a process does once."""
TURNS = 3
DEARER = {1: 1.6, 2: 2.1}
"""What a still may cost over HTTP, in CPU time of the server by its processes, against the same still in memory. Some
0.4 ms are HTTP, 0.3 ms a transaction that 16 stills share; with several processes 0.3 ms more take it across, and three
processes and the client get in each other's way on two cores."""
READY_SECONDS = 180.0
QUIET = 0.05
"""CPU seconds a second below which a server has nothing more to load: /readyz speaks for one of its processes."""


@dataclass(frozen=True)
class Run:
    """One run: `cpu` in seconds a still, `rate` in stills a second, `times` of single requests in seconds."""

    cpu: float
    rate: float
    times: tuple[float, ...] = ()

    def at(self, share: float) -> float:
        """The time within which this share of the requests was answered, in milliseconds."""
        return 1e3 * sorted(self.times)[int(share * (len(self.times) - 1))]


def of_camera(number: int, moments: int) -> list[tuple[Delivery, bytes]]:
    """A drawn camera's stills, one a minute, delivered to its owner."""
    scene = stage(f"ingest-{number}", Mode.DAY)
    camera, account = CameraId(f"cam-{number}"), AccountId(f"acct-{number}")
    out = []
    for k in range(moments):
        when = START + timedelta(minutes=k)
        delivery = Delivery(DeliveryId("bench", f"d-{number}-{k}"), when, account, camera, {"integration": "homeview"})
        out.append((delivery, jpeg(still(scene, Moment(k, when)), scene.quality)))
    return out


def drawn(cameras: int, moments: int) -> list[tuple[Delivery, bytes]]:
    """The stills of all cameras, in the order of their times."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        found = list(pool.map(of_camera, range(cameras), [moments] * cameras))
    return [one[k] for k in range(moments) for one in found]


def in_memory(stills: list[tuple[Delivery, bytes]]) -> Run:
    """Judge them here: the same engine and decoder, no HTTP and no store."""
    judge = Judge(Engine(), Decoder(b"bench"), Metrics())
    wall = cpu = 0.0
    for count, (delivery, data) in enumerate(stills):
        if count == WARMING:
            wall, cpu = time.perf_counter(), time.process_time()
        judge.take(Message(delivery, delivery.key, data))
        if count % DRAIN == 0:
            judge.commit()
    judge.commit()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    timed = len(stills) - WARMING
    return Run(cpu / timed, timed / wall)


def by_several(stills: list[tuple[Delivery, bytes]], processes: int) -> Run:
    """Have so many processes each judge all of them in memory, at the same time."""
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        runs = list(pool.map(in_memory, [stills] * processes))
    return Run(statistics.mean(run.cpu for run in runs), sum(run.rate for run in runs))


def over_http(stills: list[tuple[Delivery, bytes]], processes: int) -> Run:
    """Send them to a server with an empty store."""
    requests = [(to_http(delivery), data) for delivery, data in stills]
    with serving(processes) as (process, port), ProcessPoolExecutor(1, get_context("spawn")) as client:
        client.submit(send, port, requests[:WARMING]).result()
        before = cpu_seconds(process.pid)
        wall, times = client.submit(send, port, requests[WARMING:]).result()
        cpu = cpu_seconds(process.pid) - before
    return Run(cpu / len(times), len(times) / wall, tuple(times))


def send(port: int, requests: list[tuple[dict[str, str], bytes]]) -> tuple[float, list[float]]:
    """Post all requests; the seconds from the first to the last, and those of each."""
    left, lock = iter(requests), threading.Lock()

    def post_some() -> list[float]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_SECONDS)
        times = []
        while True:
            with lock:
                request = next(left, None)
            if request is None:
                connection.close()
                return times
            begin = time.perf_counter()
            connection.request("POST", "/v1/stills", request[1], request[0])
            answer = connection.getresponse()
            body = answer.read()
            times.append(time.perf_counter() - begin)
            if answer.status != 200:
                raise RuntimeError(f"{answer.status}: {body[:300]!r}")

    begin = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        many = [pool.submit(post_some) for _ in range(CONNECTIONS)]
        times = [each for one in many for each in one.result()]
    return time.perf_counter() - begin, times


@contextmanager
def serving(processes: int, *more: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`strayframe serve` on a free port with an empty store, ready; stopped afterwards. `more` are further options."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        options = ["--store", f"sqlite:///{folder}/s.db", "--port", str(port), "--log-level", "warning", *more]
        if processes > 1:
            options += ["--processes", str(processes)]
        with subprocess.Popen([sys.executable, "-m", "api", "serve", *options]) as process:
            try:
                until_ready(process, port)
                until_quiet(process.pid)
                yield process, port
            finally:
                process.terminate()
                process.wait(READY_SECONDS)


def until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait for /readyz to turn green."""
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_SECONDS)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.05)
    raise RuntimeError("the server did not become ready")


def until_quiet(root: int) -> None:
    """Wait until every process of the server has loaded what it needs."""
    before, now = 0.0, cpu_seconds(root)
    while now - before > QUIET:
        time.sleep(1.0)
        before, now = now, cpu_seconds(root)


def cpu_seconds(root: int) -> float:
    """CPU time that a process and its living descendants have used (fields 4, 14 and 15 of /proc/PID/stat)."""
    parent, used = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(path.parent.name)
        parent[pid], used[pid] = int(fields[1]), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def below(pid: int) -> bool:
        while pid not in (root, 0):
            pid = parent.get(pid, 0)
        return pid == root

    return sum(seconds for pid, seconds in used.items() if below(pid))


def measure(say: Say, *, quick: bool) -> list[Row]:
    """Three rows for each number of processes."""
    cameras, moments = (20, 4) if quick else (40, 20)
    say(f"drawing {cameras * moments} stills")
    stills = drawn(cameras, moments)
    runs: dict[int, list[tuple[Run, Run]]] = {1: [], 2: []}
    for turn in range(1 if quick else TURNS):
        for processes, both in runs.items():
            say(f"turn {turn + 1}: {processes} process{'es' * (processes > 1)}")
            both.append((over_http(stills, processes), by_several(stills, processes)))
    kilobytes = sum(len(data) for _, data in stills) / len(stills) / 1e3
    options = f"{len(stills)} drawn stills, 1280x720, {kilobytes:.0f} kB; {CONNECTIONS} connections; SQLite"
    return [row for processes, both in runs.items() for row in rows(processes, both, options)]


def rows(processes: int, both: list[tuple[Run, Run]], options: str) -> list[Row]:
    """CPU a still with its bar, stills a second, and the times of single requests: medians over the turns."""
    told, peer = "one process", "in memory"
    if processes > 1:
        told, peer = f"{processes} processes and the judge", f"in memory, {processes} processes at a time"

    def of(figure: Callable[[Run, Run], float]) -> float:
        return statistics.median(figure(served, memory) for served, memory in both)

    dearer = Bar("times the CPU time in memory", of(lambda a, b: a.cpu / b.cpu), DEARER[processes], False)
    cpu, base = of(lambda a, _: 1e3 * a.cpu), of(lambda _, b: 1e3 * b.cpu)
    rate, alone = of(lambda a, _: a.rate), of(lambda _, b: b.rate)
    median, late = of(lambda a, _: a.at(0.5)), of(lambda a, _: a.at(0.99))
    return [
        Row(f"HTTP, {told}: CPU a still", "ms", cpu, {peer: base}, (dearer,), options),
        Row(f"HTTP, {told}: rate", "stills/s", rate, {peer: alone}),
        Row(f"HTTP, {told}: time of a request, p50", "ms", median, {"p99": late}),
    ]


if __name__ == "__main__":
    main(measure, __doc__)
