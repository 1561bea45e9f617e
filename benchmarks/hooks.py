"""How soon a hook hears of a leak: from the delivery of a named leak to the hook's request, under a steady load.

    python benchmarks/hooks.py [--quick] [--json FILE]

`strayframe serve` judges stills that come over HTTP at a steady rate, on SQLite, and carries notices out beside it.
Every so often a viewer gets a still of somebody else's camera, openly named: an alert and its notice follow by rights.
The time is from the first byte of that still's request to the arrival of the hook's, in one process that sends and
receives, so by one clock. Beside it, in the same run: the time of the still's own request, from its first byte to the
stored verdict; and the same leaks while a second hook's receiver takes every request and never answers.
"""

from __future__ import annotations

import http.client
import json
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from ingest import READY_SECONDS, drawn, serving
from rows import Bar, Row, Say, main

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models.records import AccountId, Delivery, DeliveryId
from streams.cloudevents import to_http

RATE = 60.0
"""Stills a second: about two thirds of what one process judges on the machine of docs/performance.md."""
LEAK_EVERY = 10
GOAL_SECONDS = 5.0
SETTLE_SECONDS = 20.0
"""How long the last hooks' requests are waited for."""


class Heard(BaseHTTPRequestHandler):
    """A receiver that notes when which delivery's alert arrived."""

    times: ClassVar[dict[str, float]]

    def do_POST(self) -> None:
        now = time.perf_counter()
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if body["type"] == "alert.raised":
            self.times.setdefault(body["data"]["delivery"]["id"], now)
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Silence: the receiver is not what is measured."""


@contextmanager
def receiver() -> Iterator[tuple[str, dict[str, float]]]:
    """Its URL, and when each delivery's alert arrived."""
    times: dict[str, float] = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Heard,), {"times": times}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", times
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def silence() -> Iterator[str]:
    """The URL of a receiver that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


def run(stills: list[tuple[Delivery, bytes]], *, hung: bool) -> tuple[list[float], list[float]]:
    """Seconds from a leaked still to its hook's request, and to its verdict."""
    begun: dict[str, float] = {}
    answered: dict[str, float] = {}
    with serving(1, "--hook-networks", "127.0.0.0/8") as (_, port), receiver() as (url, heard), silence() as never:
        for each in (url, never) if hung else (url,):
            asked(port, "POST", "/v1/hooks", json.dumps({"url": each}).encode(), {"content-type": "application/json"})
        enrol(port, stills)
        sending = Sending(port, begun, answered)
        with ThreadPoolExecutor(16) as pool:
            start, sent = time.perf_counter(), []
            for count, (delivery, data) in enumerate(spread(stills)):
                time.sleep(max(0.0, start + count / RATE - time.perf_counter()))
                sent.append(pool.submit(sending.post, delivery, data))
        for post in sent:
            post.result()
        end = time.perf_counter() + SETTLE_SECONDS
        while time.perf_counter() < end and not begun.keys() <= heard.keys():
            time.sleep(0.05)
        lost = begun.keys() - heard.keys()
        if lost:
            raise RuntimeError(f"{len(lost)} of {len(begun)} leaks were not heard of within {SETTLE_SECONDS:g} s")
        return [heard[id_] - at for id_, at in begun.items()], [answered[id_] - at for id_, at in begun.items()]


class Sending:
    """Posts stills over kept connections, one a thread; notes begin and end of those that leak."""

    def __init__(self, port: int, begun: dict[str, float], answered: dict[str, float]) -> None:
        self._port = port
        self._begun = begun
        self._answered = answered
        self._kept = threading.local()

    def post(self, delivery: Delivery, data: bytes) -> None:
        """Post one; its answer is read whole. Raises RuntimeError for an error."""
        if not hasattr(self._kept, "connection"):
            self._kept.connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=READY_SECONDS)
        leaks = delivery.key.id.startswith("leak-")
        if leaks:
            self._begun[delivery.key.id] = time.perf_counter()
        try:
            status = self._posted(delivery, data)
        except ConnectionError:  # the server closes what was silent for five seconds: any client asks again
            self._kept.connection.close()
            status = self._posted(delivery, data)
        if status >= 300:
            raise RuntimeError(f"{delivery.key}: {status}")
        if leaks:
            self._answered[delivery.key.id] = time.perf_counter()

    def _posted(self, delivery: Delivery, data: bytes) -> int:
        self._kept.connection.request("POST", "/v1/stills", data, to_http(delivery))
        answer = self._kept.connection.getresponse()
        answer.read()
        return int(answer.status)


def spread(stills: list[tuple[Delivery, bytes]]) -> Iterator[tuple[Delivery, bytes]]:
    """The stills, and after every tenth the same one delivered to a stranger, too."""
    for count, (delivery, data) in enumerate(stills):
        yield delivery, data
        if count % LEAK_EVERY == LEAK_EVERY - 1:
            key = DeliveryId("bench", f"leak-{count}")
            at = delivery.time + timedelta(seconds=1)
            yield Delivery(key, at, AccountId(f"stranger-{count}"), delivery.camera, delivery.attributes), data


def enrol(port: int, stills: list[tuple[Delivery, bytes]]) -> None:
    """Every camera's owner, so that whose still it was is named and not presumed."""
    owners = {delivery.camera: delivery.account for delivery, _ in stills}
    batch = [
        {"specversion": "1.0", "type": "camera.enrolled", "source": "bench", "id": f"r-{camera}"}
        | {"time": datetime(2026, 1, 1, tzinfo=UTC).isoformat(), "camera": camera, "account": owner, "action": "enrol"}
        for camera, owner in owners.items()
    ]
    media = {"content-type": "application/cloudevents-batch+json"}
    asked(port, "POST", "/v1/events", json.dumps(batch).encode(), media)


def asked(port: int, method: str, path: str, body: bytes, headers: dict[str, str]) -> Any:
    """The answer's JSON. Raises RuntimeError for an error."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_SECONDS)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path}: {answer.status} {told}")
    return told


def at(share: float, times: list[float]) -> float:
    """The time within which this share of them lies."""
    return sorted(times)[int(share * (len(times) - 1))]


def measure(say: Say, *, quick: bool) -> list[Row]:
    """The time to the hook alone, and beside one that hangs."""
    cameras, moments = (20, 10) if quick else (40, 75)
    say(f"drawing {cameras * moments} stills")
    stills = drawn(cameras, moments)
    found = []
    for name, hung in (("a hook", False), ("a hook beside one that hangs", True)):
        say(f"{name}: {len(stills)} stills at {RATE:g} a second")
        hook, verdict = run(stills, hung=hung)
        bar = Bar("seconds, p99", at(0.99, hook), GOAL_SECONDS, False)
        options = f"{len(hook)} leaks among {len(stills)} stills at {RATE:g}/s, SQLite; p99 {at(0.99, hook):.3f} s"
        median = statistics.median(hook)
        found.append(
            Row(
                f"Leak to the request of {name}, p50",
                "s",
                median,
                {"verdict": statistics.median(verdict)},
                (bar,),
                options,
            )
        )
    return found


if __name__ == "__main__":
    main(measure, __doc__)
