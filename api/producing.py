"""The intake with Kafka behind it: what comes in over HTTP is produced, and answered once it is acknowledged.

Owns the threads that wait for acknowledgements, and the watch over the brokers that readiness tells of. Refuses to
hold an index or to judge: workers do. Kafka may be down when this starts; it is tried again until it answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

import structlog

from api.intake import Check, Outcome, Taken
from api.problems import BUSY, STOPPING, STREAM_UNAVAILABLE, TOO_LARGE, ProblemError
from models.errors import StrayframeError
from streams.cloudevents import Message
from streams.kafka.client import MessageTooLarge

WAITERS: Final = 32
"""Threads that wait for acknowledgements: an acknowledgement takes some 10 ms, so these carry about 3,000 stills a
second, more than one producer sends."""
WAITING: Final = 512
"""Requests that may wait for one of them; more are told to come again."""
WAITING_BYTES: Final = 256_000_000
"""Pictures that may wait to be acknowledged, in bytes, as many as may wait to be judged: 512 stills of 100 kB take a
fifth of it, and 16 of the largest fill it."""
WATCH_SECONDS: Final = 10.0
"""Seconds between two looks at the brokers: an orchestrator asks for readiness about as often."""

_log = structlog.get_logger()


class Receipt(Protocol):
    """A message on its way; `streams.kafka.client.Receipt` is it."""

    def wait(self, seconds: float = ...) -> None: ...


class Outlet(Protocol):
    """Produces messages; `streams.kafka.client.Outlet` is it. Safe for several threads."""

    def send(self, message: Message) -> Any: ...

    def close(self) -> None: ...


class Producing:
    """The intake that produces. `open_outlet` and `look` block and raise StrayframeError; they run in threads.

    `look` asks the brokers whether they are there, and returns what is wrong in words, or nothing.
    """

    receipt_only = True

    def __init__(
        self,
        open_outlet: Callable[[], Outlet],
        look: Callable[[], str],
        *,
        ready: Callable[[bool], None] = lambda _: None,
        watch_seconds: float = WATCH_SECONDS,
        waiting_bytes: int = WAITING_BYTES,
    ) -> None:
        self._open_outlet = open_outlet
        self._look = look
        self._tell_ready = ready
        self._watch_seconds = watch_seconds
        self._most_bytes = waiting_bytes
        self._threads = ThreadPoolExecutor(WAITERS, thread_name_prefix="producing")
        self._outlet: Outlet | None = None
        self._waiting = self._bytes = 0
        self._wrong = "not yet connected"
        self._stopped = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to connect; until then everything is refused."""
        self._watch = asyncio.create_task(self._watching(), name="kafka-watch")

    async def stop(self) -> None:
        """Wait for what is on its way, then let go."""
        self._stopped.set()
        if self._watch is not None:
            await self._watch
        await asyncio.to_thread(self._threads.shutdown)
        if self._outlet is not None:
            await asyncio.to_thread(self._outlet.close)

    async def take(self, messages: Sequence[Message]) -> list[Outcome]:
        """Produce the messages in order; returns once each is acknowledged."""
        if self._stopped.is_set():
            raise ProblemError(STOPPING)
        if self._outlet is None:
            raise ProblemError(STREAM_UNAVAILABLE, "Kafka is not connected yet.")
        size = sum(len(message.data or b"") for message in messages)
        if self._waiting >= WAITING or (self._bytes and self._bytes + size > self._most_bytes):
            raise ProblemError(BUSY)
        self._waiting, self._bytes = self._waiting + 1, self._bytes + size
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, _produce, self._outlet, messages)
        finally:
            self._waiting, self._bytes = self._waiting - 1, self._bytes - size

    async def checks(self) -> list[Check]:
        """Whether the brokers answered when last looked at."""
        return [Check("kafka", not self._wrong, self._wrong or "answers")]

    async def _watching(self) -> None:
        while not self._stopped.is_set():
            wrong = await asyncio.to_thread(self._see)
            if wrong != self._wrong:
                _log.info("kafka.seen", wrong=wrong or None)
            self._wrong = wrong
            self._tell_ready(not wrong)
            try:
                await asyncio.wait_for(self._stopped.wait(), self._watch_seconds)
            except TimeoutError:
                continue

    def _see(self) -> str:
        try:
            if self._outlet is None:
                self._outlet = self._open_outlet()
            return self._look()
        except StrayframeError as error:
            return str(error)


def _produce(outlet: Outlet, messages: Sequence[Message]) -> list[Outcome]:
    try:
        receipts: list[Receipt] = [outlet.send(message) for message in messages]
        for receipt in receipts:
            receipt.wait()
    except MessageTooLarge as error:
        raise ProblemError(TOO_LARGE, str(error)) from None
    except StrayframeError as error:
        _log.warning("kafka.not_acknowledged", error=str(error))
        raise ProblemError(
            STREAM_UNAVAILABLE, "Send it again: what arrived after all is recognised by its id and doubles nothing."
        ) from None
    return [Taken() for _ in receipts]
