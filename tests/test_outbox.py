"""The dispatcher against receivers on loopback as they are met: what goes wrong at one holds up no other, and each call
arrives in its order, signed, until it is delivered or given up."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from programs import wait_until
from receivers import Receiver, Reply, close, drip, flood, hang, status
from structlog.testing import capture_logs

from detector.notice import Notice, NoticeType, notice
from streams.judge import Batch
from streams.metrics import Metrics
from streams.outbox import call, courier, dispatch, http
from streams.outbox.call import State
from streams.outbox.dispatch import Dispatcher
from streams.outbox.secret import secret_of
from streams.outbox.webhook import verified
from streams.settings import Settings
from streams.store.hooks import Hook, Hooks, Logged
from streams.store.sql import SqlStore
from streams.store.words import KILL, OFF, ON

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = "a key for tests"
WAIT = 60.0


class House:
    """A store whose batches hold notices, its hooks, and a dispatcher when it is asked for."""

    def __init__(self, url: str) -> None:
        self.settings = Settings(store=url, hook_key=KEY, hook_networks="127.0.0.0/8")
        self.store = SqlStore(url)
        self.store.acquire(600, "test")
        self.hooks = Hooks(self.store.database)
        self.metrics = Metrics()

    def tell(self, *told: Notice) -> None:
        self.store.commit(Batch(notices=list(told)))

    def hook(self, receiver: Receiver, **more: Any) -> Hook:
        return self.hooks.add(receiver.url, datetime.now(UTC), **more)

    def secret(self, hook: Hook) -> str:
        return secret_of(KEY.encode(), hook.id, hook.generation)

    def log(self, hook: Hook) -> list[Logged]:
        """What was sent to the hook, oldest first."""
        return list(self.hooks.log(hook.id, limit=500).items)[::-1]

    def until(self, hook: Hook, state: State, count: int = 1) -> list[Logged]:
        """Wait until so many calls of the hook stand so."""
        log = lambda: [one for one in self.log(hook) if one.state is state]  # noqa: E731
        assert wait_until(lambda: len(log()) >= count, WAIT), self.log(hook)
        return log()

    def dispatcher(self) -> Dispatcher:
        return Dispatcher(self.settings, self.metrics)


@pytest.fixture
def house(url: str) -> Iterator[House]:
    made = House(url)
    with made.store:
        yield made


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries and rests of hundredths of a second."""
    monkeypatch.setattr(call, "FIRST_RETRY", timedelta(seconds=0.02))
    monkeypatch.setattr(courier, "FIRST_REST", 0.01)


def raised(n: int, integration: str = "tv") -> Notice:
    return notice(NoticeType.ALERT_RAISED, NOON + timedelta(seconds=n), integration, {"alert": f"al-{n}"}, str(n))


def suspended(n: int, type: NoticeType = NoticeType.SUSPENSION_REQUESTED, *, acts: bool = True) -> Notice:
    data = {"suspension": f"su-{n}", "scope": "cachenode=cache-3"}
    return notice(type, NOON + timedelta(seconds=n), "tv", data, str(n), acts=acts)


def test_a_notice_is_posted_as_a_standard_webhook(house: House) -> None:
    told = suspended(1)
    with Receiver() as receiver, house.dispatcher():
        hook = house.hook(receiver)
        house.tell(told)
        (request,) = receiver.until(1)
        (log,) = house.until(hook, State.DELIVERED)
    assert verified(house.secret(hook), request.headers, request.body) == {
        "type": "suspension.requested",
        "timestamp": "2026-03-01T12:00:01.000Z",
        "data": {"suspension": "su-1", "scope": "cachenode=cache-3"},
    }
    assert request.headers["webhook-id"] == told.id
    assert request.headers["content-type"] == "application/json"
    assert [one.outcome.status for one in log.attempts] == [204]


@pytest.mark.parametrize(
    "bad",
    [hang, close, status(500), status(302, "location: http://127.0.0.1:1/"), drip(500), flood(500), flood(200)],
    ids=["hangs", "closes early", "500", "redirects", "drips", "floods with 500", "floods with 200"],
)
def test_a_bad_receiver_holds_up_no_other(house: House, bad: Reply, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "SAYS_SECONDS", 0.2)
    monkeypatch.setattr(dispatch, "LEAVE_SECONDS", 0.2)
    with Receiver([bad]) as wrong, Receiver() as right, house.dispatcher():
        house.hook(wrong)
        good = house.hook(right)
        house.tell(*(raised(n) for n in range(20)))
        right.until(20)
        house.until(good, State.DELIVERED, 20)
        wrong.until(1)


def test_a_redirect_is_not_followed(house: House) -> None:
    with Receiver() as elsewhere, Receiver([status(307, f"location: {elsewhere.url}")]) as receiver:
        with house.dispatcher():
            hook = house.hook(receiver)
            house.tell(raised(1))
            assert wait_until(lambda: bool(house.log(hook) and house.log(hook)[0].attempts), WAIT)
        (log,) = house.log(hook)
        assert log.state is State.WAITING
        assert "not followed" in log.attempts[0].outcome.detail
        assert elsewhere.arrived == []


@pytest.mark.usefixtures("soon")
def test_a_call_that_failed_comes_again_with_the_same_id(house: House) -> None:
    with (
        capture_logs() as lines,
        Receiver([status(500, body=b"no \x00 room"), close, status(200)]) as receiver,
        house.dispatcher(),
    ):
        hook = house.hook(receiver)
        house.tell(raised(1))
        (log,) = house.until(hook, State.DELIVERED)
    failed = [line for line in lines if line["event"] == "call.failed"]
    assert failed[0]["why"] == "HTTP 500"
    assert "room" not in str(lines), "a receiver may repeat what it was sent, and that names accounts"
    assert set(receiver.ids) == {raised(1).id}
    assert [one.outcome.result.value for one in log.attempts] == ["retry", "retry", "delivered"]
    assert log.attempts[0].outcome.detail == "HTTP 500: no room"
    assert {request.body for request in receiver.arrived} == {receiver.arrived[0].body}


@pytest.mark.usefixtures("soon")
def test_one_notice_that_is_refused_holds_up_no_other_of_the_same_hook_but_what_follows_upon_it(house: House) -> None:
    refuse: list[str] = [suspended(1).id]

    def choose(connection: Any, over: threading.Event) -> None:
        code = 500 if receiver.arrived[-1].headers["webhook-id"] in refuse else 204
        status(code)(connection, over)

    lifted = suspended(1, NoticeType.SUSPENSION_LIFTED)
    with Receiver([choose]) as receiver, house.dispatcher():
        hook = house.hook(receiver)
        house.tell(suspended(1), suspended(2), lifted, raised(1))
        house.until(hook, State.DELIVERED, 2)
        assert lifted.id not in receiver.ids
        refuse.clear()
        house.until(hook, State.DELIVERED, 4)
    assert receiver.ids.index(lifted.id) > receiver.ids.index(suspended(1).id)
    assert receiver.ids.count(lifted.id) == 1


def test_what_is_switched_off_does_not_wait_behind_alerts(house: House) -> None:
    with Receiver() as receiver:
        house.hook(receiver)
        house.tell(*(raised(n) for n in range(30)), suspended(1))
        with house.dispatcher():
            receiver.until(31)
    assert receiver.ids[0] == suspended(1).id
    assert receiver.ids[1:] == [raised(n).id for n in range(30)]


def test_while_the_kill_switch_is_on_nobody_is_asked_to_act(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "LOOK_SECONDS", 0.05)
    with Receiver() as receiver, house.dispatcher():
        hook = house.hook(receiver)
        house.store.suspensions.say(KILL, "", ON, actor="kim", why="a drill", at=NOON)
        page = suspended(2, NoticeType.SUSPENSION_CHANGED, acts=False)
        house.tell(suspended(1), page, raised(3))
        sent = house.until(hook, State.DELIVERED, 2)
        assert {one.notice.id for one in sent} == {page.id, raised(3).id}, "paging is telling, not acting"
        (held,) = house.until(hook, State.WAITING)
        assert (held.notice.type, held.attempts) == (NoticeType.SUSPENSION_REQUESTED, ())
        house.store.suspensions.say(KILL, "", OFF, actor="kim", why="over", at=NOON)
        house.until(hook, State.DELIVERED, 3)


def test_410_disables_the_hook_and_stops_what_waits(house: House) -> None:
    with Receiver([status(410)]) as receiver, Receiver() as other, house.dispatcher():
        hook, beside = house.hook(receiver), house.hook(other)
        house.tell(raised(1), raised(2))
        house.until(hook, State.STOPPED, 2)
        house.tell(raised(3))
        house.until(beside, State.DELIVERED, 3)
    found = house.hooks.hook(hook.id)
    assert found is not None
    assert found.disabled is not None
    assert "410" in (found.disabled_why or "")
    assert receiver.ids == [raised(1).id]
    assert len(house.log(hook)) == 2


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("code", [429, 503])
def test_a_receiver_that_asks_to_wait_is_left_alone_for_so_long(house: House, code: int) -> None:
    with Receiver([status(code, "retry-after: 1"), status(204)]) as receiver, house.dispatcher():
        hook = house.hook(receiver)
        house.tell(raised(1), raised(2))
        house.until(hook, State.DELIVERED, 2)
    first, second, *_ = receiver.arrived
    assert second.at - first.at >= 1
    assert receiver.ids == [raised(1).id, raised(1).id, raised(2).id]


def test_a_hook_hears_of_what_it_asked_for_and_of_nothing_from_before(house: House) -> None:
    with Receiver() as all_, Receiver() as some, house.dispatcher():
        house.tell(suspended(0))
        assert wait_until(lambda: routed(house), WAIT)
        hook = house.hook(all_)
        house.hook(some, integration="tv", events=frozenset({NoticeType.SUSPENSION_REQUESTED}))
        house.tell(raised(1), raised(2, "car"), suspended(3))
        all_.until(3)
        some.until(1)
        house.until(hook, State.DELIVERED, 3)
    assert set(all_.ids) == {raised(1).id, raised(2).id, suspended(3).id}
    assert some.ids == [suspended(3).id]


def routed(house: House) -> bool:
    from sqlalchemy import func, select

    from streams.store.outbox_schema import notices

    with house.store.database.reading() as connection:
        waiting = select(func.count()).select_from(notices).where(notices.c.routed_at.is_(None))
        return connection.scalar(waiting) == 0


def test_the_same_notice_twice_is_sent_once(house: House) -> None:
    with Receiver() as receiver, house.dispatcher():
        house.hook(receiver)
        house.tell(raised(1), raised(1))
        house.tell(raised(1))
        house.tell(raised(2))
        receiver.until(2)
    assert receiver.ids == [raised(1).id, raised(2).id]


def test_a_dry_run_sends_nothing_and_logs_what_it_would(house: House) -> None:
    with Receiver() as receiver, house.dispatcher():
        hook = house.hook(receiver, dry_run=True)
        house.tell(suspended(1))
        (log,) = house.until(hook, State.DRY_RUN)
        assert receiver.arrived == []
        house.hooks.change(hook.id, {"dry_run": False}, NOON)
        assert house.hooks.replay(hook.id, log.id, datetime.now(UTC))
        receiver.until(1)
        house.until(hook, State.DELIVERED)
    assert [one.outcome.result.value for one in house.log(hook)[0].attempts] == ["dry_run", "delivered"]


def test_both_secrets_sign_after_a_rotation_and_one_when_its_time_is_over(house: House) -> None:
    with Receiver() as receiver, house.dispatcher():
        hook = house.hook(receiver)
        rotated = house.hooks.rotate(hook.id, datetime.now(UTC) + timedelta(hours=1))
        assert rotated is not None
        house.tell(raised(1))
        (both,) = receiver.until(1)
        house.hooks.rotate(hook.id, datetime.now(UTC) - timedelta(hours=1))
        house.until(hook, State.DELIVERED)
        house.tell(raised(2))
        one = receiver.until(2)[1]
    assert house.secret(hook) != house.secret(rotated)
    for secret in (house.secret(hook), house.secret(rotated)):
        assert verified(secret, both.headers, both.body)["type"] == "alert.raised"
    assert len(both.headers["webhook-signature"].split()) == 2
    assert len(one.headers["webhook-signature"].split()) == 1


def test_a_replay_sends_under_the_old_id(house: House) -> None:
    with Receiver() as receiver, house.dispatcher():
        hook = house.hook(receiver)
        house.tell(raised(1))
        (log,) = house.until(hook, State.DELIVERED)
        assert house.hooks.replay(hook.id, log.id, datetime.now(UTC))
        receiver.until(2)
    assert receiver.ids == [raised(1).id] * 2


def test_a_hook_that_is_added_while_the_dispatcher_looks_hears_of_what_comes_after_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled, added = Hooks.enabled, threading.Event()
    with Receiver() as receiver:

        def meanwhile(hooks: Hooks) -> list[Hook]:
            found = enabled(hooks)
            if not added.is_set():
                added.set()
                house.hook(receiver)
                house.tell(raised(1))
            return found

        monkeypatch.setattr(Hooks, "enabled", meanwhile)
        with house.dispatcher():
            receiver.until(1)


def test_a_hook_that_is_changed_removed_or_disabled_is_heeded_at_once(house: House) -> None:
    with Receiver() as old, Receiver() as new, Receiver() as witness, house.dispatcher():
        hook, beside = house.hook(old), house.hook(witness)
        house.tell(raised(1))
        old.until(1)
        house.hooks.change(hook.id, {"url": new.url}, NOON)
        house.tell(raised(2))
        new.until(1)
        house.hooks.change(hook.id, {"enabled": False}, NOON)
        house.tell(raised(3))
        house.until(beside, State.DELIVERED, 3)
        house.hooks.change(hook.id, {"enabled": True}, NOON)
        house.tell(raised(4))
        new.until(2)
        assert house.hooks.remove(hook.id)
        house.tell(raised(5))
        house.until(beside, State.DELIVERED, 5)
    assert (len(old.arrived), new.ids) == (1, [raised(2).id, raised(4).id])
    assert house.log(hook) == []


def test_nothing_private_is_called_unless_a_setting_names_it(url: str) -> None:
    house = House(url)
    house.settings = Settings(store=url, hook_key=KEY)
    with house.store, Receiver() as receiver, house.dispatcher():
        hook = house.hook(receiver)
        house.tell(raised(1))
        assert wait_until(lambda: bool(house.log(hook) and house.log(hook)[0].attempts), WAIT)
        assert "127.0.0.1 is not public" in house.log(hook)[0].attempts[0].outcome.detail
        assert receiver.arrived == []


def test_one_dispatcher_at_a_time_acts_and_the_next_takes_over(house: House) -> None:
    with Receiver() as receiver, ExitStack() as first:
        hook = house.hook(receiver)
        first.enter_context(house.dispatcher())
        house.tell(raised(1))
        receiver.until(1)
        with Dispatcher(house.settings, Metrics()):
            house.tell(*(raised(n) for n in range(2, 12)))
            house.until(hook, State.DELIVERED, 11)
            first.close()
            house.tell(raised(12))
            house.until(hook, State.DELIVERED, 12)
    assert receiver.ids == [raised(n).id for n in range(1, 13)]


def test_what_waits_and_what_became_of_attempts_is_counted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "TELL_SECONDS", 0.05)
    value = house.metrics.registry.get_sample_value
    assert str(value("strayframe_outbox_waiting")) == "nan"
    with Receiver([status(500)]) as receiver, house.dispatcher():
        house.hook(receiver)
        house.tell(raised(1))
        assert wait_until(lambda: value("strayframe_outbox_waiting") == 1, WAIT)
        assert wait_until(lambda: (value("strayframe_outbox_oldest_seconds") or 0) > 0.1, WAIT)
        retried = lambda: value("strayframe_outbox_attempts_total", {"result": "retry"})  # noqa: E731
        assert wait_until(lambda: retried() == 1, WAIT)
    assert str(value("strayframe_outbox_waiting")) == "nan"


def test_a_body_is_never_too_large(house: House) -> None:
    data = {"incident": "in-1", "why": "x" * 9_000, "viewers": ["acct-1"] * 2_000, "stills": 3}
    with Receiver() as receiver, house.dispatcher():
        house.hook(receiver)
        house.tell(notice(NoticeType.INCIDENT_UPDATED, NOON, "tv", data, "big"))
        (request,) = receiver.until(1)
    assert len(request.body) < 20_000
    told = json.loads(request.body)["data"]
    assert told == {"incident": "in-1", "why": "x" * 9_000, "stills": 3, "omitted": ["viewers"]}


@pytest.mark.parametrize(("store", "rings"), [("sqlite:///s.db", True), ("postgresql://nobody@127.0.0.1/none", False)])
def test_what_postgresql_tells_of_by_itself_is_not_rung_for_twice(store: str, rings: bool) -> None:
    dispatcher = Dispatcher(Settings(store=store), Metrics())
    dispatcher.noticed()
    assert dispatcher.bell._rung is rings
