"""The stream: what was stored is heard in its order, once, however slowly, and across any end of the server."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from serve_command import serve, until_ready
from serving import Served, serving

from api.app import create_app
from api.live import AT_ONCE, READERS, Live
from detector.notice import Notice, NoticeType, notice
from streams.outbox.call import Attempt, Outcome, Result
from streams.settings import Settings
from streams.store.feed import ANY, Feed, Told, Wanted
from streams.store.forgetting import Forgetting
from streams.store.hooks import Hooks
from streams.store.outbox import Outbox, put
from streams.store.sql import SqlStore

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def told(n: int, type: NoticeType = NoticeType.ALERT_RAISED, integration: str = "tv") -> Notice:
    return notice(type, NOON + timedelta(seconds=n), integration, {"alert": f"al-{n}"}, str(n))


def tell(url: str, *notices: Notice) -> None:
    """Store notices as another process would."""
    with SqlStore(url) as store, store.database.writing() as connection:
        put(connection, notices)


@dataclass
class Event:
    id: str
    type: str | None = None
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """Of the notice."""
        return int(self.data["data"]["alert"].removeprefix("al-"))


@contextmanager
def listening(client: httpx.Client, last: str | None = None, **query: Any) -> Iterator[Iterator[Event]]:
    """A connection that reads the stream; its first event is the place at which it begins."""
    headers = {} if last is None else {"last-event-id": last}
    with client.stream("GET", "/v1/stream", headers=headers, params=query) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events(answer)


def _events(answer: httpx.Response) -> Iterator[Event]:
    block: dict[str, str] = {}
    for line in answer.iter_lines():
        if line:
            name, _, value = line.partition(":")
            block[name] = value.removeprefix(" ")
        elif block:
            yield Event(block["id"], block.get("event"), json.loads(block.get("data", "{}")))
            block = {}


def take(events: Iterator[Event], count: int) -> list[Event]:
    """So many events that say something."""
    found: list[Event] = []
    while len(found) < count:
        event = next(events)
        if event.type is not None:
            found.append(event)
    return found


@contextmanager
def app_on(url: str) -> Iterator[Served]:
    with serving(create_app(Settings(store=url))) as served:
        served.until(lambda: served.client.get("/v1/alerts").status_code == 200)
        yield served


def test_a_reader_goes_on_where_it_stopped_without_a_gap_across_a_restart(url: str) -> None:
    with app_on(url) as served:
        with listening(served.client) as events:
            place = next(events)
            assert place.type is None
            tell(url, *map(told, range(3)))
            heard = take(events, 3)
        tell(url, *map(told, range(3, 6)))
        with listening(served.client, heard[1].id) as events:
            heard += take(events, 4)
    tell(url, *map(told, range(6, 9)))
    with app_on(url) as served:
        with listening(served.client, heard[-1].id) as events:
            heard += take(events, 3)
        with listening(served.client, place.id) as events:
            assert [event.number for event in take(events, 9)] == list(range(9))
    assert [event.number for event in heard] == [0, 1, 2, 2, 3, 4, 5, 6, 7, 8]
    assert heard[0].data == {
        "id": told(0).id,
        "type": "alert.raised",
        "timestamp": "2026-03-01T12:00:00.000Z",
        "data": {"alert": "al-0"},
    }


def test_a_notice_that_is_committed_late_has_no_lower_number_than_one_that_was_read(url: str) -> None:
    with SqlStore(url) as store:
        feed, heard, other = Feed(store.database), [], threading.Thread(target=tell, args=(url, told(2)))
        with store.database.writing() as connection:
            put(connection, [told(1)])
            other.start()
            other.join(0.3)
            heard += feed.after(0, 9)
        other.join()
        heard += feed.after(heard[-1].seq if heard else 0, 9)
    assert [each.notice for each in heard] == [told(1), told(2)]


def test_a_hook_that_is_tried_out_meanwhile_hides_nothing_from_who_begins_then(url: str) -> None:
    def try_out() -> None:
        with SqlStore(url) as other:
            attempt = Attempt(NOON, 0.1, Outcome(Result.DELIVERED, "HTTP 204", 204))
            Hooks(other.database).note("hk-1", told(2, NoticeType.TEST), attempt)

    with SqlStore(url) as store:
        feed, trial = Feed(store.database), threading.Thread(target=try_out)
        with store.database.writing() as connection:
            put(connection, [told(1)])
            trial.start()
            trial.join(0.3)
            _, begun = feed.span()
        trial.join()
        assert [each.notice for each in feed.after(begun, 9)] == [told(1)]


def test_filters_narrow_what_is_heard(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    with app_on(url) as served, listening(served.client) as all_of_it:
        start = next(all_of_it).id
        opened = told(2, NoticeType.INCIDENT_OPENED, "hub")
        tell(url, told(1), opened, told(3, integration="hub"), told(4, NoticeType.TEST))
        assert [e.number for e in take(all_of_it, 3)] == [1, 2, 3]
        with listening(served.client, start, type=["incident.opened", "alert.withdrawn"]) as events:
            assert take(events, 1)[0].number == 2
        with listening(served.client, start, integration="hub") as events:
            assert [e.number for e in take(events, 2)] == [2, 3]
        with listening(served.client, cursor=start, integration=["hub", "tv"], type="alert.raised") as events:
            assert [e.number for e in take(events, 2)] == [1, 3]


def test_a_place_that_was_never_given_out_is_refused_and_not_taken_for_the_end(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    with app_on(url) as served:
        c = served.client
        tell(url, *map(told, range(5)))
        with listening(c) as events:
            last = next(events).id
    with app_on(f"sqlite:///{tmp_path / 'other.db'}") as served:
        for refused in (last, "nonsense", "MTphbGVydHM6NDI"):
            answer = served.client.get("/v1/stream", headers={"last-event-id": refused})
            assert (answer.status_code, answer.json()["type"]) == (400, "urn:strayframe:problem:bad-cursor")
        assert served.client.get("/v1/stream?kind=leak").status_code == 422
        app: Any = served.app
        app.state.house.live.readers = READERS
        full = served.client.get("/v1/stream")
        assert (full.status_code, full.json()["type"]) == (503, "urn:strayframe:problem:too-many-readers")
        assert int(full.headers["retry-after"]) > 0
        app.state.house.live.readers = 0


def test_a_place_behind_which_something_is_forgotten_is_refused_and_not_gone_on_from(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    with app_on(url) as served:
        with listening(served.client) as events:
            start = next(events).id
        tell(url, *map(told, range(3)))
        with listening(served.client, start) as events:
            last = take(events, 3)[-1].id
        with SqlStore(url) as store:
            outbox = Outbox(store.database)
            outbox.route(outbox.unrouted(), [], datetime.now(UTC))
            assert Forgetting(store.database).run(datetime.now(UTC) + timedelta(days=1)) == 3
        refused = served.client.get("/v1/stream", headers={"last-event-id": start})
        assert (refused.status_code, refused.json()["type"]) == (400, "urn:strayframe:problem:bad-cursor")
        tell(url, told(3))
        with listening(served.client, last) as events:
            assert [e.number for e in take(events, 1)] == [3]


def test_a_server_that_stops_ends_its_streams_in_order(tmp_path: Path) -> None:
    url, ended = f"sqlite:///{tmp_path / 's.db'}", threading.Event()
    begun = threading.Event()

    def read(address: str) -> None:
        with httpx.Client(base_url=address, timeout=60) as client, listening(client) as events:
            for _ in events:
                begun.set()
            ended.set()  # the server said that there is no more; a connection that broke would have raised

    with app_on(url) as served:
        reader = threading.Thread(target=read, args=(served.url,))
        reader.start()
        assert begun.wait(30)
    reader.join(30)
    assert ended.is_set()


def test_nothing_is_missed_and_nothing_heard_twice_across_a_kill_of_the_server(tmp_path: Path) -> None:
    store, heard = tmp_path / "s.db", []
    url = f"sqlite:///{store}"
    with serve(store) as (process, client):
        until_ready(process, client, path="/v1/alerts")
        with listening(client) as events:
            last = next(events).id
            tell(url, *map(told, range(4)))
            heard += take(events, 2)
            process.send_signal(signal.SIGKILL)
            process.wait()
            with pytest.raises((httpx.TransportError, StopIteration)):
                heard += take(events, 9)
    last = heard[-1].id if heard else last
    tell(url, *map(told, range(4, 7)))
    with serve(store) as (process, client):
        until_ready(process, client, path="/v1/alerts")
        with listening(client, last) as events:
            heard += take(events, 7 - len(heard))
    assert [event.number for event in heard] == list(range(7))


# --- what readers share ------------------------------------------------------------------------------------


class Script:
    """A feed in memory that counts who asks."""

    def __init__(self) -> None:
        self.notices: list[Told] = []
        self.asked = 0

    def tell(self, *numbers: int) -> None:
        self.notices += [Told(n, told(n)) for n in numbers]

    def span(self) -> tuple[int, int]:
        return 0, self.notices[-1].seq if self.notices else 0

    def after(self, seq: int, limit: int, wanted: Wanted = ANY) -> list[Told]:
        self.asked += 1
        return [each for each in self.notices if each.seq > seq and wanted.holds(each.notice)][:limit]


async def numbers(live: Live, script: Any, begin: int, last: int) -> list[int]:
    heard = []
    async for seq, event in live.read(script, begin, ANY):
        if event is not None:
            heard.append(seq)
        if seq >= last:
            break
    return heard


def test_many_readers_share_one_look_at_the_store() -> None:
    async def many() -> tuple[list[list[int]], int]:
        live, script = Live(), Script()
        readers = [asyncio.create_task(numbers(live, script, 0, 5)) for _ in range(100)]
        while live.readers < 100 or not script.asked:
            await asyncio.sleep(0)
        script.tell(*range(1, 6))
        return await asyncio.gather(*readers), script.asked

    heard, asked = asyncio.run(many())
    assert heard == [[1, 2, 3, 4, 5]] * 100
    assert asked < 10


def test_who_falls_behind_what_is_remembered_reads_on_from_the_store() -> None:
    async def slow() -> list[int]:
        live, script = Live(remembered=3), Script()
        events: AsyncIterator[tuple[int, Told | None]] = live.read(script, 0, ANY)  # type: ignore[arg-type]
        script.tell(1)
        heard = [(await anext(events))[0]]
        script.tell(*range(2, 2 * AT_ONCE + 5))
        quick = await numbers(live, script, 0, script.span()[1])
        assert quick == list(range(1, script.span()[1] + 1))
        while heard[-1] < script.span()[1]:
            heard.append((await anext(events))[0])
        return heard

    assert asyncio.run(slow()) == list(range(1, 2 * AT_ONCE + 5))


def test_a_reader_for_whom_there_is_nothing_gets_its_place_now_and_then() -> None:
    async def quiet() -> list[tuple[int, Told | None]]:
        live, script = Live(beat_seconds=0.01), Script()
        script.tell(1, 2)
        events = live.read(script, 2, Wanted(integrations={"none"}))  # type: ignore[arg-type]
        return [await anext(events), await anext(events)]

    assert asyncio.run(quiet()) == [(2, None), (2, None)]
