"""The whole way as a timeline: stills are pushed at t; the incident, the scopes and the hook's requests come between t1
and t2, and nothing else does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path as File
from typing import Any

import pytest
from receivers import Receiver
from suspending import HOME, Path, when

from detector.policy import Mode, Rules
from streams.cloudevents import instant
from streams.metrics import Metrics
from streams.outbox.dispatch import Dispatcher
from streams.settings import Settings
from streams.store.hooks import Hooks
from streams.store.sql import SqlStore

AUTO = Rules(mode=Mode.AUTO, warm_cameras=0, warm_share=0.0)


class Line:
    """A judged path, the hook of a display's maker, and what that was told."""

    def __init__(self, store: SqlStore, receiver: Receiver) -> None:
        self.receiver = receiver
        self.path = Path(AUTO, store)
        self.path.counts.more = [({"cachenode": f"cache-{node}"}, 1000) for node in range(40)]
        for home in range(20):
            self.path.enrol(home)
        self.path.commit()
        self.heard = 0

    def leak(self, second: float, owner: int, viewer: int, node: str) -> None:
        """The owner's still reaches the viewer."""
        self.path.push(owner, viewer, second, cachenode=node, surface="hub")

    def clean(self, begin: float, end: float) -> None:
        """Other homes' stills, one every ten seconds."""
        for number, second in enumerate(range(int(begin), int(end), 10)):
            self.path.push(10 + number % 10, None, second, cachenode="cache-9", surface="hub")

    def expect(self, *told: tuple[str, str]) -> list[dict[str, Any]]:
        """What arrived since the last call is just that: types, and of whom or what each is; in any order."""
        arrived = [json.loads(request.body) for request in self.receiver.until(self.heard + len(told))[self.heard :]]
        assert sorted(map(_named, arrived)) == sorted(told)
        self.heard += len(told)
        return arrived


def _named(body: dict[str, Any]) -> tuple[str, str]:
    data, kind = body["data"], body["type"]
    scope = data.get("scope")
    if scope is not None:
        return kind, " ".join(value for values in scope["where"].values() for value in values) + " " + data["state"]
    return kind, data.get("recipient") or data.get("sentence", "")[:9]


@pytest.fixture
def line(tmp_path: File) -> Iterator[Line]:
    url = f"sqlite:///{tmp_path}/store.db"
    settings = Settings(store=url, hook_networks="127.0.0.0/8")
    with SqlStore(url) as store, Receiver() as receiver:
        store.acquire(600)
        Hooks(store.database).add(receiver.url, when(0), HOME)
        made = Line(store, receiver)
        with Dispatcher(settings, Metrics()):
            yield made
        assert len(receiver.arrived) == made.heard, "and nothing else"


def test_a_cache_that_leaks_is_one_incident_two_links_one_node_and_nothing_else(line: Line) -> None:
    line.clean(0, 60)
    line.leak(60, 2, 1, "cache-3")
    first = line.expect(
        ("alert.raised", "acct-1"), ("incident.opened", "1 viewer "), ("suspension.requested", "acct-1 suspending")
    )
    assert {body["timestamp"] for body in first} == {instant(when(60))}
    line.leak(100, 4, 3, "cache-3")
    line.expect(("alert.raised", "acct-3"), ("suspension.requested", "acct-3 suspending"))
    line.leak(140, 6, 5, "cache-3")
    last = line.expect(("alert.raised", "acct-5"), ("suspension.requested", "cache-3 suspending"))
    (request,) = (body for body in last if body["type"] == "suspension.requested")
    assert request["timestamp"] == instant(when(140))
    assert len(request["data"]["alerts"]) == 3
    line.leak(150, 8, 7, "cache-3")  # the node's backlog, within the grace
    line.expect(("alert.raised", "acct-7"))
    line.clean(160, 300)  # the first link fell silent at 240, the second at 280, the node waits until 320
    line.expect(("suspension.changed", "acct-1 suspended"), ("suspension.changed", "acct-3 suspended"))
    line.clean(320, 330)
    line.expect(("suspension.changed", "cache-3 suspended"))
    line.clean(370, 380)
    line.expect(("incident.updated", "4 viewers"))
