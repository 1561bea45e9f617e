"""What matchers that share a store tell each other: in the order of commits, to each, and no longer than needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from places import START, still
from sqlalchemy import select, update

from detector.engine import Engine
from detector.policy import Mode, Rules
from detector.suspension import State
from detector.switchboard import Switchboard
from models.fingerprint import Still
from models.records import AccountId, CameraId, Delivery, DeliveryId, Kind
from streams.cloudevents import Message
from streams.decode import Decoder
from streams.health import Health
from streams.judge import Judge, Move
from streams.kafka.reader import Haul
from streams.loop import Loop
from streams.metrics import Metrics
from streams.settings import Settings
from streams.share import BadShare, Share
from streams.stop import Stop
from streams.store import schema
from streams.store.lease import Fenced, JudgeRunning
from streams.store.sql import SqlStore
from streams.wiring import OpenJudge, Part, rules_of

FIRST, SECOND = Share(1, 2), Share(2, 2)
Open = Callable[[Share], SqlStore]


@pytest.fixture
def enter(url: str) -> Iterator[Open]:
    """Opens the store for a share, under its lease."""
    opened: list[SqlStore] = []

    def made(share: Share) -> SqlStore:
        opened.append(SqlStore(url))
        opened[-1].acquire(30.0, share=share)
        return opened[-1]

    yield made
    for store in opened:
        store.close()


def is_mine(share: Share) -> Callable[[CameraId], bool]:
    return lambda camera: share.is_whole or int(camera) % share.of == share.number - 1


def judge_of(store: SqlStore, rules: Rules | None = None) -> Judge:
    """A judge of the store's share, restored, that has taken up what it missed."""
    share = store.share
    engine = Engine(mine=is_mine(share), desk=share.is_desk)
    engine.restore(store.knowledge())
    board = Switchboard(rules or rules_of(Settings()), engine.tally) if share.is_desk else None
    judge = Judge(engine, Decoder(b"k"), Metrics(), store, board=board, tells=not share.is_desk)
    while judge.fold():
        judge.commit()
    return judge


def shows(judge: Judge, camera: int, number: int, place: int) -> None:
    """A still of a place, delivered by a camera to its account."""
    judge.take(message(camera, number, place))


def message(camera: int, number: int, place: int) -> Message:
    key = DeliveryId("test", f"{camera}-{number}")
    moment = START.replace(minute=number, second=camera)
    event = Delivery(key, moment, AccountId(f"of-{camera}"), CameraId(str(camera)), {"integration": "hub"})
    return Message(event, key, still=look(place, number))


def look(place: int, moment: int) -> Still:
    return still(place, moment)


def settle(*judges: Judge) -> None:
    """Take up and store until nobody has anything to tell."""
    while sum(judge.fold() for judge in judges):  # all of them, each time
        for judge in judges:
            judge.commit()


def settle_all(*judges: Judge) -> None:
    """Store what is in hand, and settle."""
    for judge in judges:
        judge.commit()
    settle(*judges)


def rows(store: SqlStore) -> int:
    with store.database.reading() as connection:
        return len(connection.execute(select(schema.learned)).all())


def leaks(store: SqlStore) -> set[tuple[str, str]]:
    return {(a.delivery.id, str(a.owner)) for a in store.knowledge().alerts if a.kind is Kind.LEAK}


def test_a_share_is_written_k_of_n() -> None:
    assert Share.parse("2/3") == Share(2, 3)
    for bad in ("0/2", "3/2", "2", "a/b", "1/0", "-1/2", ""):
        with pytest.raises(BadShare):
            Share.parse(bad)


def test_what_came_at_the_same_time_to_two_matchers_meets_and_is_in_the_incident_of_the_desk(enter: Open) -> None:
    first, second = enter(FIRST), enter(SECOND)
    one, two = judge_of(first), judge_of(second)
    for number, place in enumerate((0, 0, 1, 0)):
        shows(one, 0, number, place)
    for number, place in enumerate((1, 1, 0, 1)):
        shows(two, 1, number, place)
    one.commit()
    two.commit()
    assert leaks(first) == set()
    settle(one, two)
    assert leaks(first) == {("0-2", "of-1"), ("1-2", "of-0")}
    with first.database.reading() as connection:
        alerts = connection.execute(select(schema.alerts).where(schema.alerts.c.kind == "leak")).all()
        (incident,) = connection.execute(select(schema.incidents)).all()
        stills = connection.execute(select(schema.coverage.c.stills)).scalars()
        assert {row.incident for row in alerts} == {incident.id}
        assert (incident.leaks, sum(stills)) == (2, 8)
    assert one.engine.tally.exposure("hub", START, START.replace(hour=9), {"integration": "hub"})[1] == 8
    assert rows(first) == 0, "what all have heard is forgotten"


def test_one_who_dies_before_it_has_heard_draws_from_it_when_it_is_back(enter: Open, url: str) -> None:
    first, second = enter(FIRST), enter(SECOND)
    one, two = judge_of(first), judge_of(second)
    for number, place in enumerate((0, 0, 1, 0)):
        shows(one, 0, number, place)
    for number in range(3):
        shows(two, 1, number, 1)
    one.commit()
    two.commit()
    two.fold()
    second.close()  # what it had taken up is not stored
    two = judge_of(enter(SECOND))
    settle(one, two)
    assert leaks(first) == {("0-2", "of-1")}
    assert rows(first) == 0


def test_an_alert_that_another_share_withdrew_leaves_the_incident_though_the_desk_was_away(enter: Open) -> None:
    first, second = enter(FIRST), enter(SECOND)
    one, two = judge_of(first), judge_of(second)
    for judge, camera in ((one, 0), (two, 1)):
        for number in range(3):
            shows(judge, camera, number, camera)
        judge.commit()
    settle(one, two)
    shows(two, 1, 3, 0)
    two.commit()
    settle(one, two)
    (alert,) = two.engine._alarms.about(CameraId("1"))
    first.close()
    two.engine._alarms.withdraw(alert, alert.raised_at, "a test")
    two.commit()
    first = enter(FIRST)
    settle(judge_of(first), two)
    with first.database.reading() as connection:
        (incident,) = connection.execute(select(schema.incidents)).all()
    assert incident.leaks == 0


def test_a_new_division_goes_on_where_the_old_ones_slowest_share_was(enter: Open) -> None:
    first, second = enter(FIRST), enter(SECOND)
    one, two = judge_of(first), judge_of(second)
    for number, place in enumerate((0, 0, 1, 0)):
        shows(one, 0, number, place)
    for number in range(3):
        shows(two, 1, number, 1)
    one.commit()
    two.commit()
    first.close()
    second.close()
    whole = enter(Share())
    judge_of(whole)
    assert leaks(whole) == {("0-2", "of-1")}
    assert rows(whole) == 0


def test_judges_that_have_the_work_divided_otherwise_refuse_each_other_while_they_live(enter: Open, url: str) -> None:
    first = enter(FIRST)
    for other in (Share(), Share(1, 3), FIRST):
        with pytest.raises(JudgeRunning):
            enter(other)
    enter(SECOND)
    first.close()
    with pytest.raises(JudgeRunning):
        enter(Share())


def test_a_share_that_wakes_after_the_work_was_divided_anew_stores_nothing(enter: Open) -> None:
    first = enter(FIRST)
    one = judge_of(first)
    assert first.lease is not None
    first.lease.stop()
    with first.database.writing() as connection:
        long_ago = START.replace(year=2020)
        connection.execute(update(schema.leases).values(beat_at=long_ago))
    enter(Share())
    shows(one, 0, 1, 0)
    with pytest.raises(Fenced):
        one.commit()


def test_the_desk_keeps_the_offsets_of_what_all_read(enter: Open) -> None:
    first = enter(FIRST)
    first.claim("rights", 0, 3)
    one = judge_of(first)
    one.commit([Move("rights", 0, 3, 10)])
    second = enter(SECOND)
    two = judge_of(second)
    assert (second.follow("rights", 0, 0), second.follow("rights", 1, 4)) == (10, 4)
    two.commit([Move("rights", 0, 10, 12, followed=True)])
    assert first.positions("rights") == {0: 10}


def test_what_another_share_finds_is_acted_upon_by_the_desk(enter: Open) -> None:
    """Two viewers of the second share get stills of two homes: the first one's policy proposes to act."""
    first, second = enter(FIRST), enter(SECOND)
    rules = replace(rules_of(Settings()), mode=Mode.PROPOSE, pairs=1, warm_cameras=1, warm_share=0.0)
    one, two = judge_of(first, rules), judge_of(second)
    for number in range(3):
        for judge, camera in ((one, 0), (one, 2), (two, 1), (two, 3)):
            shows(judge, camera, number, camera)
    settle_all(one, two)
    shows(two, 1, 3, 0)
    shows(two, 3, 3, 2)
    settle_all(one, two)
    assert leaks(first) == {("1-3", "of-0"), ("3-3", "of-2")}
    assert {alert.owner for alert in first.standing().leaks} == {"of-0", "of-2"}
    switches = {(str(each.scope), each.state) for each in first.standing().suspensions}
    assert switches == {("account of-1 of hub", State.PROPOSED), ("account of-3 of hub", State.PROPOSED)}


def test_a_store_that_is_not_shared_has_no_log(enter: Open) -> None:
    whole = enter(Share())
    judge = judge_of(whole)
    shows(judge, 0, 1, 0)
    judge.commit()
    assert rows(whole) == 0
    with whole.database.reading() as connection:
        assert connection.execute(select(schema.shares)).all() == []


class Waits:
    """In the place of a reader: its second poll waits, and what happens meanwhile is done before it returns."""

    rights_read = True

    def __init__(self, first: list[Message], meanwhile: Callable[[], None], then: list[Message], stop: Stop) -> None:
        self._polls = iter([lambda: first, lambda: (meanwhile(), then)[1]])
        self._stop = stop
        self._offset = 0

    def poll(self, _seconds: float, _limit: int) -> Haul:
        due = next(self._polls, None)
        self._stop.asked = due is None
        messages = [] if due is None else due()
        self._offset += len(messages)
        moved = Move(TOPIC, 0, self._offset - len(messages), self._offset)
        return Haul([record(message) for message in messages], [moved] if messages else [])

    def stored(self, _moves: object) -> None: ...

    def behind(self) -> int:
        return 0


TOPIC = "scenes"


def record(message: Message) -> Any:
    """A record that says the message."""
    return SimpleNamespace(topic=TOPIC, partition=0, offset=0, timestamp=0, headers=[("m", message)], value=b"")


def test_what_another_matcher_stored_while_this_one_waited_is_known_when_it_judges(enter: Open) -> None:
    """A leak that came astray three times would be taken for a camera that moved, had nobody known the place."""
    first, second = enter(FIRST), enter(SECOND)
    one, two = judge_of(first), judge_of(second)
    theirs = [message(1, number, 1) for number in range(3)]
    before = [message(0, number, 0) for number in range(5)]
    after = [message(0, number, number % 2) for number in range(5, 11)]

    def stores() -> None:
        for each in theirs:
            two.take(each)
        two.commit()

    stop = Stop()
    reader = Waits(before, stores, after, stop)
    first.claim(TOPIC, 0, 0)
    settings = Settings(topic_stills=TOPIC, batch_seconds=0.001)
    with ExitStack() as ends:
        opened = OpenJudge(one, first, ends)
        letters: Any = SimpleNamespace(settle=lambda: None)
        parts: Any = (settings, opened, reader, letters, Health(Metrics()), {})
        Loop(*parts, read=lambda headers, _: dict(headers)["m"], part=Part(FIRST, is_mine(FIRST))).run(stop)
    assert leaks(first) == {("0-5", "of-1"), ("0-7", "of-1"), ("0-9", "of-1")}
