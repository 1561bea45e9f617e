"""The embedded judge behind HTTP: one thread judges, and requests that wait together share one transaction.

Owns that thread, its queue, the memory of recent answers, and what happens when the store fails: the judge is thrown
away and opened anew from the store, because its engine is ahead of what was stored. Refuses to know HTTP and to judge.

How a still is taken
    1. A repeat of a delivery that is in hand or was answered lately gets the answer of the first.
    2. It waits in the queue, which is bounded by the bytes of pictures in it.
    3. The pump hands all that wait, up to `batch_stills`, to the judging thread: take, take, ..., commit.
    4. After the commit, and only then, each gets its verdict.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog

from api.intake import Check, Outcome, Taken
from api.problems import (
    BUSY,
    DELIVERY_DIFFERS,
    JUDGE_FAILED,
    LOADING,
    NOT_JUDGING,
    STOPPING,
    STORE_UNAVAILABLE,
    ProblemError,
)
from models.errors import StrayframeError
from models.records import Delivery, DeliveryId, Judgement
from streams.cloudevents import Message, Rejected
from streams.judge import EngineTorn, Judge
from streams.store.lease import Fenced, JudgeRunning

WAITING_BYTES: Final = 256_000_000
"""Pictures that may wait to be judged, in bytes: some 2,500 stills of 100 kB, about ten seconds of one core's work.
More would wait longer than clients do."""
ENVELOPE_BYTES: Final = 1_000
"""What a message takes in memory beside its picture, roughly."""
REMEMBERED: Final = 10_000
"""Deliveries whose answer is remembered: a client retries within minutes, and a judgement takes about 2 kB."""
FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 15.0
"""Seconds between attempts to open the judge anew, doubling from the first to the longest: a database restarts within
seconds, and a lease that a dead process left behind runs out within `lease_seconds`, 15 by default."""

_log = structlog.get_logger()


class OpenJudge(Protocol):
    """A judge that holds the store's lease, restored and ready. `streams.wiring.open_judge` gives one."""

    @property
    def judge(self) -> Judge: ...

    @property
    def lost(self) -> bool:
        """Whether another process is known to have taken the store over."""

    def close(self) -> None:
        """Give the lease back and close the store."""


@dataclass(slots=True)
class _Waiting:
    message: Message
    answer: asyncio.Future[Outcome]

    @property
    def size(self) -> int:
        return _size(self.message)


class Judging:
    """The intake that judges in this process. `open_judge` blocks while the index loads; it runs in the thread.

    `ready` is told when that changes, `stored` of every judgement once it is stored.
    """

    receipt_only = False

    def __init__(
        self,
        open_judge: Callable[[], OpenJudge],
        *,
        batch: int,
        waiting_bytes: int = WAITING_BYTES,
        first_wait: float = FIRST_WAIT,
        ready: Callable[[bool], None] = lambda _: None,
        stored: Callable[[Judgement], None] = lambda _: None,
    ) -> None:
        self._open_judge = open_judge
        self._most = batch
        self._most_bytes = waiting_bytes
        self._first_wait = first_wait
        self._tell_ready = ready
        self._tell_stored = stored
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="judging")
        self._queue: deque[_Waiting] = deque()
        self._bytes = 0
        self._came = asyncio.Event()
        self._stopping = False
        self._opened: OpenJudge | None = None
        self._why_not: ProblemError = ProblemError(LOADING, "Stills are judged once the index is loaded.")
        self._in_hand: dict[DeliveryId, _Waiting] = {}
        self._answered: OrderedDict[DeliveryId, Taken] = OrderedDict()
        self._pump: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to open the judge; stills are refused until it is open."""
        self._pump = asyncio.create_task(self._run(), name="judging")

    async def stop(self) -> None:
        """Refuse what comes now, judge and store what waits, give the lease back."""
        self._stopping = True
        self._came.set()
        if self._pump is not None:
            await self._pump
        self._thread.shutdown()

    async def take(self, messages: Sequence[Message]) -> list[Outcome]:
        """Judge the messages and store what followed; each outcome is stored before this returns."""
        if self._stopping:
            raise ProblemError(STOPPING)
        if self._opened is None:
            raise self._why_not
        if self._bytes and self._bytes + sum(map(_size, messages)) > self._most_bytes:
            raise ProblemError(BUSY)
        # shielded: a client that goes away takes nobody else's answer with it
        return list(await asyncio.gather(*[asyncio.shield(self._enter(message)) for message in messages]))

    async def checks(self) -> list[Check]:
        """Whether the index is loaded and the lease held."""
        if self._opened is not None and self._opened.lost:
            self._came.set()  # the pump looks, and begins to wait for the lease
            return [Check("index", True, "loaded"), Check("lease", False, "another process took it")]
        if self._opened is not None:
            return [Check("index", True, "loaded"), Check("lease", True, "held by this process")]
        why = self._why_not
        told = why.detail or why.problem.title
        index = Check("index", False, told if why.problem is not NOT_JUDGING else "waits for the lease")
        return [index, Check("lease", False, told if why.problem is NOT_JUDGING else "not held")]

    def _enter(self, message: Message) -> asyncio.Future[Outcome]:
        """The future outcome of one message; a repeated delivery shares the first one's."""
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(message, answer)
        if isinstance(message.event, Delivery):
            if (taken := self._answered.get(message.key)) is not None and taken.judgement is not None:
                _same(taken.judgement.delivery, message.event)
                answer.set_result(taken)
                return answer
            if (first := self._in_hand.setdefault(message.key, waiting)) is not waiting:
                assert isinstance(first.message.event, Delivery)
                _same(first.message.event, message.event)
                return first.answer
        self._queue.append(waiting)
        self._bytes += waiting.size
        self._came.set()
        return answer

    async def _run(self) -> None:
        """Open a judge, judge until it breaks, open the next one; until told to stop."""
        wait = self._first_wait
        while not self._stopping:
            opened = await self._open()
            if opened is None:
                if not self._stopping:  # else `stop` has called already
                    await self._pause(wait)
                wait = min(2 * wait, LONGEST_WAIT)
                continue
            wait = self._first_wait
            await self._judge_with(opened)

    async def _open(self) -> OpenJudge | None:
        opening = self._thread.submit(self._open_judge)
        error = await _ended(opening)
        if error is None:
            return opening.result()
        self._why_not = _unready(error)
        _log.warning("judge.not_opened", error=str(error), exc_info=None if _foreseen(error) else error)
        return None

    async def _pause(self, seconds: float) -> None:
        self._came.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._came.wait(), seconds)  # `stop` sets it

    async def _judge_with(self, opened: OpenJudge) -> None:
        self._opened = opened
        self._tell_ready(True)
        _log.info("judge.opened")
        while self._queue or not self._stopping:
            if opened.lost:
                self._broken(Fenced("another judge took this store over"))
                break
            if not self._queue:
                self._came.clear()
                await self._came.wait()
                continue
            error = await self._batch(opened.judge)
            if error is not None:
                self._broken(error)
                break
        self._opened = None
        self._tell_ready(False)
        error = await _ended(self._thread.submit(opened.close))
        _log.info("judge.closed", error=str(error) if error else None)

    async def _batch(self, judge: Judge) -> BaseException | None:
        """Judge what waits, in one transaction. Returns the error when it could not be stored."""
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), self._most))]
        judged = [self._thread.submit(judge.take, waiting.message) for waiting in batch]
        stored = self._thread.submit(judge.commit)
        error = await _ended(stored)
        for waiting, judging in zip(batch, judged, strict=True):
            self._done(waiting, judging, error)
        return error

    def _done(self, waiting: _Waiting, judging: Future[Any], error: BaseException | None) -> None:
        self._bytes -= waiting.size
        self._in_hand.pop(waiting.message.key, None)
        fault = judging.exception()
        if error is not None and (fault is None or isinstance(fault, (Rejected, EngineTorn))):
            _fail(waiting.answer, _unready(error))
        elif fault is None:
            taken = Taken(judging.result())
            self._remember(waiting.message.key, taken)
            _settle(waiting.answer, taken)
        elif isinstance(fault, Rejected):
            _settle(waiting.answer, fault)
        else:
            _log.error("judge.failed", delivery=str(waiting.message.key), exc_info=fault)
            _settle(waiting.answer, ProblemError(JUDGE_FAILED, "The fault was logged."))

    def _remember(self, key: DeliveryId, taken: Taken) -> None:
        if taken.judgement is not None:
            self._tell_stored(taken.judgement)
            self._answered[key] = taken
            while len(self._answered) > REMEMBERED:
                self._answered.popitem(last=False)

    def _broken(self, error: BaseException) -> None:
        """The batch was not stored: refuse what waits behind it until a judge is opened from the store."""
        self._why_not = _unready(error)
        _log.error("judge.broken", error=str(error), exc_info=None if _foreseen(error) else error)
        while self._queue:
            waiting = self._queue.popleft()
            self._bytes -= waiting.size
            self._in_hand.pop(waiting.message.key, None)
            _fail(waiting.answer, _unready(error))


def _size(message: Message) -> int:
    return len(message.data or b"") + ENVELOPE_BYTES


async def _ended(future: Future[Any]) -> BaseException | None:
    """Wait for work in the thread; the error it ended with, or None."""
    waited = asyncio.wrap_future(future)
    await asyncio.wait([waited])
    return waited.exception()


def _settle(answer: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not answer.done():
        answer.set_result(outcome)


def _fail(answer: asyncio.Future[Outcome], problem: ProblemError) -> None:
    if not answer.done():
        answer.set_exception(problem)


def _same(first: Delivery, second: Delivery) -> None:
    """Raises ProblemError when two deliveries with one id are not the same one."""
    if (first.account, first.camera) != (second.account, second.camera):
        raise ProblemError(DELIVERY_DIFFERS, "Source and id name one delivery; account and camera cannot change.")


def _foreseen(error: BaseException) -> bool:
    return isinstance(error, StrayframeError)


def _unready(error: BaseException) -> ProblemError:
    """What a client is told while no judge is open, or when its batch could not be stored."""
    if isinstance(error, Fenced | JudgeRunning):
        return ProblemError(NOT_JUDGING, "Send stills to the process that judges, or wait until it is gone.")
    return ProblemError(STORE_UNAVAILABLE, "Nothing was stored; send it again.")
