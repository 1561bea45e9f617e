"""Switches in the store: persons and judge at once, crashes at every statement, on SQLite and on PostgreSQL."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path as File
from typing import Any

import pytest
import suspending_process
from nursery import telling
from sqlalchemy import event, select
from suspending import HOME, Path, told, when

from detector.notice import Notice, NoticeType
from detector.policy import Mode, Rules
from detector.scope import Breadth, link, scope
from detector.suspension import RULES_VERSION, Do, Refusal, State
from models.errors import StrayframeError
from streams.store.answers import Answer
from streams.store.sql import SqlStore
from streams.store.suspension_schema import suspensions, transitions
from streams.store.suspensions import Asked, Changed, Killed, NoneOfThese, NotMoved, Suspensions
from streams.store.words import KILL, MODE, ON

AUTO = Rules(mode=Mode.AUTO, warm_cameras=0, warm_share=0.0, clean=3)
LINK = link(HOME, "acct-1")
NODE = scope(Breadth.NODE, HOME, {"cachenode": "cache-3"})


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    with SqlStore(url) as opened:
        opened.acquire(60)
        yield opened


def judged(store: SqlStore, rules: Rules = AUTO) -> Path:
    """A judge of this store, with homes of which camera N is account N's."""
    path = Path(rules, store)
    for home in range(8):
        path.enrol(home)
    path.commit()
    return path


def ask(what: Do, who: str = "anna", seconds: float = 0, **more: Any) -> Asked:
    return Asked(what, who, "because", when(seconds), **more)


def history(store: SqlStore, of: object = LINK) -> list[tuple[str, str]]:
    return [(each.event.actor.name, each.after.value) for each in store.suspensions.transitions(of.id)]  # type: ignore[attr-defined]


def test_what_a_judge_decided_is_what_the_next_one_starts_from(store: SqlStore) -> None:
    path = judged(store)
    path.push(2, 1, 10, cachenode="cache-3")
    path.push(1, None, 100, cachenode="cache-3")
    before = {each.id: each for each in path.board.switches()}
    heir = Path(AUTO, store)
    assert {each.id: each for each in heir.board.switches()} == before
    assert [each.state for each in before.values()] == [State.FAILED, State.PROPOSED]
    assert heir.board.book.leaks == path.board.book.leaks
    assert [len(roll.accounts) for roll in heir.board.book.rolls.values()] == [1]
    moved = store.suspensions.transitions(LINK.id)
    assert [each.version for each in moved] == [1, 2]
    assert [(each.event.reason, each.rules) for each in moved] == [
        ("named-leak", RULES_VERSION),
        ("not-obeyed", RULES_VERSION),
    ]
    assert moved[0].event.evidence


def test_clean_deliveries_are_counted_on_after_a_restart(store: SqlStore) -> None:
    path = judged(store)
    for moment in range(4):
        path.push(1, None, moment)
    path.push(2, 1, 10)
    path.push(3, None, 500)
    assert store.suspensions.act(LINK.id, ask(Do.RESUME, seconds=500))
    path.push(3, None, 501)
    path.push(1, None, 502)
    path.push(1, None, 503)
    heir = Path(AUTO, store)
    assert heir.board.switches()[0].clean == 2
    assert told(path.push(1, None, 504))[0][1] == "ramping"


def test_a_judge_that_a_person_overtook_decides_again(store: SqlStore) -> None:
    path = judged(store)
    path.still(2, 1, 10)
    assert store.suspensions.act(LINK, ask(Do.SUSPEND))
    assert path.commit() == [], "it is suspended already"
    assert history(store) == [("anna", "suspending")]
    path.push(3, 1, 20)
    assert not path.board.switches()[0].carried


def test_the_kill_switch_holds_at_once_even_for_what_was_just_decided(store: SqlStore) -> None:
    path = judged(store)
    path.still(2, 1, 10)
    store.suspensions.say(KILL, "", ON, actor="anna", why="drill", at=when(10))
    assert told(path.commit())[0][1] == "proposed"
    with pytest.raises(Killed):
        store.suspensions.act(LINK.id, ask(Do.APPROVE))
    assert store.suspensions.act(LINK.id, ask(Do.REJECT)), "what changes no path is free"


def test_a_mode_holds_for_the_next_leak_however_long_nothing_was_judged(store: SqlStore) -> None:
    path = judged(store, Rules(mode=Mode.OFF, warm_cameras=0, warm_share=0.0))
    store.suspensions.say(MODE, HOME, Mode.AUTO.value, actor="anna", why="it was right", at=when(0))
    assert told(path.push(2, 1, 10)) == [(str(LINK), "suspending")]


def test_a_person_decides_on_what_is_stored_and_is_told_when_it_changed(store: SqlStore) -> None:
    store.suspensions.act(NODE, ask(Do.SUSPEND))
    seen = store.suspensions.one(NODE.id)
    assert seen is not None
    store.suspensions.act(NODE.id, ask(Do.RESUME, version=seen.version))
    with pytest.raises(Changed):
        store.suspensions.act(NODE.id, ask(Do.APPROVE, "ben", version=seen.version))
    with pytest.raises(NotMoved) as refused:
        store.suspensions.act(NODE.id, ask(Do.APPROVE))
    assert refused.value.refusal is Refusal.SAME_PERSON
    assert history(store, NODE) == [("anna", "suspending"), ("anna", "suspending")]


def test_a_dry_run_keeps_nothing_and_tells_nobody(url: str) -> None:
    heard: list[Notice] = []
    with SqlStore(url) as store:
        told = Suspensions(store.database, lambda _, notices: heard.extend(notices))
        acted = told.act(NODE, ask(Do.SUSPEND), dry_run=True)
        assert acted is not None
        assert acted.suspension.state is State.SUSPENDING
        assert (told.one(NODE.id), heard, told.words()) == (None, [], 0)
        told.act(NODE, ask(Do.SUSPEND))
        assert [each.type for each in heard] == [NoticeType.SUSPENSION_REQUESTED]


def test_two_persons_at_once_suspend_once(url: str, store: SqlStore) -> None:
    """Each from a connection of its own, all at the same moment."""
    barrier, outcomes = threading.Barrier(6), list[str]()

    def act(number: int) -> None:
        with SqlStore(url, upgrade=False) as mine:
            barrier.wait()
            try:
                mine.suspensions.act(NODE, ask(Do.SUSPEND, f"p{number}"))
                outcomes.append("done")
            except NotMoved as error:
                outcomes.append(error.refusal.value)

    threads = [threading.Thread(target=act, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["done", *["not-now"] * 5]
    assert len(history(store, NODE)) == 1


def test_persons_approve_while_the_judge_commits_and_nothing_happens_twice(url: str, store: SqlStore) -> None:
    """All links leak; a person suspends and resumes half of them from elsewhere while the judge does its part."""
    path = judged(store, Rules(mode=Mode.AUTO, warm_cameras=0, warm_share=0, per_hour=1000, links_least=1000))
    stop = threading.Event()

    def persons() -> None:
        with SqlStore(url, upgrade=False) as mine:
            number = 0
            while not stop.wait(0.01):  # SQLite's lock is not fair: somebody who never pauses keeps it
                number += 1
                of = link(HOME, f"acct-{number % 4}")
                for what in (Do.SUSPEND, Do.RESUME, Do.RAMP):
                    try:
                        mine.suspensions.act(of, ask(what, "ben", number))
                    except (NotMoved, Killed):
                        continue

    thread = threading.Thread(target=persons)
    thread.start()
    try:
        for number in range(32):
            path.push((number + 1) % 8, number % 8, 10 * number, cachenode=f"cache-{number}")
    finally:
        stop.set()
        thread.join()
    with store.database.reading() as connection:
        rows = connection.execute(select(transitions).order_by(transitions.c.suspension, transitions.c.version)).all()
        held = {row.id: row for row in connection.execute(select(suspensions))}
    assert {row.person for row in rows} == {True, False}
    by: dict[str, list[Any]] = {}
    for row in rows:
        by.setdefault(row.suspension, []).append(row)
    for id_, moves in by.items():
        assert [move.version for move in moves] == list(range(1, len(moves) + 1))
        assert [move.before for move in moves[1:]] == [move.after for move in moves[:-1]]
        assert (held[id_].version, held[id_].state) == (moves[-1].version, moves[-1].after)


class Torn(StrayframeError):
    """The process died at this statement."""


@contextmanager
def dying(store: SqlStore, at: int) -> Iterator[list[str]]:
    """From the `at`th write on, statements fail, as if the process were gone."""
    written: list[str] = []

    def count(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(("INSERT", "UPDATE", "DELETE")):
            written.append(statement)
            if len(written) >= at:
                raise Torn

    engine = store.database.engine
    event.listen(engine, "before_cursor_execute", count)
    try:
        yield written
    finally:
        event.remove(engine, "before_cursor_execute", count)


def test_a_judge_that_dies_at_any_statement_leaves_alert_and_suspension_or_neither(store: SqlStore) -> None:
    path, died = judged(store), 0
    for at in range(1, 100):
        path.still(2, 1, 10)
        try:
            with dying(store, at):
                path.commit()
        except Torn:
            died += 1
            assert (len(store.alerts().items), history(store)) == (0, []), f"died at write {at}"
            path = Path(AUTO, store)  # the engine is ahead of the store: start from it
            continue
        break
    assert died > 5
    assert len(store.alerts().items) == 1
    assert history(store) == [("policy", "suspending")]


def test_a_person_s_request_that_dies_leaves_nothing_half_done(store: SqlStore) -> None:
    died = 0
    for at in range(1, 20):
        try:
            with dying(store, at), store.answers.once("k", "digest", when(0)) as once:
                assert once.before is None
                store.suspensions.act(NODE, ask(Do.SUSPEND))
                once.keep(Answer(200, {}, "{}"))
        except Torn:
            died += 1
            assert (store.suspensions.one(NODE.id), history(store, NODE), store.suspensions.words()) == (None, [], 0)
            continue
        break
    assert died >= 5
    assert history(store, NODE) == [("anna", "suspending")]
    with store.answers.once("k", "digest", when(0)) as again:
        assert again.before == Answer(200, {}, "{}")


def test_alerts_of_a_warm_up_are_marked(store: SqlStore) -> None:
    path = judged(store, Rules(mode=Mode.AUTO, warm_cameras=2, warm_share=0.5))
    path.push(2, 1, 0)
    for home in range(3, 7):
        for moment in range(4):
            path.push(home, None, 10 * moment)
    path.push(4, 3, 100)
    assert [each.warming for each in store.alerts().items] == [False, True]
    (seen,) = store.suspensions.integrations()
    assert (seen.integration, seen.mode, seen.known >= 2, seen.accounts) == (HOME, None, True, 5)
    assert seen.warm_at is not None
    assert store.alert(store.alerts().items[1].alert.id) == store.alerts().items[1]


def test_pages_hold_what_they_held_while_more_is_suspended(store: SqlStore) -> None:
    for number in range(5):
        store.suspensions.act(link(HOME, f"a{number}"), ask(Do.SUSPEND))
    first = store.suspensions.page(limit=2)
    store.suspensions.act(link(HOME, "new"), ask(Do.PROPOSE))
    second = store.suspensions.page(after=first.next, limit=2)
    names = [each.suspension.scope.where[0][1][0] for each in (*first.items, *second.items)]
    assert names == ["a4", "a3", "a2", "a1"]
    assert [str(each.suspension.scope) for each in store.suspensions.page(State.PROPOSED).items] == [
        f"account new of {HOME}"
    ]
    assert store.suspensions.page(integration="other").items == ()


def test_nothing_is_read_anew_while_nobody_speaks(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    path = judged(store)
    reads: list[int] = []
    whole: Callable[[SqlStore], Any] = SqlStore.standing
    monkeypatch.setattr(SqlStore, "standing", lambda self: (reads.append(1), whole(self))[1])
    path.push(2, 1, 10)
    path.push(3, None, 11)
    assert reads == []
    store.suspensions.act(NODE, ask(Do.PROPOSE))
    path.push(3, None, 12)
    assert reads == [1]


def everything(store: SqlStore) -> list[tuple[object, ...]]:
    """Every move that was stored, but for when."""
    columns = [column for column in transitions.c if column.name not in ("seq", "stored_at")]
    with store.database.reading() as connection:
        rows = connection.execute(select(*columns).order_by(transitions.c.seq)).all()
    return [tuple(dict(each) if isinstance(each, Mapping) else each for each in row) for row in rows]


def test_a_judge_that_is_killed_again_and_again_decides_what_an_undisturbed_one_does(url: str, tmp_path: File) -> None:
    with SqlStore(f"sqlite:///{tmp_path}/undisturbed.db") as quiet:
        quiet.acquire(60)
        with_homes(Path(None, quiet))
        suspending_process.steps(Path(None, quiet), 0)
        expected = everything(quiet)
    assert {row[5] for row in expected} >= {"suspending", "failed", "suspended"}
    with SqlStore(url) as store:
        store.acquire(60)
        with_homes(Path(None, store))
    moments, kills = random.Random(7), 0
    while (code := lived(url, moments)) != 0:
        assert code == -signal.SIGKILL
        kills += 1
    assert kills >= 3
    with SqlStore(url) as store:
        assert everything(store) == expected


def lived(url: str, moments: random.Random) -> int:
    """Start a judge, and kill it somewhere between two of its first batches; its exit code."""
    with telling([suspending_process.__file__, url]) as process:
        assert process.stdout is not None
        for _ in range(moments.randint(8, 24)):
            if not process.stdout.readline():
                break
        else:
            time.sleep(moments.uniform(0, 0.02))
            process.kill()
    return process.wait()


def with_homes(path: Path) -> None:
    for home in range(12):
        path.enrol(home)
    path.commit()


def test_switches_and_incidents_find_each_other_by_the_alerts_that_moved_them(store: SqlStore) -> None:
    path = judged(store)
    path.push(2, 1, 10, cachenode="cache-3")
    (incident,) = store.incidents().items
    other = store.suspensions.act(NODE, ask(Do.SUSPEND, incident=incident.id))
    assert other is not None
    assert store.suspensions.incidents([LINK.id, NODE.id]) == {LINK.id: (incident.id,), NODE.id: (incident.id,)}
    named = store.suspensions.of_incident(incident.id, HOME)
    assert {each.id for each in named} == {LINK.id, NODE.id}
    assert named[0].quiet is not None
    with pytest.raises(NoneOfThese):
        store.suspensions.act(link(HOME, "acct-9"), ask(Do.SUSPEND, incident=incident.id))
