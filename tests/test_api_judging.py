"""The judging thread behind HTTP: shared transactions, and what clients get when something breaks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from api.intake import Outcome, Taken
from api.judging import Judging
from api.problems import ProblemError
from models.records import AccountId, CameraId, Delivery, DeliveryId, Judgement, Verdict
from streams.cloudevents import Message, Rejected
from streams.store.database import StoreUnavailable
from streams.store.lease import Fenced, Holder, JudgeRunning

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


class Desk:
    """A judge that tells what it did, waits where it is told to, and breaks where it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.open_errors: list[Exception] = []
        self.commit_errors: list[Exception] = []
        self.opened = self.closed = 0
        self.lost = False
        self.go = threading.Event()
        self.go.set()
        self.may_open = threading.Event()
        self.may_open.set()
        self._hand: list[str] = []

    @property
    def judge(self) -> Any:
        return self

    def open(self) -> Any:
        assert self.may_open.wait(30)
        if self.open_errors:
            raise self.open_errors.pop(0)
        self.opened += 1
        return self

    def take(self, message: Message) -> Judgement:
        assert self.go.wait(30)
        if message.key.id.startswith("bad"):
            raise Rejected("bad_attribute", "it is bad")
        if message.key.id.startswith("poison"):
            raise ZeroDivisionError
        self._hand.append(message.key.id)
        assert isinstance(message.event, Delivery)
        return Judgement(message.event, Verdict.CLEAR, "own-code", {})

    def commit(self) -> None:
        hand, self._hand = self._hand, []
        if self.commit_errors:
            raise self.commit_errors.pop(0)
        self.batches.append(hand)

    def close(self) -> None:
        self.closed += 1


def message(id: str, camera: str = "cam", size: int = 10) -> Message:
    key = DeliveryId("test", id)
    return Message(Delivery(key, NOON, AccountId("acct"), CameraId(camera)), key, b"x" * size)


def running(desk: Desk, story: Callable[[Judging], Awaitable[None]], **options: Any) -> None:
    """Play a story on a started intake and stop it afterwards."""

    async def play() -> None:
        judging = Judging(desk.open, **{"batch": 100, "first_wait": 0.001, **options})
        await judging.start()
        try:
            await asyncio.wait_for(story(judging), 60)
        finally:
            desk.go.set()
            desk.may_open.set()
            await judging.stop()

    asyncio.run(play())


async def sound(judging: Judging) -> bool:
    return {check.ok for check in await judging.checks()} == {True}


async def opened(judging: Judging) -> None:
    while not await sound(judging):
        await asyncio.sleep(0)


def problem(outcome: BaseException) -> str:
    assert isinstance(outcome, ProblemError)
    return outcome.problem.name


async def one(judging: Judging, sent: Message) -> Outcome:
    return (await judging.take([sent]))[0]


def test_what_waits_together_shares_one_transaction() -> None:
    desk = Desk()

    async def story(judging: Judging) -> None:
        await opened(judging)
        desk.go.clear()
        first = asyncio.create_task(one(judging, message("first")))
        while not desk._hand and judging._queue:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        rest = [asyncio.create_task(one(judging, message(f"{n}"))) for n in range(9)]
        while len(judging._queue) < 9:
            await asyncio.sleep(0)
        desk.go.set()
        assert all(isinstance(outcome, Taken) for outcome in await asyncio.gather(first, *rest))
        assert desk.batches == [["first"], [str(n) for n in range(9)]]

    running(desk, story)
    assert (desk.opened, desk.closed) == (1, 1)


def test_a_transaction_holds_no_more_than_a_batch() -> None:
    desk = Desk()

    async def story(judging: Judging) -> None:
        await opened(judging)
        await judging.take([message(str(n)) for n in range(25)])
        assert [len(batch) for batch in desk.batches] == [10, 10, 5]

    running(desk, story, batch=10)


def test_a_repeat_is_judged_once_whether_in_hand_or_answered() -> None:
    desk = Desk()

    async def story(judging: Judging) -> None:
        await opened(judging)
        desk.go.clear()
        twice = [asyncio.create_task(one(judging, message("d"))) for _ in range(2)]
        await asyncio.sleep(0)
        desk.go.set()
        first, second = await asyncio.gather(*twice)
        assert first is second is await one(judging, message("d"))
        assert desk.batches == [["d"]]
        with pytest.raises(ProblemError, match="delivery-differs"):
            await one(judging, message("d", camera="other"))

    running(desk, story)


def test_a_client_that_goes_away_takes_nobody_elses_answer_with_it() -> None:
    desk = Desk()

    async def story(judging: Judging) -> None:
        await opened(judging)
        desk.go.clear()
        gone, stays = (asyncio.create_task(one(judging, message("d"))) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        desk.go.set()
        assert isinstance(await stays, Taken)
        assert gone.cancelled()

    running(desk, story)


def test_one_bad_message_and_one_fault_leave_the_others_judged() -> None:
    desk = Desk()

    async def story(judging: Judging) -> None:
        await opened(judging)
        good, bad, poison, also = await judging.take([message(name) for name in ("good", "bad", "poison", "also")])
        assert isinstance(good, Taken)
        assert isinstance(also, Taken)
        assert isinstance(bad, Rejected)
        assert isinstance(poison, ProblemError)
        assert problem(poison) == "judge-failed"
        assert desk.batches == [["good", "also"]]
        assert isinstance(await one(judging, message("good-2")), Taken)

    running(desk, story)


def test_what_was_not_stored_is_not_answered_and_a_new_judge_is_opened() -> None:
    desk = Desk()

    async def story(judging: Judging) -> None:
        await opened(judging)
        desk.commit_errors.append(StoreUnavailable("gone"))
        with pytest.raises(ProblemError) as refused:
            await one(judging, message("d"))
        assert problem(refused.value) == "store-unavailable"
        await opened(judging)
        assert isinstance(await one(judging, message("d")), Taken)
        assert desk.batches == [["d"]]

    running(desk, story)
    assert (desk.opened, desk.closed) == (2, 2)


def test_stills_are_refused_while_the_index_loads() -> None:
    desk = Desk()
    desk.may_open.clear()

    async def story(judging: Judging) -> None:
        with pytest.raises(ProblemError, match="loading"):
            await one(judging, message("d"))
        assert [check.ok for check in await judging.checks()] == [False, False]
        desk.may_open.set()
        await opened(judging)
        assert isinstance(await one(judging, message("d")), Taken)

    running(desk, story)


def test_it_waits_for_the_lease_and_takes_over_once_it_is_free() -> None:
    desk = Desk()
    other = JudgeRunning(Holder("worker", "host", "place", 1, 1), NOON, NOON, NOON)
    desk.open_errors += [other, StoreUnavailable("restarting"), other]
    told: list[bool] = []

    async def story(judging: Judging) -> None:
        desk.may_open.clear()
        while judging._why_not.problem.name == "loading":
            desk.may_open.set()
            await asyncio.sleep(0)
        with pytest.raises(ProblemError):
            await one(judging, message("d"))
        await opened(judging)
        assert isinstance(await one(judging, message("d")), Taken)

    running(desk, story, ready=told.append)
    assert told == [True, False]
    assert desk.opened == 1


@pytest.mark.parametrize("when", ["while judging", "while idle"])
def test_a_judge_that_was_replaced_stores_nothing_and_asks_for_the_lease_again(when: str) -> None:
    desk = Desk()

    async def story(judging: Judging) -> None:
        await opened(judging)
        desk.may_open.clear()
        if when == "while judging":
            desk.commit_errors.append(Fenced("another judge"))
            with pytest.raises(ProblemError, match="not-judging"):
                await one(judging, message("d"))
        else:
            desk.lost = True
        while await sound(judging) or judging._opened is not None:
            await asyncio.sleep(0)
        with pytest.raises(ProblemError, match="not-judging"):
            await one(judging, message("d"))
        desk.lost = False
        desk.may_open.set()
        await opened(judging)
        assert desk.batches == []

    running(desk, story)
    assert desk.opened == 2


def test_more_than_fits_in_memory_is_told_to_come_again() -> None:
    desk = Desk()

    async def story(judging: Judging) -> None:
        await opened(judging)
        desk.go.clear()
        waits = asyncio.create_task(one(judging, message("large", size=9_000)))
        await asyncio.sleep(0)
        with pytest.raises(ProblemError, match="busy"):
            await one(judging, message("too-much", size=200))
        desk.go.set()
        assert isinstance(await waits, Taken)
        assert isinstance(await one(judging, message("later", size=20_000)), Taken)

    running(desk, story, waiting_bytes=11_000)


def test_it_stops_at_once_where_no_judge_could_be_opened_meanwhile() -> None:
    desk = Desk()
    desk.may_open.clear()
    desk.open_errors = [StoreUnavailable("the store is away")]

    async def story(judging: Judging) -> None:
        stopping = asyncio.create_task(judging.stop())
        await asyncio.sleep(0)
        desk.may_open.set()
        await asyncio.wait_for(stopping, 30)

    running(desk, story, first_wait=3600)


def test_what_is_in_hand_when_told_to_stop_is_judged_and_stored() -> None:
    desk = Desk()

    async def story(judging: Judging) -> None:
        await opened(judging)
        desk.go.clear()
        waits = [asyncio.create_task(one(judging, message(str(n)))) for n in range(5)]
        await asyncio.sleep(0)
        stopping = asyncio.create_task(judging.stop())
        await asyncio.sleep(0)
        with pytest.raises(ProblemError, match="stopping"):
            await one(judging, message("late"))
        desk.go.set()
        await stopping
        assert all(isinstance(outcome, Taken) for outcome in await asyncio.gather(*waits))
        assert sorted(name for batch in desk.batches for name in batch) == [str(n) for n in range(5)]

    running(desk, story)
    assert desk.closed == 1
