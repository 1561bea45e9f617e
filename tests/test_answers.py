"""Requests under a key: done once and answered alike, however often they are sent, whatever crashes in between."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from serving import Served, serving
from sqlalchemy import func, select

from api.app import create_app
from api.once import AGAIN, HEADER
from streams.settings import Settings
from streams.store.answers import KEPT, Answer, InFlight, KeyReused, Once, answers
from streams.store.database import StoreUnavailable
from streams.store.sql import SqlStore
from streams.store.words import KILL, ON

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SAID = {"actor": "anna", "why": "leaks"}
SUSPEND = {"action": "suspend", "integration": "homeview", "where": {"cachenode": "cache-3"}, **SAID}
KEYLESS = {
    *("/v1/stills", "/v1/events", "/v1/hooks", "/v1/hooks/{id}/rotate", "/v1/hooks/{id}/test", "/v1/sinks/{name}/test"),
    *("/v1/session", "/v1/users", "/v1/users/{name}/roles", "/v1/tokens"),
}
"""What needs no key, since an event has an id; what takes or answers with a secret, which is never kept; what
tries out; what is the same when it is done twice."""


@pytest.fixture
def served(url: str) -> Iterator[Served]:
    with serving(create_app(Settings(store=url))) as running:
        running.until(lambda: running.client.get("/v1/alerts").status_code == 200)
        yield running


def moves(client: httpx.Client) -> int:
    """How often anybody moved the switch."""
    (one,) = client.get("/v1/suspensions").json()["items"]
    return int(one["version"])


def test_the_same_request_again_gets_the_same_answer_and_is_done_once(served: Served) -> None:
    c = served.client

    def ask(key: str, **more: Any) -> httpx.Response:
        return c.post("/v1/suspensions", json=SUSPEND | more, headers={HEADER: key})

    first, again = ask("k1"), ask("k1")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.content == again.content
    assert (first.headers.get(AGAIN), again.headers[AGAIN]) == (None, "true")
    assert moves(c) == 1
    id_ = first.json()["suspension"]["id"]
    reused = [
        ask("k1", why="other"),
        c.post("/v1/suspensions?dry_run=true", json=SUSPEND, headers={HEADER: "k1"}),
        c.post(f"/v1/suspensions/{id_}/resume", json=SAID, headers={HEADER: "k1"}),
    ]
    for answer in reused:
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:strayframe:problem:key-reused")
    assert ask("k2").json()["type"] == "urn:strayframe:problem:not-moved"  # a refusal is not kept: it is judged anew
    assert moves(c) == 1


def test_a_crash_before_the_answer_is_kept_leaves_nothing_done(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    c = served.client

    def ask() -> httpx.Response:
        return c.put("/v1/kill-switch", json={"on": True, **SAID}, headers={HEADER: "k"})

    def broken(*_: object) -> None:
        raise StoreUnavailable("the connection broke")

    with monkeypatch.context() as patch:
        patch.setattr(Once, "keep", broken)
        assert ask().status_code == 503
    assert c.get("/v1/kill-switch").json()["on"] is False
    assert (ask().status_code, ask().headers[AGAIN]) == (200, "true")
    assert c.get("/v1/kill-switch").json()["on"] is True


def test_what_says_something_of_the_answer_comes_again_with_it(tmp_path: Path) -> None:
    with serving(create_app(Settings(store=f"sqlite:///{tmp_path / 's.db'}"))) as served:
        c = served.client
        served.until(lambda: c.get("/v1/hooks").status_code == 200)
        hook = c.post("/v1/hooks", json={"url": "https://partner.example/hook"}).json()["id"]

        def change(key: str) -> httpx.Response:
            return c.patch(f"/v1/hooks/{hook}", json={"dry_run": True}, headers={HEADER: key})

        first, again = change("a"), change("a")
        assert (first.json(), again.headers[AGAIN]) == (again.json(), "true")
        for bad in ("", "two words", "x" * 201):
            assert change(bad).json()["type"] == "urn:strayframe:problem:bad-parameter"
        unkeyed = c.patch(f"/v1/hooks/{hook}", json={"dry_run": False})
        assert unkeyed.json()["dry_run"] is False


def test_a_request_behind_another_on_one_connection_has_no_key_but_its_own(served: Served) -> None:
    def request(on: str, *headers: str) -> bytes:
        body = f'{{"on": {on}, "actor": "anna", "why": "drill"}}'
        head = ["PUT /v1/kill-switch HTTP/1.1", "host: 127.0.0.1", "content-type: application/json", *headers]
        return "\r\n".join([*head, f"content-length: {len(body)}", "", body]).encode()

    address = urlsplit(served.url)
    with socket.create_connection((address.hostname, address.port), 60) as line:
        line.sendall(request("true", f"{HEADER}: k") + request("false", "connection: close"))
        answers_ = b"".join(iter(lambda: line.recv(65536), b""))
    assert answers_.count(b"HTTP/1.1 200 OK") == 2
    assert served.client.get("/v1/kill-switch").json()["on"] is False


def test_every_route_that_acts_takes_a_key(tmp_path: Path) -> None:
    document = create_app(Settings(store=f"sqlite:///{tmp_path / 's.db'}")).openapi()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            takes = HEADER in {parameter["name"] for parameter in operation.get("parameters", ())}
            acts = method in ("post", "put", "patch") and path not in KEYLESS
            assert takes == acts, (method, path)
            assert (
                not takes
                or "in-flight" in operation["responses"]["409"]["content"]["application/problem+json"]["examples"]
            )


# --- in the store ------------------------------------------------------------------------------------------


def test_a_key_under_way_is_told_so(url: str) -> None:
    with SqlStore(url) as store, SqlStore(url) as other:
        with store.answers.once("k", "d", NOON):
            with pytest.raises(InFlight), store.answers.once("k", "d", NOON):
                pass
            if not store.database.is_sqlite:  # there another process waits its turn
                with pytest.raises(InFlight), other.answers.once("k", "d", NOON):
                    pass
        with other.answers.once("k", "d", NOON) as free:
            assert free.before is None


def test_many_who_send_one_request_at_once_have_it_done_once(url: str) -> None:
    done: list[int] = []

    def send(store: SqlStore) -> None:
        for _ in range(20):
            with suppress(InFlight), store.answers.once("k", "d", NOON) as once:
                if once.before is None:
                    store.suspensions.say(KILL, "", ON, actor="anna", why="leaks", at=NOON)
                    once.keep(Answer(200, {}, "{}"))
                    done.append(1)

    with SqlStore(url) as one, SqlStore(url) as two:
        threads = [threading.Thread(target=send, args=(store,)) for store in (one, two, one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (done, one.suspensions.words()) == ([1], 1)


def test_an_answer_is_forgotten_after_a_day_and_its_key_is_free(url: str) -> None:
    with SqlStore(url) as store:
        keep = store.answers
        with keep.once("k", "one", NOON) as once:
            once.keep(Answer(200, {"etag": "v1"}, "{}"))
        with pytest.raises(KeyReused), keep.once("k", "two", NOON + KEPT):
            pass
        with keep.once("k", "one", NOON + KEPT) as again:
            assert again.before == Answer(200, {"etag": "v1"}, "{}")
        with keep.once("k", "two", NOON + KEPT + timedelta(seconds=1)) as later:
            assert later.before is None
            later.keep(Answer(200, {}, "{}"))
        with store.database.reading() as connection:
            assert connection.scalar(select(func.count()).select_from(answers)) == 1


def test_what_is_done_together_is_seen_by_nobody_before_its_end_and_kept_whole_or_not_at_all(url: str) -> None:
    with SqlStore(url) as store, SqlStore(url) as other:
        with suppress(ZeroDivisionError), store.database.together():
            store.suspensions.say(KILL, "", ON, actor="anna", why="leaks", at=NOON)
            assert store.suspensions.words() == 1
            assert other.suspensions.words() == 0
            raise ZeroDivisionError
        assert store.suspensions.words() == 0
        with store.database.together():
            with store.database.together():
                store.suspensions.say(KILL, "", ON, actor="anna", why="leaks", at=NOON)
            store.suspensions.say(KILL, "", ON, actor="anna", why="still", at=NOON)
            assert other.suspensions.words() == 0
        assert other.suspensions.words() == 2
