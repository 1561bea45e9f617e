"""Slow and greedy clients: each loses its own connection, and nobody else notices."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from serving import WAIT_SECONDS, Served, serving

from api.app import create_app
from api.bodies import REQUEST_BYTES
from api.patience import HEAD_BYTES, Patient
from detector.notice import NoticeType, notice
from streams.settings import Settings
from streams.store.outbox import put
from streams.store.sql import SqlStore

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Impatient(Patient):
    head_seconds = 0.3
    body_seconds = 0.3
    take_seconds = 0.3


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('patience') / 's.db'}"


@pytest.fixture(scope="module")
def served(url: str) -> Iterator[Served]:
    with serving(create_app(Settings(store=url)), Impatient) as running:
        running.until(lambda: running.client.get("/v1/alerts").status_code == 200)
        yield running


def dial(served: Served, buffer: int | None = None) -> socket.socket:
    line = socket.socket()
    line.settimeout(WAIT_SECONDS)
    if buffer is not None:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    line.connect(("127.0.0.1", int(served.url.rpartition(":")[2])))
    return line


def closed(line: socket.socket) -> bytes:
    """What came before the server hung up; a test in which it does not runs into its time limit."""
    got = b""
    try:
        while more := line.recv(65_536):
            got += more
    except ConnectionResetError:
        pass
    return got


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n",
        b"POST /v1/stills HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: image/jpeg\r\ncontent-length: 9\r\n\r\nhalf",
        b"PUT /v1/kill-switch HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        b"content-length: 99\r\n\r\n{",
    ],
    ids=["says nothing", "head", "still", "json"],
)
def test_whoever_stops_halfway_is_hung_up_on(served: Served, sent: bytes) -> None:
    with dial(served) as line:
        line.sendall(sent)
        assert not closed(line).startswith(b"HTTP/1.1 2")
    assert served.client.get("/healthz").status_code == 200


def test_whoever_sends_headers_without_end_is_hung_up_on(served: Served) -> None:
    with dial(served) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\n")
        try:
            for n in range(2 * HEAD_BYTES // 1000):
                line.sendall(b"x-%d: %s\r\n" % (n, b"a" * 1000))
        except (BrokenPipeError, ConnectionResetError):
            return
        assert closed(line)[:12] in (b"", b"HTTP/1.1 400")


def test_a_body_that_is_too_large_is_refused_wherever_it_goes(served: Served) -> None:
    long = {"on": True, "actor": "anna", "why": "x" * REQUEST_BYTES}
    answer = served.client.put("/v1/kill-switch", json=long)
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:strayframe:problem:too-large")

    def endless() -> Iterator[bytes]:
        yield b'{"on": true, "why": "'
        for _ in range(2 * REQUEST_BYTES // 1000):
            yield b"x" * 1000

    chunked = served.client.put("/v1/kill-switch", content=endless(), headers={"content-type": "application/json"})
    assert (chunked.status_code, chunked.json()["type"]) == (413, "urn:strayframe:problem:too-large")
    kept = {"on": False, "actor": "anna", "why": "x"}
    keyed = served.client.put(
        "/v1/kill-switch", json=kept | {"why": "x" * REQUEST_BYTES}, headers={"idempotency-key": "k"}
    )
    assert (keyed.status_code, keyed.json()["type"]) == (413, "urn:strayframe:problem:too-large")


def test_a_note_of_the_longest_length_is_accepted_in_any_script(served: Served) -> None:
    answer = served.client.patch("/v1/alerts/none/triage", json={"actor": "kim", "note": "\N{GRINNING FACE}" * 10_000})
    assert answer.json()["type"] == "urn:strayframe:problem:no-such-alert"


def test_whoever_takes_nothing_of_the_stream_is_hung_up_on_and_the_others_hear_all(served: Served, url: str) -> None:
    app: Any = served.app
    live = app.state.house.live
    with dial(served, 4096) as deaf, dial(served) as keen:
        for line in (deaf, keen):
            line.sendall(b"GET /v1/stream HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        served.until(lambda: live.readers == 2)
        heard = bytearray()

        def hear() -> None:
            while heard.count(b"event: alert.raised") < 2000:
                heard.extend(keen.recv(2**20))

        reader = threading.Thread(target=hear)
        reader.start()
        told = [
            notice(NoticeType.ALERT_RAISED, NOON + timedelta(seconds=n), "tv", {"why": "x" * 9000}, str(n))
            for n in range(2000)
        ]
        with SqlStore(url) as store:
            for begin in range(0, 2000, 100):
                with store.database.writing() as connection:
                    put(connection, told[begin : begin + 100])
        reader.join(WAIT_SECONDS)
        assert not reader.is_alive()
        assert closed(deaf).count(b"event: alert.raised") < 2000
        served.until(lambda: live.readers == 1)
