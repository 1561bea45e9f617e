"""The outbox in the store: whatever is committed, crashes and is dispatched in whatever order, no row is lost, none is
made twice, and what was rolled back is never told."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, func, select

from detector.notice import Notice, NoticeType, notice
from streams.judge import Batch
from streams.outbox.call import (
    BODY_BYTES,
    LONGEST_ASKED,
    RETRY_SPAN,
    Attempt,
    CallId,
    Due,
    Outcome,
    Result,
    State,
    body,
    call_id,
    fitted,
    next_due,
)
from streams.outbox.courier import SETTLES
from streams.store import lease as leasing
from streams.store import outbox as outbox_module
from streams.store import outbox_schema
from streams.store.forgetting import Forgetting
from streams.store.hooks import Hook, Hooks, Logged
from streams.store.lease import DISPATCH, Fenced
from streams.store.outbox import Outbox, of_attempt, put
from streams.store.sql import SqlStore

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DELIVERED = Outcome(Result.DELIVERED, "taken", 204)
FAILED = Outcome(Result.RETRY, "no", 500)


def told(n: int, type: NoticeType = NoticeType.SUSPENSION_CHANGED) -> Notice:
    """Notice n; every third concerns the same suspension."""
    return notice(type, NOON + timedelta(seconds=n), "tv", {"suspension": f"su-{n % 3}"}, str(n))


class Witness:
    """A target that keeps what it was handed."""

    def __init__(self, hook: Hook) -> None:
        self.hook = hook
        self.handed: list[Notice] = []

    @property
    def name(self) -> str:
        return self.hook.id

    def wants(self, notice: Notice) -> bool:
        return self.hook.wants(notice)

    async def send(self, notice: Notice, at: datetime) -> Outcome:
        raise NotImplementedError("the test attempts by itself")


@contextmanager
def opened() -> Iterator[SqlStore]:
    with TemporaryDirectory() as folder, SqlStore(f"sqlite:///{Path(folder) / 's.db'}") as store:
        store.acquire(600, "test")
        yield store


def attempted(outbox: Outbox, due: Due, outcome: Outcome, at: datetime) -> None:
    """Record as the courier does."""
    again = next_due(due, outcome, at, 0.5) if outcome.result is Result.RETRY else None
    state = SETTLES.get(outcome.result, State.FAILED if again is None else State.WAITING)
    outbox.record(due, Attempt(at, 0.1, outcome), state, again)


class World:
    """A store, two targets, and whatever happens to them. Each method is one step; `value` says how far or to whom."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.hooks = Hooks(store.database)
        self.targets = [Witness(self.hooks.add(f"https://one.example/{n}", NOON)) for n in range(2)]
        self.outbox = Outbox(store.database)
        self.at = NOON
        self.number = 0
        self.committed: list[Notice] = []
        self.settled: Counter[tuple[str, str]] = Counter()

    def commit(self, value: int) -> None:
        batch = self._batch(value)
        self.store.commit(Batch(notices=batch))
        self.committed += batch

    def roll_back(self, value: int) -> None:
        with suppress(ZeroDivisionError), self.store.database.writing() as connection:
            put(connection, self._batch(value))
            raise ZeroDivisionError

    def repeat(self, value: int) -> None:
        if self.committed:
            self.store.commit(Batch(notices=[self.committed[value % len(self.committed)]]))

    def route(self, _: int) -> None:
        while waiting := self.outbox.unrouted():
            self.outbox.route(waiting, self.targets, self.at)

    def take_over(self, _: int) -> None:
        self.outbox = Outbox(self.store.database)  # whoever comes knows nothing but the store

    def pass_by(self, value: int) -> None:
        self.at += timedelta(seconds=1000 * value)

    def deliver(self, value: int) -> None:
        self._attempt(self.targets[value % 2], DELIVERED)

    def fail(self, value: int) -> None:
        self._attempt(self.targets[value % 2], FAILED)

    def die_before_the_record(self, value: int) -> None:
        self._attempt(self.targets[value % 2], None)

    def die_in_the_record(self, value: int) -> None:
        self._attempt(self.targets[value % 2], None)
        with suppress(ZeroDivisionError), self.store.database.writing() as connection:
            connection.execute(outbox_schema.calls.update().values(state="delivered"))
            raise ZeroDivisionError

    def finish(self) -> None:
        """What a dispatcher does that nothing disturbs, until nothing waits."""
        self.take_over(0)
        self.route(0)
        for target in self.targets:
            while (later := self.outbox.next_due(target.name)) is not None:
                self.at = max(self.at, later)
                self._attempt(target, DELIVERED)

    def log(self, target: Witness) -> list[Logged]:
        return list(self.hooks.log(target.name, limit=10_000).items)

    def _batch(self, size: int) -> list[Notice]:
        first, self.number = self.number, self.number + size
        return [told(number) for number in range(first, self.number)]

    def _attempt(self, target: Witness, outcome: Outcome | None) -> None:
        """Hand over what is due and record what came of it; None: die before that."""
        due = self.outbox.due(target.name, self.at)
        if due is None:
            return
        target.handed.append(due.notice)
        if outcome is not None:
            attempted(self.outbox, due, outcome, self.at)
            self.settled[target.name, due.notice.id] += outcome is DELIVERED


STEPS = ("commit", "roll_back", "repeat", "route", "take_over", "pass_by", "deliver", "fail")
DEATHS = ("die_before_the_record", "die_in_the_record")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS + DEATHS), st.integers(1, 20)), max_size=40))
def test_no_sequence_of_commits_crashes_and_dispatches_loses_a_row_or_makes_one_up(
    steps: list[tuple[str, int]],
) -> None:
    with opened() as store:
        world = World(store)
        for step, value in steps:
            getattr(world, step)(value)
        world.finish()
        ids = {one.id for one in world.committed}
        given_up = 0
        for target in world.targets:
            assert {one.id for one in target.handed} == ids
            assert {one.notice.id for one in world.log(target)} == ids
            given_up += sum(one.state is State.FAILED for one in world.log(target))
            for about in ("su-0", "su-1", "su-2"):  # each suspension's were first handed over in their order
                first = dict.fromkeys(one.id for one in target.handed if one.data["suspension"] == about)
                assert list(first) == [one.id for one in world.committed if one.data["suspension"] == about]
        assert set(world.settled.values()) <= {0, 1}
        assert world.settled.total() + given_up == 2 * len(ids)


def test_what_is_stored_is_stored_with_the_batch_or_not_at_all() -> None:
    with opened() as store:
        store.commit(Batch(notices=[told(1), told(1)]))
        assert store.lease is not None
        store.lease.stop()
        taken = leasing.acquire(store.database, 600, name=DISPATCH)  # another name is another lease
        taken.release()
        store.release()
        with pytest.raises(Fenced):
            store.commit(Batch(notices=[told(2)]))
        with store.database.reading() as connection:
            count = connection.scalar(select(func.count()).select_from(outbox_schema.notices))
        assert count == 1


def test_a_dispatcher_that_was_replaced_records_nothing() -> None:
    with opened() as store:
        hook = Witness(Hooks(store.database).add("https://one.example/", NOON))
        store.commit(Batch(notices=[told(1)]))
        old = leasing.acquire(store.database, 600, name=DISPATCH)
        outbox = Outbox(store.database, old)
        outbox.route(outbox.unrouted(), [hook], NOON)
        assert outbox.route(outbox.unrouted(), [hook], NOON) == set(), "nothing is left to route"
        due = outbox.due(hook.name, NOON)
        assert due is not None
        old.release()
        with leasing.acquire(store.database, 600, name=DISPATCH) as new:
            with pytest.raises(Fenced):
                attempted(outbox, due, DELIVERED, NOON)
            again = Outbox(store.database, new).due(hook.name, NOON)
        assert again == due
        assert Hooks(store.database).log(hook.name).items[0].attempts == ()


def test_what_is_done_with_is_forgotten_in_time_and_nothing_that_waits() -> None:
    with opened() as store:
        hooks, outbox = Hooks(store.database), Outbox(store.database)
        hook, held = (Witness(hooks.add(f"https://{name}.example/", NOON)) for name in ("one", "two"))
        store.commit(Batch(notices=[told(1), told(2)]))
        outbox.route(outbox.unrouted(), [hook], NOON)
        while (due := outbox.due(hook.name, NOON)) is not None:
            attempted(outbox, due, DELIVERED, NOON)
        store.commit(Batch(notices=[told(3)]))
        outbox.route(outbox.unrouted(), [hook, held], NOON)
        due = outbox.due(hook.name, NOON)
        assert due is not None
        attempted(outbox, due, DELIVERED, NOON)
        store.commit(Batch(notices=[told(4)]))
        later = datetime.now(UTC) + timedelta(days=1)
        assert Forgetting(store.database).run(NOON) == 0, "they are too young"
        assert Forgetting(store.database).run(later) == 2, "one waits for a target, one was not yet routed"
        assert [one.notice.id for one in hooks.log(hook.name).items] == [told(3).id]
        assert hooks.replay(hook.name, call_id(hook.name, told(3).id), NOON)
        assert Forgetting(store.database).run(later) == 0
        tables = (outbox_schema.notices, outbox_schema.calls, outbox_schema.attempts)
        with store.database.reading() as connection:
            counts = [connection.scalar(select(func.count()).select_from(t)) for t in tables]
        assert counts == [2, 2, 1]


def test_what_waits_behind_a_failed_call_is_not_due_before_it() -> None:
    with opened() as store:
        hook, outbox = Witness(Hooks(store.database).add("https://one.example/", NOON)), Outbox(store.database)
        store.commit(Batch(notices=[told(1), told(4)]))
        outbox.route(outbox.unrouted(), [hook], NOON)
        due = outbox.due(hook.name, NOON)
        assert due is not None
        attempted(outbox, due, FAILED, NOON)
        assert outbox.due(hook.name, NOON) is None
        later = outbox.next_due(hook.name)
        assert later is not None
        assert later > NOON


def test_retries_go_on_for_three_days_ever_more_slowly_and_then_end() -> None:
    due = Due(Hook.__name__, told(1), NOON, 0, None)  # type: ignore[arg-type]
    at, pauses = NOON, list[timedelta]()
    while (later := next_due(due, FAILED, at, 0.5)) is not None:
        pauses.append(later - at)
        due, at = Due(due.call, due.notice, NOON, due.tries + 1, NOON), later
    assert pauses[:4] == [timedelta(seconds=seconds) for seconds in (5, 15, 45, 135)]
    assert pauses == sorted(pauses)
    assert RETRY_SPAN <= at - NOON <= RETRY_SPAN + timedelta(hours=5)
    assert 20 <= len(pauses) <= 30


@given(st.integers(0, 40), st.floats(0, 1, exclude_max=True), st.integers(0, 10**9))
def test_a_pause_is_as_long_as_was_asked_but_a_day_at_most(tries: int, draw: float, asked: int) -> None:
    due = Due("ca", told(1), NOON, tries, NOON)  # type: ignore[arg-type]
    later = next_due(due, Outcome(Result.RETRY, "", 429, timedelta(seconds=asked)), NOON, draw)
    assert later is not None
    assert min(timedelta(seconds=asked), LONGEST_ASKED) <= later - NOON <= LONGEST_ASKED


DATA = st.dictionaries(
    st.text(max_size=30), st.one_of(st.text(max_size=12_000), st.lists(st.integers(), max_size=3000))
)


@settings(max_examples=40, deadline=None)
@given(DATA)
def test_a_body_is_under_20_kb_whatever_is_told(data: dict[str, object]) -> None:
    cut = fitted(data)
    assert len(body(notice(NoticeType.INCIDENT_UPDATED, NOON, "tv", cut, "1"))) < BODY_BYTES
    if "omitted" in cut and "omitted" not in data:
        assert set(cut) - {"omitted"} <= set(data)
        assert set(cut["omitted"]) == set(data) - set(cut)


def test_a_hook_is_removed_while_an_attempt_at_it_is_written_down(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one who records has changed the call and not yet written the attempt when the other comes to the calls."""
    amid, on = threading.Event(), threading.Event()

    def slowly(call: CallId, attempt: Attempt) -> dict[str, Any]:
        amid.set()
        on.wait(30)
        return of_attempt(call, attempt)

    def reached(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FOR UPDATE" in statement or "DELETE FROM calls" in statement:
            on.set()

    with SqlStore(url) as store, SqlStore(url) as other:
        store.acquire(600, "test")
        hooks, outbox = Hooks(other.database), Outbox(store.database)
        target = Witness(hooks.add("https://one.example/1", NOON))
        store.commit(Batch(notices=[told(1)]))
        outbox.route(outbox.unrouted(), [target], NOON)
        due = outbox.due(target.name, NOON + timedelta(days=1))
        assert due is not None
        monkeypatch.setattr(outbox_module, "of_attempt", slowly)
        recorder = threading.Thread(target=attempted, args=(outbox, due, DELIVERED, NOON))
        recorder.start()
        assert amid.wait(30)
        if other.database.is_sqlite:
            on.set()  # there the other waits before it begins
        event.listen(other.database.engine, "before_cursor_execute", reached)
        assert hooks.remove(target.name)
        recorder.join(30)
        assert hooks.hook(target.name) is None
        assert hooks.log(target.name).items == ()
