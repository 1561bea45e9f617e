"""Killed between decision and dispatch, between request and record, and anywhere: each call arrives, under one id."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import told as program
from nursery import Born, telling
from programs import wait_until
from receivers import Arrived, Receiver
from sqlalchemy import select
from told import EACH, batch

from streams.outbox.call import State
from streams.store.hooks import Hooks
from streams.store.outbox_schema import notices
from streams.store.sql import SqlStore

WAIT = 90.0


@contextmanager
def life(url: str, first: int, count: int, *more: str) -> Iterator[Born]:
    """A process that stores and dispatches; killed at the end."""
    with telling([program.__file__, url, str(first), str(count), *more]) as process:
        try:
            yield process
        finally:
            process.kill()


def stored(store: SqlStore) -> set[str]:
    """The ids of all notices that were committed."""
    with store.database.reading() as connection:
        return set(connection.scalars(select(notices.c.id)))


def test_killed_between_decision_and_dispatch_every_call_is_made(url: str) -> None:
    with SqlStore(url) as store, Receiver() as receiver:
        Hooks(store.database).add(receiver.url, datetime.now(UTC))
        with life(url, 0, 4, "no dispatcher") as process:
            assert process.stdout is not None
            assert [process.stdout.readline().strip() for _ in range(4)] == ["0", "1", "2", "3"]
        assert receiver.arrived == []
        assert len(stored(store)) == 4 * EACH
        with life(url, 0, 0):
            receiver.until(4 * EACH)
        assert receiver.ids == [notice.id for number in range(4) for notice in batch(number)]


def test_killed_between_request_and_record_the_call_comes_again_under_its_id(url: str) -> None:
    arrived, killed = threading.Event(), threading.Event()

    def first_only(_: Arrived) -> None:
        arrived.set()
        killed.wait(WAIT)

    with SqlStore(url) as store, Receiver(after=first_only) as receiver:
        hooks = Hooks(store.database)
        hook = hooks.add(receiver.url, datetime.now(UTC))
        with life(url, 0, 1):
            assert arrived.wait(WAIT)
        killed.set()
        assert hooks.log(hook.id).items[-1].attempts == ()
        with life(url, 0, 0):
            receiver.until(EACH + 1)
            assert wait_until(lambda: len(hooks.log(hook.id, State.DELIVERED).items) == EACH, WAIT)
        first, *others = batch(0)
        assert receiver.ids == [first.id, first.id, *(notice.id for notice in others)]
        assert {request.body for request in receiver.arrived[:2]} == {receiver.arrived[0].body}


def test_killed_at_random_moments_nothing_that_was_stored_is_lost(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sinks.toml").write_text(f'[disk]\ntype = "ocsf-file"\npath = "{tmp_path / "ocsf.jsonl"}"')
    monkeypatch.setenv("STRAYFRAME_SINKS", str(tmp_path / "sinks.toml"))
    moments = random.Random(20260301)
    with SqlStore(url) as store, Receiver() as receiver:
        hooks = Hooks(store.database)
        hook = hooks.add(receiver.url, datetime.now(UTC))
        for number in range(3):
            with life(url, 1000 * number, 1000) as process:
                assert process.stdout is not None
                for _ in range(moments.randrange(1, 12)):
                    assert process.stdout.readline()
                threading.Event().wait(moments.uniform(0.0, 0.2))
        with life(url, 0, 0):
            told = stored(store)
            assert wait_until(lambda: set(receiver.ids) == told, WAIT)
            for target in (hook.id, "sink:disk"):
                delivered = lambda of=target: len(hooks.log(of, State.DELIVERED, limit=5000).items)  # noqa: E731
                assert wait_until(lambda: delivered() == len(told), WAIT)  # noqa: B023
        written = [json.loads(line)["metadata"]["uid"] for line in (tmp_path / "ocsf.jsonl").read_text().splitlines()]
        assert set(written) == told
        assert len(written) <= len(told) + 3
        twice = [id_ for id_, times in Counter(receiver.ids).items() if times > 1]
        assert len(told) >= 3 * EACH
        assert len(twice) <= 3, "at most the one call in hand at each death comes again"
